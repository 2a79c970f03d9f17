// The sections of the page, their contents, and the start.

const ROWS_AT_ONCE = 100;

// --- the head

function head() {
  const failed = pictures.filter((picture) => picture.failed.size).length;
  const several = (count, what) => `${count} ${what}${count === 1 ? "" : "s"}`;
  const counts = [several(pictures.length, "picture"), several(RUNS.length, "run")];
  $("counts").textContent = [...counts, ...(failed ? [`${failed} not scored`] : [])].join(" · ");
  fill($("verdict"), { class: DATA.comparable && "comparable" }, [
    make("b", {}, `${DATA.comparable ? "Comparable" : "Not comparable"} to published Composition-1k numbers`),
    make("ul", {}, DATA.remarks.map((each) => make("li", {}, each))),
  ]);
}

function whisker({ middle, low, high }, scale, colour, zero = false) {
  const at = (value) => `${(100 * (value - scale[0])) / (scale[1] - scale[0])}%`;
  return draw("svg", { class: "whisker", "aria-hidden": "true" },
    zero && draw("line", { class: "zero", x1: at(0), x2: at(0), y1: 0, y2: "100%" }),
    (low ?? null) !== null && draw("line", {
      class: "reach", stroke: colour, x1: at(low), x2: at(high), y1: "50%", y2: "50%",
    }),
    draw("circle", { fill: colour, cx: at(middle), cy: "50%", r: 4.5 }));
}

function axis([low, high]) {
  return draw("svg", { class: "whisker", "aria-hidden": "true" }, ticks(low, high, 4).map((value) => {
    const x = `${(100 * (value - low)) / (high - low)}%`;
    return [draw("line", { class: "base", x1: x, x2: x, y1: 0, y2: 4 }),
      draw("text", { x, y: 15, "text-anchor": "middle" }, short(value))];
  }));
}

// The rows of one metric, of {cells, estimate, run}; their whiskers share a scale.
function group(metric, rows, zero) {
  const estimates = rows.map((row) => row.estimate).filter((each) => (each.middle ?? null) !== null);
  const ends = estimates.flatMap(({ middle, low, high }) => [middle, low ?? middle, high ?? middle]);
  const scale = spread(zero ? [0, ...ends] : ends);
  const lines = rows.map(({ cells, estimate, run }, place) => make("tr", {},
    !place && make("th", { class: "metric", scope: "rowgroup", rowspan: rows.length }, title(metric)), cells,
    make("td", { class: "drawing" }, estimates.includes(estimate) && whisker(estimate, scale, hue(run), zero))));
  const last = make("tr", { class: "axis" }, make("td", { colspan: rows[0].cells.length + 1 }),
    make("td", { class: "drawing" }, estimates.length > 0 && axis(scale)));
  return make("tbody", {}, lines, last);
}

function range(metric, low, high) {
  const text = (low ?? null) === null ? "" : ` [${number(low, metric)}, ${number(high, metric)}]`;
  return make("span", { class: "range" }, text);
}

function means() {
  $("means").querySelector("table").append(...METRICS.map((metric) => group(metric, DATA.runs.map(({ run, mean }) => {
    const { mean: middle, low, high } = mean[metric] ?? {};
    const name = make("th", { class: "run", scope: "row" }, named(run));
    const numbers = make("td", { class: "numbers" }, number(middle, metric), range(metric, low, high));
    return { run, estimate: { middle, low, high }, cells: [name, numbers] };
  }), false)));
}

function chance(p) {
  const text = (p ?? null) === null ? "is unknown" : p < 0.001 ? "< 0.001" : `= ${p.toFixed(p < 0.1 ? 3 : 2)}`;
  return `p ${text}`.replaceAll(" ", "\u00a0");
}

function sentence({ run, against, metric, difference: by, low, high, p, better: wins, worse: losses, foregrounds }) {
  const [own, other] = [make("b", {}, run), make("b", {}, against)];
  if (by === null) return [own, " and ", other, ` have no ${title(metric)} in common`];
  const clear = (low > 0 || high < 0) && (p ?? 0) < 0.05; // clear only where interval and test agree
  const common = pictures.filter((picture) => difference(picture, metric, run, against) !== null).length;
  const word = make("b", { class: clear && (by < 0 ? "better" : "worse") }, by < 0 ? "lower" : "higher");
  const amount = ` by ${number(Math.abs(by), metric)} ${title(metric)}`;
  const [from, to] = by < 0 && low !== null ? [-high, -low] : [low, high];
  const doubt = clear ? "" : ": no clear difference";
  const drawn = foregrounds < common ? ` (${foregrounds} foregrounds)` : "";
  const rest = `, ${chance(p)}, better on ${wins} of ${common}, worse on ${losses}${drawn}${doubt}`;
  return by === 0 ? [own, " and ", other, ` are equal in ${title(metric)}`, range(metric, low, high), rest]
    : [own, " is ", word, " than ", other, amount, range(metric, from, to), rest];
}

function comparisons() {
  $("differences").hidden = !DATA.comparisons.length;
  for (const metric of METRICS) {
    const rows = DATA.comparisons.filter((each) => each.metric === metric).map((each) => ({
      run: each.run, estimate: { middle: each.difference, low: each.low, high: each.high },
      cells: [make("td", { class: "words" }, sentence(each))],
    }));
    if (rows.length) $("differences").querySelector("table").append(group(metric, rows, true));
  }
}

// --- the table

function columns() {
  const { run, against, metric } = state;
  const scores = (key, head, of, each) => ({
    key, head, kind: "number", value: (picture) => score(picture, each, of),
    cell: (picture) => number(score(picture, each, of), each),
  });
  const seconds = (picture) => picture.runs.get(run)?.seconds ?? null;
  const sign = (picture) => make("span", { class: difference(picture) > 0 ? "worse" : "better" },
    signed(difference(picture), metric));
  return [
    { key: "name", head: "picture", kind: "text", value: (picture) => picture.name, cell: link },
    { key: "size", head: "size", kind: "number size", cell: size,
      value: (picture) => (picture.width ? picture.width * picture.height : null) },
    ...METRICS.map((each) => scores(each, title(each), run, each)),
    ...(against ? [
      scores("other", [named(against), ` ${title(metric)}`], against, metric),
      { key: "diff", head: `difference in ${title(metric)}`, kind: "number", cell: sign,
        value: (picture) => difference(picture) },
    ] : []),
    ...(pictures.some((picture) => seconds(picture) !== null) ? [
      { key: "seconds", head: "seconds", kind: "number", value: seconds,
        cell: (picture) => seconds(picture)?.toFixed(2) ?? "–" },
    ] : []),
  ];
}

// Each word of the filter is a part of the name, or a limit of a column: sad>20.
function passes(picture, list) {
  return state.filter.toLowerCase().split(/\s+/).every((word) => {
    const [, key, sign, limit] = word.match(/^([^<>]+)([<>])(-?[\d.]+)$/) ?? [];
    const column = list.find((each) => each.key === key);
    if (!column) return picture.name.toLowerCase().includes(word);
    const value = column.value(picture);
    return value !== null && (sign === "<" ? value < limit : value > limit);
  });
}

function compare(a, b) {
  return typeof a === "string" ? a.localeCompare(b, "en", { numeric: true }) : a - b;
}

function heading({ key, kind, head: text }) {
  const { sort } = state;
  const sortBy = () => {
    state.sort = { key, down: key === sort.key ? !sort.down : key !== "name" };
    table();
    $("table").querySelector(`[data-key="${key}"]`).focus();
  };
  return make("th", {
    class: kind, scope: "col", "aria-sort": key === sort.key && (sort.down ? "descending" : "ascending"),
  }, make("button", { type: "button", "data-key": key, onclick: sortBy }, text));
}

function row(picture, list) {
  const { thumbnail: src } = picture;
  const thumbnail = src ? make("img", { src, alt: "", width: 64, height: 44, decoding: "async" })
    : make("span", { class: "none" });
  return make("tr", { "data-id": picture.id }, make("td", { class: "small" }, thumbnail),
    list.map((column) => make("td", { class: column.kind }, column.cell(picture))));
}

function table() {
  const list = columns();
  const by = list.find((column) => column.key === state.sort.key) ?? list[2];
  const ranked = pictures.filter((picture) => passes(picture, list)).map((picture) => [by.value(picture), picture]);
  // Pictures without a value come last in both orders.
  ranked.sort(([a], [b]) => (a === null) - (b === null) || (state.sort.down ? compare(b, a) : compare(a, b)));
  state.shown = ranked.map(([, picture]) => picture);
  const whose = RUNS.length > 1 ? `, scores of ${state.run}` : "";
  $("found").textContent = `${state.shown.length} of ${pictures.length}${whose}`;
  $("table").tHead.replaceChildren(make("tr", {}, make("th", { class: "small" }), list.map(heading)));
  $("table").tBodies[0].replaceChildren();
  clearTimeout(state.late);
  rows(list, 0);
}

// The first rows at once, the others when the browser is idle.
function rows(list, from) {
  const to = from + ROWS_AT_ONCE;
  $("table").tBodies[0].append(...state.shown.slice(from, to).map((picture) => row(picture, list)));
  if (to < state.shown.length) state.late = setTimeout(rows, 0, list, to);
  else root.dataset.rows = state.shown.length;
}

// --- settings

function pairsOf(caption, lines, runs) {
  const titles = runs ? runs.map((run) => make("th", { scope: "col" }, named(run))) : make("td");
  const body = lines.map(([key, ...values]) => {
    const differs = new Set(values.map(plain)).size > 1 ? " differs" : "";
    const cells = values.map((value) => make("td", { class: `mono${differs}` }, plain(value)));
    return make("tr", {}, make("th", { scope: "row" }, key), cells);
  });
  return make("table", { class: "pairs" },
    make("thead", {}, make("tr", {}, make("th", { scope: "col" }, caption), titles)), make("tbody", {}, body));
}

function settings() {
  const keys = [...new Set(DATA.runs.flatMap((each) => Object.keys(each.settings)))];
  const lines = keys.map((key) => [key, ...DATA.runs.map((each) => each.settings[key])]);
  $("settings").querySelector(".columns").append(
    pairsOf("Protocol", Object.entries(DATA.settings)), pairsOf("Run", lines, RUNS));
  const failures = pictures.flatMap(({ name, failed }) => [...failed].map(([run, error]) =>
    make("li", {}, make("b", {}, name), ` (${run}): ${error}`)));
  $("failures").hidden = !failures.length;
  $("failures").querySelector("ul").append(...failures);
}

// --- controls

function redraw() {
  const { run, against, metric } = state;
  if (!against) state.order = "value";
  const orders = [["value", "highest"], ...(against ? [["behind", `furthest behind ${against}`]] : [])];
  choices($("order"), orders, state.order);
  $("order").parentNode.hidden = !against;
  const pair = against ? `${title(metric)} of ${run} and ${against}; each metric` : "";
  $("distributions").querySelector("small").textContent = pair;
  worst();
  table();
  setTimeout(pairs, 0); // after the next paint, since they are below the fold
}

function controls() {
  const [first] = DATA.comparisons;
  if (first) Object.assign(state, { run: first.run, against: first.against });
  choices($("run"), RUNS.map((run) => [run, run]), state.run);
  choices($("against"), [["", "nothing"], ...RUNS.map((run) => [run, run])], state.against);
  choices($("metric"), METRICS.map((metric) => [metric, title(metric)]), state.metric);
  $("run").parentNode.hidden = $("against").parentNode.hidden = RUNS.length < 2;
  for (const key of ["run", "against", "metric"]) {
    $(key).addEventListener("change", () => {
      if (state.sort.key === state.metric && key === "metric") state.sort.key = $(key).value;
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
    if (!event.target.closest("a")) location.hash = event.target.closest("tr").dataset.id;
  });
  $("hint").textContent = `part of a name, or ${METRICS[0]}>20${RUNS.length > 1 ? ", diff>0" : ""}`;
}

head();
means();
comparisons();
ramp();
controls();
redraw();
settings();
tips();
dialog();
root.dataset.drawn = "";
follow();
setTimeout(() => {
  $("histograms").append(...METRICS.map(histogram));
  root.dataset.ready = "";
}, 0);
