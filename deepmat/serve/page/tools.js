// Tools: what pointer and keys do to the picture.

import { BACKGROUND, FOREGROUND, UNKNOWN, UNTOUCHED } from "./picture.js";
import { find, stroke } from "./edits.js";

export const BRUSHES = { foreground: FOREGROUND, background: BACKGROUND, unknown: UNKNOWN, eraser: UNTOUCHED };
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export class Tools {
  constructor(view, changed) {
    this.view = view;
    this.changed = changed;
    this.tool = "move";
    this.size = 40;
    this.pointers = new Map(); // those that are down, by id
    this.stroke = null;
    const { canvas } = view;
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (event) => this.up(event));
    canvas.addEventListener("pointerleave", () => this.point(null));
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    canvas.addEventListener("keydown", (event) => this.key(event));
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  }

  choose(tool, size = this.size) {
    this.tool = tool;
    this.size = size;
    this.view.radius = tool in BRUSHES ? size / 2 : 0;
    this.view.box = null;
    this.view.look.ghost = tool !== "move";
    this.view.canvas.style.cursor = tool === "move" ? "grab" : "crosshair";
    this.view.draw();
  }

  get picture() {
    const { picture } = this.view;
    return picture?.state === "ready" ? picture : null;
  }

  point(at) {
    this.view.cursor = at;
    this.view.draw();
  }

  wheel(event) {
    event.preventDefault();
    const corner = this.view.canvas.getBoundingClientRect();
    this.view.zoom(Math.exp(-event.deltaY / 400), event.clientX - corner.left, event.clientY - corner.top);
    this.changed();
  }

  down(event) {
    this.view.canvas.focus();
    this.view.canvas.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, event);
    if (this.pointers.size > 1) return this.drop(); // two fingers move and zoom
    if (event.button === 1 || this.tool === "move" || !this.picture) return;
    const at = this.view.at(event);
    if (this.tool in BRUSHES) this.begin(at);
    else if (this.tool === "box") this.view.box = [at.x, at.y, at.x, at.y];
    else this.click(at);
  }

  move(event) {
    const before = this.pointers.get(event.pointerId);
    this.point(this.view.at(event));
    if (!before) return;
    if (this.pointers.size > 1) this.pinch(event);
    else if (this.stroke) this.paint(this.view.at(event));
    else if (this.view.box && this.tool === "box") this.stretch(this.view.at(event));
    else this.view.pan(event.clientX - before.clientX, event.clientY - before.clientY);
    this.pointers.set(event.pointerId, event);
  }

  up(event) {
    this.pointers.delete(event.pointerId);
    if (event.pointerType !== "mouse") this.point(null);
    if (this.stroke) this.end();
    else if (this.view.box && this.tool === "box") this.boxed();
  }

  /** Give up what one finger began. */
  drop() {
    this.view.box = null;
    if (!this.stroke) return;
    const { picture, before, at } = this.stroke;
    this.stroke = null;
    if (at) picture.setStrokes(at, picture.strokes(at, before));
    this.view.draw();
  }

  pinch(event) {
    const fingers = (each) => [...each.values()].slice(0, 2);
    const measure = ([one, two]) => ({
      x: (one.clientX + two.clientX) / 2, y: (one.clientY + two.clientY) / 2,
      apart: Math.hypot(one.clientX - two.clientX, one.clientY - two.clientY) || 1 });
    const was = measure(fingers(this.pointers));
    this.pointers.set(event.pointerId, event);
    const is = measure(fingers(this.pointers));
    const corner = this.view.canvas.getBoundingClientRect();
    this.view.pan(is.x - was.x, is.y - was.y);
    this.view.zoom(is.apart / was.apart, is.x - corner.left, is.y - corner.top);
    this.changed();
  }

  click(at) {
    const { picture } = this;
    const [x, y] = [Math.floor(at.x), Math.floor(at.y)];
    if (x < 0 || y < 0 || x >= picture.width || y >= picture.height) return;
    const before = { points: picture.points, box: picture.box };
    picture.points = [...picture.points, { x, y, kind: this.tool }];
    find(picture, before, this.changed);
  }

  stretch(at) {
    this.view.box = [this.view.box[0], this.view.box[1], at.x, at.y];
    this.view.draw();
  }

  boxed() {
    const { picture } = this;
    const [x0, y0, x1, y1] = this.view.box;
    const [left, right] = [x0, x1].sort((a, b) => a - b).map((x) => Math.round(Math.min(Math.max(x, 0), picture.width)));
    const [top, bottom] = [y0, y1].sort((a, b) => a - b).map((y) => Math.round(Math.min(Math.max(y, 0), picture.height)));
    this.view.box = null;
    this.view.draw();
    if (right - left < 3 || bottom - top < 3) return;
    const before = { points: picture.points, box: picture.box };
    picture.box = [left, top, right, bottom];
    picture.points = [];
    find(picture, before, this.changed);
  }

  begin(at) {
    const { picture } = this;
    this.stroke = { picture, before: picture.painted.slice(), at: null, last: at };
    this.paint(at);
  }

  /** Paint discs from the last place to this one. */
  paint(at) {
    const { picture, last } = this.stroke;
    const radius = this.size / 2;
    const steps = Math.max(1, Math.ceil(Math.hypot(at.x - last.x, at.y - last.y) / Math.max(1, radius / 2)));
    const around = {
      left: Math.max(0, Math.floor(Math.min(at.x, last.x) - radius)), top: Math.max(0, Math.floor(Math.min(at.y, last.y) - radius)),
      right: Math.min(picture.width, Math.ceil(Math.max(at.x, last.x) + radius) + 1),
      bottom: Math.min(picture.height, Math.ceil(Math.max(at.y, last.y) + radius) + 1) };
    this.stroke.last = at;
    if (around.left >= around.right || around.top >= around.bottom) return;
    for (let i = 1; i <= steps; i++) {
      this.disc(picture, last.x + ((at.x - last.x) * i) / steps, last.y + ((at.y - last.y) * i) / steps, radius);
    }
    picture.drawFilm(around);
    this.stroke.at = joined(this.stroke.at, around);
    this.view.draw();
  }

  disc(picture, x, y, radius) {
    for (let row = Math.max(0, Math.floor(y - radius)); row <= Math.min(picture.height - 1, y + radius); row++) {
      const half = Math.sqrt(Math.max(0, radius * radius - (row + 0.5 - y) ** 2));
      const [left, right] = [Math.max(0, Math.round(x - half)), Math.min(picture.width, Math.round(x + half))];
      if (left >= right) continue;
      const start = row * picture.width;
      picture.painted.fill(BRUSHES[this.tool], start + left, start + right);
    }
  }

  end() {
    if (!this.stroke) return;
    const { picture, before, at } = this.stroke;
    this.stroke = null;
    if (at) stroke(picture, before, at, this.changed);
  }

  /** Keys on the picture: arrows move the cursor, Enter uses the tool there. */
  key(event) {
    if (event.ctrlKey || event.metaKey) return;
    const arrow = ARROWS[event.key];
    const { view, picture } = this;
    if (arrow && (event.altKey || this.tool === "move")) {
      view.pan(-30 * arrow[0], -30 * arrow[1]);
    } else if (arrow && picture) {
      const step = Math.max(1, (event.shiftKey ? 50 : 8) / view.scale);
      const { x, y } = view.cursor ?? { x: picture.width / 2, y: picture.height / 2 };
      const at = { x: Math.min(Math.max(x + step * arrow[0], 0), picture.width - 1),
        y: Math.min(Math.max(y + step * arrow[1], 0), picture.height - 1) };
      this.point(at);
      if (view.box) this.stretch(at);
    } else if ((event.key === "Enter" || event.key === " ") && picture && this.tool !== "move") {
      this.use(view.cursor ?? { x: picture.width / 2, y: picture.height / 2 });
    } else if (event.key === "Escape") {
      this.drop();
      view.draw();
    } else return;
    event.preventDefault();
  }

  use(at) {
    this.point(at);
    if (this.tool in BRUSHES) {
      this.begin(at);
      this.end();
    } else if (this.tool !== "box") this.click(at);
    else if (this.view.box) this.boxed();
    else this.view.box = [at.x, at.y, at.x, at.y];
  }
}

function joined(one, two) {
  if (!one) return two;
  return { left: Math.min(one.left, two.left), top: Math.min(one.top, two.top),
    right: Math.max(one.right, two.right), bottom: Math.max(one.bottom, two.bottom) };
}
