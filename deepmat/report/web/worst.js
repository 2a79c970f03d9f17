// Worst cases: the scale of colours, and the pictures of highest score with their worst windows.

const WORST = 8;

// The colour scale is linear in the square root of the error.
function ramp() {
  const { colours } = DATA;
  const places = colours.map((colour, place) => `${colour} ${100 * Math.sqrt(place / (colours.length - 1))}%`);
  const stops = [0, 0.02, 0.1, 0.25, 0.5, 1].map((stop) =>
    make("span", { style: { left: `${100 * Math.sqrt(stop)}%` } }, stop));
  $("worst").querySelector(".scale").append(
    make("div", { class: "ramp", style: { background: `linear-gradient(to right, ${places.join()})` } }),
    make("div", { class: "ticks" }, stops));
}

function worst() {
  const behind = state.order === "behind";
  const value = (picture) => (behind ? difference(picture) : score(picture));
  const ranked = pictures.filter((picture) => value(picture) !== null).sort((a, b) => value(b) - value(a));
  const which = behind ? `furthest behind ${state.against}` : "highest";
  $("worst").querySelector("small").textContent = `${title(state.metric)} of ${state.run}, ${which}`;
  $("worst").querySelector("ol").replaceChildren(...ranked.slice(0, WORST).map(worstCase));
}

function worstCase(picture, place) {
  const by = difference(picture);
  const text = make("div", { class: "head" },
    make("div", { class: "name" }, `${place + 1}. `, link(picture)),
    make("div", { class: "value" }, number(score(picture), state.metric), " ", make("small", {}, title(state.metric))),
    by !== null && make("div", { class: by > 0 ? "worse" : "better" },
      `${signed(by, state.metric)} against ${state.against}`),
    make("div", { class: "hint" }, size(picture)));
  if (!picture.windows.has(state.run)) return make("li", {}, text, make("p", { class: "hint" }, "no views were kept"));
  const [height, width] = picture.view;
  const [, , high, wide] = picture.windows.get(state.run);
  const heat = make("img", {
    src: source(picture, "error.jpg", state.run), alt: `Error of ${picture.name}`, loading: "lazy", width, height,
  });
  const panels = ["image", "truth", "prediction", "error"].map((kind, part) =>
    make("figure", { class: `panel panel-${part}` }, make("img", {
      src: source(picture, "window.png", state.run), alt: `Worst window: ${kind}`, loading: "lazy",
      style: { "aspect-ratio": `${wide} / ${high}` },
    }), make("figcaption", {}, kind)));
  return make("li", {}, text, make("figure", { class: "heat" }, make("a", { href: `#${picture.id}` }, heat),
    make("figcaption", {}, "error in the unknown region")), panels);
}
