// Edits of a picture: upload, finding the subject, strokes, undo and redo. Each waits for those before it.

import { around, BACKGROUND, UNTOUCHED } from "./picture.js";
import { ask, Problem, sentence } from "./service.js";

const LARGER = "A preview; the whole is being computed …";

/** Send a picture, and take what was found, a preview first where the whole takes long. changed: is called when there
 * is something new to show. */
export async function upload(picture, changed) {
  picture.state = "working";
  picture.told = "Finding the subject and cutting it out …";
  changed();
  try {
    picture.photo = await createImageBitmap(picture.file).catch(() => null);
    changed();
    const told = await (await ask("POST", "/v1/pictures", { image: picture.file, preview: true })).json();
    picture.id = told.id;
    picture.begin(told.width, told.height);
    picture.photo = await createImageBitmap(await (await picture.get("photo")).blob());
    if (told.preview) {
      await showPreview(picture);
      whole(picture, changed);
    } else {
      await picture.fetchAll();
      tell(picture, told);
    }
    picture.state = "ready";
  } catch (error) {
    picture.state = "failed";
    picture.told = "";
    picture.problem = said(error);
  }
  changed();
}

async function showPreview(picture) {
  picture.setPreview(await createImageBitmap(await (await picture.get("preview")).blob()));
}

/** Have the whole picture computed after its preview. Strokes on the preview wait, and are computed then. */
function whole(picture, changed) {
  return queue(picture, changed, LARGER, async () => {
    try {
      const told = await (await ask("POST", `/v1/pictures/${picture.id}/subject`, { preview: false })).json();
      await picture.fetchAll();
      tell(picture, told);
    } catch (error) {
      if (error.code !== "not_found") blank(picture);
      throw error;
    }
  });
}

/** Take a preview back, of which nothing came. */
function blank(picture) {
  picture.setFound(new Uint8Array(picture.width * picture.height).fill(BACKGROUND));
  picture.setColours(picture.whole, new Uint8ClampedArray(4 * picture.width * picture.height));
}

function tell(picture, told) {
  picture.problem = told.problem ? sentence(told.problem) : "";
  const found = told.finder ? `Found by ${told.finder}.` : "Click on the subject, draw a box around it, or paint it.";
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
      if (picture.told === doing) picture.told = `Done in ${((performance.now() - begun) / 1000).toFixed(1)} s.`;
    } catch (error) {
      picture.told = "";
      picture.problem = said(error);
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

function sendRectangle(picture, at, levels, alpha) {
  const fields = { left: at.left, top: at.top, width: at.right - at.left, height: at.bottom - at.top };
  return ask("POST", `/v1/pictures/${picture.id}/trimap`, {
    ...fields, trimap: new Blob([levels]), alpha: alpha && new Blob([alpha]) });
}

function alphaOf(colours) {
  const alpha = new Uint8Array(colours.length / 4);
  for (let i = 0; i < alpha.length; i++) alpha[i] = colours[4 * i + 3];
  return alpha;
}

/** Compute anew what a stroke changed. before: what was painted before it; at: the rectangle around it. */
export function stroke(picture, before, at, changed) {
  const after = picture.painted.slice();
  return queue(picture, changed, "Computing what the stroke changed …", async () => {
    const { where, colours } = await computed(picture, at, picture.levels(at, after)).catch((error) => {
      if (error.code !== "not_found") picture.setStrokes(at, picture.strokes(at, before));
      throw error;
    });
    remember(picture, where, { strokes: picture.strokes(where, before), colours: picture.colours(where) },
      { strokes: picture.strokes(where, after), colours });
    picture.setColours(where, colours);
  });
}

/** Have a rectangle of the trimap computed. Returns the rectangle that it changes, and the colours of that. */
async function computed(picture, at, trimap) {
  const response = await sendRectangle(picture, at, trimap);
  const [left, top, right, bottom] = response.headers.get("X-Rectangle").split(",").map(Number);
  return { where: { left, top, right, bottom }, colours: new Uint8ClampedArray(await response.arrayBuffer()) };
}

/** Find the subject by the points and the box of the picture; strokes stay over it. prompts: those before. Of several
 * clicks that wait, the last one finds the subject by all. */
export function find(picture, prompts, changed, keeps = true) {
  picture.finding += 1;
  picture.first ??= prompts;
  const painted = picture.painted.slice();
  if (!keeps) picture.setStrokes(picture.whole, new Uint8Array(painted.length).fill(UNTOUCHED));
  const kept = keeps ? painted : picture.painted.slice();
  return queue(picture, changed, "Finding the subject …", async () => {
    if (picture.finding > 1) return;
    const before = { ...state(picture, painted), ...picture.first };
    try {
      await sought(picture, changed);
    } catch (error) {
      picture.setFound(before.found); // where a preview was shown
      picture.setColours(picture.whole, before.colours);
      if (error.code !== "not_found") {
        Object.assign(picture, { points: before.points, box: before.box });
        if (!keeps) picture.setStrokes(picture.whole, painted);
      }
      throw error;
    }
    const at = around(kept, picture.width);
    try {
      const { where, colours } = at ? await computed(picture, at, picture.levels(at, kept)) : {};
      if (at) picture.setColours(where, colours);
    } finally {
      remember(picture, picture.whole, before, state(picture, kept));
    }
  }).finally(() => {
    picture.finding -= 1;
    if (!picture.finding) picture.first = null;
  });
}

/** Have the subject found, with a preview first where the whole takes long. */
async function sought(picture, changed) {
  const path = `/v1/pictures/${picture.id}/subject`;
  const told = await (await ask("POST", path, { ...promptsOf(picture), preview: true })).json();
  if (told.preview) {
    await showPreview(picture);
    picture.told = LARGER;
    changed();
    await ask("POST", path, promptsOf(picture));
  }
  await picture.fetchAll();
}

function promptsOf({ points, box }) {
  const written = (kind) => points.filter((each) => each.kind === kind).map(({ x, y }) => `${x},${y}`);
  return { points: written("add"), not_points: written("drop"), box: box?.join(","), preview: false };
}

/** All of a picture, for undo. painted: what counts as painted. */
function state(picture, painted) {
  const { found, points, box } = picture;
  return { strokes: painted, colours: picture.colours(picture.whole), found, points, box };
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
    const { strokes, colours, found = picture.found, ...prompts } = edit[side];
    await sendRectangle(picture, edit.at, picture.over(edit.at, strokes, found), alphaOf(colours));
    source.pop();
    target.push(edit);
    if (found !== picture.found) picture.setFound(found);
    picture.setStrokes(edit.at, strokes);
    picture.setColours(edit.at, colours);
    Object.assign(picture, prompts); // of an edit of the whole: by what it was found
  });
}
