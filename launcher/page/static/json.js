// What a panel shows, as JSON at one click. It is made only while it is open, and stays open while
// the panel changes.

import { setText } from "./dom.js";
import { printable } from "./words.js";

const MOST = 200_000;
const AGAIN_MS = 500;

export class Json {
  /** produce: the value of each panel, by the name in `data-json` */
  constructor(produce) {
    this._parts = [...document.querySelectorAll("details[data-json]")].map((details) => {
      const part = { details, produce: produce[details.dataset.json], at: -AGAIN_MS };
      details.addEventListener("toggle", () => this._show(part));
      return part;
    });
  }

  /** At most twice a second: some of it looks at all events. */
  draw() {
    const now = performance.now();
    for (const part of this._parts) if (part.details.open && now - part.at >= AGAIN_MS) this._show(part);
  }

  _show(part) {
    if (!part.details.open) return;
    part.at = performance.now();
    const text = JSON.stringify(part.produce() ?? null, null, 1);
    setText(part.details.querySelector("pre"), printable(text, MOST).replaceAll("\\u000a", "\n"));
  }
}
