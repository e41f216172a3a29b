// Messages on their way. A message of a millisecond would be gone before the eye has seen it, so each
// is drawn for at least FLIGHT_S of the viewer's time, and no more than MOST_SHOWN at once.

import { svg } from "./dom.js";
import { way } from "./ring.js";
import { isRare, messageLabel, messageLines } from "./words.js";

export const FLIGHT_S = 0.55;
const MOST_SHOWN = 90;
const MOST_ON_LINK = 3;
const FARTHEST_SEND = 3000;
const WORTH_SAYING = 10;

/** What is on its way at this time: [{message, share, end}], at most MOST_SHOWN; and how many are not.

    slow: seconds of the run for each of the viewer's */
export function underWay(history, state, place, now, slow) {
  const found = new Map();
  const least = FLIGHT_S * slow;
  for (let i = place - 1, looked = 0; i >= 0 && looked < FARTHEST_SEND; i -= 1, looked += 1) {
    const event = history.events[i];
    if (event.at < now - least) break;
    if (event.event === "message.sent") {
      const id = `n${event.node}:${event.t}>n${event.to}`;
      found.set(id, flight(history, { ...event, id, from: event.node }, now, least));
    }
  }
  for (const messages of Object.values(state.flights)) {
    for (const message of messages) if (!found.has(message.id)) found.set(message.id, flight(history, message, now, least));
  }
  const all = [...found.values()].filter((one) => one.share < 1);
  return bounded(all);
}

function flight(history, message, now, least) {
  const place = history.arrivals.get(message.id);
  const end = place === undefined ? null : history.events[place];
  const lasts = Math.max(end ? end.at - message.at : 0, least);
  const waits = !end && !(now - message.at < least);
  const share = waits ? 0.5 : lasts > 0 ? (now - message.at) / lasts : 0.5;
  return { message, share: Math.max(0, share), lost: end?.event === "message.lost" ? end.why || "lost" : "", waits };
}

/** Rare kinds first; of each link only the newest few of the others, with how many they stand for. */
function bounded(all) {
  const links = new Map();
  const shown = [];
  for (const one of all) {
    if (isRare(one.message)) {
      shown.push(one);
      continue;
    }
    const key = `${one.message.from}>${one.message.to}`;
    if (!links.has(key)) links.set(key, []);
    links.get(key).push(one);
  }
  for (const there of links.values()) {
    there.sort((a, b) => b.message.at - a.message.at);
    const kept = there.slice(0, MOST_ON_LINK);
    const stands = there.reduce((sum, one) => sum + (one.message.of ?? 1), 0);
    if (stands > kept.length) kept[0] = { ...kept[0], of: stands };
    shown.push(...kept.map((one, i) => ({ ...one, quiet: i > 0 && !one.lost })));
  }
  return { shown: shown.slice(0, MOST_SHOWN), left: all.length - Math.min(shown.length, MOST_SHOWN) };
}

export class Flights {
  constructor(root) {
    this.root = root;
    this.drawn = []; // for who points at one: {lines, from, to}
  }

  /** highlighted: the message that was stepped to; causes: those that led to what was asked about */
  draw(layout, flights, highlighted, causes = []) {
    const others = flights.shown.filter((one) => one.message.id !== highlighted?.message.id);
    this.drawn = others.map((one) => pointedAt(one.message, placeNow(layout, one), one.of));
    const drawn = others.map((one) => shape(layout, one));
    if (highlighted) {
      drawn.unshift(arrow(layout, highlighted));
      const [from, to] = way(layout, highlighted.message.from, highlighted.message.to);
      this.drawn.push({ ...pointedAt(highlighted.message, from), to });
    }
    drawn.unshift(...causes.map((one) => arrow(layout, { message: one, became: one.lost ? "cause lost" : "cause" })));
    this.root.replaceChildren(...drawn);
  }
}

function pointedAt(message, from, of) {
  return { lines: messageLines({ ...message, of: of ?? message.of ?? 1 }), from, to: from };
}

/** Where a message is now. */
function placeNow(layout, { message, share, lost }) {
  const [start, end] = way(layout, message.from, message.to);
  const part = lost && share > 0.6 ? 0.6 : share;
  return [start[0] + (end[0] - start[0]) * part, start[1] + (end[1] - start[1]) * part];
}

function shape(layout, one) {
  const { message, share, lost, waits, of, quiet } = one;
  const [start, end] = way(layout, message.from, message.to);
  const [x, y] = placeNow(layout, one);
  const turn = (Math.atan2(end[1] - start[1], end[0] - start[0]) * 180) / Math.PI;
  const label = lost && share > 0.55 ? `lost: ${lost}` : messageLabel(message) + (of >= WORTH_SAYING ? ` 1 of ${of}` : "");
  const classes = ["message", `kind-${message.type}`];
  if (message.message?.entries) classes.push("with-entries");
  if (message.message?.granted === false || message.message?.reject) classes.push("refusal");
  if (lost && share > 0.55) classes.push("lost");
  if (waits) classes.push("waits");
  const flip = Math.abs(turn) > 90;
  if (quiet) classes.push("quiet");
  return svg(
    "g",
    { class: classes.join(" "), transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})` },
    svg("path", { d: outline(message), transform: `rotate(${turn.toFixed(1)})` }),
    label && !quiet ? svg("text", { y: -16, "text-anchor": flip ? "end" : "start", x: flip ? 8 : -8 }, label) : null,
  );
}

/** A form for each kind, pointing to the right, so that none depends on its colour. */
function outline(message) {
  switch (message.type) {
    case "PreVote":
    case "RequestVote": return "M -13 0 L 0 -11 L 13 0 L 0 11 Z";
    case "PreVoteReply":
    case "RequestVoteReply": return "M -9 -9 H 3 L 12 0 L 3 9 H -9 Z";
    case "AppendEntries": return message.message?.entries ? "M -14 -10 H 4 L 15 0 L 4 10 H -14 Z" : "M -8 -6 L 9 0 L -8 6 Z";
    case "InstallSnapshot": return "M -16 -14 H 8 L 18 0 L 8 14 H -16 Z";
    case "TimeoutNow": return "M 0 -14 L 4 -4 L 14 -4 L 6 3 L 9 13 L 0 7 L -9 13 L -6 3 L -14 -4 L -4 -4 Z";
    default: return "M -7 -5 L 8 0 L -7 5 Z";
  }
}

/** The message of the event that was stepped to: a whole labelled arrow. */
function arrow(layout, { message, became }) {
  const [start, end] = way(layout, message.from, message.to);
  const middle = [(start[0] + end[0]) / 2, (start[1] + end[1]) / 2];
  return svg(
    "g",
    { class: `arrow ${became}` },
    svg("line", { x1: start[0], y1: start[1], x2: end[0], y2: end[1], "marker-end": "url(#arrow)" }),
    svg("text", { x: middle[0], y: middle[1] - 12, "text-anchor": "middle" }, message.message ? `${message.type} ${messageLabel(message)}`.trim() : message.type),
  );
}
