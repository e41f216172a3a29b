// The keyboard: raftscope's keys where they fit, and those of a player.

/** [keys, what they do, the name of the action]; what the help lists. */
export const KEYS = [
  [[" ", "."], "play or pause", "toggle"],
  [["ArrowRight"], "step to the next event", "next"],
  [["ArrowLeft"], "step back to the event before", "before"],
  [["n"], "go to the next notable event", "nextNotable"],
  [["p"], "go back to the notable event before", "beforeNotable"],
  [["Home"], "go to the beginning", "first"],
  [["End"], "go to the end", "last"],
  [["+", "="], "faster", "faster"],
  [["-"], "slower", "slower"],
  [["w"], "say why the event happened that was stepped to", "why"],
  [["m"], "show or hide messages in the timeline", "messages"],
  [["?", "h"], "show or hide this help", "help"],
];

/** Those of a cluster that runs. */
export const LIVE_KEYS = [
  [["c"], "submit an entry to the leader", "submit"],
  [[":"], "type a command of the launcher", "command"],
  [["r"], "restart the leader", "restart"],
  [["t"], "have one follower campaign now", "timeOut"],
  [["a"], "have all nodes campaign now, which may split the vote", "timeOutAll"],
  [["b"], "end every fault and resume all nodes", "heal"],
  [["f"], "freeze the whole cluster, or let it go on", "freeze"],
  [["l"], "go to the newest event: live", "live"],
];

const SHOWN = { " ": "space", ArrowRight: "→", ArrowLeft: "←" };

export function keyName(key) {
  return SHOWN[key] ?? (key.length === 1 ? key.toUpperCase() : key);
}

/** Calls an action for each key that is pressed anywhere but in a field. */
export function listen(actions, rows) {
  document.addEventListener("keydown", (pressed) => {
    if (pressed.ctrlKey || pressed.metaKey || pressed.altKey) return;
    const within = pressed.target;
    if (within instanceof HTMLElement && within.closest("input:not([type=range]), textarea, select, dialog[open]")) return;
    const onButton = within instanceof Element && within.closest("button, a, [role=button], [role=menuitem]");
    if (onButton && (pressed.key === " " || pressed.key === "Enter")) return;
    const row = rows.find(([keys]) => keys.some((key) => key === pressed.key || key === pressed.key.toLowerCase()));
    if (!row || !actions[row[2]]) return;
    pressed.preventDefault();
    actions[row[2]]();
  });
}
