// The stream of a live cluster: server-sent events, read by fetch so that the token is a header and
// any number of tabs work. A lost connection goes on after the last id; an event that comes twice is
// taken once.

import { request } from "./api.js";
import { say } from "./note.js";

const MOST_KNOWN = 300_000;
const PAUSE_MS = [300, 700, 1500, 3000];

export async function follow(page) {
  let last = "";
  let failures = 0;
  const known = new Set();
  for (;;) {
    let refused = false;
    try {
      const response = await request("/events", { headers: last ? { "Last-Event-ID": last } : {} });
      if (!response.ok) {
        const said = await response.json().catch(() => ({}));
        say(said.error ?? `the stream ended: ${response.status}`, "bad");
        if (response.status === 401 || response.status === 403) return;
        refused = true;
        throw new Error("refused");
      }
      failures = 0;
      say("");
      for await (const frame of frames(response.body)) {
        if (frame.id) last = frame.id;
        take(page, frame, known);
      }
      throw new Error("ended");
    } catch {
      failures += 1;
      if (failures > 1 && !refused) say("The page's server does not answer: the cluster, or `launcher page`, has ended. What has happened stays here; trying again.", "bad");
      page.noteGone();
      await new Promise((done) => setTimeout(done, PAUSE_MS[Math.min(failures, PAUSE_MS.length) - 1]));
    }
  }
}

function take(page, frame, known) {
  const data = JSON.parse(frame.data);
  switch (frame.event) {
    case "events": {
      const fresh = data.filter((event) => {
        const name = `${event.t}.${event.node}.${event.event}.${event.to ?? event.from ?? ""}`;
        if (known.has(name)) return false;
        known.add(name);
        return true;
      });
      if (known.size > MOST_KNOWN) known.clear(); // a stream that goes on has no doubles
      if (fresh.length) page.add(fresh);
      break;
    }
    case "status": page.add([data]); break;
    case "reset": known.clear(); page.restart(); break;
    case "gone": say(data.why ? `The cluster is down: ${data.why}` : "", "bad"); if (data.why) page.noteGone(); break;
    default: break;
  }
}

/** The frames of a stream, each {event, id, data}. */
async function* frames(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let left = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    left += value;
    const parts = left.split("\n\n");
    left = parts.pop();
    for (const part of parts) {
      const frame = { event: "message", id: "", data: "" };
      for (const line of part.split("\n")) {
        const at = line.indexOf(": ");
        if (at > 0) frame[line.slice(0, at)] = line.slice(at + 2);
      }
      if (frame.data) yield frame;
    }
  }
}
