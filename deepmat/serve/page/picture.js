// A picture that is worked on: its photo, trimap and cut-out, and what can be undone.

import { ask } from "./service.js";

export const FOREGROUND = 255, UNKNOWN = 128, BACKGROUND = 0;
export const UNTOUCHED = 1; // no level of a trimap: what no brush has painted
const FILM = { [FOREGROUND]: [30, 120, 255, 110], [UNKNOWN]: [255, 200, 0, 130], [BACKGROUND]: [216, 52, 126, 95] };

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
    this.finding = 0; // clicks and boxes that are under way: brushes wait for them
  }

  /** Take the size, and arrays for trimap and result (straight RGBA). */
  begin(width, height) {
    this.width = width;
    this.height = height;
    this.trimap = new Uint8Array(width * height);
    this.found = new Uint8Array(width * height); // the trimap as it was found
    this.painted = new Uint8Array(width * height).fill(UNTOUCHED); // levels that brushes have painted
    this.pixels = new Uint8ClampedArray(4 * width * height);
    this.result = canvasOf(width, height);
    this.film = canvasOf(width, height);
  }

  get whole() {
    return { left: 0, top: 0, right: this.width, bottom: this.height };
  }

  /** Copy a rectangle of the trimap; from: another array of the picture's size. */
  levels(at, from = this.trimap) {
    return copy(from, this.width, at, 1);
  }

  colours(at) {
    return copy(this.pixels, this.width, at, 4);
  }

  setLevels(at, levels) {
    paste(this.trimap, this.width, at, levels, 1);
    this.drawFilm(at);
  }

  /** Trimap and strokes as they are now, for part(). */
  copied() {
    return { trimap: this.trimap.slice(), painted: this.painted.slice() };
  }

  /** A rectangle of trimap and strokes; from: of an earlier time. */
  part(at, from = this) {
    return { levels: this.levels(at, from.trimap), painted: this.levels(at, from.painted) };
  }

  setPart(at, { levels, painted }) {
    paste(this.painted, this.width, at, painted, 1);
    this.setLevels(at, levels);
  }

  /** Lay what brushes have painted over the trimap. Returns the rectangle around it, or null where there is none. */
  repaint() {
    const at = { left: this.width, top: this.height, right: 0, bottom: 0 };
    for (let i = 0; i < this.painted.length; i++) {
      if (this.painted[i] === UNTOUCHED) continue;
      this.trimap[i] = this.painted[i];
      const x = i % this.width, y = Math.floor(i / this.width);
      at.left = Math.min(at.left, x);
      at.right = Math.max(at.right, x + 1);
      at.top = Math.min(at.top, y);
      at.bottom = y + 1;
    }
    if (at.right === 0) return null;
    this.drawFilm(at);
    return at;
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
    const levels = this.levels(at);
    const data = new ImageData(at.right - at.left, at.bottom - at.top);
    for (let i = 0; i < levels.length; i++) data.data.set(FILM[levels[i]], 4 * i);
    this.film.getContext("2d").putImageData(data, at.left, at.top);
  }

  /** Fetch trimap and cut-out of the whole picture. */
  async fetchAll() {
    const [levels, colours] = await Promise.all(
      ["trimap", "pixels"].map(async (what) => (await ask("GET", `/v1/pictures/${this.id}/${what}`)).arrayBuffer()));
    this.setLevels(this.whole, new Uint8Array(levels));
    this.setColours(this.whole, new Uint8ClampedArray(colours));
  }
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
