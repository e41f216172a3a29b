// A lesson, read and played beside the picture: it narrates, points at nodes, waits for the reader,
// runs its commands, and says which of its claims held.

import { api } from "./api.js";
import { el, fill } from "./dom.js";
import { printable } from "./words.js";

export class LessonPanel {
  constructor(root, page) {
    this.root = root;
    this.page = page;
    this.lit = new Set();
    this._next = 0;
    this._held = 0;
  }

  async begin() {
    this.lesson = await api("/lesson");
    this.story = el("div", { class: "story", tabindex: "0" });
    this.button = el("button", { type: "button", class: "main", onclick: () => this.goOn() }, "Go on");
    fill(
      this.root,
      el("h3", {}, `Lesson ${this.lesson.number}: ${this.lesson.title}`),
      this.story,
      el("p", { class: "lesson-next" }, this.button),
    );
    this._say(this.lesson.shows, "shows");
    this._resume();
    this.button.focus();
  }

  /** After a reload: what has been done already is told, and not done again. */
  _resume() {
    const commands = this.lesson.steps.map((step, i) => [step, i]).filter(([step]) => step.kind === "command");
    if (!this.lesson.done) return this._waitFor();
    this._next = commands[this.lesson.done - 1][1] + 1;
    for (const step of this.lesson.steps.slice(0, this._next)) this._tell(step);
    return this._waitFor();
  }

  /** The next step: a paragraph is told at once, and a command is run. */
  async goOn() {
    const step = this.lesson.steps[this._next];
    if (!step) return;
    this._next += 1;
    if (step.kind === "command") await this._run(step);
    else this._tell(step);
    // What follows up to the next command or question is read in one go.
    while (this.lesson.steps[this._next]?.kind === "prose" && !this.failed) {
      this._tell(this.lesson.steps[this._next]);
      this._next += 1;
    }
    this._waitFor();
  }

  async _run(step) {
    const output = el("pre", {}, "…");
    const line = this._add(el("p", { class: "typed" }, el("code", {}, `$ ${printable(step.text)}`)), output);
    this._point(step.text);
    this.button.disabled = true;
    try {
      const said = await api("/lesson", { method: "POST", body: JSON.stringify({ step: step.number }) });
      output.textContent = said.output.split("\n").map((one) => printable(one, 2000)).join("\n").trim() || "(it printed nothing)";
      this._held += said.held.length;
      for (const claim of said.held) this._add(el("p", { class: "held" }, `✓ ${printable(claim)}`));
    } catch (error) {
      this.failed = true;
      output.remove();
      this._add(el("p", { class: "outcome bad" }, `✗ ${error.message}`));
    }
    this.button.disabled = false;
    this.button.focus();
    return line;
  }

  _tell(step) {
    if (step.kind === "command") this._add(el("p", { class: "typed" }, el("code", {}, `$ ${printable(step.text)}`)));
    else this._say(step.text.replace(/^> ?/gm, ""), step.kind);
  }

  _say(text, kind) {
    this._point(text);
    this._add(el("p", { class: kind }, ...withMarks(printable(text.replace(/\s+/g, " "), 4000))));
  }

  /** Nodes that the text names are lit in the picture. */
  _point(text) {
    this.lit = new Set([...text.matchAll(/\bn(\d{1,2})\b/g)].map((found) => Number(found[1])));
    this.page.redraw();
  }

  _add(...elements) {
    this.story.append(...elements);
    this.story.scrollTop = this.story.scrollHeight;
    return elements[0];
  }

  _waitFor() {
    const step = this.lesson.steps[this._next];
    if (this.failed) this.button.hidden = true;
    else if (!step) this._end();
    else this.button.textContent = step.kind === "command" ? `Run: ${printable(step.text, 60)}` : step.kind === "predict" ? "Go on" : "Go on";
  }

  _end() {
    this.button.hidden = true;
    this._add(el("h3", {}, "Questions"));
    for (const [question, answer] of this.lesson.questions) {
      this._add(el("details", {}, el("summary", {}, ...withMarks(question.replace(/\s+/g, " "))), el("p", {}, ...withMarks(answer.replace(/\s+/g, " ").replace("*Answer.* ", "")))));
    }
    this._add(el("p", { class: "lesson-over" }, `The lesson is over: all ${this._held} checks held.`));
  }
}

/** The little Markdown of the lessons: **bold**, *italic* and `code`. */
function withMarks(text) {
  return text.split(/(\*\*[^*]+\*\*|\*[^*]+\*|`[^`]+`)/).map((part) => {
    if (part.startsWith("**")) return el("b", {}, part.slice(2, -2));
    if (part.startsWith("*") && part.length > 1) return el("em", {}, part.slice(1, -1));
    if (part.startsWith("`")) return el("code", {}, part.slice(1, -1));
    return part;
  });
}
