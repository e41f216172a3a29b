// What stands along the slider: when leaders were elected, and when faults and deaths were.

import { svg } from "./dom.js";

const KINDS = { "leader.elected": "elected", "fault.injected": "fault", "node.exited": "death", "safety.violated": "violation" };
const MOST_MARKS = 400;

export function drawMarks(root, history) {
  const [begin, end] = history.span;
  const span = end - begin || 1;
  const found = history.events.filter((event) => KINDS[event.event]);
  const stride = Math.max(1, Math.ceil(found.length / MOST_MARKS));
  const lines = found
    .filter((event, i) => i % stride === 0 || event.event === "leader.elected")
    .map((event) => {
      const x = ((event.at - begin) / span) * 1000;
      const kind = KINDS[event.event];
      return svg("line", { class: `mark ${kind}`, x1: x, x2: x, y1: kind === "elected" ? 0 : 6, y2: 12 });
    });
  root.replaceChildren(...lines);
}
