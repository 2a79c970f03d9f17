// What is seen of a picture: layers, zoom and pan, cursor.

import { canvasOf } from "./picture.js";

const SQUARE = 8;
const CHECKS = ["#999", "#666"];

export class View {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.picture = null;
    this.scale = 1;
    this.x = 0; // of the picture's corner on the canvas, in CSS pixels
    this.y = 0;
    this.cursor = null; // where keys and pointer are, in pixels of the picture
    this.radius = 0; // of the brush, in pixels of the picture; 0 for none
    this.box = null; // being drawn
    this.look = { show: "checks", film: false, ghost: false, wipe: null, colour: "#2a7de1", behind: null, unsure: null };
    this.asked = false;
    new ResizeObserver(() => this.resize()).observe(canvas);
  }

  resize() {
    const ratio = window.devicePixelRatio || 1;
    const { clientWidth, clientHeight } = this.canvas;
    const was = this.fitted;
    this.canvas.width = Math.max(1, Math.round(clientWidth * ratio));
    this.canvas.height = Math.max(1, Math.round(clientHeight * ratio));
    if (was) this.fit();
    this.resized?.();
    this.draw();
  }

  show(picture) {
    const size = picture && this.sizeOf(picture);
    const other = picture !== this.picture || String(size) !== this.size;
    this.picture = picture;
    this.size = String(size);
    if (other && size) this.fit();
    this.draw();
  }

  sizeOf(picture) {
    if (picture.width) return [picture.width, picture.height];
    return picture.photo ? [picture.photo.width, picture.photo.height] : null;
  }

  fit() {
    const size = this.picture && this.sizeOf(this.picture);
    if (!size) return;
    const { clientWidth, clientHeight } = this.canvas;
    this.scale = Math.min(clientWidth / size[0], clientHeight / size[1], 8) * 0.96;
    this.x = (clientWidth - size[0] * this.scale) / 2;
    this.y = (clientHeight - size[1] * this.scale) / 2;
    this.fitted = true;
    this.draw();
  }

  /** Zoom by a factor around a point of the canvas, by default its middle. */
  zoom(factor, x = this.canvas.clientWidth / 2, y = this.canvas.clientHeight / 2) {
    const scale = Math.min(Math.max(this.scale * factor, 0.01), 40);
    this.x = x - (x - this.x) * (scale / this.scale);
    this.y = y - (y - this.y) * (scale / this.scale);
    this.scale = scale;
    this.fitted = false;
    this.draw();
  }

  pan(dx, dy) {
    this.x += dx;
    this.y += dy;
    this.fitted = false;
    this.draw();
  }

  /** The pixel of the picture at a point of the page. */
  at(event) {
    const corner = this.canvas.getBoundingClientRect();
    return { x: (event.clientX - corner.left - this.x) / this.scale, y: (event.clientY - corner.top - this.y) / this.scale };
  }

  draw() {
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame(() => {
      this.asked = false;
      this.paint();
    });
  }

  paint() {
    const { context, canvas, picture } = this;
    const ratio = window.devicePixelRatio || 1;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    const size = picture && this.sizeOf(picture);
    if (!size) return;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.imageSmoothingEnabled = this.scale < 3;
    const [width, height] = size.map((side) => side * this.scale);
    context.save();
    context.beginPath();
    context.rect(this.x, this.y, width, height);
    context.clip();
    const ready = picture.state === "ready";
    if (!ready || this.look.show === "photo") this.put(picture.photo, width, height);
    else this.paintResult(width, height);
    if (ready && this.look.wipe !== null) this.paintWipe(width, height);
    if (ready && this.look.film) this.put(picture.film, width, height);
    context.restore();
    if (ready) this.paintMarks();
  }

  put(layer, width, height) {
    if (layer) this.context.drawImage(layer, this.x, this.y, width, height);
  }

  paintResult(width, height) {
    const { context, look, picture } = this;
    if (look.show === "unsure" && look.unsure) return this.put(look.unsure, width, height);
    if (look.show === "alpha") return this.put(this.alphaLayer(), width, height);
    context.fillStyle = { black: "#000", white: "#fff", colour: look.colour }[look.show] ?? this.checks();
    context.fillRect(this.x, this.y, width, height);
    if (look.show === "picture" && look.behind) cover(context, look.behind, this.x, this.y, width, height);
    if (look.show === "checks" && (look.ghost || picture.empty)) {
      context.globalAlpha = picture.empty ? 1 : 0.35; // so that the hand sees what it works on
      this.put(picture.photo, width, height);
      context.globalAlpha = 1;
    }
    this.put(picture.result, width, height);
  }

  checks() {
    const tile = canvasOf(2 * SQUARE, 2 * SQUARE);
    const context = tile.getContext("2d");
    for (const [i, x, y] of [[0, 0, 0], [1, 1, 0], [1, 0, 1], [0, 1, 1]]) {
      context.fillStyle = CHECKS[i];
      context.fillRect(x * SQUARE, y * SQUARE, SQUARE, SQUARE);
    }
    this.pattern ??= this.context.createPattern(tile, "repeat");
    return this.pattern;
  }

  /** Alpha as grey, made again when the result has changed. */
  alphaLayer() {
    const { picture } = this;
    if (picture.alpha?.version !== picture.version) {
      const layer = canvasOf(picture.width, picture.height);
      const data = new ImageData(picture.width, picture.height);
      for (let i = 0; i < data.data.length; i += 4) {
        data.data.fill(picture.pixels[i + 3], i, i + 3);
        data.data[i + 3] = 255;
      }
      layer.getContext("2d").putImageData(data, 0, 0);
      picture.alpha = { version: picture.version, layer };
    }
    return picture.alpha.layer;
  }

  paintWipe(width, height) {
    const { context, look, picture } = this;
    const at = this.x + width * look.wipe;
    context.save();
    context.beginPath();
    context.rect(this.x, this.y, width * look.wipe, height);
    context.clip();
    this.put(picture.photo, width, height);
    context.restore();
    context.fillStyle = "#fff";
    context.fillRect(at - 1, this.y, 2, height);
  }

  /** Points, boxes and the cursor, over all else. */
  paintMarks() {
    const { context, picture } = this;
    const place = (x, y) => [this.x + x * this.scale, this.y + y * this.scale];
    for (const { x, y, kind } of picture.points) {
      const [left, top] = place(x + 0.5, y + 0.5);
      disc(context, left, top, 6, kind === "add" ? "#2f8fff" : "#d8347e");
    }
    for (const [box, dash] of [[picture.box, [6, 4]], [this.box, []]]) {
      if (!box) continue;
      const [left, top] = place(box[0], box[1]);
      context.setLineDash(dash);
      frame(context, () => context.strokeRect(left, top, (box[2] - box[0]) * this.scale, (box[3] - box[1]) * this.scale));
      context.setLineDash([]);
    }
    if (!this.cursor) return;
    const [x, y] = place(this.cursor.x, this.cursor.y);
    frame(context, () => {
      context.beginPath();
      if (this.radius) context.arc(x, y, Math.max(2, this.radius * this.scale), 0, 2 * Math.PI);
      for (const [dx, dy] of [[7, 0], [0, 7]]) {
        context.moveTo(x - dx, y - dy);
        context.lineTo(x + dx, y + dy);
      }
      context.stroke();
    });
  }
}

/** Draw lines that are seen over anything: white in black. */
function frame(context, lines) {
  for (const [width, colour] of [[3, "#000a"], [1.4, "#fff"]]) {
    context.lineWidth = width;
    context.strokeStyle = colour;
    lines();
  }
}

function disc(context, x, y, radius, colour) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fillStyle = colour;
  context.fill();
  frame(context, () => context.stroke());
}

function cover(context, layer, x, y, width, height) {
  const scale = Math.max(width / layer.width, height / layer.height);
  const [across, down] = [width / scale, height / scale];
  context.drawImage(layer, (layer.width - across) / 2, (layer.height - down) / 2, across, down, x, y, width, height);
}
