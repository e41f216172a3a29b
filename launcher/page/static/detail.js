// What there is to know of one node, as a table.

import { el, fill } from "./dom.js";
import { runs } from "./log.js";
import { condition, nodeName, printable } from "./words.js";

/** All of one node. */
export function drawNode(root, state, id) {
  const node = state.nodes[id];
  if (!node) {
    fill(root, el("p", { class: "hint" }, "Choose a node in the picture."));
    return;
  }
  const { word, why } = condition(state, node);
  const terms = runs(node.log).map(([first, last, term]) => `${first}–${last} of term ${term || "?"}`).slice(-6);
  const rows = [
    ["state", word ? `${word}${why ? ` (${printable(why, 120)})` : ""}` : "runs"],
    ["role", node.process === "down" ? "none" : node.role ?? "unknown"],
    ["term", node.term],
    ["voted for", node.vote ? nodeName(node.vote) : "nobody in this term"],
    ["leader", node.leader ? nodeName(node.leader) : "none known"],
    ["log", terms.join(", ") || "no entries"],
    ["snapshot", node.snapshot ? `up to entry ${node.snapshot}` : "none"],
    ["committed", `up to ${node.commit}`],
    node.votes.length && node.role !== "follower" ? ["votes from", node.votes.map(nodeName).join(", ")] : null,
    node.clock ? ["clock", node.clock] : null,
    node.throttle ? ["throttle", node.throttle] : null,
    node.receiving ? ["receives a snapshot", `${node.receiving.offset} of ${node.receiving.size} bytes from ${nodeName(node.receiving.from)}`] : null,
  ].filter(Boolean);
  fill(
    root,
    el("h3", {}, `Node ${nodeName(id)}`),
    el("dl", { class: "facts" }, ...rows.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])),
    Object.keys(node.peers).length ? peers(node) : null,
  );
}

function peers(node) {
  const rows = Object.entries(node.peers).map(([id, { next, match }]) => el("tr", {}, el("th", { scope: "row" }, nodeName(id)), el("td", {}, match), el("td", {}, next)));
  return el("table", { class: "peers" }, el("caption", {}, "What it believes of the others"), el("tr", {}, el("th", { scope: "col" }, "node"), el("th", { scope: "col" }, "match"), el("th", { scope: "col" }, "next")), ...rows);
}
