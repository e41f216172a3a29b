// All events of a run in order, and the state after any number of them, fast in both directions.
//
// A state is kept after every STRIDE events; states share what did not change between them. A jump
// to anywhere folds at most STRIDE events.

import { EMPTY, fold } from "./fold.js";
import { idOf } from "./fold_messages.js";

const STRIDE = 256;
const MOST_HELD = 200_000;
const AT_ONCE = 50_000;

export class History {
  constructor() {
    this.events = [];
    this.arrivals = new Map(); // message id -> index of the event that ends its flight
    this.forgotten = 0; // events that a long live run had before these
    this._base = EMPTY;
    this._kept = [EMPTY];
    this._place = 0;
    this._state = EMPTY;
  }

  get length() {
    return this.events.length;
  }

  /** More events at the end. One whose time is earlier than the last goes to its place. */
  add(events) {
    let earliest = this.events.length;
    for (const event of events) {
      let place = this.events.length;
      while (place > 0 && this.events[place - 1].at > event.at) place -= 1;
      this.events.splice(place, 0, event);
      earliest = Math.min(earliest, place);
    }
    if (earliest < this.events.length - events.length) this._forgetAfter(earliest);
    this._index(earliest);
    return earliest;
  }

  /** Forgets the oldest events when there are too many; how many it has forgotten. */
  trim(most = MOST_HELD, atOnce = AT_ONCE) {
    if (this.events.length <= most) return 0;
    this._base = this.at(atOnce);
    this.events = this.events.slice(atOnce);
    this._kept = [this._base];
    this._place = 0;
    this._state = this._base;
    this.arrivals.clear();
    this._index(0);
    this.forgotten += atOnce;
    return atOnce;
  }

  /** As if nothing had happened. */
  clear() {
    this.events = [];
    this.arrivals.clear();
    this._base = EMPTY;
    this._kept = [EMPTY];
    this._place = 0;
    this._state = EMPTY;
  }

  /** The state after the first `place` events. */
  at(place) {
    const wanted = Math.max(0, Math.min(place, this.events.length));
    let from = this._place;
    let state = this._state;
    const kept = Math.min(Math.floor(wanted / STRIDE), this._kept.length - 1);
    if (from > wanted || kept * STRIDE > from) {
      from = kept * STRIDE;
      state = this._kept[kept];
    }
    for (let i = from; i < wanted; i += 1) {
      state = fold(state, this.events[i]);
      if ((i + 1) % STRIDE === 0 && (i + 1) / STRIDE === this._kept.length) this._kept.push(state);
    }
    this._place = wanted;
    this._state = state;
    return state;
  }

  /** How many events have happened by this time. */
  placeAt(at) {
    let low = 0;
    let high = this.events.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.events[middle].at <= at) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Times of the first and the last event, in seconds. */
  get span() {
    if (!this.events.length) return [0, 0];
    return [this.events[0].at, this.events[this.events.length - 1].at];
  }

  _forgetAfter(place) {
    this._kept.length = Math.min(this._kept.length, Math.floor(place / STRIDE) + 1);
    if (this._place > place) {
      this._place = (this._kept.length - 1) * STRIDE;
      this._state = this._kept[this._kept.length - 1];
    }
    this.arrivals.clear();
    this._index(0);
  }

  _index(from) {
    for (let i = from; i < this.events.length; i += 1) {
      const kind = this.events[i].event;
      if (kind === "message.received" || kind === "message.lost") this.arrivals.set(idOf(this.events[i]), i);
    }
  }
}
