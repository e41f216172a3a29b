// Where in the run the viewer is: a place among the events, and a time. It plays, steps in both
// directions, and jumps; live, it stays at the newest event.

export const SPEEDS = [1 / 500, 1 / 200, 1 / 100, 1 / 50, 1 / 20, 1 / 10, 1 / 5, 1 / 2, 1, 2, 5, 10];

export class Player {
  constructor(history, { live = false, slow = 1 / 20 } = {}) {
    this.history = history;
    this.place = 0;
    this.now = 0;
    this.playing = false;
    this.following = live; // stays at the newest event
    this.live = live;
    this.slow = live ? 1 : slow; // seconds of the run for each of the viewer's
    this.stepped = false; // the event before `place` is to be shown as an arrow
  }

  get state() {
    return this.history.at(this.place);
  }

  /** Time goes on for the viewer. Returns whether anything is to be drawn anew. */
  pass(elapsed_s) {
    if (!this.playing) return false;
    const [, end] = this.history.span;
    this.now += elapsed_s * this.slow;
    if (this.following) {
      // A little behind what arrives, so that messages travel evenly; never further than half a second.
      if (this.now < end - 0.5) this.now = end - 0.1;
      if (this.now > end + 0.4) this.now = end + 0.4;
    } else if (this.now >= end) {
      this.now = end;
      if (this.live) this.following = true;
      else this.playing = false;
    }
    this.place = this.history.placeAt(this.now);
    this.stepped = false;
    return true;
  }

  play() {
    const [begin, end] = this.history.span;
    if (!this.live && this.now >= end) this.seek(begin);
    this.playing = true;
    this.stepped = false;
  }

  /** Nothing has happened any more. */
  restart() {
    this.place = 0;
    this.now = 0;
    this.stepped = false;
  }

  pause() {
    this.playing = false;
    this.following = false;
  }

  goLive() {
    this.slow = 1;
    this.following = true;
    this.now = this.history.span[1];
    this.play();
  }

  seek(at) {
    this.following = false;
    const [begin, end] = this.history.span;
    this.now = Math.max(begin, Math.min(at, end));
    this.place = this.history.placeAt(this.now);
    this.stepped = false;
  }

  /** To the next event that is wanted, or the one before (`by` -1); pauses. */
  step(by, wanted = () => true) {
    this.pause();
    const { events } = this.history;
    let place = this.place + by;
    while (place > 0 && place <= events.length && !wanted(events[place - 1])) place += by;
    if (place < 0 || place > events.length) return;
    this.goTo(place);
  }

  /** Right after this many events; pauses. */
  goTo(place) {
    this.pause();
    this.place = Math.max(0, Math.min(place, this.history.length));
    this.now = this.place ? this.history.events[this.place - 1].at : this.history.span[0];
    this.stepped = this.place > 0;
  }

  faster(by) {
    const at = SPEEDS.reduce((best, one, i) => (Math.abs(one - this.slow) < Math.abs(SPEEDS[best] - this.slow) ? i : best), 0);
    this.slow = SPEEDS[Math.max(0, Math.min(SPEEDS.length - 1, at + by))];
    this.following = false;
  }
}

export function speedName(slow) {
  return slow >= 1 ? `${slow}×` : `1/${Math.round(1 / slow)}×`;
}
