"use strict";
// Draws the page from the numbers in #data. Names come from files and can hold anything: they reach the document as
// text and attributes only, never as HTML.

const root = document.documentElement;
// Pictures that do not load end up here too.
window.addEventListener("error", (event) => {
  root.dataset.error = `${root.dataset.error ?? ""}${event.message ?? event.target.src}\n`;
}, true);

const $ = (id) => document.getElementById(id);
const DATA = JSON.parse($("data").textContent);
const RUNS = DATA.runs.map((each) => each.run);
const METRICS = DATA.metrics;
const WORST = 8;
const HUES = 4;
const pictures = readPictures();
const byId = new Map(pictures.map((picture) => [picture.id, picture]));
const state = {
  run: RUNS[0], against: "", metric: METRICS[0], order: "value", filter: "", sort: { key: METRICS[0], down: true },
  shown: pictures, open: null, mode: "side", first: "truth", second: "", zoom: 1, x: 0, y: 0, late: 0,
};

// --- the data

function readPictures() {
  const found = new Map();
  for (const record of DATA.pictures) {
    const { name } = record;
    if (!found.has(name)) found.set(name, { name, ...DATA.kept[name], runs: new Map(), failed: new Map() });
    const picture = found.get(name);
    if (record.error) picture.failed.set(record.run, record.error);
    else {
      picture.runs.set(record.run, record);
      Object.assign(picture, { height: record.height, width: record.width });
    }
    picture.windows = new Map(Object.entries(DATA.kept[name].windows ?? {}));
  }
  return [...found.values()];
}

const score = (picture, metric = state.metric, run = state.run) => picture.runs.get(run)?.[metric] ?? null;
const title = (metric) => DATA.titles[metric];
const hue = (run) => `var(--run-${RUNS.indexOf(run) % HUES})`;

function difference(picture, metric = state.metric, run = state.run, against = state.against) {
  const [own, other] = [score(picture, metric, run), score(picture, metric, against)];
  return own === null || other === null ? null : own - other;
}

function scored(metric = state.metric, run = state.run) {
  return pictures.filter((picture) => score(picture, metric, run) !== null);
}

// --- text

const digits = new Map(METRICS.map((metric) => {
  const means = DATA.runs.map((each) => Math.abs(each.mean[metric]?.mean ?? 0));
  return [metric, Math.max(...means) < 1 ? 5 : 3];
}));

function number(value, metric) {
  return value === null || value === undefined ? "–" : value.toFixed(digits.get(metric)).replace("-", "−");
}

function signed(value, metric) {
  return value > 0 ? `+${number(value, metric)}` : number(value, metric);
}

function chance(p) {
  if (p === null || p === undefined) return "p unknown";
  return p < 0.001 ? "p < 0.001" : `p = ${p.toFixed(p < 0.1 ? 3 : 2)}`;
}

function plain(value) {
  return value === null || value === undefined ? "–" : typeof value === "object" ? JSON.stringify(value) : String(value);
}

// --- nodes

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [key, each] of Object.entries(value)) node.style.setProperty(key, each);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

const make = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
const draw = (tag, attributes = {}, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
const named = (run) => [make("span", { class: "swatch", style: { background: hue(run) } }), run];

function choices(select, entries, chosen) {
  select.replaceChildren(...entries.map(([value, text]) => make("option", { value, selected: value === chosen }, text)));
}

function source(picture, kind, run) {
  return [DATA.folder, picture.id, ...(run === undefined ? [] : [DATA.files[run]]), kind].join("/");
}

function link(picture, ...content) {
  return make("a", { href: `#${picture.id}`, title: picture.name }, ...content);
}

// --- scales

function ticks(low, high, count) {
  const rough = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((each) => each * power >= rough) * power;
  const all = [];
  for (let at = Math.ceil(low / step); at * step <= high + step * 1e-9; at++) all.push(Number((at * step).toPrecision(12)));
  return all;
}

function logTicks(low, high) {
  const all = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++) {
    for (const each of high / low > 1000 ? [1] : [1, 2, 5]) all.push(Number((each * 10 ** power).toPrecision(2)));
  }
  return all.filter((each) => each >= low && each <= high);
}

const short = (value) => String(value).replace("-", "−");

function spread(values, room = 0.08) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const margin = (high - low || Math.abs(high) || 1) * room;
  return [low - margin, high + margin];
}

// --- the head

function head() {
  const failed = pictures.filter((picture) => picture.failed.size).length;
  $("counts").textContent = [
    `${pictures.length.toLocaleString("en")} pictures`, `${RUNS.length} run${RUNS.length === 1 ? "" : "s"}`,
    ...(failed ? [`${failed} not scored`] : []),
  ].join(" · ");
  const verdict = DATA.comparable ? "Comparable" : "Not comparable";
  fill($("verdict"), { class: DATA.comparable ? "comparable" : null }, [
    make("b", {}, `${verdict} to published Composition-1k numbers`),
    make("ul", {}, ...DATA.remarks.map((each) => make("li", {}, each))),
  ]);
  means();
  if (DATA.comparisons.length) comparisons();
}

function whisker(estimate, [low, high], colour, zero = false) {
  const at = (value) => `${(100 * (value - low)) / (high - low)}%`;
  return draw("svg", { class: "whisker", "aria-hidden": true },
    zero && draw("line", { class: "zero", x1: at(0), x2: at(0), y1: 0, y2: "100%" }),
    estimate.low === null ? null : draw("line", {
      class: "reach", stroke: colour, x1: at(estimate.low), x2: at(estimate.high), y1: "50%", y2: "50%",
    }),
    draw("circle", { fill: colour, cx: at(estimate.middle), cy: "50%", r: 4.5 }));
}

function axis([low, high]) {
  return draw("svg", { class: "whisker", "aria-hidden": true }, ticks(low, high, 4).map((value) => {
    const x = `${(100 * (value - low)) / (high - low)}%`;
    return [draw("line", { class: "rule", x1: x, x2: x, y1: 0, y2: 4 }),
      draw("text", { x, y: 15, "text-anchor": "middle" }, short(value))];
  }).flat());
}

function reach(metric, low, high) {
  return low === null || low === undefined ? "" : ` [${number(low, metric)}, ${number(high, metric)}]`;
}

function means() {
  for (const metric of METRICS) {
    const known = DATA.runs.filter((each) => (each.mean[metric]?.mean ?? null) !== null);
    const scale = spread(known.flatMap(({ mean: { [metric]: of } }) => [of.low ?? of.mean, of.high ?? of.mean]));
    const rows = DATA.runs.map(({ run, mean: { [metric]: of } }, place) => make("tr", {},
      place ? null : make("th", { class: "metric", scope: "rowgroup", rowspan: RUNS.length }, title(metric)),
      make("th", { class: "run", scope: "row" }, named(run)),
      make("td", { class: "numbers" }, number(of?.mean, metric),
        make("span", { class: "range" }, reach(metric, of?.low, of?.high))),
      make("td", {}, known.length && of?.mean !== null && of
        ? whisker({ middle: of.mean, low: of.low ?? null, high: of.high }, scale, hue(run)) : null)));
    const last = make("tr", { class: "axis" }, make("td", { colspan: 3 }), make("td", {}, known.length ? axis(scale) : null));
    $("means").querySelector("table").append(make("tbody", {}, rows, last));
  }
}

function sentence(each) {
  const { run, against, metric, difference: by, low, high } = each;
  if (by === null) return [`${run} and ${against} have no ${title(metric)} in common`];
  const lower = by < 0;
  const clear = low !== null && (low > 0 || high < 0);
  const range = lower ? reach(metric, low === null ? null : -high, -low) : reach(metric, low, high);
  const common = pictures.filter((picture) => difference(picture, metric, run, against) !== null).length;
  const verdict = make("b", { class: clear ? (lower ? "better" : "worse") : null }, lower ? "lower" : "higher");
  const tail = `, ${chance(each.p)}, better on ${each.better} of ${common}, worse on ${each.worse}`;
  return [make("b", {}, run), by ? " is " : " equals ", by ? verdict : "", by ? " than " : "", make("b", {}, against),
    by ? ` by ${number(Math.abs(by), metric)} ${title(metric)}` : ` in ${title(metric)}`,
    make("span", { class: "range" }, range), tail, clear || !by ? "" : ": no clear difference"];
}

function comparisons() {
  $("differences").hidden = false;
  for (const metric of METRICS) {
    const all = DATA.comparisons.filter((each) => each.metric === metric);
    const known = all.filter((each) => each.difference !== null);
    const scale = spread([0, ...known.flatMap((each) => [each.low ?? each.difference, each.high ?? each.difference])]);
    const rows = all.map((each, place) => make("tr", {},
      place ? null : make("th", { class: "metric", scope: "rowgroup", rowspan: all.length }, title(metric)),
      make("td", { class: "words" }, sentence(each)),
      make("td", {}, each.difference === null ? null
        : whisker({ middle: each.difference, low: each.low, high: each.high }, scale, hue(each.run), true))));
    const last = make("tr", { class: "axis" }, make("td", { colspan: 2 }), make("td", {}, known.length ? axis(scale) : null));
    if (all.length) $("differences").querySelector("table").append(make("tbody", {}, rows, last));
  }
}

// --- worst cases

function ramp() {
  const stops = [0, 0.02, 0.1, 0.25, 0.5, 1];
  const colours = DATA.colours.filter((_, level) => level % 5 === 0);
  const places = colours.map((colour, place) => `${colour} ${100 * Math.sqrt(place / (colours.length - 1))}%`);
  $("worst").querySelector(".scale").append(
    make("div", { class: "ramp", style: { background: `linear-gradient(to right, ${places.join()})` } }),
    make("div", { class: "ticks" }, ...stops.map((stop) =>
      make("span", { style: { left: `${100 * Math.sqrt(stop)}%` } }, stop === 1 ? "|error| 1" : String(stop)))));
}

function worst() {
  const value = state.order === "value" ? score : difference;
  const ranked = pictures.filter((picture) => value(picture) !== null).sort((a, b) => value(b) - value(a));
  const behind = state.order === "value" ? "" : `, furthest behind ${state.against}`;
  $("worst").querySelector("small").textContent = `highest ${title(state.metric)} of ${state.run}${behind}`;
  $("worst").querySelector("ol").replaceChildren(...ranked.slice(0, WORST).map((picture, place) => worstCase(picture, place)));
}

function worstCase(picture, place) {
  const by = difference(picture);
  const text = make("div", { class: "head" },
    make("div", { class: "name" }, `${place + 1}. `, link(picture, picture.name)),
    make("div", { class: "value" }, number(score(picture), state.metric), " ", make("small", {}, title(state.metric))),
    by === null ? null : make("div", { class: by > 0 ? "worse" : "better" },
      `${signed(by, state.metric)} against ${state.against}`),
    make("div", { class: "hint" }, `${picture.width} × ${picture.height}`));
  const window_ = picture.windows.get(state.run);
  if (!window_) return make("li", {}, text, make("p", { class: "hint" }, "no pictures were kept"));
  const [height, width] = picture.view;
  const heat = make("figure", { class: "heat" }, link(picture, make("img", {
    src: source(picture, "error.jpg", state.run), alt: `Error of ${picture.name}`, loading: "lazy", width, height,
  })), make("figcaption", {}, "error in the unknown region"));
  return make("li", {}, text, heat, ["image", "truth", "prediction", "error"].map((kind, part) =>
    make("figure", { class: `panel panel-${part}` },
      make("img", {
        src: source(picture, "window.png", state.run), alt: `Worst window: ${kind}`, loading: "lazy",
        style: { "aspect-ratio": `${window_[3]} / ${window_[2]}` },
      }),
      make("figcaption", {}, kind))));
}

// --- distributions

const PLOT = { width: 460, height: 300, left: 52, right: 12, top: 8, bottom: 38 };

function frame(heading, box, x, y, xLabel, yLabel) {
  const { width, height, left, right, top, bottom } = { ...PLOT, ...box };
  const scale = ({ low, high, log }, from, to) => {
    const on = log ? Math.log : (value) => value;
    return (value) => from + ((on(value) - on(low)) / (on(high) - on(low))) * (to - from);
  };
  const [px, py] = [scale(x, left, width - right), scale(y, height - bottom, top)];
  const marks = (each, count) => (each.log ? logTicks(each.low, each.high) : ticks(each.low, each.high, count));
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": heading },
    marks(x, 6).map((value) => [
      draw("line", { class: "rule", x1: px(value), x2: px(value), y1: top, y2: height - bottom }),
      draw("text", { x: px(value), y: height - bottom + 15, "text-anchor": "middle" }, short(value))]).flat(),
    y.bare ? null : marks(y, 5).map((value) => [
      draw("line", { class: "rule", x1: left, x2: width - right, y1: py(value), y2: py(value) }),
      draw("text", { x: left - 6, y: py(value) + 4, "text-anchor": "end" }, short(value))]).flat(),
    draw("text", { x: (left + width - right) / 2, y: height - 4, "text-anchor": "middle" }, xLabel),
    draw("text", { transform: `translate(11 ${(top + height - bottom) / 2}) rotate(-90)`, "text-anchor": "middle" }, yLabel));
  return { svg, px, py, node: make("figure", { class: "plot" }, make("h3", {}, heading), svg) };
}

function histogram(metric) {
  const values = RUNS.map((run) => scored(metric, run).map((picture) => score(picture, metric, run)));
  const all = values.flat();
  const heading = title(metric);
  if (!all.length) return make("figure", { class: "plot" }, make("h3", {}, heading), make("p", { class: "hint" }, "no scores"));
  const edges = ticks(Math.min(...all), Math.max(...all), 24);
  const step = edges.length > 1 ? edges[1] - edges[0] : 1;
  const start = Math.floor(Math.min(...all) / step);
  const bins = Math.floor(Math.max(...all) / step) - start + 1;
  const counts = values.map((list) => {
    const each = Array(bins).fill(0);
    for (const value of list) each[Math.min(bins - 1, Math.floor(value / step) - start)]++;
    return each;
  });
  const highest = Math.max(...counts.flat());
  const box = { height: 46 + 84 * RUNS.length, left: 34 };
  const rows = RUNS.length;
  const plot = frame(heading, box, { low: start * step, high: (start + bins) * step }, { low: 0, high: rows, bare: true },
    title(metric), "pictures");
  counts.forEach((each, place) => {
    const run = RUNS[place];
    const floor = plot.py(rows - 1 - place);
    const reachUp = (floor - plot.py(rows - place)) * 0.86;
    each.forEach((count, bin) => {
      const [low, high] = [(start + bin) * step, (start + bin + 1) * step].map((edge) => Number(edge.toPrecision(6)));
      const [left, wide] = [plot.px(low), plot.px(high) - plot.px(low)];
      const tall = (count / highest) * reachUp;
      plot.svg.append(draw("g", { "data-tip": `${run}\n${title(metric)} ${low} to ${high}: ${count} of ${values[place].length}` },
        draw("rect", { class: "hit", x: left, width: wide, y: floor - reachUp, height: reachUp }),
        draw("rect", { fill: hue(run), x: left + 0.5, width: Math.max(wide - 1, 0.5), y: floor - tall, height: tall })));
    });
    plot.svg.append(draw("line", { stroke: "currentColor", x1: box.left, x2: PLOT.width - PLOT.right, y1: floor, y2: floor }));
    if (rows > 1) plot.svg.append(draw("text", { x: PLOT.width - PLOT.right, y: floor - reachUp + 9, "text-anchor": "end" }, run));
  });
  return plot.node;
}

function pointTip(picture) {
  const lines = [state.run, state.against].map((run) => `${run}: ${number(score(picture, state.metric, run), state.metric)}`);
  return [picture.name, ...lines, `difference: ${signed(difference(picture), state.metric)}`].join("\n");
}

function scatter(common) {
  const { run, against, metric } = state;
  const values = common.flatMap((picture) => [score(picture, metric, run), score(picture, metric, against)]);
  const positive = Math.min(...values) > 0;
  const log = positive && Math.max(...values) / Math.min(...values) > 30;
  const [low, high] = log ? [Math.min(...values) / 1.3, Math.max(...values) * 1.3] : spread(values, 0.05);
  const bounds = { low: positive && !log ? Math.max(low, 0) : low, high, log };
  const scale = log ? ", logarithmic" : "";
  const plot = frame(`${title(metric)}, picture by picture: below the line ${run} is better`, {}, bounds, bounds,
    `${against}${scale}`, `${run}${scale}`);
  const ends = [bounds.low, bounds.high];
  plot.svg.append(draw("line", {
    class: "zero", x1: plot.px(ends[0]), y1: plot.py(ends[0]), x2: plot.px(ends[1]), y2: plot.py(ends[1]),
  }));
  for (const picture of common) {
    plot.svg.append(draw("circle", {
      class: "point", r: 3, cx: plot.px(score(picture, metric, against)), cy: plot.py(score(picture, metric, run)),
      fill: hue(difference(picture) > 0 ? against : run), "data-tip": pointTip(picture), "data-id": picture.id,
    }));
  }
  return plot.node;
}

function sorted(common) {
  const ranked = [...common].sort((a, b) => difference(a) - difference(b));
  const [low, high] = spread([0, ...ranked.map((picture) => difference(picture))]);
  const plot = frame(`${title(state.metric)}, ${state.run} − ${state.against}, sorted`, {},
    { low: 0, high: ranked.length }, { low, high }, "pictures", "difference");
  ranked.forEach((picture, place) => {
    const [x, width] = [plot.px(place), plot.px(place + 1) - plot.px(place)];
    const [from, to] = [plot.py(0), plot.py(difference(picture))];
    const gap = width > 4 ? 1 : 0;
    plot.svg.append(draw("g", { "data-tip": pointTip(picture), "data-id": picture.id },
      draw("rect", { class: "hit", x, width, y: PLOT.top, height: PLOT.height - PLOT.top - PLOT.bottom }),
      draw("rect", {
        fill: hue(to < from ? state.against : state.run), x, width: width - gap, y: Math.min(from, to), height: Math.abs(to - from),
      })));
  });
  plot.svg.append(draw("line", { stroke: "currentColor", x1: PLOT.left, x2: PLOT.width - PLOT.right, y1: plot.py(0), y2: plot.py(0) }));
  return plot.node;
}

function pairs() {
  const common = state.against ? pictures.filter((picture) => difference(picture) !== null) : [];
  $("pairs").replaceChildren(...(common.length ? [scatter(common), sorted(common)] : []));
}

function tips() {
  const tip = $("tip");
  document.addEventListener("pointermove", (event) => {
    const text = event.target.closest?.("[data-tip]")?.dataset.tip;
    tip.hidden = !text;
    if (!text) return;
    tip.textContent = text;
    const { offsetWidth: width, offsetHeight: height } = tip;
    tip.style.left = `${Math.max(4, Math.min(event.clientX + 14, innerWidth - width - 8))}px`;
    tip.style.top = `${event.clientY + height + 24 > innerHeight ? event.clientY - height - 10 : event.clientY + 16}px`;
  });
  $("distributions").addEventListener("click", (event) => {
    const id = event.target.closest("[data-id]")?.dataset.id;
    if (id) location.hash = id;
  });
}

// --- the table

function columns() {
  const { run, against, metric } = state;
  const timed = pictures.some((picture) => picture.runs.get(run)?.seconds !== undefined);
  return [
    { key: "name", kind: "text", head: ["picture"], value: (picture) => picture.name },
    { key: "size", kind: "number size", head: ["size"], value: (picture) => (picture.height ?? 0) * (picture.width ?? 0),
      cell: (picture) => (picture.width ? `${picture.width} × ${picture.height}` : "–") },
    ...METRICS.map((each) => ({ key: each, kind: "number", head: [title(each)], value: (picture) => score(picture, each),
      cell: (picture) => number(score(picture, each), each) })),
    ...(against ? [
      { key: "other", kind: "number", head: [...named(against), ` ${title(metric)}`],
        value: (picture) => score(picture, metric, against), cell: (picture) => number(score(picture, metric, against), metric) },
      { key: "diff", kind: "number", head: [`difference in ${title(metric)}`], value: (picture) => difference(picture),
        cell: (picture) => make("span", { class: difference(picture) > 0 ? "worse" : difference(picture) < 0 ? "better" : null },
          difference(picture) === null ? "–" : signed(difference(picture), metric)) },
    ] : []),
    ...(timed ? [{ key: "seconds", kind: "number", head: ["seconds"],
      value: (picture) => picture.runs.get(run)?.seconds ?? null,
      cell: (picture) => picture.runs.get(run)?.seconds?.toFixed(2) ?? "–" }] : []),
  ];
}

function compare(a, b) {
  return typeof a === "string" ? a.localeCompare(b, "en", { numeric: true }) : a - b;
}

function passes(picture, list) {
  return state.filter.toLowerCase().split(/\s+/).every((term) => {
    const [, key, sign, limit] = term.match(/^([^<>]+)([<>])(-?[\d.]+)$/) ?? [];
    const column = list.find((each) => each.key === key);
    if (!column) return picture.name.toLowerCase().includes(term);
    const value = column.value(picture);
    return value !== null && (sign === "<" ? value < Number(limit) : value > Number(limit));
  });
}

function row(picture, list) {
  const thumbnail = picture.thumbnail
    ? make("img", { src: picture.thumbnail, alt: "", width: 64, height: 44, decoding: "async" })
    : make("span", { class: "none" });
  return make("tr", { "data-id": picture.id }, make("td", { class: "small" }, thumbnail), list.map((column) =>
    make("td", { class: column.kind }, column.key === "name"
      ? make("span", { class: "name" }, link(picture, picture.name)) : column.cell(picture))));
}

function heading(column) {
  const { key, down } = state.sort;
  return make("th", {
    class: column.kind, scope: "col", "aria-sort": key === column.key ? (down ? "descending" : "ascending") : null,
  }, make("button", {
    type: "button", "data-key": column.key,
    onclick: () => {
      state.sort = { key: column.key, down: key === column.key ? !down : column.key !== "name" };
      table();
      $("table").querySelector(`button[data-key="${column.key}"]`).focus();
    },
  }, column.head));
}

function table() {
  const list = columns();
  const { down } = state.sort;
  const by = list.find((column) => column.key === state.sort.key) ?? list[2];
  const known = pictures.filter((picture) => passes(picture, list)).map((picture) => [by.value(picture), picture]);
  // What has no value comes last, whichever way.
  known.sort(([a], [b]) => (a === null) - (b === null) || (down ? compare(b, a) : compare(a, b)));
  state.shown = known.map(([, picture]) => picture);
  $("found").textContent = `${state.shown.length} of ${pictures.length}`;
  $("table").tHead.replaceChildren(make("tr", {}, make("th", { class: "small" }), list.map(heading)));
  const body = $("table").tBodies[0];
  const step = 100;
  body.replaceChildren(...state.shown.slice(0, step).map((picture) => row(picture, list)));
  clearTimeout(state.late);
  const more = (from) => {
    body.append(...state.shown.slice(from, from + step).map((picture) => row(picture, list)));
    state.late = from + step < state.shown.length ? setTimeout(more, 0, from + step) : 0;
    if (!state.late) root.dataset.rows = body.rows.length;
  };
  more(step);
}

// --- one picture

function layers(picture) {
  if (!picture.view) return [];
  const runs = [state.run, ...RUNS.filter((run) => run !== state.run)].filter((run) => picture.windows.has(run));
  const of = (run) => (RUNS.length > 1 ? ` of ${run}` : "");
  return [
    { key: "image", text: "image", src: source(picture, "image.jpg") },
    { key: "trimap", text: "trimap", src: source(picture, "trimap.png") },
    { key: "truth", text: "truth", src: source(picture, "truth.jpg") },
    ...runs.flatMap((run) => ["prediction", "error"].map((kind) => ({
      key: `${kind} ${run}`, text: `${kind}${of(run)}`, src: source(picture, `${kind}.jpg`, run),
      mark: kind === "error" ? picture.windows.get(run) : null,
    }))),
  ];
}

function layer(picture, { src, text, mark }, alt = text) {
  const [height, width] = picture.view;
  const part = (value, whole) => `${(100 * value) / whole}%`;
  return make("div", { class: "layer" }, make("img", { src, alt, width, height, draggable: "false" }), mark && make("span", {
    class: "mark",
    style: {
      top: part(mark[0], picture.height), height: part(mark[2], picture.height),
      left: part(mark[1], picture.width), width: part(mark[3], picture.width),
    },
  }));
}

function stage() {
  const all = layers(state.open);
  const { mode } = state;
  const node = $("stage");
  node.className = mode;
  $("detail").classList.toggle("wipes", mode === "wipe" && all.length > 0);
  $("detail").classList.toggle("sides", mode === "side");
  for (const button of document.querySelectorAll("[data-mode]")) {
    button.setAttribute("aria-pressed", button.dataset.mode === mode);
  }
  if (!all.length) {
    node.replaceChildren(make("p", { class: "hint" }, "No views of this picture were kept."));
    return;
  }
  const chosen = (key, other) => all.find((each) => each.key === key) ?? all.find((each) => each.key === other) ?? all[0];
  const [first, second] = [chosen(state.first, "truth"), chosen(state.second, `prediction ${state.run}`)];
  choices($("first"), all.map((each) => [each.key, each.text]), first.key);
  choices($("second"), all.map((each) => [each.key, each.text]), second.key);
  if (mode === "side") {
    node.replaceChildren(...all.map((each) => make("figure", {},
      make("div", { class: "view" }, layer(state.open, each)), make("figcaption", {}, each.text))));
  } else {
    const flicker = mode === "flicker";
    node.replaceChildren(make("div", { class: "compare", style: { "--aspect": state.open.view[1] / state.open.view[0] } },
      make("div", { class: "view", onclick: () => flicker && state.zoom === 1 && flip() },
        layer(state.open, first), make("div", { class: "cover" }, layer(state.open, second)),
        flicker ? null : make("div", { class: "divider" }),
        make("span", { class: "tag left", "aria-live": "polite" }, first.text),
        make("span", { class: "tag right", hidden: flicker, "aria-live": "polite" }, second.text))));
    if (flicker) node.querySelector(".cover").hidden = true;
  }
  look();
}

function flip() {
  const [cover, left, right] = [".cover", ".tag.left", ".tag.right"].map((each) => $("stage").querySelector(each));
  cover.hidden = right.hidden = !cover.hidden;
  left.hidden = !cover.hidden;
}

function look() {
  const limit = 1 - state.zoom;
  state.x = Math.min(0, Math.max(limit, state.x));
  state.y = Math.min(0, Math.max(limit, state.y));
  for (const key of ["x", "y", "zoom"]) $("stage").style.setProperty(`--${key}`, state[key]);
  $("stage").classList.toggle("near", state.zoom > 1);
  $("zoom").textContent = `${Number(state.zoom.toFixed(1))}×`;
}

function zoomTo(zoom, fx = 0.5, fy = 0.5) {
  const next = Math.min(16, Math.max(1, zoom));
  state.x = fx - ((fx - state.x) * next) / state.zoom;
  state.y = fy - ((fy - state.y) * next) / state.zoom;
  state.zoom = next;
  look();
}

function scoresOf(picture) {
  const of = (run) => picture.runs.get(run);
  return [
    make("tr", {}, make("th", {}, "run"), METRICS.map((metric) => make("th", { scope: "col" }, title(metric))),
      make("th", {}, "worst window: image, truth, prediction, error")),
    ...RUNS.map((run) => make("tr", {}, make("th", { scope: "row" }, named(run)),
      of(run) ? METRICS.map((metric) => make("td", {}, number(of(run)[metric], metric)))
        : make("td", { colspan: METRICS.length }, picture.failed.get(run) ?? "not scored"),
      make("td", {}, picture.windows.has(run)
        ? make("img", { class: "strip", src: source(picture, "window.png", run), alt: `Worst window of ${run}` }) : null))),
  ];
}

function show(picture) {
  const again = state.open !== null;
  Object.assign(state, { open: picture, zoom: 1, x: 0, y: 0 });
  $("detail-name").textContent = picture.name;
  const place = state.shown.indexOf(picture);
  $("place").textContent = [
    picture.width ? `${picture.width} × ${picture.height}` : "", place < 0 ? "" : `${place + 1} of ${state.shown.length}`,
  ].filter(Boolean).join(" · ");
  $("scores").replaceChildren(...scoresOf(picture));
  stage();
  $("tip").hidden = true;
  if (!again) $("detail").showModal();
}

function step(by) {
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

function setMode(mode) {
  state.mode = mode;
  stage();
}

function keys(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const inField = event.target.matches("select, input");
  const actions = {
    ArrowLeft: () => step(-1), ArrowRight: () => step(1), " ": () => (state.mode === "flicker" ? flip() : setMode("flicker")),
    "+": () => zoomTo(state.zoom * 2), "=": () => zoomTo(state.zoom * 2), "-": () => zoomTo(state.zoom / 2), 0: () => zoomTo(1),
  };
  if (inField || !Object.hasOwn(actions, event.key)) return;
  event.preventDefault();
  actions[event.key]();
}

function within(event) {
  const view = event.target.closest(".view");
  if (!view) return null;
  const box = view.getBoundingClientRect();
  return { view, fx: (event.clientX - box.left) / box.width, fy: (event.clientY - box.top) / box.height, box };
}

function wipeTo(percent) {
  $("stage").style.setProperty("--wipe", `${percent}%`);
  $("wipe").value = percent;
}

function detail() {
  $("previous").addEventListener("click", () => step(-1));
  $("next").addEventListener("click", () => step(1));
  $("close").addEventListener("click", () => $("detail").close());
  $("in").addEventListener("click", () => zoomTo(state.zoom * 2));
  $("out").addEventListener("click", () => zoomTo(state.zoom / 2));
  $("wipe").addEventListener("input", () => wipeTo($("wipe").value));
  for (const button of document.querySelectorAll("[data-mode]")) {
    button.addEventListener("click", () => setMode(button.dataset.mode));
  }
  for (const key of ["first", "second"]) {
    $(key).addEventListener("change", () => {
      state[key] = $(key).value;
      stage();
    });
  }
  $("detail").addEventListener("keydown", keys);
  $("detail").addEventListener("close", () => {
    state.open = null;
    if (byId.has(location.hash.slice(1))) history.replaceState(null, "", "#");
  });
  $("stage").addEventListener("dblclick", (event) => {
    const at = within(event);
    if (at) zoomTo(state.zoom > 1 ? 1 : 4, at.fx, at.fy);
  });
  $("stage").addEventListener("wheel", (event) => {
    const at = event.ctrlKey && within(event);
    if (!at) return;
    event.preventDefault();
    zoomTo(state.zoom * 2 ** (-event.deltaY / 200), at.fx, at.fy);
  }, { passive: false });
  $("stage").addEventListener("pointermove", (event) => {
    const at = within(event);
    if (!at) return;
    if (event.buttons && state.zoom > 1) {
      state.x += event.movementX / at.box.width;
      state.y += event.movementY / at.box.height;
      look();
    } else if (state.mode === "wipe") wipeTo(100 * at.fx);
  });
  window.addEventListener("hashchange", follow);
}

// --- settings

function twoColumns(heading, rows, runs = []) {
  if (!rows.length) return null;
  return make("div", {}, make("table", { class: "pairs" },
    make("thead", {}, make("tr", {}, make("th", { scope: "col" }, heading), (runs.length ? runs : [""]).map((run) =>
      make("th", { scope: "col" }, run ? named(run) : "")))),
    make("tbody", {}, rows.map(([key, ...values]) => make("tr", {}, make("th", { scope: "row" }, key),
      values.map((value) => make("td", {
        class: `mono${new Set(values.map(plain)).size > 1 ? " differs" : ""}`,
      }, plain(value))))))));
}

function settings() {
  const keysOfRuns = [...new Set(DATA.runs.flatMap((each) => Object.keys(each.settings ?? {})))];
  const tables = [
    twoColumns("Protocol", Object.entries(DATA.settings)),
    twoColumns("Run", keysOfRuns.map((key) => [key, ...DATA.runs.map((each) => each.settings?.[key] ?? null)]), RUNS),
  ];
  $("settings").querySelector(".columns").append(...tables.filter(Boolean));
  const failures = pictures.flatMap((picture) => [...picture.failed].map(([run, error]) => [picture.name, run, error]));
  $("failures").hidden = !failures.length;
  $("failures").querySelector("ul").append(...failures.map(([name, run, error]) =>
    make("li", {}, make("b", {}, name), ` (${run}): ${error}`)));
}

// --- what is shown

function controls() {
  const [first] = DATA.comparisons;
  if (first) Object.assign(state, { run: first.run, against: first.against });
  choices($("run"), RUNS.map((run) => [run, run]), state.run);
  choices($("against"), [["", "nothing"], ...RUNS.map((run) => [run, run])], state.against);
  choices($("metric"), METRICS.map((metric) => [metric, title(metric)]), state.metric);
  $("run").parentNode.hidden = $("against").parentNode.hidden = RUNS.length < 2;
  for (const key of ["run", "against", "metric"]) {
    $(key).addEventListener("change", () => {
      if (key === "metric" && state.sort.key === state.metric) state.sort.key = $(key).value;
      state[key] = $(key).value;
      if (state.run === state.against) state.against = $("against").value = "";
      redraw();
    });
  }
  $("order").addEventListener("change", () => {
    state.order = $("order").value;
    worst();
  });
  $("filter").addEventListener("input", () => {
    state.filter = $("filter").value;
    table();
  });
  $("table").tBodies[0].addEventListener("click", (event) => {
    const id = event.target.closest("a") ? null : event.target.closest("tr")?.dataset.id;
    if (id) location.hash = id;
  });
  $("hint").textContent = `part of a name, or ${METRICS[0]}>20${RUNS.length > 1 ? ", diff>0" : ""}`;
}

function redraw() {
  if (!state.against) state.order = "value";
  choices($("order"), [["value", "highest"], ...(state.against ? [["behind", `furthest behind ${state.against}`]] : [])], state.order);
  $("order").parentNode.hidden = !state.against;
  const of = state.against ? `${state.run} and ${state.against}` : state.run;
  $("distributions").querySelector("small").textContent = RUNS.length > 1 ? `${title(state.metric)} of ${of}; below, each metric` : "";
  worst();
  table();
  pairs();
}

head();
ramp();
controls();
redraw();
settings();
tips();
detail();
// After the first paint: nobody sees these before scrolling.
setTimeout(() => {
  $("histograms").append(...METRICS.map(histogram));
  follow();
  root.dataset.ready = "";
}, 0);
