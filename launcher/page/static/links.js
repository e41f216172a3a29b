// The matrix of links: from each row's node to each column's. Its cells stay the same elements, so
// that one keeps the focus of the keyboard while its number changes.

import { el, fill, setText } from "./dom.js";
import { isCut, nodeName, printable } from "./words.js";

export class LinkMatrix {
  /** onLink: what a click on a cell does, with both nodes and the cell; null: cells are only read */
  constructor(root, onLink = null) {
    this.root = root;
    this.onLink = onLink;
    this._ids = null;
    this._cells = new Map();
  }

  draw(state) {
    const ids = Object.keys(state.nodes).map(Number).sort((a, b) => a - b);
    if (ids.join() !== this._ids) this._begin(ids);
    for (const [link, cell] of this._cells) {
      const does = state.links[link] ?? "";
      const sign = !does ? "" : isCut(does) ? "✂ " : "~ ";
      setText(cell.shown, `${sign}${state.counts[link] ?? 0}`);
      if (cell.does === does) continue;
      cell.does = does;
      cell.td.className = does ? (isCut(does) ? "cut" : "slow") : "";
      cell.shown.title = printable(does || "whole");
    }
  }

  _begin(ids) {
    this._ids = ids.join();
    this._cells.clear();
    const head = el("tr", {}, el("th", { scope: "col" }, "from \\ to"), ...ids.map((id) => el("th", { scope: "col" }, nodeName(id))));
    const rows = ids.map((a) => el("tr", {}, el("th", { scope: "row" }, nodeName(a)), ...ids.map((b) => this._cell(a, b))));
    const hint = "The number of messages sent so far, and what a fault does to the link.";
    fill(
      this.root,
      el("h3", {}, "Links"),
      el("p", { class: "hint" }, this.onLink ? `${hint} Choose one to cut or slow it.` : hint),
      el("div", { class: "scrolls", tabindex: "0" }, el("table", { class: "matrix" }, head, ...rows)),
    );
  }

  _cell(a, b) {
    if (a === b) return el("td", { class: "self" }, "–");
    const shown = this.onLink
      ? el("button", { type: "button", "data-cell": `${a}>${b}`, onclick: () => this.onLink(a, b, shown) })
      : el("span");
    const td = el("td", {}, shown);
    this._cells.set(`${a}>${b}`, { td, shown, does: null });
    return td;
  }
}
