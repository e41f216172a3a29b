// What there is to know of one node, or of the links, as a table and as JSON.

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
    el("details", {}, el("summary", {}, "JSON"), el("pre", {}, printable(JSON.stringify(node, null, 1), 20000).replaceAll("\\u000a", "\n"))),
  );
}

function peers(node) {
  const rows = Object.entries(node.peers).map(([id, { next, match }]) => el("tr", {}, el("th", { scope: "row" }, nodeName(id)), el("td", {}, match), el("td", {}, next)));
  return el("table", { class: "peers" }, el("caption", {}, "What it believes of the others"), el("tr", {}, el("th", { scope: "col" }, "node"), el("th", { scope: "col" }, "match"), el("th", { scope: "col" }, "next")), ...rows);
}

/** The matrix of links: from each row's node to each column's. */
export function drawLinks(root, state) {
  const ids = Object.keys(state.nodes).map(Number).sort((a, b) => a - b);
  const head = el("tr", {}, el("th", { scope: "col" }, "from \\ to"), ...ids.map((id) => el("th", { scope: "col" }, nodeName(id))));
  const rows = ids.map((a) => el("tr", {}, el("th", { scope: "row" }, nodeName(a)), ...ids.map((b) => cell(state, a, b))));
  fill(
    root,
    el("h3", {}, "Links"),
    el("p", { class: "hint" }, "The number of messages sent so far, and what a fault does to the link."),
    el("div", { class: "scrolls", tabindex: "0" }, el("table", { class: "matrix" }, head, ...rows)),
    el("details", {}, el("summary", {}, "JSON"), el("pre", {}, JSON.stringify({ links: state.links, sent: state.counts }, null, 1))),
  );
}

function cell(state, a, b) {
  if (a === b) return el("td", { class: "self" }, "–");
  const does = state.links[`${a}>${b}`];
  const count = state.counts[`${a}>${b}`] ?? 0;
  const sign = !does ? "" : does.includes("cut") ? "✂ " : "~ ";
  return el("td", { class: does ? (does.includes("cut") ? "cut" : "slow") : "", title: printable(does ?? "whole") }, `${sign}${count}`);
}
