// One line above everything: what the viewer must know of the run, or of the connection.

export function say(text, kind = "note") {
  const note = document.getElementById("note");
  note.hidden = !text;
  note.className = kind;
  note.textContent = text || "";
}
