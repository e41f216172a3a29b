// The picture is a fold of events: (state, event) -> state, pure, the same for a live cluster, a
// recorded run and a simulated one.
//
// What a node claims is what is shown: each event of a node carries its term, role and commit index,
// a message what its sender says, and a trace of the simulated world also the node's whole `state`.
// Nothing is concluded from what a node ought to be. So two nodes that both claim to lead are shown
// as two leaders. States share what has not changed, so that keeping many costs little.

import { foldLinks } from "./fold_links.js";
import { foldLog } from "./fold_log.js";
import { foldMessage } from "./fold_messages.js";
import { newNode, withNode } from "./fold_node.js";
import { foldProcess } from "./fold_process.js";
import { agreeing, extended } from "./log.js";

/** Before the first event. at: seconds since the run began; links: "1>2" -> what it does */
export const EMPTY = Object.freeze({
  at: 0,
  count: 0,
  nodes: Object.freeze({}),
  flights: Object.freeze({}),
  links: Object.freeze({}),
  faults: Object.freeze({}),
  counts: Object.freeze({}),
  conf: null,
  frozen: false,
  machine: "",
});

/** The state after one more event. Events that it does not know change only what each event says. */
export function fold(state, event) {
  let next = { ...state, at: Math.max(state.at, event.at), count: state.count + 1 };
  if (event.node !== 0) next = claimed(next, event);
  const kind = event.event;
  if (kind.startsWith("message.")) return foldMessage(next, event);
  next = foldProcess(next, event);
  next = foldLinks(next, event);
  return foldLog(next, event);
}

// -- what every event of a node claims ------------------------------------------------------------

function claimed(state, event) {
  const before = state.nodes[event.node] ?? newNode(event.node);
  const said = event.state ?? {};
  const told = before.told || said.log !== undefined;
  const changes = {};
  if (event.role && !told) {
    changes.term = event.term;
    changes.role = event.role;
    changes.commit = Math.max(event.commit, 0);
  }
  for (const name of ["term", "role", "vote", "commit"]) {
    if (name in said) changes[name] = said[name];
  }
  if (said.conf) state = { ...state, conf: newest(state, event, said.conf) };
  if (!told && changes.term !== undefined && changes.term !== before.term) {
    if (!("vote" in said)) changes.vote = null;
    changes.votes = [];
    changes.refused = [];
    changes.asking = null;
  }
  if (changes.role && changes.role !== before.role) {
    if (!changes.role.endsWith("candidate")) changes.asking = null;
    if (!told && changes.role !== "leader") changes.peers = {};
    if (!told && changes.role === "follower") changes.votes = [];
  }
  if (said.peers) changes.peers = Object.fromEntries(said.peers.map(([id, next, match]) => [id, { next, match }]));
  if (said.votes) {
    changes.votes = said.votes.filter(([, granted]) => granted).map(([id]) => id);
    changes.refused = said.votes.filter(([, granted]) => !granted).map(([id]) => id);
  }
  if (said.log) changes.told = true;
  if (said.log || said.last !== undefined) changes.log = claimedLog(before.log, said, told);
  if (said.snapshot !== undefined) changes.snapshot = said.snapshot;
  const commit = changes.commit ?? before.commit;
  if (!told && event.role && commit > (changes.log ?? before.log).last) {
    changes.log = committedLog(state, changes.log ?? before.log, { ...before, ...changes }, commit);
  }
  return withNode(state, event.node, changes);
}

/** A node that says what is committed holds it: a leader's new entries are of its term, and a
    follower's are its leader's (Log Matching); otherwise nobody has said of which term they are. */
function committedLog(state, log, node, commit) {
  if (node.role === "leader") return extended(log, commit, node.term);
  const leads = (one) => one.role === "leader" && one.term === node.term && one.log.last >= commit;
  const leader = Object.values(state.nodes).find(leads);
  return leader ? agreeing(log, leader.log, commit) : extended(log, commit, 0);
}

function claimedLog(before, said, told) {
  let log = before;
  if (said.log) log = { base: said.log.base, baseTerm: said.log.base_term, starts: said.log.starts, last: before.last };
  if (said.last !== undefined) log = { ...log, last: said.last };
  if (told || said.last_term === undefined) return log;
  const end = log.starts[log.starts.length - 1];
  if (log.last > before.last && (!end || end[1] !== said.last_term)) {
    return { ...log, starts: [...log.starts, [before.last + 1, said.last_term]] };
  }
  return { ...log, starts: log.starts.filter(([first]) => first <= log.last) };
}

/** The membership in force: the newest term's leader has it, and otherwise whoever said it last. */
function newest(state, event, conf) {
  const leads = Object.values(state.nodes).some((node) => node.role === "leader" && node.process === "up");
  const its = event.state.role ?? state.nodes[event.node]?.role;
  if (leads && its !== "leader" && state.conf !== null) return state.conf;
  return conf.voters.length || state.conf === null ? conf : state.conf;
}
