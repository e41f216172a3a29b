// Logs, as far as events tell of them. A trace of the simulated world tells each log by itself
// (`state`, in fold.js); the events of real nodes tell its ends.

import { withNode } from "./fold_node.js";
import { compacted, cutAfter, extended } from "./log.js";

export function foldLog(state, event) {
  const node = state.nodes[event.node];
  if (!node) return state;
  switch (event.event) {
    case "node.recovered": return withNode(state, node.id, { log: recovered(node, event), snapshot: event.snapshot_index ?? 0 });
    case "snapshot.taken": return withNode(state, node.id, { snapshot: event.index });
    case "snapshot.installed": return installed(state, node, event);
    case "log.truncated": return node.told ? state : withNode(state, node.id, { log: cutAfter(node.log, event.first_index - 1) });
    case "leader.elected":
      if (node.told || event.last_index === undefined) return state;
      return withNode(state, node.id, { log: ledLog(node.log, event) });
    default: return state;
  }
}

/** A leader begins its term with an entry of its own; of which terms those before are, others say. */
function ledLog(log, event) {
  const before = extended(cutAfter(log, event.last_index), event.last_index, 0);
  return extended(before, event.last_index + 1, event.term);
}

function recovered(node, event) {
  const { log } = node;
  if (event.last_index === undefined || node.told) return log;
  const there = compacted(cutAfter(log, event.last_index), event.snapshot_index ?? 0);
  return there.last < event.last_index ? extended(there, event.last_index, event.last_term ?? 0) : there;
}

function installed(state, node, event) {
  const changes = { snapshot: event.index, receiving: null };
  if (!node.told) changes.log = compacted(node.log, event.index);
  return withNode(state, node.id, changes);
}
