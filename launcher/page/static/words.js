// What the page says in words, and any text of others made harmless to the eye.

const HIDDEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufeff\ufff0-\uffff]/g;

/** Text with every control character and direction mark shown as what it is, and cut at a length. */
export function printable(text, most = 400) {
  const shown = String(text).replace(HIDDEN, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`);
  return shown.length > most ? `${shown.slice(0, most)}… (${shown.length} characters)` : shown;
}

export function nodeName(id) {
  return `n${id}`;
}

export function names(ids) {
  return ids.map(nodeName).join(", ");
}

export function seconds(value) {
  const absolute = Math.abs(value);
  if (absolute >= 100) return `${value.toFixed(1)} s`;
  if (absolute >= 1) return `${value.toFixed(3)} s`;
  return `${(value * 1000).toFixed(1)} ms`;
}

/** Colours come again after eight terms; the number is always beside them. */
export function termClass(term) {
  return term > 0 ? `term-${term % 8}` : "term-none";
}

const RARE = new Set(["PreVote", "PreVoteReply", "RequestVote", "RequestVoteReply", "InstallSnapshot", "InstallSnapshotReply", "TimeoutNow"]);

/** Messages of which there are few, and each matters. */
export function isRare(message) {
  return RARE.has(message.type);
}

/** A few characters that stand at a message on its way; empty for a heartbeat and what answers it. */
export function messageLabel(message) {
  const said = message.message ?? {};
  switch (message.type) {
    case "PreVote": return "pre-vote?";
    case "RequestVote": return `vote? T${said.term}`;
    case "PreVoteReply": return said.granted ? "pre-vote ✓" : "pre-vote ✗";
    case "RequestVoteReply": return said.granted ? "vote ✓" : "vote ✗";
    case "AppendEntries": return said.entries ? (said.first === said.last ? `+${said.first}` : `+${said.first}–${said.last}`) : "";
    case "AppendEntriesReply": return said.reject ? `✗ try ${said.hint}` : said.match > 0 && said.fresh !== false ? `✓ ${said.match}` : "";
    case "InstallSnapshot": return "snapshot";
    case "InstallSnapshotReply": return said.installed ? "snapshot ✓" : "snapshot…";
    case "TimeoutNow": return "campaign now";
    case "ReadIndex": return "read?";
    case "ReadIndexReply": return `read at ${said.index}`;
    default: return message.type ?? "message";
  }
}

/** All that a message says, one line each. */
export function messageLines(message) {
  const lines = [`${message.type} from ${nodeName(message.from)} to ${nodeName(message.to)}`];
  for (const [name, value] of Object.entries(message.message ?? {})) lines.push(`${name.replace("_", " ")}: ${value}`);
  if (message.bytes !== undefined) lines.push(`${message.bytes} bytes`);
  if (message.held) lines.push("held on this link");
  if (message.delayed) lines.push("delayed by a fault");
  if (message.of > 1) lines.push(`1 of ${message.of}`);
  lines.push(message.id);
  return lines.map((line) => printable(line));
}

/** An event in one line. */
export function eventText(event) {
  if (event.text) return printable(event.text);
  const kind = event.event;
  if (kind.startsWith("message.")) {
    const from = nodeName(event.from ?? event.node);
    const to = nodeName(event.to ?? event.node);
    const what = event.said ? printable(event.said) : `${event.type} ${messageLabel(event)}`.trim();
    const became = kind.slice(8);
    const why = event.why ? ` (${event.why})` : "";
    return `${from} → ${to} ${became}${why}: ${what}`;
  }
  return `${event.node ? `${nodeName(event.node)}: ` : ""}${printable(kind)}`;
}

/** Whether a link loses everything; it may be slow as well: "cut, delay 50ms". */
export function isCut(does) {
  return does !== undefined && does.includes("cut");
}

const DISKS = { hang: "disk hangs", slow: "disk slow", full: "disk full" };

function diskWord(node) {
  if (node.stalled) return "disk hangs";
  return node.disk ? DISKS[node.disk.split(/[ -]/)[0]] ?? "disk fails" : "";
}

/** A process in one word, with a sign that needs no colour. */
export function condition(state, node) {
  if (node.process === "down") return { word: "dead", sign: "✕", why: node.why };
  if (state.frozen) return { word: "frozen", sign: "❄", why: "" };
  if (node.process === "paused") return { word: "paused", sign: "‖", why: "" };
  if (!node.responding) return { word: "not responding", sign: "…", why: "" };
  const cut = cutOff(state, node.id);
  if (cut) return { word: cut, sign: "⊘", why: "" };
  const disk = diskWord(node);
  return { word: disk, sign: disk && "⛁", why: node.disk };
}

/** Whether a node's links to all running others are cut: both ways, or one. */
export function cutOff(state, id) {
  const others = Object.values(state.nodes).filter((node) => node.id !== id && node.process === "up");
  if (!others.length) return "";
  const out = others.every((other) => isCut(state.links[`${id}>${other.id}`]));
  const into = others.every((other) => isCut(state.links[`${other.id}>${id}`]));
  if (out && into) return "cut off";
  if (out) return "mute";
  return into ? "deaf" : "";
}
