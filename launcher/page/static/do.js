// Doing: menus, dragging and drawing on the picture, entries and queries. Each action shows the
// command line that would have done it, and its answer or its error in one line.

import { api } from "./api.js";
import { LOAD, chaos, commandLine, exampleEntry, ofLink, ofNode, partition, wordsOf } from "./commands.js";
import { el, fill, svg } from "./dom.js";
import { leaders } from "./health.js";
import { nodeName, printable } from "./words.js";

const MOST_ANSWERS = 5;
const SLOW = ["10", "30ms"]; // the timescale, which scales also how long messages take
const MOST_LINES = 200;
const FAR_ENOUGH = 14;

export class Doing {
  constructor(page) {
    this.page = page;
    this.menu = document.getElementById("menu");
    this.answers = document.getElementById("answer");
    this.command = document.getElementById("command");
    this.stage = document.getElementById("stage");
    this.sketch = svg("path", { class: "sketch", d: "" });
    this.stage.append(this.sketch);
    this._from = null;
    this._opener = null;
    this._pace = ["1", "0ms"];
    this._wire();
  }

  get state() {
    return this.page.history.at(this.page.history.length);
  }

  /** Runs one command and shows what came of it. Its output; null where it failed. */
  async run(words) {
    this.close();
    const outcome = this._addRow(commandLine(words));
    try {
      const answer = await api("/do", { method: "POST", body: JSON.stringify({ words }), headers: { "Content-Type": "application/json" } });
      const good = answer.status === 0;
      showOutcome(outcome, (good ? answer.output || "done" : answer.error || answer.output).trimEnd());
      outcome.classList.add(good ? "good" : "bad");
      return good ? answer.output : null;
    } catch (error) {
      showFailure(outcome, error.message);
      return null;
    }
  }

  /** Begins a command line, for somebody to complete. */
  begin(words) {
    this.close();
    this.command.value = `${commandLine(words).replace("launcher ", "")} `;
    this.command.focus();
  }

  async _runTyped() {
    const words = wordsOf(this.command.value);
    if (words === null) showFailure(this._addRow(this.command.value), "a quote is not closed");
    else if (words.length && (await this.run(words)) !== null) this.command.value = "";
  }

  /** A new row of the answers, with a line of the user; its place for what comes of it. */
  _addRow(line) {
    const row = el("p", { class: "said" }, el("code", {}, printable(line, 300)), " ", el("span", { class: "outcome" }, "…"));
    this.answers.prepend(row);
    while (this.answers.children.length > MOST_ANSWERS) this.answers.lastChild.remove();
    return row.querySelector(".outcome");
  }

  /** Says so where no message is recorded at all, and what an entry looks like. */
  draw(state) {
    const example = exampleEntry(state.machine, 1);
    const entry = document.getElementById("entry");
    if (entry.placeholder !== example) entry.placeholder = example;
    const none = Object.keys(state.counts).length === 0 && state.count > 3;
    document.getElementById("no-messages").hidden = !none;
  }

  // -- menus ---------------------------------------------------------------------------------------

  open(title, rows, place, opener) {
    const items = rows.map(([label, words, goesOn]) =>
      el("button", { type: "button", role: "menuitem", title: commandLine(words) + (goesOn ? " …" : ""), onclick: () => (goesOn ? this.begin(words) : this.run(words)) }, label));
    fill(this.menu, el("p", { class: "menu-title" }, title), ...items);
    this.menu.hidden = false;
    const { width, height } = this.menu.getBoundingClientRect();
    this.menu.style.left = `${Math.max(4, Math.min(place[0], innerWidth - width - 8))}px`;
    this.menu.style.top = `${Math.max(4, Math.min(place[1], innerHeight - height - 8))}px`;
    this._opener = opener;
    items[0]?.focus();
  }

  close() {
    if (this.menu.hidden) return;
    this.menu.hidden = true;
    this._opener?.focus?.();
    this._opener = null;
  }

  openNode(id, opener) {
    const node = this.state.nodes[id];
    if (!node) return;
    const box = opener.getBoundingClientRect();
    this.open(`Node ${nodeName(id)}`, ofNode(this.state, node), [box.right - 8, box.top + 8], opener);
  }

  openLink(a, b, place, opener) {
    this.open(`Link ${nodeName(a)} – ${nodeName(b)}`, ofLink(this.state, a, b), place, opener);
  }

  // -- the mouse -----------------------------------------------------------------------------------

  _wire() {
    this.stage.addEventListener("pointerdown", (event) => this._begin(event));
    this.stage.addEventListener("pointermove", (event) => this._move(event));
    this.stage.addEventListener("pointerup", (event) => this._end(event));
    this.stage.addEventListener("pointercancel", () => this._forget());
    document.addEventListener("pointerdown", (event) => {
      if (!this.menu.hidden && !this.menu.contains(event.target)) this.close();
    });
    this.menu.addEventListener("keydown", (event) => this._inMenu(event));
    const form = document.getElementById("say");
    const entry = document.getElementById("entry");
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (entry.value) this.run(["submit", "--", entry.value]);
    });
    document.getElementById("command-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this._runTyped();
    });
    const on = (id, does) => document.getElementById(id).addEventListener("click", does);
    on("workload", () => this.run(LOAD));
    on("chaos", () => this.run(chaos(document.getElementById("seed").value)));
    on("slow-motion", (event) => this._slowMotion(event.currentTarget));
    document.getElementById("record").addEventListener("click", () => this.run(["tap", "ring"]));
    document.getElementById("ask-query").addEventListener("click", () => {
      if (entry.value) this.run(["read", "--", entry.value]);
    });
  }

  /** The cluster itself becomes slow: its timers and its links together. A second click gives it back
      the pace that it had. */
  async _slowMotion(button) {
    button.disabled = true;
    const slow = button.getAttribute("aria-pressed") !== "true";
    const [pace, delay] = slow ? SLOW : this._pace;
    const scaled = await this.run(["set", "timescale", pace]);
    const delayed = scaled === null ? null : await this.run(["set", "message-delay", delay]);
    const had = [/: (\S+) -> /.exec(scaled ?? "")?.[1] ?? pace, /: (\S+) -> /.exec(delayed ?? "")?.[1] ?? delay];
    if (delayed !== null) {
      this._pace = had;
      button.setAttribute("aria-pressed", String(slow));
    } else if (scaled !== null && had[0] !== pace) {
      await this.run(["set", "timescale", had[0]]);
    }
    button.disabled = false;
  }

  _inMenu(event) {
    const items = [...this.menu.querySelectorAll("button")];
    const at = items.indexOf(document.activeElement);
    if (event.key === "Escape") this.close();
    else if (event.key === "ArrowDown") items[(at + 1) % items.length].focus();
    else if (event.key === "ArrowUp") items[(at + items.length - 1) % items.length].focus();
    else if (event.key === "Tab") this.close();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  _at(event) {
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(this.stage.getScreenCTM().inverse());
    return [point.x, point.y];
  }

  _nodeAt([x, y]) {
    const { at, radius } = this.page.ring.layout;
    const found = Object.entries(at).find(([, [nx, ny]]) => Math.hypot(nx - x, ny - y) <= radius + 8);
    return found ? Number(found[0]) : null;
  }

  _begin(event) {
    if (event.button !== 0) return;
    const at = this._at(event);
    this._from = { node: this._nodeAt(at), line: [at], moved: false };
  }

  _move(event) {
    if (!this._from) return;
    const at = this._at(event);
    const [bx, by] = this._from.line[0];
    if (!this._from.moved && Math.hypot(at[0] - bx, at[1] - by) < FAR_ENOUGH) return;
    if (!this._from.moved) this.stage.setPointerCapture(event.pointerId);
    this._from.moved = true;
    if (this._from.node === null) this._from.line.push(at);
    else this._from.line = [this._from.line[0], at];
    this.sketch.setAttribute("d", `M ${this._from.line.map((one) => one.map((n) => n.toFixed(1)).join(" ")).join(" L ")}${this._from.node === null ? " Z" : ""}`);
  }

  _end(event) {
    const from = this._from;
    this._forget();
    if (!from?.moved) return;
    const place = [event.clientX, event.clientY];
    this.page.swallowClick();
    if (from.node !== null) {
      const to = this._nodeAt(this._at(event));
      if (to !== null && to !== from.node) {
        this.openLink(from.node, to, place, null);
      }
      return;
    }
    const inside = Object.entries(this.page.ring.layout.at).filter(([, at]) => encloses(from.line, at)).map(([id]) => Number(id));
    const words = partition(this.state, inside);
    if (words) this.run(words);
  }

  _forget() {
    this._from = null;
    this.sketch.setAttribute("d", "");
  }

  // -- the keyboard ----------------------------------------------------------------------------------

  actions() {
    const leader = () => leaders(this.state)[0];
    const follower = () => Object.values(this.state.nodes).find((node) => node.role === "follower" && node.process === "up");
    const withNode = (find, words) => () => {
      const node = find();
      if (node) this.run(words(String(node.id)));
    };
    return {
      submit: () => {
        const entry = document.getElementById("entry");
        const text = entry.value || exampleEntry(this.state.machine, this.state.count);
        if (text) this.run(["submit", "--", text]);
        else entry.focus(); // of somebody's own machine the page knows no entry
      },
      restart: withNode(leader, (id) => ["restart", id]),
      timeOut: withNode(follower, (id) => ["time-out", id]),
      timeOutAll: () => this.run(["time-out", "all"]),
      command: () => this.command.focus(),
      heal: () => this.run(["heal"]),
      freeze: () => this.run([this.state.frozen ? "thaw" : "freeze"]),
    };
  }
}

/** Why a line was not run. */
function showFailure(outcome, why) {
  outcome.textContent = why;
  outcome.classList.add("bad");
}

/** One line as it is; of several the last, which has the result, and all of them at a click. */
function showOutcome(outcome, text) {
  const lines = text.split("\n").map((one) => printable(one, 400).replaceAll("\\u0009", "  "));
  outcome.textContent = lines[lines.length - 1];
  if (lines.length === 1) return;
  outcome.after(el("details", {}, el("summary", {}, `all ${lines.length} lines`), el("pre", { tabindex: "0" }, lines.slice(0, MOST_LINES).join("\n"))));
}

/** Whether a closed line goes around a point (even-odd rule). */
function encloses(line, [x, y]) {
  let inside = false;
  for (let i = 0, j = line.length - 1; i < line.length; j = i, i += 1) {
    const [ax, ay] = line[i];
    const [bx, by] = line[j];
    if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) inside = !inside;
  }
  return inside;
}
