// The dialog of one picture: layers side by side, as a wipe or flickering; zoom; keys; the address.

function layers(picture) {
  if (!picture.view) return [];
  const runs = [...new Set([state.run, ...RUNS])].filter((run) => picture.windows.has(run));
  const shared = [["image", "image.jpg"], ["trimap", "trimap.png"], ["truth", "truth.jpg"]];
  return [
    ...shared.map(([key, file]) => ({ key, text: key, src: source(picture, file) })),
    ...runs.flatMap((run) => ["prediction", "error"].map((kind) => ({
      key: `${kind} ${run}`, text: RUNS.length > 1 ? `${kind} of ${run}` : kind,
      src: source(picture, `${kind}.jpg`, run), mark: kind === "error" && picture.windows.get(run),
    }))),
  ];
}

function layer(picture, { src, text, mark }) {
  const [height, width] = picture.view;
  const part = (value, whole) => `${(100 * value) / whole}%`;
  const picked = mark && make("span", {
    class: "mark",
    style: {
      top: part(mark[0], picture.height), height: part(mark[2], picture.height),
      left: part(mark[1], picture.width), width: part(mark[3], picture.width),
    },
  });
  return make("div", { class: "layer" }, make("img", { src, alt: text, width, height, draggable: "false" }), picked);
}

function sideBySide(all) {
  return all.map((each) => make("figure", {},
    make("div", { class: "view" }, layer(state.open, each)), make("figcaption", {}, each.text)));
}

function oneOverTheOther(first, second, flicker) {
  const [height, width] = state.open.view;
  return make("div", { class: "compare", style: { "--aspect": width / height } },
    make("div", { class: "view", onclick: () => flicker && state.zoom === 1 && flip() },
      layer(state.open, first),
      make("div", { class: "cover", hidden: flicker }, layer(state.open, second)),
      !flicker && make("div", { class: "divider" }),
      make("span", { class: "tag left" }, first.text),
      make("span", { class: "tag right", hidden: flicker }, second.text)));
}

function flip() {
  const [cover, left, right] = [".cover", ".tag.left", ".tag.right"].map((each) => $("stage").querySelector(each));
  if (!cover) return; // no views
  cover.hidden = right.hidden = !cover.hidden;
  left.hidden = !cover.hidden;
}

function stage() {
  const all = layers(state.open);
  $("detail").dataset.view = all.length ? state.mode : "none";
  for (const button of document.querySelectorAll("[data-mode]")) {
    button.setAttribute("aria-pressed", button.dataset.mode === state.mode);
  }
  if (!all.length) {
    $("stage").replaceChildren(make("p", { class: "hint" }, "No views of this picture were kept."));
    return;
  }
  const layerOf = (key) => all.find((each) => each.key === key);
  const first = layerOf(state.first) ?? layerOf("truth");
  const second = layerOf(state.second) ?? layerOf(`prediction ${state.run}`) ?? layerOf("image");
  choices($("first"), all.map((each) => [each.key, each.text]), first.key);
  choices($("second"), all.map((each) => [each.key, each.text]), second.key);
  const nodes = state.mode === "side" ? sideBySide(all) : [oneOverTheOther(first, second, state.mode === "flicker")];
  $("stage").replaceChildren(...nodes);
  look();
}

function setMode(mode) {
  state.mode = mode;
  stage();
}

function look() {
  const least = 1 - state.zoom;
  state.x = Math.min(0, Math.max(least, state.x));
  state.y = Math.min(0, Math.max(least, state.y));
  for (const key of ["x", "y", "zoom"]) $("stage").style.setProperty(`--${key}`, state[key]);
  $("stage").classList.toggle("near", state.zoom > 1);
  $("zoom").textContent = `${Number(state.zoom.toFixed(1))}×`;
}

// Zooms around a point of the view, in fractions of its width and height.
function zoomTo(zoom, fx = 0.5, fy = 0.5) {
  const next = Math.min(16, Math.max(1, zoom));
  state.x = fx - ((fx - state.x) * next) / state.zoom;
  state.y = fy - ((fy - state.y) * next) / state.zoom;
  state.zoom = next;
  look();
}

function scoresOf(picture) {
  const scores = (run) => (picture.runs.has(run)
    ? METRICS.map((metric) => make("td", {}, number(score(picture, metric, run), metric)))
    : make("td", { colspan: METRICS.length }, picture.failed.get(run) ?? "not scored"));
  const strip = (run) => picture.windows.has(run) && make("img", {
    class: "strip", src: source(picture, "window.png", run), alt: `Worst window of ${run}`,
    width: 4 * picture.windows.get(run)[3], height: picture.windows.get(run)[2],
  });
  const titles = ["run", ...METRICS.map(title), "worst window: image, truth, prediction, error"];
  return [
    make("tr", {}, titles.map((each) => make("th", { scope: "col" }, each))),
    ...RUNS.map((run) =>
      make("tr", {}, make("th", { scope: "row" }, named(run)), scores(run), make("td", {}, strip(run)))),
  ];
}

function show(picture) {
  Object.assign(state, { open: picture, zoom: 1, x: 0, y: 0 });
  const place = state.shown.indexOf(picture);
  $("detail-name").textContent = picture.name;
  $("place").textContent = size(picture) + (place < 0 ? "" : ` · ${place + 1} of ${state.shown.length}`);
  $("scores").replaceChildren(...scoresOf(picture));
  stage();
  $("tip").hidden = true;
  if (!$("detail").open) $("detail").showModal();
}

// In the order of the table.
function go(by) {
  const { shown } = state;
  if (!shown.length) return;
  const place = shown.indexOf(state.open);
  const next = shown[place < 0 ? 0 : (place + by + shown.length) % shown.length];
  history.replaceState(null, "", `#${next.id}`);
  show(next);
}

function follow() {
  const picture = byId.get(location.hash.slice(1));
  if (picture) show(picture);
  else if (state.open) $("detail").close();
}

const KEYS = {
  ArrowLeft: () => go(-1),
  ArrowRight: () => go(1),
  " ": () => (state.mode === "flicker" ? flip() : setMode("flicker")),
  "+": () => zoomTo(state.zoom * 2),
  "=": () => zoomTo(state.zoom * 2),
  "-": () => zoomTo(state.zoom / 2),
  0: () => zoomTo(1),
};

function press(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("select, input")) return;
  if (!Object.hasOwn(KEYS, event.key)) return;
  event.preventDefault();
  KEYS[event.key]();
}

function wipeTo(percent) {
  $("stage").style.setProperty("--wipe", `${percent}%`);
  $("wipe").value = percent;
}

function pointer(event) {
  const box = event.target.closest(".view")?.getBoundingClientRect();
  if (!box) return;
  const [fx, fy] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  if (event.type === "dblclick") zoomTo(state.zoom > 1 ? 1 : 4, fx, fy);
  else if (event.type === "wheel") {
    if (!event.ctrlKey) return;
    event.preventDefault();
    zoomTo(state.zoom * 2 ** (-event.deltaY / 200), fx, fy);
  } else if (event.buttons && state.zoom > 1) {
    state.x += event.movementX / box.width;
    state.y += event.movementY / box.height;
    look();
  } else if (state.mode === "wipe") wipeTo(100 * fx);
}

function dialog() {
  const clicks = {
    previous: () => go(-1), next: () => go(1), close: () => $("detail").close(),
    in: () => zoomTo(state.zoom * 2), out: () => zoomTo(state.zoom / 2),
  };
  for (const [id, act] of Object.entries(clicks)) $(id).addEventListener("click", act);
  for (const button of document.querySelectorAll("[data-mode]")) {
    button.addEventListener("click", () => setMode(button.dataset.mode));
  }
  for (const key of ["first", "second"]) {
    $(key).addEventListener("change", () => {
      state[key] = $(key).value;
      stage();
    });
  }
  $("wipe").addEventListener("input", () => wipeTo($("wipe").value));
  $("detail").addEventListener("keydown", press);
  $("detail").addEventListener("close", () => {
    state.open = null;
    if (byId.has(location.hash.slice(1))) history.replaceState(null, "", "#");
  });
  for (const kind of ["dblclick", "wheel", "pointermove"]) {
    $("stage").addEventListener(kind, pointer, { passive: false });
  }
  window.addEventListener("hashchange", follow);
}
