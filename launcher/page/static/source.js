// Where the events come from: the file itself, a server with a recorded run, or a live cluster.

import { api, hasToken } from "./api.js";
import { follow } from "./live.js";
import { say } from "./note.js";
import { unpacked } from "./packed.js";

/** Makes the page, gives it its events, and runs it. */
export async function loadEvents(Page) {
  const data = document.getElementById("data");
  const about = JSON.parse(document.getElementById("about").textContent);
  document.title = `${about.title} · Leeky Raft`;
  document.getElementById("source").textContent = about.title;
  say(about.left_out);
  const page = new Page({ live: about.live, lesson: about.lesson });
  globalThis.page = page; // for tests, and for the curious in a console
  page.run();
  try {
    if (data) page.add(await unpacked(data.textContent));
    else if (!hasToken()) say("This address lacks its token: open the whole address that `launcher page` has printed, with what stands after the #.", "bad");
    else if (about.live) {
      follow(page);
      await page.beginLesson();
    }
    else page.add(await api("/run"));
  } catch (error) {
    say(error.message, "bad");
  }
}
