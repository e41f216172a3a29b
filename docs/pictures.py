"""Draws the pictures of the page that the docs show: `make pictures`.

Each is a moment of a simulated run, found by what is to be seen in it, in Debian's Chromium. The
same seeds give the same pictures.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from launcher.fault_kinds import parse_faults
from launcher.page import file, recorded
from launcher.simulation.runner import run_seed
from launcher.simulation.situation import Options
from launcher.simulation.trace import Trace

if TYPE_CHECKING:
    from playwright.sync_api import Browser

FOLDER = Path(__file__).parent / "pictures"
WIDTH, HEIGHT = 1280, 800
SEEDS = 40
"""The first of this many seeds that has such a moment is shown."""


class Picture(msgspec.Struct, frozen=True):
    """One picture.

    wanted: JavaScript, true of (state, event, history, place) at the moment that is shown
    later_s: how long after that moment
    then: JavaScript that is run before the picture is taken
    """

    name: str
    seed: int
    wanted: str
    faults: str = "kill"
    nodes: int = 5
    later_s: float = 0.0
    scheme: str = "light"
    then: str = ""


_UP = "Object.values(state.nodes).filter((n) => n.process === 'up')"
PICTURES = (
    Picture(
        "election", 11, faults="kill", later_s=0.001,
        wanted="event.event === 'message.received' && event.type === 'RequestVoteReply' "
        f"&& {_UP}.length === 4 && {_UP}.some((n) => n.role === 'candidate' && n.term > 2 "
        "&& n.votes.length === 2 && n.log.last > 12)",
        then="page.player.slow = 1 / 50",
    ),
    Picture(
        "two-leaders", 3, faults="partition,isolate,cut", later_s=0.03,
        wanted=f"event.event === 'message.sent' && {_UP}.filter((n) => n.role === 'leader')"
        ".length === 2 && Object.values(state.links).includes('cut')",
    ),
    Picture(
        "replication", 8, faults="none", later_s=0.002,
        wanted="event.event === 'message.sent' && event.message.entries > 1 && event.at > 1.5",
        then="page.player.slow = 1 / 100",
        scheme="dark",
    ),
    Picture(
        "no-quorum", 4, faults="kill,pause", nodes=3,
        wanted=f"event.at > 1 && {_UP}.length === 1 && {_UP}[0].commit > 20 "
        "&& history.at(place + 4).at > event.at + 0.1 && Object.keys(state.nodes).length === 3",
        then="document.getElementById('tab-links').click()",
    ),
    Picture(
        "membership", 5, faults="membership,link", nodes=5,
        wanted="event.event === 'message.sent' && state.conf && state.conf.outgoing.length > 0 "
        f"&& {_UP}.some((n) => n.role === 'leader')",
        then="page.choose(Object.values(page.player.state.nodes)"
        ".find((n) => n.role === 'leader').id)",
    ),
)  # fmt: skip

FIND = """([wanted, later]) => {
  const test = new Function("state", "event", "history", "place", `return ${wanted}`);
  const { history, player } = page;
  for (let place = 1; place <= history.length; place += 1) {
    if (test(history.at(place), history.events[place - 1], history, place)) {
      player.seek(history.events[place - 1].at + later);
      page.redraw();
      return place;
    }
  }
  return -1;
}"""


def main() -> int:
    """Draws the pictures whose names are given, or all of them."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium")
    if chromium is None:
        print("pictures: Chromium is missing: apt-get install chromium", file=sys.stderr)
        return 1
    asked = sys.argv[1:]
    FOLDER.mkdir(exist_ok=True)
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for picture in PICTURES:
            if not asked or picture.name in asked:
                _draw(browser, picture, Path(folder))
        browser.close()
    return 0


def _draw(browser: Browser, picture: Picture, folder: Path) -> None:
    for seed in range(picture.seed, picture.seed + SEEDS):
        page = browser.new_page(
            viewport={"width": WIDTH, "height": HEIGHT},
            color_scheme=picture.scheme,
            bypass_csp=True,
        )
        page.goto(_recorded(picture, seed, folder).as_uri())
        page.wait_for_function("globalThis.page?.history.length > 0")
        place = page.evaluate(FIND, [picture.wanted, picture.later_s])
        if place >= 0:
            if picture.then:
                page.evaluate(picture.then + "; page.redraw()")
            page.wait_for_timeout(500)
            page.screenshot(path=FOLDER / f"{picture.name}.png")
            print(f"{picture.name}.png: seed {seed}, event {place}")
            return
        page.close()
    raise SystemExit(f"pictures: no seed from {picture.seed} on has a moment for {picture.name}")


def _recorded(picture: Picture, seed: int, folder: Path) -> Path:
    trace = folder / f"seed-{seed}.jsonl"
    options = Options(nodes=picture.nodes, time_s=12.0, faults=parse_faults(picture.faults))
    with trace.open("w") as opened:
        run_seed(options, seed, Trace(opened.write))
    html = trace.with_suffix(".html")
    html.write_text(file.html_file(recorded.read(trace)), encoding="utf-8")
    return html


if __name__ == "__main__":
    sys.exit(main())
