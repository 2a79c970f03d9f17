// A picture that is worked on: its photo, trimap and cut-out, and what can be undone.

import { ask } from "./service.js";

export const FOREGROUND = 255, UNKNOWN = 128, BACKGROUND = 0;
export const UNTOUCHED = 1; // no level of a trimap: what no brush has painted
const FILM = new Uint32Array(256); // colours of the trimap's levels, as ImageData has them; the others are transparent
for (const [level, colour] of [[FOREGROUND, [30, 120, 255, 110]], [UNKNOWN, [255, 200, 0, 130]], [BACKGROUND, [216, 52, 126, 95]]]) {
  new Uint8Array(FILM.buffer).set(colour, 4 * level);
}

export class Picture {
  constructor(file, name) {
    this.file = file;
    this.name = name;
    this.state = "waiting"; // working, ready, failed
    this.problem = "";
    this.told = "";
    this.id = null;
    this.photo = null; // what is drawn as the photo: ImageBitmap
    this.done = []; // edits, the last one at the end
    this.undone = [];
    this.points = [];
    this.box = null;
    this.version = 0; // counts changes of the result
    this.work = Promise.resolve(); // edits wait for each other
    this.early = Promise.resolve(); // and so do strokes on a preview
    this.previewed = null; // an object of its own for each preview, while one is shown
    this.controller = new AbortController(); // of what finds the subject
    this.waiting = 0; // edits that are under way
    this.finding = 0; // clicks and boxes among them: the last one finds the subject by all
    this.first = null; // points and box, perhaps strokes, before these
  }

  /** Take the size, and arrays for trimap and result (straight RGBA). The trimap is what was found below what is painted. */
  begin(width, height) {
    this.width = width;
    this.height = height;
    this.found = new Uint8Array(width * height); // levels, or UNTOUCHED while they are not known
    this.painted = new Uint8Array(width * height).fill(UNTOUCHED); // levels that brushes have painted
    this.pixels = new Uint8ClampedArray(4 * width * height);
    this.result = canvasOf(width, height);
    this.film = canvasOf(width, height);
  }

  get whole() {
    return { left: 0, top: 0, right: this.width, bottom: this.height };
  }

  /** A rectangle of the trimap; painted, found: layers of the picture's size. */
  levels(at, painted = this.painted, found = this.found) {
    return this.over(at, this.strokes(at, painted), found);
  }

  /** A rectangle of the trimap, with these strokes in it. */
  over(at, strokes, found = this.found) {
    const levels = copy(found, this.width, at, 1);
    for (let i = 0; i < levels.length; i++) if (strokes[i] !== UNTOUCHED) levels[i] = strokes[i];
    return levels;
  }

  colours(at) {
    return copy(this.pixels, this.width, at, 4);
  }

  /** A rectangle of what is painted; painted: at another time. */
  strokes(at, painted = this.painted) {
    return copy(painted, this.width, at, 1);
  }

  setStrokes(at, strokes) {
    paste(this.painted, this.width, at, strokes, 1);
    this.drawFilm(at);
  }

  setFound(levels) {
    this.found = levels;
    this.blank = levels.every((level) => level === BACKGROUND); // nothing was found: the film shows strokes alone
    this.drawFilm(this.whole);
  }

  /** Begin to find the subject. Returns the signal by which `stop` ends it. */
  begins() {
    this.controller = new AbortController();
    return this.controller.signal;
  }

  /** End what finds the subject: its result would be replaced. */
  stop() {
    this.controller.abort();
  }

  /** Whether nothing is cut out yet. */
  get empty() {
    if (this.looked?.version !== this.version) {
      let i = 3;
      while (i < this.pixels.length && this.pixels[i] === 0) i += 4;
      this.looked = { version: this.version, empty: i >= this.pixels.length };
    }
    return this.looked.empty;
  }

  setColours(at, colours) {
    paste(this.pixels, this.width, at, colours, 4);
    const data = new ImageData(new Uint8ClampedArray(colours), at.right - at.left, at.bottom - at.top);
    this.result.getContext("2d").putImageData(data, at.left, at.top);
    this.version += 1;
  }

  drawFilm(at) {
    const levels = this.blank ? this.strokes(at) : this.levels(at);
    const data = new ImageData(at.right - at.left, at.bottom - at.top);
    const colours = new Uint32Array(data.data.buffer);
    for (let i = 0; i < levels.length; i++) colours[i] = FILM[levels[i]];
    this.film.getContext("2d").putImageData(data, at.left, at.top);
  }

  /** Show a cut-out that was made at a smaller size. levels: its trimap, enlarged; what is painted stays. */
  setPreview(layer, levels) {
    this.previewed = {};
    this.setFound(levels);
    const context = this.result.getContext("2d");
    context.clearRect(0, 0, this.width, this.height);
    context.imageSmoothingQuality = "high";
    context.drawImage(layer, 0, 0, this.width, this.height);
    this.pixels = context.getImageData(0, 0, this.width, this.height).data;
    this.version += 1;
  }

  /** Take the trimap that was found, and the cut-out of the whole. */
  setAll(levels, colours) {
    this.previewed = null;
    this.setFound(levels);
    this.setColours(this.whole, colours);
  }

  /** Fetch trimap and cut-out of the whole picture. */
  async fetchAll(signal) {
    const parts = ["trimap", "pixels"].map(async (what) => (await this.get(what, signal)).arrayBuffer());
    const [levels, colours] = await Promise.all(parts);
    this.setAll(new Uint8Array(levels), new Uint8ClampedArray(colours));
  }

  /** Fetch what the service keeps of it. */
  get(what, signal) {
    return ask("GET", `/v1/pictures/${this.id}/${what}`, null, signal);
  }
}

/** The rectangle around what is painted, in an array of that width; null where nothing is. */
export function around(painted, width) {
  const at = { left: width, top: painted.length / width, right: 0, bottom: 0 };
  for (let i = 0; i < painted.length; i++) {
    if (painted[i] === UNTOUCHED) continue;
    const x = i % width, y = Math.floor(i / width);
    at.left = Math.min(at.left, x);
    at.right = Math.max(at.right, x + 1);
    at.top = Math.min(at.top, y);
    at.bottom = y + 1;
  }
  return at.right ? at : null;
}

export function canvasOf(width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  return canvas;
}

function copy(array, stride, { left, top, right, bottom }, size) {
  const row = size * (right - left);
  const part = new array.constructor(row * (bottom - top));
  for (let y = top; y < bottom; y++) {
    const start = size * (y * stride + left);
    part.set(array.subarray(start, start + row), row * (y - top));
  }
  return part;
}

function paste(array, stride, { left, top, right, bottom }, part, size) {
  const row = size * (right - left);
  for (let y = top; y < bottom; y++) {
    array.set(part.subarray(row * (y - top), row * (y - top + 1)), size * (y * stride + left));
  }
}
