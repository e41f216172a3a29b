// The line above the picture: what there is, how many nodes may fail, and what is wrong.

import { el, fill, setText } from "./dom.js";
import { alarms, leaders, tolerance } from "./health.js";
import { nodeName, names } from "./words.js";

export class Summary {
  constructor({ facts, number, why, alarms: alarmsRoot }) {
    this.facts = facts;
    this.number = number;
    this.why = why;
    this.alarms = alarmsRoot;
    this._key = "";
    this._alarmsKey = "";
  }

  draw(state, history, place) {
    const nodes = Object.values(state.nodes);
    const term = Math.max(0, ...nodes.map((node) => node.term));
    const commit = Math.max(0, ...nodes.map((node) => node.commit));
    const leading = leaders(state);
    const who = leading.length ? leading.map((node) => nodeName(node.id)).join(" and ") : "none";
    const { number, most, why } = tolerance(state);
    const joint = state.conf?.outgoing?.length ? `${names(state.conf.outgoing)} → ${names(state.conf.voters)}` : "";
    const key = [nodes.length, term, commit, who, number, most, why, joint].join("|");
    if (key !== this._key) {
      this._key = key;
      fill(this.facts, fact("nodes", nodes.length), fact(leading.length > 1 ? "leaders" : "leader", who), fact("term", term), fact("committed", commit), joint ? fact("joint", joint) : null);
      setText(this.number, number < 0 ? "0" : String(number));
      this.number.parentElement.classList.toggle("bad", number < 0);
      this.number.parentElement.classList.toggle("less", number >= 0 && number < most);
      setText(this.why, number < 0 ? `no quorum: ${why}` : number < most ? `instead of ${most}: ${why}` : most === 0 ? "no node may fail" : "");
    }
    const found = alarms(state, history.events, place);
    const alarmsKey = JSON.stringify(found);
    if (alarmsKey === this._alarmsKey) return;
    this._alarmsKey = alarmsKey;
    fill(this.alarms, ...found.map((one) => el("p", { class: "alarm" }, el("strong", {}, `⚠ ${one.name}. `), `${one.text} `, el("span", { class: "todo" }, one.todo))));
  }
}

function fact(name, value) {
  return el("span", { class: "fact" }, el("span", { class: "label" }, name), el("b", {}, value));
}
