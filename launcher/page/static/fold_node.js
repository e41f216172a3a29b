// One node in the picture: as it is before anything is known of it, and with some of it changed.

import { EMPTY_LOG } from "./log.js";

export function newNode(id) {
  return {
    id, process: "down", why: "", life: 0, term: 0, role: null, vote: null, votes: [], refused: [],
    asking: null, leader: null, commit: 0, log: EMPTY_LOG, snapshot: 0, peers: {}, disk: "",
    clock: "", throttle: "", waits: "", electionAt: null, electionFrom: null, receiving: null,
    responding: true, stalled: false, told: false, seen: null,
  };
}

/** A copy of the state with some fields of one node changed; a node that was not there is made. */
export function withNode(state, id, changes) {
  const node = { ...(state.nodes[id] ?? newNode(id)), ...changes };
  return { ...state, nodes: { ...state.nodes, [id]: node } };
}
