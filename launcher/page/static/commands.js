// What the page can do, each as the words of a command line. Pure.

import { nodeName } from "./words.js";

/** For the menu of a node: [label, words], by what the node is now. A third value says that the words
    are the beginning of a command, which is to be completed. */
export function ofNode(state, node) {
  const id = String(node.id);
  if (node.process === "down") {
    return [["Start", ["start", id]], ["Rebuild from the others", ["rebuild", id]]];
  }
  if (node.process === "paused") {
    return [["Resume", ["resume", id]], ["Kill", ["kill", id]]];
  }
  const rows = [
    ["Kill", ["kill", id]],
    ["Kill, with its power", ["kill", id, "--power"]],
    ["Pause", ["pause", id]],
    ["Stop cleanly", ["stop", id]],
    ["Restart", ["restart", id]],
  ];
  if (node.role !== "leader") rows.push(["Hand leadership to it", ["transfer", id]], ["Campaign now", ["time-out", id]]);
  const others = Object.keys(state.nodes).filter((other) => other !== id);
  if (others.length) rows.push(["Cut off from the others", ["partition", `${id} | ${others.join(",")}`]]);
  rows.push(
    ["Disk hangs", ["disk", id, "hang"]],
    ["Disk is slow", ["disk", id, "slow", "50ms"]],
    ["Disk works again", ["disk", id, "ok"]],
    ["Clock 500 ms ahead", ["clock", id, "bump", "500ms"]],
    ["A fifth of a core", ["throttle", id, "20%"]],
    ["All of its core", ["throttle", id, "ok"]],
    ["Kill at its next sync", ["arm", id, "before-sync", "kill"]],
    ["Another fault of its disk…", ["disk", id], true],
    ["Arm another point…", ["arm", id], true],
  );
  return rows;
}

/** For the menu of a link between two nodes. */
export function ofLink(state, a, b) {
  const both = `${a}-${b}`;
  const one = `${a}>${b}`;
  const does = state.links[`${a}>${b}`] || state.links[`${b}>${a}`];
  const rows = [
    ["Cut, both ways", ["link", both, "cut"]],
    [`Cut, only ${nodeName(a)} to ${nodeName(b)}`, ["link", one, "cut"]],
    ["Delay 100 ms", ["link", both, "delay", "100ms"]],
    ["Lose 30 %", ["link", both, "loss", "30%"]],
    ["Hold all messages", ["link", both, "hold"]],
    ["Drop the next AppendEntries", ["drop", one, "AppendEntries"]],
    ["Another fault…", ["link", both], true],
  ];
  rows.unshift(...dropWaiting(state, a, b), ...dropWaiting(state, b, a));
  if (does) rows.unshift(["Make it whole", ["link", both, "ok"]]);
  return rows;
}

/** For each type of message that is held or delayed on a link: the row that loses the oldest. */
function dropWaiting(state, from, to) {
  const waiting = (state.flights[`${from}>${to}`] ?? []).filter((one) => one.held || one.delayed);
  const types = [...new Set(waiting.map((one) => one.type))];
  return types.map((type) => {
    const does = waiting.find((one) => one.type === type).held ? "held" : "delayed";
    return [`Drop the ${does} ${type} to ${nodeName(to)}`, ["drop", `${from}>${to}`, type]];
  });
}

/** An entry for the machine that the cluster runs, such as its recipes have; empty for one of others.
    number: which makes it another one each time */
export function exampleEntry(machine, number) {
  switch (machine) {
    case "files": return `ADD file-${number}`;
    case "kv": return `SET key ${number}`;
    case "lock": return `ACQUIRE lock-${number} page 30s`;
    case "election": return `CAMPAIGN office page-${number} 30s`;
    case "members": return `JOIN page-${number} 30s`;
    case "multicast": return `SEND hello ${number}`;
    default: return "";
  }
}

/** A load for that machine, which the launcher itself finds. */
export const LOAD = ["workload", "--time", "15s", "--clients", "2", "--rate", "40"];

/** Chaos by a seed: the one that is given, or any. */
export function chaos(seed) {
  const found = seed.trim() || String(1 + Math.floor(Math.random() * 9999));
  return ["chaos", "--time", "20s", "--seed", found];
}

/** The words that split the nodes: those inside, and the others. */
export function partition(state, inside) {
  const others = Object.keys(state.nodes).map(Number).filter((id) => !inside.includes(id));
  if (!inside.length || !others.length) return null;
  return ["partition", `${inside.join(",")} | ${others.join(",")}`];
}

/** The words of a command line, as a shell would part them; null where a quote is not closed. What
    stands before them anyway may be left out: `launcher`, and the `--` before an entry or a query. */
export function wordsOf(line) {
  const words = [];
  let word = null;
  let quote = "";
  for (let i = 0; i < line.length; i += 1) {
    const one = line[i];
    if (quote) {
      if (one === quote) quote = "";
      else if (quote === '"' && one === "\\" && '"\\'.includes(line[i + 1] ?? " ")) word += line[(i += 1)];
      else word += one;
    } else if (one === "'" || one === '"') {
      quote = one;
      word ??= "";
    } else if (/\s/.test(one)) {
      if (word !== null) words.push(word);
      word = null;
    } else {
      if (one === "\\" && i + 1 < line.length) i += 1;
      word = (word ?? "") + line[i];
    }
  }
  if (quote) return null;
  if (word !== null) words.push(word);
  if (words[0] === "launcher") words.shift();
  const takesText = words[0] === "submit" || words[0] === "read";
  if (takesText && !words.some((one) => one.startsWith("--"))) words.splice(1, 0, "--");
  return words;
}

/** A command line as a shell wants it. */
export function commandLine(words) {
  return ["launcher", ...words].map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'"'"'`)}'`)).join(" ");
}
