// Links: which ones an operator or a fault has cut, made slow, or lossy. `links` has only those that
// do something: "1>2" -> "cut", "delay 50ms", ...

import { withNode } from "./fold_node.js";
import { isCut } from "./words.js";

export function foldLinks(state, event) {
  switch (event.event) {
    case "world.changed": return event.links ? { ...state, links: Object.fromEntries(event.links.map(([a, b, does]) => [`${a}>${b}`, does])) } : state;
    case "fault.injected": return event.id === undefined ? state : begun(state, event);
    case "fault.healed": return healed(state, event);
    case "cluster.healed": return withFaults(state, {});
    case "node.exited": return relieved(state, [event.target], (kind) => kind.startsWith("fail-"));
    default: return state;
  }
}

/** Real clusters: a fault is in force under its id until it is healed. */
function begun(state, event) {
  const links = {};
  if (event.groups) {
    const group = new Map(event.groups.flatMap((ids, i) => ids.map((id) => [id, i])));
    for (const a of group.keys()) {
      for (const b of group.keys()) if (group.get(a) !== group.get(b)) links[`${a}>${b}`] = "cut";
    }
  }
  for (const [a, b] of event.links ?? []) links[`${a}>${b}`] = event.does ?? event.fault;
  const fault = { id: event.id, kind: event.fault, links, targets: event.targets ?? [], does: event.does ?? "" };
  const before = isOfDisk(event.fault) ? without(state.faults, fault.targets, isOfDisk) : state.faults;
  const kept = Object.values(before).filter((one) => !replaces(fault, one));
  return withFaults(state, Object.fromEntries([...kept, fault].map((one) => [one.id, one])));
}

function replaces(fault, old) {
  if (fault.kind === "partition") return old.kind === "partition";
  return false;
}

function healed(state, event) {
  if (!event.ids) {
    if (event.fault === "disk") return relieved(state, event.targets ?? [], isOfDisk);
    if (event.targets || event.links || event.fault) return state;
    return withFaults(state, {});
  }
  const kept = Object.entries(state.faults).filter(([id]) => !event.ids.includes(Number(id)));
  return withFaults(state, Object.fromEntries(kept));
}

export function isOfDisk(kind) {
  return kind.includes("disk") || kind.startsWith("fail-");
}

/** The simulated world tells of its links and disks without any ids: then this changes nothing. */
function relieved(state, ids, isKind) {
  const concerns = (one) => isKind(one.kind) && one.targets.some((id) => ids.includes(id));
  return Object.values(state.faults).some(concerns) ? withFaults(state, without(state.faults, ids, isKind)) : state;
}

/** The faults, those of a kind no more at these nodes. */
function without(faults, ids, isKind) {
  const kept = Object.entries(faults).flatMap(([id, one]) => {
    if (!isKind(one.kind)) return [[id, one]];
    const targets = one.targets.filter((target) => !ids.includes(target));
    return targets.length ? [[id, { ...one, targets }]] : [];
  });
  return Object.fromEntries(kept);
}

function withFaults(state, faults) {
  const links = {};
  const paused = new Set();
  const disks = {};
  for (const fault of Object.values(faults)) {
    for (const [link, does] of Object.entries(fault.links)) {
      links[link] = isCut(links[link]) || isCut(does) ? "cut" : does;
    }
    for (const id of fault.targets) {
      if (fault.kind === "pause") paused.add(id);
      if (isOfDisk(fault.kind)) disks[id] = fault.does || fault.kind;
    }
  }
  let next = { ...state, faults, links };
  for (const node of Object.values(state.nodes)) {
    if (paused.has(node.id) && node.process === "up") next = withNode(next, node.id, { process: "paused", why: "paused" });
    if (!paused.has(node.id) && node.process === "paused") next = withNode(next, node.id, { process: "up", why: "" });
    const disk = disks[node.id] ?? "";
    if (disk !== node.disk) next = withNode(next, node.id, { disk });
  }
  return next;
}
