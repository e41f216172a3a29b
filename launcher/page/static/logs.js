// The nodes' logs side by side: a row for each node, a column for each index. An entry's term is its
// number and its colour; committed entries are solid, others dashed; a snapshot is at the left end.

import { el } from "./dom.js";
import { runs } from "./log.js";
import { nodeName, termClass } from "./words.js";

const CELL = 30;

export class Logs {
  constructor(root) {
    this.root = root;
    this._key = "";
  }

  draw(state) {
    const nodes = Object.values(state.nodes).sort((a, b) => a.id - b.id);
    const columns = Math.max(4, Math.floor((this.root.clientWidth - 96) / CELL));
    const last = Math.max(1, ...nodes.map((node) => node.log.last));
    const first = Math.max(1, last - columns + 2);
    const leader = nodes.filter((node) => node.role === "leader").sort((a, b) => b.term - a.term)[0];
    const key = nodes.map((node) => `${node.id}:${JSON.stringify(node.log)}:${node.commit}:${node.process}`).join() +
      first + columns + JSON.stringify(leader?.peers ?? null) + leader?.id;
    if (key === this._key) return;
    this._key = key;
    const head = el("div", { class: "log-row log-head", "aria-hidden": "true" }, el("span", { class: "log-name" }));
    for (let i = first; i <= last; i += 1) {
      head.append(el("span", { class: "index" }, i % 5 === 0 || i === last || last - first < 8 ? i : ""));
    }
    this.root.replaceChildren(head, ...nodes.map((node) => row(node, first, last, leader)));
  }
}

function row(node, first, last, leader) {
  const cells = [];
  const { log } = node;
  const terms = new Map();
  for (const [from, to, term] of runs(log)) {
    for (let i = Math.max(from, first); i <= Math.min(to, last); i += 1) terms.set(i, term);
  }
  const peer = leader && leader.id !== node.id ? leader.peers[node.id] : null;
  for (let i = first; i <= last + 1; i += 1) {
    const term = terms.get(i);
    const marks = peer ? (i === peer.match ? " match" : "") + (i === peer.next ? " next" : "") : "";
    if (term !== undefined) {
      cells.push(el("span", { class: `cell ${termClass(term)} ${i <= node.commit ? "committed" : "open"}${marks}` }, term || "?"));
    } else {
      cells.push(el("span", { class: `cell none${i <= log.base ? " in-snapshot" : ""}${marks}` }, i === log.base ? "S" : ""));
    }
  }
  const hidden = log.base >= first ? "" : log.base > 0 ? `S${log.base} ` : "";
  const said = `${nodeName(node.id)}: entries ${log.base + 1} to ${log.last}, committed up to ${node.commit}` +
    (log.base ? `, snapshot up to ${log.base}` : "") +
    (peer ? `; the leader ${nodeName(leader.id)} believes match ${peer.match}, next ${peer.next}` : "");
  return el(
    "div",
    { class: `log-row${node.process === "down" ? " dead" : ""}`, title: said, role: "img", "aria-label": said },
    el("span", { class: "log-name" }, `${nodeName(node.id)}${leader?.id === node.id ? " ★" : ""}`, hidden ? el("small", {}, ` ${hidden}`) : null),
    ...(log.last > 0 && log.last < first - 1 ? [el("span", { class: "far" }, `ends with entry ${log.last}`)] : cells),
  );
}
