// Edits of a picture: upload, finding the subject, strokes, undo and redo. Each waits for those before it.

import { UNTOUCHED } from "./picture.js";
import { ask, Problem, sentence } from "./service.js";

/** Send a picture, and take what was found. changed: is called when there is something new to show. */
export async function upload(picture, changed) {
  picture.state = "working";
  picture.told = "Finding the subject and cutting it out …";
  changed();
  try {
    picture.photo = await createImageBitmap(picture.file).catch(() => null);
    changed();
    const told = await (await ask("POST", "/v1/pictures", { image: picture.file })).json();
    picture.id = told.id;
    picture.begin(told.width, told.height);
    const photo = await (await ask("GET", `/v1/pictures/${told.id}/photo`)).blob();
    picture.photo = await createImageBitmap(photo);
    await picture.fetchAll();
    picture.found = picture.trimap.slice();
    picture.state = "ready";
    tell(picture, told);
  } catch (error) {
    picture.state = "failed";
    picture.told = "";
    picture.problem = said(error);
  }
  changed();
}

function tell(picture, told) {
  picture.problem = told.problem ? sentence(told.problem.replace(/ Give a trimap.*$/, "")) : "";
  const found = told.finder ? `Found by ${told.finder}.` : "Click on the subject, draw a box around it, or paint it.";
  picture.told = [found, ...told.notices.map(sentence)].join(" ");
}

const said = (error) => (error instanceof Problem ? error.message : `The page failed: ${error.message}`);

/** Do something with a picture after all that waits. Where the service has given the picture up, it is sent again. */
function queue(picture, changed, doing, work) {
  picture.waiting = (picture.waiting ?? 0) + 1;
  picture.told = doing;
  changed();
  picture.work = picture.work.then(async () => {
    const begun = performance.now();
    picture.problem = "";
    try {
      try {
        await work();
      } catch (error) {
        if (error.code !== "not_found") throw error;
        await sendAgain(picture);
        await work();
      }
      picture.told = `Done in ${((performance.now() - begun) / 1000).toFixed(1)} s.`;
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
  const told = await (await ask("POST", "/v1/pictures", { image: picture.file })).json();
  picture.id = told.id;
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

/** Compute anew what a stroke changed. before: the trimap before it; at: the rectangle around it. */
export function stroke(picture, before, at, changed) {
  const after = picture.copied();
  return queue(picture, changed, "Computing what the stroke changed …", async () => {
    const { where, colours } = await computed(picture, at, picture.levels(at, after.trimap)).catch((error) => {
      if (error.code !== "not_found") picture.setPart(at, picture.part(at, before));
      throw error;
    });
    remember(picture, where, { ...picture.part(where, before), colours: picture.colours(where) },
      { ...picture.part(where, after), colours });
    picture.setColours(where, colours);
  });
}

/** Have a rectangle of the trimap computed. Returns the rectangle that it changes, and the colours of that. */
async function computed(picture, at, trimap) {
  const response = await sendRectangle(picture, at, trimap);
  const [left, top, right, bottom] = response.headers.get("X-Rectangle").split(",").map(Number);
  return { where: { left, top, right, bottom }, colours: new Uint8ClampedArray(await response.arrayBuffer()) };
}

/** Find the subject by the points and the box of the picture; strokes stay over it. prompts: those before. */
export function find(picture, prompts, changed, keeps = true) {
  picture.finding += 1;
  return queue(picture, changed, "Finding the subject …", async () => {
    const before = whole(picture, prompts);
    try {
      await ask("POST", `/v1/pictures/${picture.id}/subject`, promptsOf(picture));
    } catch (error) {
      if (error.code !== "not_found") Object.assign(picture, prompts);
      throw error;
    }
    await picture.fetchAll();
    picture.found = picture.trimap.slice();
    if (!keeps) picture.painted.fill(UNTOUCHED);
    const at = picture.repaint();
    try {
      const { where, colours } = at ? await computed(picture, at, picture.levels(at)) : {};
      if (at) picture.setColours(where, colours);
    } finally {
      remember(picture, picture.whole, before, whole(picture, picture));
    }
  }).finally(() => { picture.finding -= 1; });
}

function promptsOf({ points, box }) {
  const written = (kind) => points.filter((each) => each.kind === kind).map(({ x, y }) => `${x},${y}`);
  return { points: written("add"), not_points: written("drop"), box: box?.join(",") };
}

/** All of a picture, for undo. */
function whole(picture, { points, box }) {
  return { ...picture.part(picture.whole), colours: picture.colours(picture.whole), found: picture.found, points, box };
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
    const { levels, painted, colours, ...more } = edit[side];
    await sendRectangle(picture, edit.at, levels, alphaOf(colours));
    source.pop();
    target.push(edit);
    picture.setPart(edit.at, { levels, painted });
    picture.setColours(edit.at, colours);
    Object.assign(picture, more); // of an edit of the whole: what was found, and by what
  });
}
