// The timeline: the events around the place where the viewer is, newest below; a click goes there.

import { el } from "./dom.js";
import { idOf } from "./fold_messages.js";
import { eventText, messageLines, seconds } from "./words.js";

const BEFORE = 60;
const AFTER = 25;
const FARTHEST_ROW = 6000;

/** Events that a reader wants first: no messages, nothing of level debug. */
export function isNotable(event) {
  return !event.event.startsWith("message.") && event.level !== "debug" && event.event !== "status.seen";
}

export class EventsList {
  constructor(root, history, { onPlace, onWhy, shows }) {
    this.root = root;
    this.history = history;
    this.onPlace = onPlace;
    this.onWhy = onWhy;
    this.shows = shows; // which events are wanted now
    this.listed = []; // places in the history
    this._key = "";
  }

  draw(place) {
    const wanted = this.shows();
    const key = `${place}|${this.history.length}|${wanted.name}|${wanted.version ?? 0}`;
    if (key === this._key) return;
    this._key = key;
    const before = this._collect(place - 1, -1, BEFORE, wanted).reverse();
    const after = this._collect(place, 1, AFTER, wanted);
    const current = before.length ? before[before.length - 1] : -1;
    this.listed = [...before, ...after];
    const rows = this.listed.map((i) => this._row(i, i === current, i >= place));
    this.root.replaceChildren(...rows);
    const here = this.root.querySelector(".current");
    if (here) this.root.scrollTop = here.offsetTop - this.root.clientHeight * 0.62;
  }

  _collect(from, by, most, wanted) {
    const found = [];
    const { events } = this.history;
    for (let i = from, looked = 0; i >= 0 && i < events.length && found.length < most && looked < FARTHEST_ROW; i += by, looked += 1) {
      if (wanted(events[i])) found.push(i);
    }
    return found;
  }

  _row(i, current, later) {
    const event = this.history.events[i];
    const kind = event.event.split(".")[0];
    const classes = ["event", `of-${kind}`, `level-${event.level}`];
    if (event.event === "story.told") classes.push("told");
    if (current) classes.push("current");
    if (later) classes.push("later");
    return el(
      "li",
      { class: classes.join(" "), "aria-current": current ? "true" : null },
      el(
        "button",
        { type: "button", title: nameOf(event), onclick: () => this.onPlace(i + 1) },
        el("span", { class: "at" }, seconds(event.at)),
        el("span", { class: "said" }, eventText(event)),
      ),
      current ? el("button", { type: "button", class: "ask", onclick: () => this.onWhy(event) }, "Why?") : null,
    );
  }
}

/** What a pointer that rests on a row is told: the event's id, and all that a message says. */
function nameOf(event) {
  if (!event.event.startsWith("message.")) return `n${event.node}:${event.t}`;
  const ends = { id: idOf(event), from: event.from ?? event.node, to: event.to ?? event.node };
  return messageLines({ ...event, ...ends }).join("\n");
}
