// The page: the list of pictures, the controls, and what they do.

import { redo, undo, upload, find } from "./edits.js";
import { canvasOf, Picture } from "./picture.js";
import { ask, useKey, useLimits } from "./service.js";
import { fetchUnsure, take, takeAll } from "./take.js";
import { BRUSHES, Tools } from "./tools.js";
import { View } from "./view.js";

const one = (id) => document.getElementById(id);
const pictures = [];
let current = null, sending = false;
const view = new View(one("canvas"));
view.resized = () => changed();
const tools = new Tools(view, changed);
const KEYS = { v: "move", c: "add", x: "drop", b: "box", f: "foreground", g: "background", u: "unknown", e: "eraser" };

function changed() {
  view.show(current);
  showList();
  const ready = current?.state === "ready";
  const working = current?.state === "working" || current?.state === "waiting" || current?.waiting > 0;
  one("start").hidden = pictures.length > 0;
  one("stage").classList.toggle("empty", !pictures.length);
  one("progress").hidden = !working;
  one("canvas").setAttribute("aria-busy", String(working));
  setText("status", current?.told ?? "");
  setText("problem", current?.problem ?? "");
  one("problem").hidden = !current?.problem;
  one("undo").disabled = !ready || !current.done.length;
  one("redo").disabled = !ready || !current.undone.length;
  one("again").disabled = !ready && current?.state !== "failed";
  one("download").disabled = !ready || current.empty;
  one("all").disabled = cutOut().length < 2;
  one("remove").hidden = !current;
  one("remove").disabled = working;
  one("zoom").value = `${Math.round(100 * view.scale)} %`;
  showUnsure();
}

/** The pictures that can be taken home. */
function cutOut() {
  return pictures.filter((each) => each.state === "ready" && !each.empty);
}

function setText(id, text) {
  if (one(id).textContent !== text) one(id).textContent = text;
}

const STATES = { waiting: "waits", working: "working …", ready: "", failed: "failed" };

function showList() {
  const list = one("list");
  pictures.forEach((picture, i) => {
    const button = list.children[i]?.firstChild ?? newEntry(list, picture);
    button.setAttribute("aria-current", String(picture === current));
    const state = button.querySelector(".state");
    const lacks = picture.state === "ready" && (picture.problem || picture.empty);
    state.textContent = lacks ? "needs a hand" : STATES[picture.state];
    state.classList.toggle("bad", Boolean(picture.problem));
    const shown = `${picture.state} ${picture.version} ${Boolean(picture.photo)}`;
    if (button.dataset.shown === shown) return;
    button.dataset.shown = shown;
    thumbnail(button.querySelector("canvas"), picture);
  });
}

function newEntry(list, picture) {
  const entry = document.createElement("li");
  const button = document.createElement("button");
  const name = document.createElement("span");
  const state = document.createElement("span");
  name.textContent = picture.name;
  state.className = "state";
  button.append(canvasOf(240, 148), name, state);
  button.addEventListener("click", () => select(picture));
  entry.append(button);
  list.append(entry);
  return button;
}

function thumbnail(canvas, picture) {
  const layer = picture.state === "ready" && !picture.empty ? picture.result : picture.photo;
  if (!layer) return;
  const scale = Math.min(240 / layer.width, 148 / layer.height);
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, 240, 148);
  context.imageSmoothingQuality = "high";
  const [width, height] = [layer.width * scale, layer.height * scale];
  context.drawImage(layer, (240 - width) / 2, (148 - height) / 2, width, height);
}

function select(picture) {
  current = picture;
  changed();
}

/** Take the picture that is looked at from the list; the service gives it up. */
function remove() {
  const at = pictures.indexOf(current);
  const [gone] = pictures.splice(at, 1);
  one("list").children[at].remove();
  if (gone.id) ask("DELETE", `/v1/pictures/${gone.id}`).catch(() => null); // it is given up in time anyway
  select(pictures[at] ?? pictures.at(-1) ?? null);
  (one("list").children[pictures.indexOf(current)]?.firstChild ?? one("files")).focus();
}

/** Send pictures again that could not be sent. */
function retry(failed) {
  for (const picture of failed) Object.assign(picture, { state: "waiting", problem: "" });
  changed();
  send();
}

function add(files) {
  const found = [...files].filter((file) => file.size > 0);
  for (const file of found) pictures.push(new Picture(file, file.name || "pasted picture"));
  if (!found.length) return;
  if (!current || current.state !== "working") current = pictures[pictures.length - found.length];
  changed();
  send();
}

/** Send the pictures that wait, the one that is looked at first, one after the other. */
async function send() {
  if (sending) return;
  sending = true;
  const next = () => (current?.state === "waiting" ? current : pictures.find((each) => each.state === "waiting"));
  for (let picture = next(); picture; picture = next()) {
    await upload(picture, changed);
    const waits = picture === current && picture.state === "ready" && picture.empty;
    if (waits && tools.tool === "move") choose("add"); // the click that the page asks for
  }
  sending = false;
}

function choose(tool) {
  for (const button of document.querySelectorAll("[data-tool]")) {
    button.setAttribute("aria-pressed", String(button.dataset.tool === tool));
  }
  resizeBrush(one("size").value, tool);
  if (tool in BRUSHES && !one("film").checked) setFilm(true);
}

function setFilm(on) {
  one("film").checked = view.look.film = on;
  view.draw();
}

function resizeBrush(to, tool = tools.tool) {
  one("size").value = to;
  one("sized").value = `${one("size").value} px`;
  tools.choose(tool, Number(one("size").value));
}

/** Look at something else: the film would be over it. */
function lookAnew() {
  setFilm(false);
  look();
}

function look() {
  const show = one("show").value;
  one("colourbox").hidden = show !== "colour";
  one("behindbox").hidden = show !== "picture";
  one("legend").hidden = show !== "unsure";
  one("wipebox").hidden = !one("wipe").checked;
  Object.assign(view.look, {
    show, colour: one("colour").value, film: one("film").checked,
    wipe: one("wipe").checked ? one("wipeat").value / 100 : null });
  showUnsure();
  view.draw();
}

async function showUnsure() {
  view.look.unsure = null;
  if (view.look.show !== "unsure" || current?.state !== "ready" || current.previewed) return;
  const picture = current, { version } = picture;
  if (picture.unsure?.version !== version) {
    picture.unsure = { version, layer: null };
    picture.unsure.layer = await fetchUnsure(picture).catch(() => null);
  }
  view.look.unsure = picture.unsure.layer;
  view.draw();
}

/** What is chosen to be taken home, as fields of a form. */
function wanted() {
  const [output, format] = one("what").value.split(".");
  const fields = { output, format };
  if (one("crop").checked) fields.crop = "0";
  if (output !== "composite") return fields;
  const { show, colour } = view.look;
  const behind = show === "picture" && one("behind").files[0];
  return behind ? { ...fields, background_image: behind } : { ...fields, background: { black: "black", colour }[show] ?? "white" };
}

async function doing(work) {
  try {
    await work();
  } catch (error) {
    if (current) current.problem = error.message;
  }
  changed();
}

function again() {
  if (current.state === "failed") return retry([current]);
  const before = { points: current.points, box: current.box };
  Object.assign(current, { points: [], box: null });
  find(current, before, changed, false);
}

const turn = (way) => current?.state === "ready" && way(current, changed);

function shortcuts(event) {
  const typing = event.target.matches("input:not([type=range], [type=checkbox]), select, textarea");
  const key = event.key.toLowerCase();
  if ((event.ctrlKey || event.metaKey) && !typing && (key === "z" || key === "y")) {
    turn(key === "y" || event.shiftKey ? redo : undo);
    event.preventDefault();
  }
  if (event.ctrlKey || event.metaKey || event.altKey || typing) return;
  if (KEYS[key]) choose(KEYS[key]);
  else if (key === "t") setFilm(!one("film").checked);
  else if (key === "[" || key === "]") resizeBrush(Number(one("size").value) * (key === "]" ? 1.25 : 0.8));
  else if (key === "+" || key === "=") view.zoom(1.25);
  else if (key === "-") view.zoom(0.8);
  else if (key === "0") view.fit();
  else return;
  event.preventDefault();
  changed();
}

function wire() {
  const on = (id, name, act) => one(id).addEventListener(name, act);
  on("stage", "click", () => { if (!pictures.length) one("files").click(); });
  on("files", "change", (event) => { add(event.target.files); event.target.value = ""; });
  for (const button of document.querySelectorAll("[data-tool]")) button.addEventListener("click", () => choose(button.dataset.tool));
  on("size", "input", () => resizeBrush(one("size").value));
  on("undo", "click", () => turn(undo));
  on("redo", "click", () => turn(redo));
  on("again", "click", again);
  for (const id of ["show", "wipe"]) on(id, "input", lookAnew);
  for (const id of ["film", "wipeat", "colour"]) on(id, "input", look);
  on("behind", "change", async (event) => {
    view.look.behind = event.target.files[0] ? await createImageBitmap(event.target.files[0]).catch(() => null) : null;
    view.draw();
  });
  on("in", "click", () => { view.zoom(1.25); changed(); });
  on("out", "click", () => { view.zoom(0.8); changed(); });
  on("fit", "click", () => { view.fit(); changed(); });
  on("download", "click", () => doing(() => take(current, wanted())));
  on("all", "click", () => doing(() => takeAll(cutOut(), wanted())));
  on("keybox", "submit", (event) => { event.preventDefault(); useKey(one("key").value); checkKey(); });
  on("remove", "click", remove);
  document.addEventListener("keydown", shortcuts);
  window.addEventListener("beforeunload", (event) => { if (pictures.some((each) => each.done.length)) event.preventDefault(); });
  document.addEventListener("paste", (event) => add(event.clipboardData?.files ?? []));
  document.addEventListener("dragover", (event) => { event.preventDefault(); one("stage").classList.add("over"); });
  document.addEventListener("dragleave", () => one("stage").classList.remove("over"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    one("stage").classList.remove("over");
    add(event.dataTransfer?.files ?? []);
  });
}

async function checkKey() {
  const asked = ask("GET", "/v1/models").then((response) => response.json()).then(useLimits);
  const lacks = await asked.then(() => false, (error) => error.code === "no_key");
  one("keybox").hidden = !lacks;
  if (!lacks) retry(pictures.filter((each) => each.state === "failed"));
}

wire();
choose("move");
changed();
checkKey();
