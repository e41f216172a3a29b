// Where the events come from: the file itself, a server with a recorded run, or a live cluster.



/** Makes the page, gives it its events, and runs it. */
export async function loadEvents(Page) {
  const data = document.getElementById("data");
  const about = JSON.parse(document.getElementById("about").textContent);
  document.title = `${about.title} · Leeky Raft`;
  document.getElementById("source").textContent = about.title;
  say(about.left_out);
  if (data) {
    const page = new Page({ live: false });
    page.run();
    page.add(await unpacked(data.textContent));
    globalThis.page = page;
  }
}

/** Events as they are kept in a file: JSON, deflated, in base64. */
async function unpacked(text) {
  const bytes = Uint8Array.from(atob(text.trim()), (one) => one.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return JSON.parse(await new Response(stream).text());
}

/** One line above everything, or none. */
export function say(text, kind = "note") {
  const note = document.getElementById("note");
  note.hidden = !text;
  note.className = kind;
  note.textContent = text || "";
}
