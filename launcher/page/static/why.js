// Why something happened: the tree of causes, beside the picture, and lit up in it.

import { api, hasToken } from "./api.js";
import { el, fill } from "./dom.js";
import { idOf } from "./fold_messages.js";
import { unpacked } from "./packed.js";
import { eventText, printable } from "./words.js";

export class Why {
  constructor(root, page) {
    this.root = root;
    this.page = page;
    this.lit = { nodes: new Set(), messages: [] };
    this._places = new Map();
    this._known = 0;
    this._embedded = null;
    this.clear();
  }

  clear() {
    this.lit = { nodes: new Set(), messages: [] };
    this.tree = null; // as the server gave it
    fill(this.root, el("p", { class: "hint" }, "Choose an event in the timeline, and then “Why?” (or press W)."));
  }

  /** Shows the causes of an event of the history. */
  async ask(event) {
    const name = event.event.startsWith("message.") ? idOf(event) : `n${event.node}:${event.t}`;
    fill(this.root, el("h3", {}, eventText(event)), el("p", { class: "hint" }, "…"));
    try {
      const tree = await this._tree(name);
      this.tree = tree;
      this._light(tree);
      fill(
        this.root,
        el("h3", {}, `Why: ${eventText(event)}`),
        el("ul", { class: "causes" }, ...this._items(tree, true)),
        ...tree.notes.map((note) => el("p", { class: "hint" }, printable(note))),
      );
    } catch (error) {
      this.clear();
      fill(this.root, el("h3", {}, `Why: ${eventText(event)}`), el("p", { class: "hint" }, error.message));
    }
    this.page.redraw();
  }

  async _tree(name) {
    const embedded = document.getElementById("causes");
    if (embedded) {
      this._embedded ??= await unpacked(embedded.textContent);
      if (this._embedded[name]) return this._embedded[name];
      throw new Error("This file explains only some elections. `launcher page RECORDED` explains every event.");
    }
    if (!hasToken()) throw new Error("the token is missing");
    return api(`/why?of=${encodeURIComponent(name)}`);
  }

  _items(cause, root = false) {
    const place = cause.id ? this._placeOf(cause.id) : undefined;
    const said = `${printable(cause.said)}${cause.only_before ? " (only before it, not known to be its cause)" : ""}`;
    const text = place === undefined
      ? el("span", {}, said)
      : el("button", { type: "button", class: "cause", onclick: () => this.page.act(() => this.page.player.goTo(place + 1)) }, said);
    const below = (cause.because ?? []).flatMap((one) => this._items(one));
    return [el("li", { class: root ? "root" : null }, text, below.length ? el("ul", {}, ...below) : null)];
  }

  /** The place of an event, or of what became of a message; undefined when it is not in the page. */
  _placeOf(name) {
    const { events } = this.page.history;
    if (this._known > events.length) this._places.clear();
    for (let i = this._known > events.length ? 0 : this._known; i < events.length; i += 1) {
      const event = events[i];
      this._places.set(event.event.startsWith("message.") ? idOf(event) : `n${event.node}:${event.t}`, i);
    }
    this._known = events.length;
    return this._places.get(name);
  }

  _light(tree) {
    this.lit = { nodes: new Set(), messages: [] };
    const visit = (cause) => {
      const message = /^n(\d+):\d+>n(\d+)$/.exec(cause.id ?? "");
      const node = /^n(\d+):\d+$/.exec(cause.id ?? "");
      const same = message && this.lit.messages.some((one) => one.from === Number(message[1]) && one.to === Number(message[2]) && one.type === cause.event);
      if (message && !same) this.lit.messages.push({ from: Number(message[1]), to: Number(message[2]), type: cause.event, lost: /\blost\b/.test(cause.said) });
      else if (node && node[1] !== "0") this.lit.nodes.add(Number(node[1]));
      for (const one of cause.because ?? []) visit(one);
    };
    visit(tree);
  }
}
