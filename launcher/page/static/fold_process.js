// Processes: which run, are stopped by a signal, or are down, and what an operator does to them; and
// the steps of an election that nodes tell of.

import { newNode, withNode } from "./fold_node.js";

const NOT_ANY_MORE = {
  role: null, leader: null, votes: [], refused: [], asking: null, peers: {}, waits: "",
  electionAt: null, receiving: null, stalled: false, seen: null,
};

export function foldProcess(state, event) {
  const change = STEPS[event.event];
  return change ? change(state, event) : state;
}

const STEPS = {
  "node.spawned": (state, event) => withNode(state, event.target, { ...NOT_ANY_MORE, process: "up", why: "" }),
  "node.started": (state, event) =>
    withNode(state, event.node, { ...NOT_ANY_MORE, process: "up", role: event.role, why: "", life: event.life }),
  "node.ready": (state, event) => (event.machine ? { ...state, machine: event.machine } : state),
  "node.exited": (state, event) => ended(state, event.target, event.reason ?? "ended"),
  "node.stopped": (state, event) => ended(state, event.node || event.target, event.reason ?? "stopped"),
  "node.failed": (state, event) => ended(state, event.target ?? event.node, event.reason ?? "failed"),
  "node.renewed": (state, event) => {
    const { [event.target]: old, ...nodes } = state.nodes;
    const renewed = { ...newNode(event.target), process: old?.process ?? "down", why: old?.why ?? "" };
    return { ...state, nodes: { ...nodes, [event.target]: renewed } };
  },
  "world.changed": (state, event) => {
    let next = state;
    for (const node of Object.values(state.nodes)) {
      const paused = event.paused?.includes(node.id);
      const changes = {};
      if (paused && node.process === "up") Object.assign(changes, { process: "paused", why: "paused" });
      if (paused === false && node.process === "paused") Object.assign(changes, { process: "up", why: "" });
      if (event.disks) changes.disk = event.disks[node.id] ?? "";
      next = withNode(next, node.id, changes);
    }
    return next;
  },
  "cluster.frozen": (state) => ({ ...state, frozen: true }),
  "cluster.thawed": (state) => ({ ...state, frozen: false }),
  "election.started": (state, event) => {
    const changes = { asking: event.pre_vote ? "pre-votes" : "votes", leader: null };
    const derived = { votes: [event.node], refused: [], ...(event.pre_vote ? {} : { vote: event.node }) };
    return claim(state, event, changes, derived);
  },
  "vote.granted": (state, event) => claim(state, event, {}, { vote: event.candidate }),
  "leader.elected": (state, event) =>
    claim(state, event, { leader: event.node, asking: null }, { votes: event.votes ?? [], role: "leader" }),
  "leader.heard": (state, event) => claim(state, event, { leader: event.leader, asking: null }),
  "leader.stepped_down": (state, event) => claim(state, event, { leader: null }, { votes: [], peers: {} }),
  "disk.stalled": (state, event) => claim(state, event, { stalled: true }),
  "disk.recovered": (state, event) => claim(state, event, { stalled: false }),
  "configuration.adopted": (state, event) => {
    if (!event.voters) return state;
    return { ...state, conf: { voters: event.voters, outgoing: event.outgoing ?? [], learners: event.learners ?? [] } };
  },
  "status.seen": seen,
};

/** derived: what the event says of a node whose whole state the trace does not tell */
function claim(state, event, changes, derived = {}) {
  const told = state.nodes[event.node]?.told;
  return withNode(state, event.node, told ? changes : { ...changes, ...derived });
}

function ended(state, id, why) {
  if (!id) return state;
  const next = withNode(state, id, { ...NOT_ANY_MORE, process: "down", why });
  const flights = Object.entries(next.flights).filter(([link]) => !link.endsWith(`>${id}`));
  return { ...next, flights: Object.fromEntries(flights) };
}

/** A live cluster's status: what each node said last to the supervisor. Live only. */
function seen(state, event) {
  let next = state;
  for (const one of event.nodes) {
    const before = state.nodes[one.id] ?? newNode(one.id);
    const running = one.process === "up" || one.process === "paused";
    next = withNode(next, one.id, {
      process: one.process === "failed" ? "down" : one.process,
      why: one.why, disk: one.disk, clock: one.clock, throttle: one.throttle,
      responding: one.responding, seen: one.role,
      role: running ? before.role : null,
      ...timer(before, event.at, one.election_in),
    });
    if (one.term < before.term) continue; // the log of events is further
    // A node's report is as old as its last one, and each change of its role is an event, which is
    // exact. So a report counts from the second on that says the same.
    const counts = running && one.role !== null && (before.role === null || before.seen === one.role);
    if (counts) next = withNode(next, one.id, { role: one.role, leader: one.leader });
    next = withNode(next, one.id, {
      term: one.term, vote: one.vote ?? (one.term > before.term ? null : before.vote),
      commit: Math.max(before.commit, one.commit), log: seenLog(before.log, one),
      peers: one.role === "leader" ? Object.fromEntries(one.peers.map(([id, n, m]) => [id, { next: n, match: m }])) : {},
    });
  }
  const ids = new Set(event.nodes.map((one) => one.id));
  const nodes = Object.fromEntries(Object.entries(next.nodes).filter(([id]) => ids.has(Number(id))));
  return { ...next, nodes, links: event.links, frozen: event.frozen, conf: event.conf ?? next.conf, machine: event.machine ?? next.machine };
}

/** When its election timer fires, and since when it has been running. */
function timer(before, at, left) {
  if (left === null) return { electionAt: null, electionFrom: null };
  const electionAt = at + left;
  const again = before.electionAt === null || electionAt > before.electionAt + 0.005;
  return { electionAt, electionFrom: again ? at : before.electionFrom };
}

function seenLog(log, one) {
  const base = Math.max(0, one.first - 1);
  if (one.last === log.last && base === log.base) return log;
  let starts = log.starts.filter(([first]) => first <= one.last);
  if (one.last > log.last) {
    const end = starts[starts.length - 1];
    if (!end || end[1] !== one.term) starts = [...starts, [Math.max(log.last, base) + 1, one.term]];
  }
  const inside = starts.filter(([first], i) => (starts[i + 1] ? starts[i + 1][0] - 1 : one.last) > base);
  return {
    base, baseTerm: log.baseTerm, last: one.last,
    starts: inside.map(([first, term]) => [Math.max(first, base + 1), term]),
  };
}
