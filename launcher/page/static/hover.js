// What a message says, at the pointer. A message is on its way for half a second: what it says stays
// until the pointer moves.

import { fill, el } from "./dom.js";

const NEAR = 24;

export class Hover {
  /** flights: has `drawn`: [{lines, from, to}], the places in the picture's own units */
  constructor(stage, tip, flights) {
    this.stage = stage;
    this.tip = tip;
    this.flights = flights;
    this._at = null;
    stage.addEventListener("pointermove", (event) => this._move(event));
    stage.addEventListener("pointerleave", () => this._forget());
    stage.addEventListener("pointerdown", () => this._forget());
  }

  /** After each picture: whether a message is at the pointer now. */
  look() {
    if (this._at === null || this._shown) return;
    const matrix = this.stage.getScreenCTM();
    if (matrix === null) return;
    const { x, y } = new DOMPoint(...this._at).matrixTransform(matrix.inverse());
    let nearest = null;
    let least = NEAR;
    for (const one of this.flights.drawn) {
      const far = distance([x, y], one.from, one.to);
      if (far < least) [nearest, least] = [one, far];
    }
    if (nearest !== null) this._show(nearest.lines);
  }

  _move(event) {
    this._forget();
    if (event.buttons === 0) this._at = [event.clientX, event.clientY];
    this.look();
  }

  _forget() {
    this._at = null;
    this._shown = false;
    this.tip.hidden = true;
  }

  _show(lines) {
    this._shown = true;
    fill(this.tip, ...lines.map((line) => el("p", {}, line)));
    this.tip.hidden = false;
    const { width, height } = this.tip.getBoundingClientRect();
    const [x, y] = this._at;
    this.tip.style.left = `${Math.max(4, Math.min(x + 14, innerWidth - width - 8))}px`;
    this.tip.style.top = `${Math.max(4, Math.min(y + 14, innerHeight - height - 8))}px`;
  }
}

/** From a point to a piece of a line, which may be a point as well. */
function distance([x, y], [ax, ay], [bx, by]) {
  const long = (bx - ax) ** 2 + (by - ay) ** 2;
  const share = long === 0 ? 0 : Math.max(0, Math.min(1, ((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / long));
  return Math.hypot(x - (ax + share * (bx - ax)), y - (ay + share * (by - ay)));
}
