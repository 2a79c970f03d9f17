"use strict";
// Shared by all parts of the page: data, numbers as text, nodes, scales. The files beside this one are joined with it to
// one script. Names come from files and can hold anything: they reach the document as text and attributes, never as HTML.

const root = document.documentElement;
// Also receives errors of pictures that do not load.
window.addEventListener("error", (event) => {
  root.dataset.error = `${root.dataset.error ?? ""}${event.message ?? event.target.src}\n`;
}, true);

const $ = (id) => document.getElementById(id);
const DATA = JSON.parse($("data").textContent);
const RUNS = DATA.runs.map((each) => each.run);
const METRICS = DATA.metrics;
const HUES = 4;
const pictures = readPictures();
const byId = new Map(pictures.map((picture) => [picture.id, picture]));
const state = {
  run: RUNS[0], against: "", metric: METRICS[0], order: "value", // of the whole page
  filter: "", sort: { key: METRICS[0], down: true }, shown: pictures, late: 0, // of the table
  open: null, mode: "side", first: "truth", second: "", zoom: 1, x: 0, y: 0, // of the dialog
};

// --- data

function readPictures() {
  const found = new Map();
  for (const record of DATA.pictures) {
    const { name, run } = record;
    const { id, thumbnail, view, windows = {} } = DATA.kept[name];
    if (!found.has(name)) {
      const maps = { windows: new Map(Object.entries(windows)), runs: new Map(), failed: new Map() };
      found.set(name, { name, id, thumbnail, view, ...maps });
    }
    const picture = found.get(name);
    if (record.error) picture.failed.set(run, record.error);
    else {
      picture.runs.set(run, record);
      picture.height = record.height;
      picture.width = record.width;
    }
  }
  return [...found.values()];
}

function score(picture, metric = state.metric, run = state.run) {
  return picture.runs.get(run)?.[metric] ?? null;
}

function difference(picture, metric = state.metric, run = state.run, against = state.against) {
  const [own, other] = [score(picture, metric, run), score(picture, metric, against)];
  return own === null || other === null ? null : own - other;
}

// --- text

const title = (metric) => DATA.titles[metric];
const size = (picture) => (picture.width ? `${picture.width} × ${picture.height}` : "–");
const short = (value) => String(value).replace("-", "−");

const digits = new Map(METRICS.map((metric) => {
  const means = DATA.runs.map((each) => Math.abs(each.mean[metric]?.mean ?? 0));
  return [metric, Math.max(...means) < 1 ? 5 : 3];
}));

function number(value, metric) {
  return (value ?? null) === null ? "–" : short(value.toFixed(digits.get(metric)));
}

function signed(value, metric) {
  return value > 0 ? `+${number(value, metric)}` : number(value, metric);
}

function plain(value) {
  return (value ?? null) === null ? "–" : typeof value === "object" ? JSON.stringify(value) : String(value);
}

// --- nodes

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if ((value ?? false) === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [key, each] of Object.entries(value)) node.style.setProperty(key, each);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(2).filter((child) => (child ?? false) !== false));
  return node;
}

function make(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

function draw(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

const hue = (run) => `var(--run-${RUNS.indexOf(run) % HUES})`;
const named = (run) => [make("span", { class: "swatch", style: { background: hue(run) } }), run];
const link = (picture) => make("a", { href: `#${picture.id}`, title: picture.name }, picture.name);

function choices(select, entries, chosen) {
  const options = entries.map(([value, text]) => make("option", { value, selected: value === chosen }, text));
  select.replaceChildren(...options);
}

function source(picture, file, run) {
  return [DATA.folder, picture.id, ...(run === undefined ? [] : [DATA.files[run]]), file].join("/");
}

// --- scales

function ticks(low, high, count) {
  const rough = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const each = [1, 2, 5, 10].find((step) => step * power >= rough) * power;
  const [first, last] = [Math.ceil(low / each), Math.floor(high / each + 1e-9)];
  return Array.from({ length: last - first + 1 }, (_, place) => Number(((first + place) * each).toPrecision(12)));
}

function logTicks(low, high) {
  const [first, last] = [Math.floor(Math.log10(low)), Math.floor(Math.log10(high))];
  const powers = Array.from({ length: last - first + 1 }, (_, place) => first + place);
  const steps = high / low > 1000 ? [1] : [1, 2, 5];
  const all = powers.flatMap((power) => steps.map((step) => Number(`${step}e${power}`)));
  return all.filter((each) => each >= low && each <= high);
}

function spread(values, room = 0.08) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const margin = (high - low || Math.abs(high) || 1) * room;
  return [low - margin, high + margin];
}
