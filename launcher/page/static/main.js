// Puts the page together: where the events come from, who draws, and who is asked to draw.

import { drawNode } from "./detail.js";
import { Doing } from "./do.js";
import { setText } from "./dom.js";
import { EventsList, isNotable } from "./events_list.js";
import { Flights, underWay } from "./flights.js";
import { idOf } from "./fold_messages.js";
import { alarms, tolerance } from "./health.js";
import { History } from "./history.js";
import { Hover } from "./hover.js";
import { Json } from "./json.js";
import { KEYS, LIVE_KEYS, keyName, listen } from "./keys.js";
import { LessonPanel } from "./lesson.js";
import { LinkMatrix } from "./links.js";
import { Logs } from "./logs.js";
import { drawMarks } from "./marks.js";
import { Player, SPEEDS, speedName } from "./player.js";
import { drawRates, measured } from "./rates.js";
import { Ring } from "./ring.js";
import { loadEvents } from "./source.js";
import { Summary } from "./summary.js";
import { Why } from "./why.js";
import { eventText, seconds } from "./words.js";

const CALM_S = 0.5; // so often a timer moves where the system asks for reduced motion
const byId = (id) => document.getElementById(id);

export class Page {
  constructor(source) {
    this.source = source;
    this.history = new History();
    this.player = new Player(this.history, { live: source.live });
    this.ring = new Ring(byId("ring-layer"));
    this.flights = new Flights(byId("message-layer"));
    this.hover = new Hover(byId("stage"), byId("tip"), this.flights);
    this.logs = new Logs(byId("logs"));
    this.chosen = null;
    this.withMessages = false;
    this.list = new EventsList(byId("events"), this.history, {
      onPlace: (place) => this.act(() => this.player.goTo(place)),
      onWhy: (event) => this.askWhy(event),
      shows: () => this._wanted(),
    });
    this.summary = new Summary({ facts: byId("facts"), number: byId("tolerance"), why: byId("tolerance-why"), alarms: byId("alarms") });
    this.doing = source.live ? new Doing(this) : null;
    this.links = new LinkMatrix(byId("links-panel"), this.doing && ((a, b, cell) => this._onLink(a, b, cell)));
    this.why = new Why(byId("why-panel"), this);
    this.json = new Json(this._values());
    this.actions = { ...this._actions(), ...this.doing?.actions() };
    this._dirty = true;
    this._last = performance.now();
    this._calm = matchMedia("(prefers-reduced-motion: reduce)");
  }

  /** More events, as they come. */
  add(events) {
    const before = this.history.length;
    this.history.add(events);
    const forgotten = this.history.trim();
    this.player.place = Math.max(0, this.player.place - forgotten);
    drawMarks(byId("marks"), this.history);
    if (before === 0 && this.history.length) {
      this.player.seek(this.history.span[0]);
      if (this.player.live) this.player.goLive();
    }
    this.redraw();
  }

  /** Plays the lesson, where the server has one. */
  async beginLesson() {
    if (!this.source.lesson) return;
    document.body.classList.add("with-lesson");
    byId("tab-lesson").checked = true;
    this.lesson = new LessonPanel(byId("lesson-panel"), this);
    await this.lesson.begin();
  }

  /** The stream begins anew: what was here is forgotten. */
  restart() {
    this.history.clear();
    this.player.restart();
    this.redraw();
  }

  /** The cluster or the server is gone; time stands still until there is more. */
  noteGone() {
    this.redraw();
  }

  /** A drag has ended on a node: the click that follows is none. */
  swallowClick() {
    this._swallow = performance.now();
  }

  act(change) {
    change();
    this.redraw();
  }

  redraw() {
    this._dirty = true;
  }

  run() {
    this._wire();
    const frame = (time) => {
      requestAnimationFrame(frame); // first: one picture that fails is not the last
      const elapsed = Math.min((time - this._last) / 1000, 0.25);
      this._last = time;
      if (this.player.pass(elapsed) || this._dirty) this._draw();
    };
    requestAnimationFrame(frame);
  }

  _draw() {
    this._dirty = false;
    const { player, history } = this;
    const state = player.state;
    const calm = this._calm.matches && player.playing;
    this.ring.draw(state, calm ? Math.floor(player.now / CALM_S) * CALM_S : player.now);
    const flights = underWay(history, state, player.place, player.now, player.slow);
    this.flights.draw(this.ring.layout, calm || this._isAsking() ? { shown: [] } : flights, player.stepped ? this._stepped() : null, this._isAsking() ? this.why.lit.messages : []);
    this.ring.light(this._isAsking() ? this.why.lit.nodes : byId("tab-lesson").checked && this.lesson ? this.lesson.lit : new Set());
    this.logs.draw(state);
    this.list.draw(player.place);
    this.summary.draw(state, history, player.place);
    this._drawDetail(state);
    this.hover.look();
    this.json.draw();
    this.doing?.draw(state);
    const [begin, end] = history.span;
    const slider = byId("slider");
    slider.min = begin;
    slider.max = end;
    if (document.activeElement !== slider || player.playing) slider.value = player.now;
    const text = `${seconds(player.now - begin)} of ${seconds(end - begin)}`;
    slider.setAttribute("aria-valuetext", text);
    setText(byId("time"), text);
    setText(byId("place"), `event ${player.place} of ${history.length}`);
    setText(byId("play"), player.playing ? "‖ Pause" : "▶ Play");
    byId("speed").value = String(player.slow);
    byId("live").hidden = !player.live;
    byId("live").classList.toggle("on", player.following);
  }

  _stepped() {
    const event = this.history.events[this.player.place - 1];
    if (!event?.event.startsWith("message.")) return null;
    const message = { ...event, id: idOf(event), from: event.from ?? event.node, to: event.to ?? event.node };
    return { message, became: event.event.slice(8) };
  }

  _drawDetail(state) {
    if (byId("tab-rates").checked) this._drawRates();
    if (byId("tab-links").checked) this.links.draw(state);
    if (byId("tab-node").checked) {
      const key = JSON.stringify([this.chosen, state.nodes[this.chosen], state.frozen, state.links]);
      if (key !== this._nodeKey) drawNode(byId("node-panel"), state, this.chosen);
      this._nodeKey = key;
    }
  }

  /** What each panel shows, as a value. */
  _values() {
    const state = () => this.player.state;
    return {
      health: () => ({ may_fail_now: tolerance(state()), alarms: alarms(state(), this.history.events, this.player.place) }),
      logs: () => Object.values(state().nodes).map(({ id, log, commit, snapshot, peers }) => ({ id, log, commit, snapshot, peers })),
      events: () => this.list.listed.map((place) => this.history.events[place]),
      node: () => state().nodes[this.chosen],
      why: () => this.why.tree,
      links: () => ({ links: state().links, sent: state().counts }),
      rates: () => measured(this.history),
    };
  }

  /** At most twice a second: it looks at all events. */
  _drawRates() {
    const key = `${this.history.length}|${this.player.now}`;
    if (key === this._ratesKey || performance.now() - (this._ratesAt ?? -1000) < 500) return;
    this._ratesKey = key;
    this._ratesAt = performance.now();
    drawRates(byId("rates-panel"), this.history, this.player.now);
  }

  /** Which events the timeline shows: by the box and the words above it. */
  _wanted() {
    const base = this.withMessages ? allEvents : isNotable;
    const words = byId("filter").value.toLowerCase().split(/[\s,]+/).filter(Boolean);
    const key = `${this.withMessages}|${words.join()}`;
    if (this._filter?.version !== key) {
      const matches = (event) => {
        const text = `${event.node ? `n${event.node}` : ""} ${event.event} ${eventText(event)}`.toLowerCase();
        return words.every((word) => text.includes(word));
      };
      this._filter = words.length ? (event) => base(event) && matches(event) : (event) => base(event);
      this._filter.version = key;
    }
    return this._filter;
  }

  _isAsking() {
    return byId("tab-why").checked;
  }

  /** Why an event happened, in the panel and in the picture. */
  askWhy(event) {
    byId("tab-why").checked = true;
    this.why.ask(event);
  }

  choose(id) {
    this.chosen = id;
    byId("tab-node").checked = true;
    this.redraw();
  }

  _actions() {
    const { player } = this;
    const on = (change) => () => this.act(change);
    return {
      toggle: on(() => (player.playing ? player.pause() : player.play())),
      next: on(() => player.step(1)),
      before: on(() => player.step(-1)),
      nextNotable: on(() => player.step(1, isNotable)),
      beforeNotable: on(() => player.step(-1, isNotable)),
      first: on(() => player.goTo(0)),
      last: on(() => (player.live ? player.goLive() : player.goTo(this.history.length))),
      live: on(() => player.goLive()),
      faster: on(() => player.faster(1)),
      slower: on(() => player.faster(-1)),
      why: () => {
        const notable = this.history.events.slice(0, player.place).findLast((event) => player.stepped || isNotable(event));
        if (notable) this.askWhy(notable);
      },
      messages: on(() => {
        this.withMessages = !this.withMessages;
        byId("with-messages").checked = this.withMessages;
      }),
      help: () => (byId("help").open ? byId("help").close() : byId("help").showModal()),
    };
  }

  _wire() {
    const { actions } = this;
    for (const name of Object.keys(actions)) {
      for (const button of document.querySelectorAll(`[data-does="${name}"]`)) button.addEventListener("click", actions[name]);
    }
    byId("slider").addEventListener("input", (moved) => this.act(() => this.player.seek(Number(moved.target.value))));
    byId("filter").addEventListener("input", () => this.redraw());
    byId("with-messages").addEventListener("change", actions.messages);
    for (const tab of document.querySelectorAll("input[name=tab]")) tab.addEventListener("change", () => this.redraw());
    const speed = byId("speed");
    speed.append(...SPEEDS.map((slow) => new Option(speedName(slow), String(slow))));
    speed.addEventListener("change", () => this.act(() => {
      this.player.slow = Number(speed.value);
      if (this.player.slow !== 1) this.player.following = false;
    }));
    byId("ring-layer").addEventListener("click", (clicked) => this._onNode(clicked));
    byId("ring-layer").addEventListener("keydown", (pressed) => {
      if (pressed.key === "Enter" || pressed.key === " ") this._onNode(pressed);
    });
    addEventListener("resize", () => this.redraw());
    const rows = this.source.live ? [...KEYS, ...LIVE_KEYS] : KEYS;
    listen(actions, rows);
    const list = byId("keys");
    for (const [keys, does] of rows) {
      const term = document.createElement("dt");
      for (const key of keys) term.append(Object.assign(document.createElement("kbd"), { textContent: keyName(key) }), " ");
      list.append(term, Object.assign(document.createElement("dd"), { textContent: does }));
    }
  }

  _onLink(a, b, cell) {
    const box = cell.getBoundingClientRect();
    this.doing.openLink(a, b, [box.right, box.top], cell);
  }

  _onNode(event) {
    const node = event.target.closest?.("[data-node]");
    if (!node) return;
    event.preventDefault();
    event.stopPropagation();
    if (performance.now() - (this._swallow ?? -1000) < 300) return;
    this.choose(Number(node.dataset.node));
    this.doing?.openNode(this.chosen, node);
  }
}

function allEvents(event) {
  return event.event !== "state.changed" && event.event !== "status.seen";
}

loadEvents(Page);
