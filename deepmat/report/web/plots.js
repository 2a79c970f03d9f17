// Distributions: a histogram of each metric, one run against another, the differences in order.

const PLOT = { width: 460, height: 300, left: 52, right: 12, top: 8, bottom: 38 };

// x, y: {low, high, label, log?, bare?}. Returns the figure, its svg, and functions from values to coordinates.
function frame(heading, note, x, y, box = PLOT) {
  const [right, floor] = [box.width - box.right, box.height - box.bottom];
  const scale = ({ low, high, log }, from, to) => {
    const on = log ? Math.log : Number;
    return (value) => from + ((on(value) - on(low)) / (on(high) - on(low))) * (to - from);
  };
  const [px, py] = [scale(x, box.left, right), scale(y, floor, box.top)];
  const marks = (axis) => (axis.bare ? [] : axis.log ? logTicks(axis.low, axis.high) : ticks(axis.low, axis.high, 6));
  const svg = draw("svg", { viewBox: `0 0 ${box.width} ${box.height}`, role: "img", "aria-label": heading },
    marks(x).map((value) => [
      draw("line", { class: "rule", x1: px(value), x2: px(value), y1: box.top, y2: floor }),
      draw("text", { x: px(value), y: floor + 15, "text-anchor": "middle" }, short(value))]),
    marks(y).map((value) => [
      draw("line", { class: "rule", x1: box.left, x2: right, y1: py(value), y2: py(value) }),
      draw("text", { x: box.left - 6, y: py(value) + 4, "text-anchor": "end" }, short(value))]),
    draw("text", { x: (box.left + right) / 2, y: box.height - 4, "text-anchor": "middle" }, x.label),
    draw("text", {
      transform: `translate(11 ${(box.top + floor) / 2}) rotate(-90)`, "text-anchor": "middle",
    }, y.label));
  const words = [make("h3", {}, heading), note && make("p", { class: "hint" }, note)];
  const node = make("figure", { class: "plot" }, words, svg);
  const line = (value) => draw("line", { class: "base", x1: box.left, x2: right, y1: py(value), y2: py(value) });
  return { node, svg, px, py, line };
}

// Equal bins would put nearly all values of very different magnitude into the first.
function apart(values) {
  return Math.min(...values) > 0 && Math.max(...values) / Math.min(...values) > 30;
}

function binned(lists) {
  const all = lists.flat();
  const log = apart(all);
  const on = log ? Math.log10 : Number;
  const [low, high] = [on(Math.min(...all)), on(Math.max(...all))];
  const [one, two] = ticks(low, high, 24);
  const width = two - one || 1;
  const first = Math.floor(low / width);
  const edges = Array.from({ length: Math.floor(high / width) - first + 2 }, (_, place) => {
    const at = (first + place) * width;
    return Number((log ? 10 ** at : at).toPrecision(log ? 3 : 9));
  });
  const counts = lists.map((list) => {
    const bins = Array(edges.length - 1).fill(0);
    for (const value of list) bins[Math.floor(on(value) / width) - first]++;
    return bins;
  });
  return { counts, edges, log };
}

function histogram(metric) {
  const scored = (run) => pictures.map((picture) => score(picture, metric, run)).filter((each) => each !== null);
  const lists = RUNS.map(scored);
  const name = title(metric);
  if (!lists.flat().length) return make("figure", { class: "plot" }, make("h3", {}, name), "no scores");
  const { counts, edges, log } = binned(lists);
  const highest = Math.max(...counts.flat());
  const rows = RUNS.length;
  const box = { ...PLOT, height: 46 + 90 * rows, left: 34 };
  const across = { low: edges[0], high: edges.at(-1), log, label: log ? `${name}, logarithmic` : name };
  const plot = frame(name, null, across, { low: 0, high: rows, bare: true, label: "pictures" }, box);
  counts.forEach((bins, place) => {
    const [run, floor] = [RUNS[place], plot.py(rows - 1 - place)];
    const room = 0.8 * (floor - plot.py(rows - place));
    bins.forEach((pile, bin) => {
      const [from, to] = [edges[bin], edges[bin + 1]];
      const [x, width] = [plot.px(from), plot.px(to) - plot.px(from)];
      const height = (pile / highest) * room;
      const tip = `${run}\n${name} ${from} to ${to}: ${pile} of ${lists[place].length}`;
      plot.svg.append(draw("g", { "data-tip": tip },
        draw("rect", { class: "hit", x, width, y: floor - room, height: room }),
        draw("rect", { fill: hue(run), x: x + 0.5, width: Math.max(width - 1, 0.5), y: floor - height, height })));
    });
    const label = draw("text", { x: box.width - box.right, y: floor - room - 4, "text-anchor": "end" }, run);
    plot.svg.append(plot.line(rows - 1 - place), ...(rows > 1 ? [label] : []));
  });
  return plot.node;
}

function pointTip(picture) {
  const { run, against, metric } = state;
  const of = (each) => `${each}: ${number(score(picture, metric, each), metric)}`;
  return [picture.name, of(run), of(against), `difference: ${signed(difference(picture), metric)}`].join("\n");
}

// The colour of the better run of a picture.
function better(picture) {
  return hue(difference(picture) > 0 ? state.against : state.run);
}

function scatter(common) {
  const { run, against, metric } = state;
  const values = common.flatMap((picture) => [score(picture, metric, run), score(picture, metric, against)]);
  const log = apart(values);
  const [low, high] = log ? [Math.min(...values) / 1.3, Math.max(...values) * 1.3] : spread(values, 0.05);
  const axis = (label) => ({ low, high, log, label: log ? `${label}, logarithmic` : label });
  const name = `${title(metric)}, picture by picture`;
  const { node, svg, px, py } = frame(name, `Below the line ${run} is better.`, axis(against), axis(run));
  svg.append(draw("line", { class: "zero", x1: px(low), y1: py(low), x2: px(high), y2: py(high) }));
  svg.append(...common.map((picture) => draw("circle", {
    class: "point", r: 3, cx: px(score(picture, metric, against)), cy: py(score(picture, metric, run)),
    fill: better(picture), "data-tip": pointTip(picture), "data-id": picture.id,
  })));
  return node;
}

function inOrder(common) {
  const { run, against, metric } = state;
  const ranked = [...common].sort((a, b) => difference(a) - difference(b));
  const [low, high] = spread([0, ...ranked.map((picture) => difference(picture))]);
  const plot = frame(`${title(metric)}, ${run} − ${against}`, `Below zero ${run} is better.`,
    { low: 0, high: ranked.length, label: "pictures, in order" }, { low, high, label: "difference" });
  ranked.forEach((picture, place) => {
    const [x, width] = [plot.px(place), plot.px(place + 1) - plot.px(place)];
    const [zero, end] = [plot.py(0), plot.py(difference(picture))];
    plot.svg.append(draw("g", { "data-tip": pointTip(picture), "data-id": picture.id },
      draw("rect", { class: "hit", x, width, y: PLOT.top, height: PLOT.height - PLOT.top - PLOT.bottom }),
      draw("rect", {
        fill: better(picture), x, width: width > 4 ? width - 1 : width + 0.5,
        y: Math.min(zero, end), height: Math.abs(end - zero),
      })));
  });
  plot.svg.append(plot.line(0));
  return plot.node;
}

function pairs() {
  const common = pictures.filter((picture) => difference(picture) !== null);
  $("pairs").replaceChildren(...(common.length ? [scatter(common), inOrder(common)] : []));
}

function tips() {
  const tip = $("tip");
  document.addEventListener("pointermove", (event) => {
    const text = event.target.closest?.("[data-tip]")?.dataset.tip;
    tip.hidden = !text;
    if (!text) return;
    tip.textContent = text;
    const { offsetWidth: width, offsetHeight: height } = tip;
    const below = event.clientY + height + 24 < innerHeight;
    tip.style.left = `${Math.max(4, Math.min(event.clientX + 14, innerWidth - width - 8))}px`;
    tip.style.top = `${event.clientY + (below ? 16 : -height - 10)}px`;
  });
  $("distributions").addEventListener("click", (event) => {
    const id = event.target.closest("[data-id]")?.dataset.id;
    if (id) location.hash = id;
  });
}
