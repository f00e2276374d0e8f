// The film: window and level, zoom, pan. Panes beside each other show the same part of it.

import { number, percent } from "./texts.js";

const LEAST_ZOOM = 0.02;
const MOST_ZOOM = 32;
const MOST_WIDTH = 1024;
const KEY_GREY = 8;
const KEY_PAN_PX = 60;
const KEY_ZOOM = 1.25;

export class Viewer {
  #picture = null;
  #map = null;
  #view = { scale: 1, x: 0, y: 0, fits: true };
  #grey = { width: 255, level: 127.5, inverted: false };
  #drag = "grey";
  #pointers = new Map();
  #due = false;

  /** @param changed called after each painting */
  constructor(stage, panes, changed) {
    this.stage = stage;
    this.panes = panes;
    this.changed = changed;
    new ResizeObserver(() => this.paint()).observe(stage);
    stage.addEventListener("pointerdown", (event) => this.#down(event));
    stage.addEventListener("pointermove", (event) => this.#moved(event));
    for (const end of ["pointerup", "pointercancel"]) {
      stage.addEventListener(end, (event) => this.#pointers.delete(event.pointerId));
    }
    stage.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    stage.addEventListener("contextmenu", (event) => event.preventDefault());
    stage.addEventListener("dblclick", (event) => this.#doubled(event));
  }

  /** Show a decoded film, or none. */
  show(bitmap) {
    const isOfSameSize = bitmap && this.#picture
      && bitmap.width === this.#picture.width && bitmap.height === this.#picture.height;
    this.#picture = bitmap;
    if (!isOfSameSize) this.#view.fits = true;
    this.paint();
  }

  /** @param map {canvas, strength}, or null: nothing lies over the film */
  lay(map) {
    this.#map = map;
    this.paint();
  }

  /** Another film has other greys: its window and level begin anew; inverted stays inverted. */
  resetWindow() {
    Object.assign(this.#grey, { width: 255, level: 127.5 });
  }

  reset() {
    this.#grey = { width: 255, level: 127.5, inverted: false };
    this.fit();
  }

  fit() {
    this.#view.fits = true;
    this.paint();
  }

  /** One pixel of the film on one of the screen. */
  actual() {
    this.zoom(1 / (this.#view.scale * devicePixelRatio));
  }

  invert() {
    this.#grey.inverted = !this.#grey.inverted;
    this.paint();
    return this.#grey.inverted;
  }

  dragBy(kind) {
    this.#drag = kind;
  }

  get grey() {
    return { ...this.#grey };
  }

  get zoomShare() {
    return this.#view.scale * devicePixelRatio;
  }

  /** Zoom by a factor about a point of a pane, in CSS pixels from its middle. */
  zoom(factor, x = 0, y = 0) {
    if (!this.#picture) return;
    this.#place();
    const view = this.#view;
    const ratio = devicePixelRatio;
    const scale = Math.min(Math.max(view.scale * factor, LEAST_ZOOM / ratio), MOST_ZOOM / ratio);
    view.x += x / view.scale - x / scale;
    view.y += y / view.scale - y / scale;
    view.scale = scale;
    view.fits = false;
    this.paint();
  }

  pan(dx, dy) {
    if (!this.#picture) return;
    this.#place();
    this.#view.x -= dx / this.#view.scale;
    this.#view.y -= dy / this.#view.scale;
    this.#view.fits = false;
    this.paint();
  }

  /** Widen the window and raise the level, in levels of 8 bits. */
  window(width, level) {
    const grey = this.#grey;
    grey.width = Math.min(Math.max(grey.width + width, 1), MOST_WIDTH);
    grey.level = Math.min(Math.max(grey.level + level, -128), 383);
    this.paint();
  }

  /** Do what a key stands for; return whether it stands for anything. */
  key(event) {
    const by = event.shiftKey
      ? { ArrowLeft: [-KEY_GREY, 0], ArrowRight: [KEY_GREY, 0], ArrowUp: [0, -KEY_GREY], ArrowDown: [0, KEY_GREY] }
      : { ArrowLeft: [KEY_PAN_PX, 0], ArrowRight: [-KEY_PAN_PX, 0], ArrowUp: [0, KEY_PAN_PX], ArrowDown: [0, -KEY_PAN_PX] };
    const step = by[event.key];
    if (step && event.shiftKey) this.window(...step);
    else if (step) this.pan(...step);
    else if (event.key === "+" || event.key === "=") this.zoom(KEY_ZOOM);
    else if (event.key === "-") this.zoom(1 / KEY_ZOOM);
    else if (event.key === "0") this.fit();
    else if (event.key === "1") this.actual();
    else return false;
    return true;
  }

  /** Paint with the next frame, once however much has changed. */
  paint() {
    if (this.#due) return;
    this.#due = true;
    requestAnimationFrame(() => this.#paintNow());
  }

  #paintNow() {
    this.#due = false;
    for (const pane of this.panes) {
      if (pane.root.hidden) continue;
      const canvas = pane.canvas;
      canvas.width = Math.max(1, Math.round(pane.root.clientWidth * devicePixelRatio));
      canvas.height = Math.max(1, Math.round(pane.root.clientHeight * devicePixelRatio));
      if (this.#picture) {
        this.#place();
        this.#draw(canvas, this.#corner(canvas), pane.hasMap);
      }
    }
    this.changed();
  }

  /** The whole film, as it is windowed now, on a canvas of its own. */
  still(hasMap, mostPx) {
    const { width, height } = this.#picture;
    const scale = Math.min(1, mostPx / Math.max(width, height));
    const canvas = document.createElement("canvas");
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    this.#draw(canvas, { x: 0, y: 0, scale }, hasMap);
    return canvas;
  }

  #draw(canvas, { x, y, scale }, hasMap) {
    const pen = canvas.getContext("2d", { willReadFrequently: true });
    const { width, height } = this.#picture;
    pen.imageSmoothingEnabled = scale < 4; // larger, pixels are shown as what they are
    pen.imageSmoothingQuality = "high";
    pen.drawImage(this.#picture, x, y, width * scale, height * scale);
    const left = Math.max(0, Math.floor(x));
    const top = Math.max(0, Math.floor(y));
    const right = Math.min(canvas.width, Math.ceil(x + width * scale));
    const bottom = Math.min(canvas.height, Math.ceil(y + height * scale));
    if (right <= left || bottom <= top) return;
    this.#shade(pen, left, top, right - left, bottom - top);
    if (!hasMap || !this.#map) return;
    pen.globalAlpha = this.#map.strength;
    pen.imageSmoothingEnabled = true;
    pen.drawImage(this.#map.canvas, x, y, width * scale, height * scale);
    pen.globalAlpha = 1;
  }

  #shade(pen, left, top, width, height) {
    const { width: window, level, inverted } = this.#grey;
    if (window === 255 && level === 127.5 && !inverted) return;
    const table = new Uint8ClampedArray(256);
    for (let value = 0; value < 256; value++) {
      const share = (value - level) / window + 0.5;
      table[value] = 255 * (inverted ? 1 - share : share);
    }
    const picture = pen.getImageData(left, top, width, height);
    const data = picture.data;
    for (let place = 0; place < data.length; place += 4) {
      data[place] = table[data[place]];
      data[place + 1] = table[data[place + 1]];
      data[place + 2] = table[data[place + 2]];
    }
    pen.putImageData(picture, left, top);
  }

  /** Where the film's corner lies on a canvas, in its pixels, and their number for one of the film. */
  #corner(canvas) {
    const scale = this.#view.scale * devicePixelRatio;
    const { width, height } = this.#picture;
    return { // whole pixels: at 1:1 nothing is mixed
      scale,
      x: Math.round(canvas.width / 2 - (width / 2 + this.#view.x) * scale),
      y: Math.round(canvas.height / 2 - (height / 2 + this.#view.y) * scale),
    };
  }

  /** Work out the scale of a film that fits. */
  #place() {
    const view = this.#view;
    const pane = this.panes.find((each) => !each.root.hidden).root;
    if (!view.fits || !this.#picture) return;
    const { width, height } = this.#picture;
    Object.assign(view, {
      scale: Math.min(pane.clientWidth / width, pane.clientHeight / height) || 1, x: 0, y: 0,
    });
  }

  #inPane(event) {
    const pane = event.target.closest(".pane") ?? this.panes[0].root;
    const box = pane.getBoundingClientRect();
    return [event.clientX - box.left - box.width / 2, event.clientY - box.top - box.height / 2];
  }

  #down(event) {
    if (!this.#picture || !event.target.closest(".pane")) return;
    this.stage.setPointerCapture(event.pointerId);
    this.#pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    this.stage.focus({ preventScroll: true });
    event.preventDefault();
  }

  #moved(event) {
    const before = this.#pointers.get(event.pointerId);
    if (!before) return;
    const dx = event.clientX - before.x;
    const dy = event.clientY - before.y;
    const other = [...this.#pointers].find(([id]) => id !== event.pointerId)?.[1];
    Object.assign(before, { x: event.clientX, y: event.clientY });
    if (other) {
      const now = Math.hypot(event.clientX - other.x, event.clientY - other.y);
      const then = Math.hypot(event.clientX - dx - other.x, event.clientY - dy - other.y);
      if (then > 0) this.zoom(now / then);
      this.pan(dx / 2, dy / 2);
    } else if (this.#drag === "pan" || event.shiftKey || event.buttons & 6) {
      this.pan(dx, dy);
    } else {
      // A window twice as wide is changed twice as fast: a narrow one finely.
      const speed = Math.max(0.25, this.#grey.width / 255);
      this.window(dx * speed, dy * speed);
    }
  }

  #wheel(event) {
    if (!this.#picture) return;
    event.preventDefault();
    const pixels = event.deltaMode === 1 ? event.deltaY * 16 : event.deltaY;
    this.zoom(Math.exp(-pixels / 400), ...this.#inPane(event));
  }

  #doubled(event) {
    if (this.#view.fits) this.zoom(1 / this.zoomShare, ...this.#inPane(event));
    else this.fit();
  }
}

/** What is written in the film's corner of its greys: in the file's own values where they are known. */
export function describeGrey(grey, dicom) {
  let { width, level } = grey;
  const window = dicom?.window;
  if (window?.rendering.startsWith("linear") && window.width) {
    level = window.center + (level / 255 - 0.5) * window.width;
    width *= window.width / 255;
  }
  return `W ${number(Math.round(width))}  L ${number(Math.round(level))}`;
}

export const describeZoom = (share) => percent(share, share < 0.1 ? 1 : 0);
