// Messages: under way from `message.sent` to `message.received` or `message.lost`. What a message
// says is what its sender claims: votes, and what a leader believes of a peer.

import { withNode } from "./fold_node.js";
import { agreeing, extended } from "./log.js";

const MOST_ON_A_LINK = 200;

export function messageId(from, t, to) {
  return `n${from}:${t}>n${to}`;
}

/** The id of the message that an event is about. */
export function idOf(event) {
  if (event.event === "message.sent") return messageId(event.node, event.t, event.to);
  if (event.event === "message.received") return messageId(event.from, event.sent_t, event.node);
  return messageId(event.from ?? event.node, event.sent_t, event.to);
}

export function foldMessage(state, event) {
  switch (event.event) {
    case "message.sent": return said(launched(state, event), event);
    case "message.received": return heard(landed(state, event.from, event.node, event), event);
    case "message.lost": return landed(state, event.from, event.to, event);
    case "message.duplicated": return marked(state, event, (m) => ({ copies: m.copies + (event.delays_s?.length ?? 2) - 1 }));
    case "message.held": return marked(state, event, () => ({ held: true }));
    case "message.delayed": return marked(state, event, () => ({ delayed: true }));
    default: return state;
  }
}

// -- under way -------------------------------------------------------------------------------------

function onLink(state, link, messages) {
  const flights = { ...state.flights };
  if (messages.length) flights[link] = messages;
  else delete flights[link];
  return { ...state, flights };
}

function launched(state, event) {
  const link = `${event.node}>${event.to}`;
  const message = {
    id: idOf(event), from: event.node, to: event.to, type: event.type, at: event.at, copies: 1,
    held: false, delayed: false, message: event.message ?? {}, bytes: event.bytes, of: event.of ?? 1,
  };
  const counts = { ...state.counts, [link]: (state.counts[link] ?? 0) + message.of };
  if (state.nodes[event.to]?.process === "down") return { ...state, counts }; // nobody takes it
  const there = [...(state.flights[link] ?? []), message];
  return onLink({ ...state, counts }, link, there.slice(-MOST_ON_A_LINK));
}

function landed(state, from, to, event) {
  const link = `${from}>${to}`;
  const there = state.flights[link];
  if (!there) return state;
  const id = idOf(event);
  const rest = there.flatMap((one) => {
    if (one.id !== id) return [one];
    return one.copies > 1 ? [{ ...one, copies: one.copies - 1 }] : [];
  });
  return onLink(state, link, rest);
}

function marked(state, event, change) {
  const link = `${event.node}>${event.to}`;
  const id = idOf(event);
  const there = state.flights[link];
  if (!there) return state;
  return onLink(state, link, there.map((one) => (one.id === id ? { ...one, ...change(one) } : one)));
}

// -- what it says ----------------------------------------------------------------------------------

function said(state, event) {
  const message = event.message ?? {};
  const node = state.nodes[event.node];
  if (node.told) return state; // a trace that tells the node's whole state itself
  if (event.type === "RequestVote" && node.vote === null) return withNode(state, node.id, { vote: node.id });
  if (event.type === "AppendEntries") {
    const changes = {};
    const last = message.last ?? 0;
    if (last > node.log.last) changes.log = extended(node.log, last, message.term);
    const peer = node.peers[event.to] ?? { next: 1, match: 0 };
    const next = message.entries ? last + 1 : message.index + 1;
    changes.peers = { ...node.peers, [event.to]: { ...peer, next } };
    return withNode(state, node.id, changes);
  }
  if (event.type === "AppendEntriesReply" && !message.reject && message.match > 0) {
    const leader = state.nodes[event.to];
    if (leader && leader.term === message.term && leader.log.last >= message.match) {
      return withNode(state, node.id, { log: agreeing(node.log, leader.log, message.match), leader: event.to });
    }
  }
  return state;
}

function heard(state, event) {
  const message = event.message ?? {};
  const node = state.nodes[event.node];
  if (!node.told && (event.type === "RequestVoteReply" || event.type === "PreVoteReply")) {
    if (!node.role?.endsWith("candidate") && node.role !== "leader") return state;
    const list = message.granted ? "votes" : "refused";
    if (node[list].includes(event.from)) return state;
    return withNode(state, node.id, { [list]: [...node[list], event.from] });
  }
  if (event.type === "InstallSnapshot") {
    return withNode(state, node.id, { receiving: { from: event.from, offset: message.offset, size: message.size } });
  }
  if (event.type === "AppendEntries") {
    const changes = {};
    if (message.term === node.term && node.role !== "leader") changes.leader = event.from;
    if (node.receiving) changes.receiving = null;
    return withNode(state, node.id, changes);
  }
  if (node.told) return state;
  if (event.type === "AppendEntriesReply" && node.role === "leader" && message.term === node.term) {
    const peer = node.peers[event.from] ?? { next: 1, match: 0 };
    const changed = message.reject
      ? { ...peer, next: Math.max(peer.match, message.hint ?? 0) + 1 }
      : { next: Math.max(peer.next, message.match + 1), match: Math.max(peer.match, message.match) };
    return withNode(state, node.id, { peers: { ...node.peers, [event.from]: changed } });
  }
  return state;
}
