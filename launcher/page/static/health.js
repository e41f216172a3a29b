// How many nodes may fail, and what is wrong; pure, from the state and the newest events.

import { condition, isCut, names, nodeName } from "./words.js";

/** The voters of each half of the configuration in force. */
function halves(conf) {
  return [conf.voters, conf.outgoing ?? []].filter((half) => half.length);
}

/** What keeps a node from taking part; empty when nothing does. */
function ailment(state, id, among) {
  const node = state.nodes[id];
  if (node === undefined) return "not there";
  const { word } = condition(state, node);
  if (word && word !== "disk slow") return word; // who is slow takes part all the same
  return among.has(id) ? "" : "cut off from the majority";
}

/** What is wrong with whom, as one text: "n2, n3 are dead, the disk of n4 hangs". */
function told(ill) {
  const alike = new Map();
  for (const [id, word] of ill) alike.set(word, [...(alike.get(word) ?? []), id]);
  return [...alike].map(([word, ids]) => {
    const many = ids.length > 1;
    if (!word.startsWith("disk ")) return `${names(ids)} ${many ? "are" : "is"} ${word}`;
    const does = word === "disk full" ? (many ? "are full" : "is full") : many ? word.slice(5, -1) : word.slice(5);
    return `the ${many ? "disks" : "disk"} of ${names(ids)} ${does}`;
  });
}

/** The voters that reach each other: with the leader of the newest term, or else the largest group. */
function together(state, ids) {
  const running = ids.filter((id) => state.nodes[id]?.process === "up");
  const whole = (a, b) => !isCut(state.links[`${a}>${b}`]) && !isCut(state.links[`${b}>${a}`]);
  const groups = running.map((id) => running.filter((other) => other === id || whole(id, other)));
  groups.sort((a, b) => b.length - a.length);
  return new Set(groups[0] ?? []);
}

export function majority(count) {
  return Math.floor(count / 2) + 1;
}

/** {number, most, why}: how many further voters may fail, how many could at best, and why fewer. */
export function tolerance(state) {
  // Event logs without messages say who votes only when that changes: a cluster begins with all.
  const conf = state.conf ?? { voters: Object.keys(state.nodes).map(Number) };
  const groups = halves(conf);
  if (!groups.length) return { number: 0, most: 0, why: "nobody has said who votes" };
  let number = Infinity;
  let most = Infinity;
  const ill = new Map();
  for (const half of groups) {
    const among = together(state, half);
    const up = half.filter((id) => !ailment(state, id, among)).length;
    number = Math.min(number, up - majority(half.length));
    most = Math.min(most, half.length - majority(half.length));
    for (const id of half) {
      const word = ailment(state, id, among);
      if (word) ill.set(id, word);
    }
  }
  const said = told([...ill].sort(([a], [b]) => a - b));
  if (groups.length > 1) said.push("two configurations are in force at once");
  return { number, most, why: said.join(", ") };
}

/** The leaders that claim to lead; the one of the newest term first. */
export function leaders(state) {
  return Object.values(state.nodes)
    .filter((node) => node.role === "leader" && node.process !== "down")
    .sort((a, b) => b.term - a.term);
}

/** The two alarms, each {name, text, todo}; and whether two nodes claim to lead. */
export function alarms(state, events, place) {
  const found = [];
  const { number, why } = tolerance(state);
  if (Object.keys(state.nodes).length && number < 0) {
    found.push({ name: "no quorum", text: `No majority: ${why}.`, todo: "Start, resume or reconnect enough voters." });
  }
  const elections = recent(events, place, 10);
  if (elections >= 4) {
    found.push({ name: "election churn", text: `${elections} elections in 10 s.`, todo: "Look for cut or slow links, and for a node that campaigns again and again." });
  }
  const leading = leaders(state);
  if (leading.length > 1) {
    const text = leading.map((node) => `${nodeName(node.id)} in term ${node.term}`).join(", ");
    found.push({ name: "two leaders", text: `${names(leading.map((node) => node.id))} each claim to lead: ${text}.`, todo: "The one of the older term cannot commit; it steps down when it hears of the newer." });
  }
  return found;
}

function recent(events, place, within) {
  const now = place ? events[place - 1].at : 0;
  let count = 0;
  for (let i = place - 1, looked = 0; i >= 0 && looked < 20000; i -= 1, looked += 1) {
    if (events[i].at < now - within) break;
    if (events[i].event === "story.line") return 0; // a story has no time
    if (events[i].event === "election.started" && !events[i].pre_vote) count += 1;
  }
  return count;
}
