// Edits of a picture: upload, finding the subject, strokes, undo and redo. Each waits for those before it.

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
  picture.empty = Boolean(told.problem); // nothing is cut out yet
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
  const after = picture.trimap.slice();
  return queue(picture, changed, "Computing what the stroke changed …", async () => {
    const response = await sendRectangle(picture, at, picture.levels(at, after)).catch((error) => {
      if (error.code !== "not_found") picture.setLevels(at, picture.levels(at, before));
      throw error;
    });
    const [left, top, right, bottom] = response.headers.get("X-Rectangle").split(",").map(Number);
    const where = { left, top, right, bottom };
    const colours = new Uint8ClampedArray(await response.arrayBuffer());
    remember(picture, where, { levels: picture.levels(where, before), colours: picture.colours(where) },
      { levels: picture.levels(where, after), colours });
    picture.setColours(where, colours);
  });
}

/** Find the subject by the points and the box of the picture. prompts: those before. */
export function find(picture, prompts, changed) {
  return queue(picture, changed, "Finding the subject …", async () => {
    const written = (kind) => picture.points.filter((each) => each.kind === kind).map(({ x, y }) => `${x},${y}`);
    const before = { levels: picture.levels(picture.whole), colours: picture.colours(picture.whole), ...prompts };
    const { points, box } = picture;
    try {
      await ask("POST", `/v1/pictures/${picture.id}/subject`, {
        points: written("add"), not_points: written("drop"), box: box?.join(",") });
    } catch (error) {
      Object.assign(picture, prompts);
      throw error;
    }
    await picture.fetchAll();
    picture.found = picture.trimap.slice();
    const after = { levels: picture.levels(picture.whole), colours: picture.colours(picture.whole), points, box };
    remember(picture, picture.whole, before, after);
  });
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
    const { levels, colours, points, box } = edit[side];
    await sendRectangle(picture, edit.at, levels, alphaOf(colours));
    source.pop();
    target.push(edit);
    picture.setLevels(edit.at, levels);
    picture.setColours(edit.at, colours);
    if (points) Object.assign(picture, { points, box });
  });
}
