// Edits of a picture: upload, finding the subject, strokes, undo and redo. Each waits for those before it.

import { around, UNTOUCHED } from "./picture.js";
import { ask, mostBytes, Problem, sentence, stopped } from "./service.js";

const FINDERS = { plain: "the plain backdrop", prompts: "what you showed", alpha: "its own transparency" };
const LARGER = "A preview; the whole is being computed …";

/** Send a picture, and take what was found, a preview first where the whole takes long. changed: is called when there
 * is something new to show. */
export async function upload(picture, changed) {
  picture.state = "working";
  picture.told = "Finding the subject and cutting it out …";
  changed();
  try {
    createImageBitmap(picture.file).then((photo) => { // of a large one that takes seconds; the service begins meanwhile
      picture.photo ??= photo;
      changed();
    }, () => null);
    const told = await (await ask("POST", "/v1/pictures", { image: picture.file, preview: true })).json();
    picture.id = told.id;
    picture.begin(told.width, told.height);
    const photo = picture.get("photo").then((response) => response.blob()).then(createImageBitmap);
    await Promise.all([photo, told.preview ? showPreview(picture) : picture.fetchAll()]);
    picture.photo = await photo;
    if (told.preview) whole(picture, changed);
    else tell(picture, told);
    picture.state = "ready";
  } catch (error) {
    picture.state = "failed";
    picture.told = "";
    picture.problem = said(error);
  }
  changed();
}

async function showPreview(picture, signal) {
  const [layer, levels] = await Promise.all([
    picture.get("preview", signal).then((response) => response.blob()).then(createImageBitmap),
    picture.get("trimap", signal).then((response) => response.arrayBuffer())]);
  picture.setPreview(layer, new Uint8Array(levels));
}

/** Have the whole picture computed after its preview. Strokes on the preview wait, and are computed then. */
function whole(picture, changed) {
  return queue(picture, changed, LARGER, async () => {
    try {
      tell(picture, await finished(picture));
    } catch (error) {
      if (stopped(error)) return; // by a click, which finds the subject anew
      if (error.code === "not_found") throw error;
      await settle(picture);
      throw new Problem(`${said(error)} The preview is kept.`, error.code);
    }
  });
}

/** Take the preview for the whole, of which nothing came. */
async function settle(picture) {
  await sendRectangle(picture, picture.whole, picture.found, alphaOf(picture.colours(picture.whole)));
  picture.previewed = null;
}

/** Find the subject of the whole picture by its clicks. Returns what the service says of it. */
async function finished(picture) {
  const signal = picture.begins();
  const told = await (await ask("POST", `/v1/pictures/${picture.id}/subject`, promptsOf(picture), signal)).json();
  await picture.fetchAll(signal);
  return told;
}

function tell(picture, told) {
  picture.problem = told.problem ? sentence(told.problem) : "";
  const found = told.finder ? `Found by ${FINDERS[told.finder] ?? told.finder}.` : "Click on the subject, draw a box around it, or paint it.";
  picture.told = [found, ...told.notices.map(sentence)].join(" ");
}

const said = (error) => (error instanceof Problem ? error.message : `The page failed: ${error.message}`);

/** Do something with a picture after all that waits. Where the service has given the picture up, it is sent again. */
function queue(picture, changed, doing, work) {
  picture.waiting += 1;
  if (picture.waiting === 1) picture.told = doing;
  changed();
  picture.work = picture.work.then(async () => {
    const begun = performance.now();
    picture.problem = "";
    picture.told = doing;
    changed();
    try {
      try {
        await work();
      } catch (error) {
        if (error.code !== "not_found") throw error;
        await sendAgain(picture);
        await work();
      }
      if ([doing, LARGER].includes(picture.told)) picture.told = `Done in ${((performance.now() - begun) / 1000).toFixed(1)} s.`;
    } catch (error) {
      picture.told = "";
      if (!stopped(error)) picture.problem = said(error);
    }
    picture.waiting -= 1;
    changed();
  });
  return picture.work;
}

async function sendAgain(picture) {
  const told = await (await ask("POST", "/v1/pictures", { image: picture.file, preview: true })).json();
  picture.id = told.id;
  if (picture.previewed) return; // the whole is computed next
  await sendRectangle(picture, picture.whole, picture.levels(picture.whole), alphaOf(picture.colours(picture.whole)));
}

/** Send trimap and alpha of a rectangle, to be taken as they are; in parts that the service lets in. */
async function sendRectangle(picture, at, levels, alpha) {
  const width = at.right - at.left;
  const rows = Math.max(1, Math.floor(mostBytes() / 2 / width));
  for (let { top } = at; top < at.bottom; top += rows) {
    const bottom = Math.min(top + rows, at.bottom);
    const part = [width * (top - at.top), width * (bottom - at.top)];
    await ask("POST", `/v1/pictures/${picture.id}/trimap`, {
      ...fieldsOf({ ...at, top, bottom }), trimap: new Blob([levels.subarray(...part)]), alpha: new Blob([alpha.subarray(...part)]) });
  }
}

const fieldsOf = ({ left, top, right, bottom }) => ({ left, top, width: right - left, height: bottom - top });

function alphaOf(colours) {
  const alpha = new Uint8Array(colours.length / 4);
  for (let i = 0; i < alpha.length; i++) alpha[i] = colours[4 * i + 3];
  return alpha;
}

/** Compute anew what a stroke changed. before: what was painted before it; at: the rectangle around it. */
export function stroke(picture, before, at, changed) {
  const after = picture.painted.slice();
  if (picture.previewed) early(picture, at, picture.levels(at, after), changed);
  return queue(picture, changed, "Computing what the stroke changed …", async () => {
    if (picture.previewed) { // a click has stopped the whole: it is computed, and undone, with the click
      picture.first.strokes ??= before;
      return;
    }
    const { where, colours } = await computed(picture, at, picture.levels(at, after)).catch((error) => {
      if (error.code !== "not_found") picture.setStrokes(at, picture.strokes(at, before));
      throw error;
    });
    remember(picture, where, { strokes: picture.strokes(where, before), colours: picture.colours(where) },
      { strokes: picture.strokes(where, after), colours });
    picture.setColours(where, colours);
  });
}

/** Show what a stroke on a preview changes, until it is computed in the whole. */
function early(picture, at, levels, changed) {
  const { previewed } = picture;
  picture.early = picture.early.then(async () => {
    if (picture.previewed !== previewed) return;
    const { where, colours } = await computed(picture, at, levels, true);
    if (picture.previewed !== previewed) return;
    picture.setColours(where, colours);
    changed();
  }).catch(() => null); // the stroke is computed once more anyway
}

/** Have a rectangle of the trimap computed. Returns the rectangle that it changes, and the colours of that. */
async function computed(picture, at, trimap, preview = false) {
  const fields = { ...fieldsOf(at), packed: await packed(trimap), preview };
  const response = await ask("POST", `/v1/pictures/${picture.id}/trimap`, fields);
  const [left, top, right, bottom] = response.headers.get("X-Rectangle").split(",").map(Number);
  return { where: { left, top, right, bottom }, colours: new Uint8ClampedArray(await response.arrayBuffer()) };
}

/** Levels as gzip: few bytes, however large the rectangle is. */
function packed(levels) {
  return new Response(new Blob([levels]).stream().pipeThrough(new CompressionStream("gzip"))).blob();
}

/** Find the subject by the points and the box of the picture; strokes stay over it. prompts: those before. What runs is
 * stopped. Of several clicks that wait, the last one finds the subject by all. */
export function find(picture, prompts, changed, keeps = true) {
  picture.finding += 1;
  picture.first ??= prompts;
  picture.stop();
  const painted = picture.painted.slice();
  if (!keeps) picture.setStrokes(picture.whole, new Uint8Array(painted.length).fill(UNTOUCHED));
  const kept = keeps ? painted : picture.painted.slice();
  return queue(picture, changed, "Finding the subject …", async () => {
    if (picture.finding > 1) return;
    const before = { ...state(picture, painted), ...picture.first };
    try {
      await sought(picture, changed);
    } catch (error) {
      if (stopped(error)) return;
      if (error.code !== "not_found") {
        Object.assign(picture, { points: before.points, box: before.box });
        if (!keeps) picture.setStrokes(picture.whole, painted);
        if (before.previewed) await resume(picture, before.strokes, painted);
      }
      throw error;
    }
    try {
      await overlay(picture, kept);
    } finally {
      remember(picture, picture.whole, before, state(picture, kept));
    }
  }).finally(() => {
    picture.finding -= 1;
    if (!picture.finding) picture.first = null;
  });
}

/** Compute the whole that was stopped for a click of which nothing came, and the strokes that came before the click. */
async function resume(picture, before, painted) {
  await finished(picture);
  const was = state(picture, before);
  await overlay(picture, painted);
  if (before !== painted) remember(picture, picture.whole, was, state(picture, painted));
}

/** Have the strokes computed over what was found. */
async function overlay(picture, strokes) {
  const at = around(strokes, picture.width);
  if (!at) return;
  const { where, colours } = await computed(picture, at, picture.levels(at, strokes));
  picture.setColours(where, colours);
}

/** Have the subject found, with a preview first where the whole takes long. If that fails, all is shown as before. */
async function sought(picture, changed) {
  const { found, previewed, colours } = state(picture);
  const signal = picture.begins();
  try {
    const fields = { ...promptsOf(picture), preview: true };
    const told = await (await ask("POST", `/v1/pictures/${picture.id}/subject`, fields, signal)).json();
    if (told.preview) {
      await showPreview(picture, signal);
      picture.told = LARGER;
      changed();
      await finished(picture);
    } else await picture.fetchAll(signal);
  } catch (error) {
    picture.setAll(found, colours);
    picture.previewed = previewed;
    throw error;
  }
}

function promptsOf({ points, box }) {
  const written = (kind) => points.filter((each) => each.kind === kind).map(({ x, y }) => `${x},${y}`);
  return { points: written("add"), not_points: written("drop"), box: box?.join(","), preview: false };
}

/** All of a picture, for undo. painted: what counts as painted. */
function state(picture, painted) {
  const { found, previewed, points, box } = picture;
  return { strokes: painted, colours: picture.colours(picture.whole), found, previewed, points, box };
}

function remember(picture, at, before, after) {
  picture.done.push({ at, before, after });
  picture.undone = [];
}

export function undo(picture, changed) {
  return turn(picture, "before", "Undoing …", changed);
}

export function redo(picture, changed) {
  return turn(picture, "after", "Redoing …", changed);
}

function turn(picture, side, doing, changed) {
  return queue(picture, changed, doing, async () => {
    // The lists are looked up now: an edit before this one may have replaced them.
    const [source, target] = side === "before" ? [picture.done, picture.undone] : [picture.undone, picture.done];
    const edit = source.at(-1);
    if (!edit) return;
    const { strokes, colours, found = picture.found, previewed, ...prompts } = edit[side];
    if (previewed) { // the whole was never computed
      await restart(picture, strokes, prompts, changed);
      edit[side] = state(picture, strokes);
      source.pop();
      target.push(edit);
      return;
    }
    await sendRectangle(picture, edit.at, picture.over(edit.at, strokes, found), alphaOf(colours));
    source.pop();
    target.push(edit);
    if (found !== picture.found) picture.setFound(found);
    picture.setStrokes(edit.at, strokes);
    picture.setColours(edit.at, colours);
    Object.assign(picture, prompts); // of an edit of the whole: by what it was found
  });
}

/** Find the subject by earlier clicks. If that fails, these are forgotten. */
async function restart(picture, strokes, prompts, changed) {
  const { points, box, painted } = picture;
  Object.assign(picture, prompts);
  picture.setStrokes(picture.whole, strokes);
  try {
    await sought(picture, changed);
  } catch (error) {
    if (!stopped(error)) Object.assign(picture, { points, box }); // a click that stops it goes on from the earlier ones
    picture.setStrokes(picture.whole, painted);
    throw error;
  }
  await overlay(picture, strokes);
}
