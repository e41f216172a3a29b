// The ring of nodes, and the links that do something. SVG, so that each node has a name, a focus and
// a description; drawn anew only where something changed.

import { setText, svg } from "./dom.js";
import { condition, isCut, nodeName, printable, termClass } from "./words.js";

export const SIZE = 1000;
const SMALL = 40; // a node of a smaller radius has no room for words: its form and its sign say it
const MOST_VOTES = 8;
const CENTRE = SIZE / 2;

/** Where each node is, and how large: {radius, at: {id: [x, y]}}. */
export function places(ids) {
  const count = Math.max(ids.length, 1);
  const radius = count === 1 ? 90 : Math.min(88, Math.max(26, 900 / count));
  const ring = count === 1 ? 0 : SIZE / 2 - radius - 62;
  const at = {};
  ids.forEach((id, i) => {
    const angle = (2 * Math.PI * i) / count - Math.PI / 2;
    at[id] = [CENTRE + ring * Math.cos(angle), CENTRE + ring * Math.sin(angle)];
  });
  return { radius, at };
}

/** The ends of the way of messages from one node to another: on the right of the line between. */
export function way(layout, from, to) {
  const [ax, ay] = layout.at[from] ?? [CENTRE, CENTRE];
  const [bx, by] = layout.at[to] ?? [CENTRE, CENTRE];
  const length = Math.hypot(bx - ax, by - ay) || 1;
  const [ux, uy] = [(bx - ax) / length, (by - ay) / length];
  const gap = layout.radius + 8;
  const aside = Math.min(9, layout.radius / 4);
  return [
    [ax + ux * gap - uy * aside, ay + uy * gap + ux * aside],
    [bx - ux * gap - uy * aside, by - uy * gap + ux * aside],
  ];
}

export class Ring {
  constructor(root) {
    this.root = root;
    this.links = svg("g", { class: "links" });
    this.nodes = svg("g", { class: "nodes" });
    root.append(this.links, this.nodes);
    this.layout = places([]);
    this._ids = "";
    this._drawn = new Map();
    this._linksKey = "";
  }

  draw(state, now) {
    const ids = Object.keys(state.nodes).map(Number).sort((a, b) => a - b);
    if (ids.join() !== this._ids) this._begin(ids);
    this._drawLinks(state, ids);
    for (const id of ids) this._drawNode(state, state.nodes[id], now);
  }

  /** The nodes at which something happened that is asked about. */
  light(lit) {
    for (const [id, part] of this._drawn) part.group.classList.toggle("lit", lit.has(id));
  }

  _begin(ids) {
    this._ids = ids.join();
    this.layout = places(ids);
    this.nodes.replaceChildren();
    this._drawn.clear();
    this._linksKey = "";
    for (const id of ids) this._drawn.set(id, this._newNode(id));
  }

  _newNode(id) {
    const [x, y] = this.layout.at[id];
    const r = this.layout.radius;
    const part = {
      key: "",
      title: svg("title"),
      arc: svg("path", { class: "timer", d: "" }),
      halo: svg("circle", { class: "halo", r: r + 9 }),
      body: svg("circle", { class: "body", r }),
      name: svg("text", { class: "name", y: r < SMALL ? -r * 0.08 : -r * 0.3, "font-size": r * (r < SMALL ? 0.66 : 0.36) }, nodeName(id)),
      term: svg("text", { class: "term", y: r * (r < SMALL ? 0.6 : 0.16), "font-size": r * (r < SMALL ? 0.66 : 0.44) }),
      role: svg("text", { class: "role", y: r * 0.56, "font-size": Math.max(r * 0.26, 12) }),
      sign: svg("text", { class: "sign", x: r * 0.78, y: -r * 0.62, "font-size": Math.max(r * 0.6, 22) }),
      word: svg("text", { class: "condition", y: r + Math.max(r * 0.42, 26) + 8, "font-size": Math.max(r * 0.29, 16) }),
      votes: svg("g", { class: "votes" }),
    };
    part.group = svg(
      "g",
      { class: "node", tabindex: "0", role: "button", "data-node": id, transform: `translate(${x} ${y})` },
      part.title, part.arc, part.halo, part.body, part.name, part.term, part.role, part.word, part.votes, part.sign,
    );
    this.nodes.append(part.group);
    return part;
  }

  _drawNode(state, node, now) {
    const part = this._drawn.get(node.id);
    const { word, sign, why } = condition(state, node);
    const arrives = word ? "" : receives(node) || halfOf(state.conf, node.id);
    const role = node.process === "down" ? "" : node.role ?? "…";
    const learner = state.conf?.learners?.includes(node.id) ?? false;
    const votes = node.role === "candidate" || node.role === "pre-candidate" || node.role === "leader" ? node.votes : [];
    const refused = node.role?.endsWith("candidate") ? node.refused : [];
    const waiting = node.electionAt !== null && node.process === "up";
    const drawn = waiting ? arc(this.layout.radius + 16, (node.electionAt - now) / Math.max(node.electionAt - node.electionFrom, 0.05)) : "";
    if (part.arc.getAttribute("d") !== drawn) part.arc.setAttribute("d", drawn);
    const key = [node.term, role, word, why, arrives, learner, isOutside(state, node.id), votes, refused, node.vote].join("|");
    if (key === part.key) return;
    part.key = key;
    const classes = ["node", termClass(node.term), `is-${role || "dead"}`];
    if (word) classes.push(`has-${word.replace(/ /g, "-")}`);
    if (learner) classes.push("learner");
    const outside = !learner && isOutside(state, node.id);
    if (outside) classes.push("outside");
    part.group.setAttribute("class", classes.join(" "));
    setText(part.term, `T${node.term}`);
    const small = this.layout.radius < SMALL;
    part.role.setAttribute("font-size", Math.max(this.layout.radius * (role.length > 9 ? 0.21 : 0.26), 12));
    setText(part.role, small ? "" : learner ? "learner" : outside && role === "follower" ? "no member" : role);
    setText(part.sign, sign || (role === "leader" ? "★" : ""));
    setText(part.word, small ? "" : word || arrives);
    part.word.classList.toggle("arrives", !word);
    this._drawVotes(part, votes, refused, node.id);
    const said = description(node, word || arrives, why, role, votes);
    setText(part.title, said);
    part.group.setAttribute("aria-label", said);
  }

  _drawVotes(part, votes, refused, self) {
    const r = this.layout.radius;
    const dot = Math.max(r * 0.17, 9);
    // Too many to tell apart: how many there are.
    const many = r < SMALL || votes.length + refused.length > MOST_VOTES;
    const all = many
      ? [[votes.length, true], [refused.length, false]].filter(([count]) => count).map(([count, granted]) => [count, granted, granted ? `${count}` : `✗${count}`])
      : [...votes.map((id) => [id, true, id === self ? "•" : id]), ...refused.map((id) => [id, false, "✗"])];
    const marks = all.map(([, granted, text], i) => {
      const angle = Math.PI / 2 + (many ? 0.8 : 0.62) + i * (many ? 0.7 : 0.34);
      const [x, y] = [Math.cos(angle) * (r + 14), Math.sin(angle) * (r + 14)];
      const size = many ? dot * 1.5 : dot;
      return svg(
        "g",
        { class: granted ? "vote given" : "vote refused", transform: `translate(${x} ${y})` },
        svg("circle", { r: size }),
        svg("text", { "font-size": dot * 1.25, y: dot * 0.42 }, text),
      );
    });
    part.votes.replaceChildren(...marks);
  }

  _drawLinks(state, ids) {
    const key = JSON.stringify(state.links) + ids.join();
    if (key === this._linksKey) return;
    this._linksKey = key;
    const lines = [];
    this._crowded = Object.keys(state.links).length > 8;
    for (const a of ids) {
      for (const b of ids) {
        if (a === b) continue;
        const does = state.links[`${a}>${b}`];
        const back = state.links[`${b}>${a}`];
        if (!does) {
          if (a < b && !back && ids.length <= 9) lines.push(this._line(a, b, "link quiet", ""));
          continue;
        }
        if (does === back && a > b) continue;
        lines.push(this._line(a, b, isCut(does) ? "link cut" : "link slow", does, does !== back));
      }
    }
    this.links.replaceChildren(...lines);
  }

  _line(a, b, kind, does, oneWay = false) {
    const [start, end] = oneWay ? way(this.layout, a, b) : straight(this.layout, a, b);
    const line = svg("line", { x1: start[0], y1: start[1], x2: end[0], y2: end[1], "marker-end": oneWay ? "url(#arrow)" : null });
    const [mx, my] = [(start[0] * 3 + end[0] * 2) / 5, (start[1] * 3 + end[1] * 2) / 5];
    const sign = kind.includes("cut") ? svg("text", { x: mx, y: my + 11, class: "scissors" }, "✂") : null;
    const slow = kind.includes("slow") && !this._crowded ? svg("text", { x: mx, y: my - 6, class: "does" }, printable(rounded(does.split(",")[0]), 24)) : null;
    const arrow = oneWay ? "→" : "↔";
    return svg("g", { class: kind, "data-link": `${a}>${b}` }, svg("title", {}, `${nodeName(a)} ${arrow} ${nodeName(b)} ${printable(does || "whole")}`), line, sign, slow);
  }
}

/** With at most three digits that count: there is no room for more at a link. */
function rounded(text) {
  return text.replace(/\d+\.\d+/g, (number) => Number(Number(number).toPrecision(3)));
}

function straight(layout, a, b) {
  const [ax, ay] = layout.at[a];
  const [bx, by] = layout.at[b];
  const length = Math.hypot(bx - ax, by - ay) || 1;
  const gap = layout.radius + 10;
  const [ux, uy] = [(bx - ax) / length, (by - ay) / length];
  return [[ax + ux * gap, ay + uy * gap], [bx - ux * gap, by - uy * gap]];
}

/** Whether the membership in force does not name the node: it has no vote, and does not learn. */
function isOutside({ conf }, id) {
  return conf !== null && ![...conf.voters, ...(conf.outgoing ?? []), ...(conf.learners ?? [])].includes(id);
}

/** Of a joint configuration: which half alone has the node as a voter; empty where both have it. */
function halfOf(conf, id) {
  if (!conf?.outgoing?.length) return "";
  const [before, after] = [conf.outgoing.includes(id), conf.voters.includes(id)];
  return before === after ? "" : before ? "old voter" : "new voter";
}

/** How far a snapshot has come that the node is receiving; empty when none is. */
function receives({ receiving }) {
  if (!receiving) return "";
  const share = receiving.size ? Math.floor((100 * receiving.offset) / receiving.size) : 0;
  return share ? `snapshot ${share} %` : "snapshot arrives";
}

/** An arc from the top, clockwise, over a share of the circle. */
function arc(r, share) {
  const part = Math.max(0, Math.min(share, 0.9999));
  if (part === 0) return "";
  const angle = 2 * Math.PI * part - Math.PI / 2;
  return `M 0 ${-r} A ${r} ${r} 0 ${part > 0.5 ? 1 : 0} 1 ${r * Math.cos(angle)} ${r * Math.sin(angle)}`;
}

function description(node, word, why, role, votes) {
  const said = [`${nodeName(node.id)}: ${word || role || "unknown"}, term ${node.term}`];
  if (word && role) said.push(role);
  if (why) said.push(printable(why, 120));
  if (node.vote) said.push(`voted for ${nodeName(node.vote)}`);
  if (votes.length) said.push(`votes from ${votes.map(nodeName).join(", ")}`);
  said.push(`log ends with entry ${node.log.last}, committed up to ${node.commit}`);
  return said.join("; ");
}

