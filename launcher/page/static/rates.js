// Throughput and latency over the run, with faults shaded: a plot, and the same as JSON. `measured`
// is pure.

import { el, fill, svg } from "./dom.js";
import { isOfDisk } from "./fold_links.js";
import { seconds } from "./words.js";

const BUCKETS = 120;
const WIDE = 600;
const HIGH = 90;
const MOST_BANDS = 200;
const OF_PROCESSES = new Set(["kill", "power", "point"]);

/** {begin, width, committed: [entries a second], latency: [ms or null], faults: [[from, to, kind]], elections: [at]}

    Latency is the time from when a leader first sends an entry until it knows it to be committed. */
export function measured(history) {
  const [begin, end] = history.span;
  const width = Math.max((end - begin) / BUCKETS, 0.001);
  const committed = new Array(BUCKETS).fill(0);
  const waits = Array.from({ length: BUCKETS }, () => []);
  const faults = [];
  const open = new Map();
  const elections = [];
  let known = 0;
  let pending = [];
  const leading = {};
  for (const event of history.events) {
    const bucket = Math.max(0, Math.min(BUCKETS - 1, Math.floor((event.at - begin) / width)));
    const commit = event.state?.commit ?? event.commit ?? 0;
    const leads = (event.state?.role ?? event.role ?? "") === "leader" || leading[event.node];
    if (event.state?.role) leading[event.node] = event.state.role === "leader";
    if (event.event === "message.sent" && event.message?.entries) {
      const last = pending.length ? pending[pending.length - 1][0] : known;
      if (event.message.last > last) pending.push([event.message.last, event.at]);
    }
    if (event.node !== 0 && leads && commit > known) {
      committed[bucket] += known ? commit - known : 0;
      known = commit;
      for (const [last, at] of pending) if (last <= known) waits[bucket].push((event.at - at) * 1000);
      pending = pending.filter(([last]) => last > known);
    }
    if (event.event === "leader.elected") {
      elections.push(event.at);
      pending = [];
    }
    if (event.event === "fault.injected") {
      if (event.duration_s !== undefined) faults.push([event.at, event.at + event.duration_s, event.fault]);
      else open.set(event.id, { from: event.at, kind: event.fault, targets: event.targets ?? [] });
    }
    for (const [id, fault] of open) {
      if (!ends(event, id, fault)) continue;
      faults.push([fault.from, event.at, fault.kind]);
      open.delete(id);
    }
  }
  for (const fault of open.values()) faults.push([fault.from, end, fault.kind]);
  return {
    begin, width, elections, faults: faults.slice(-MOST_BANDS),
    committed: committed.map((count) => Math.round(count / width)),
    latency: waits.map((all) => (all.length ? Math.round(middle(all) * 10) / 10 : null)),
  };
}

/** Whether an event ends a fault. That of a process, such as a kill, ends when all that it hit run again. */
function ends(event, id, fault) {
  if (event.event === "cluster.healed") return true;
  if (event.event === "fault.healed") {
    if (event.ids) return event.ids.includes(id);
    if (event.fault === "disk") return isOfDisk(fault.kind) && fault.targets.every((one) => event.targets.includes(one));
    return !event.fault && !event.targets && !event.links;
  }
  if (event.event !== "node.spawned" || !OF_PROCESSES.has(fault.kind) || !fault.targets.includes(event.target)) return false;
  fault.targets = fault.targets.filter((one) => one !== event.target);
  return fault.targets.length === 0;
}

function middle(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}

/** Faults that overlap as one band: [from, to, kinds]. */
function asBands(faults) {
  const bands = [];
  for (const [from, to, kind] of [...faults].sort((a, b) => a[0] - b[0])) {
    const last = bands[bands.length - 1];
    if (last && from <= last[1]) {
      last[1] = Math.max(last[1], to);
      if (!last[2].includes(kind)) last[2].push(kind);
    } else bands.push([from, to, [kind]]);
  }
  return bands;
}

/** The points of each piece between gaps; one that is alone comes twice, which draws a dot. */
function pieces(values, most) {
  const found = [[]];
  values.forEach((value, i) => {
    if (value === null) found.push([]);
    else found[found.length - 1].push(`${((i + 0.5) / BUCKETS) * WIDE},${HIGH - (value / most) * (HIGH - 6)}`);
  });
  return found.filter((points) => points.length).map((points) => (points.length === 1 ? [...points, ...points] : points));
}

export function drawRates(root, history, now) {
  const found = measured(history);
  const [begin, end] = history.span;
  const x = (at) => ((at - begin) / (end - begin || 1)) * WIDE;
  const plot = (name, values, unit) => {
    const most = Math.max(1, ...values.filter((value) => value !== null));
    return el(
      "figure", { class: "plot" },
      el("figcaption", {}, `${name}, at most ${most} ${unit}`),
      svg(
        "svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, preserveAspectRatio: "none", role: "img", "aria-label": `${name}: at most ${most} ${unit}` },
        ...asBands(found.faults).map(([from, to, kinds]) => svg("rect", { class: "band", x: x(from), width: Math.max(1, x(to) - x(from)), y: 0, height: HIGH }, svg("title", {}, `${kinds.join(", ")} ${seconds(from)} to ${seconds(to)}`))),
        ...found.elections.map((at) => svg("line", { class: "mark elected", x1: x(at), x2: x(at), y1: 0, y2: 14 })),
        ...pieces(values, most).map((points) => svg("polyline", { points: points.join(" ") })),
        svg("line", { class: "now", x1: x(now), x2: x(now), y1: 0, y2: HIGH }),
      ),
    );
  };
  fill(
    root,
    plot("Entries committed a second", found.committed, "a second"),
    plot("Time until an entry is committed (median)", found.latency, "ms"),
    el("p", { class: "hint" }, "Shaded: a fault was in force. Blue: a leader was elected."),
  );
}
