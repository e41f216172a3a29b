"""The live page in Chromium, with a server that the test plays: nothing runs behind it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from launcher.page import file, modules
from tests.launcher.page.browser import needs_chromium, opened, shows, wait_until
from tests.launcher.page.test_state import cut_from, event, up

pytestmark = [pytest.mark.slow, needs_chromium]

BASE = "http://page.test"
SHOWN = "globalThis.page?.history.length > 0 && document.querySelector('[data-node]') !== null"


def a_message(at: float, to: int = 2) -> dict[str, Any]:
    said = {"term": 1, "index": 4, "entries": 2, "first": 5, "last": 6}
    return event("message.sent", 1, at=at, t=str(at), to=to, type="AppendEntries", message=said)


class Server:
    """A server for the page: its frame, one stream that ends, and commands, which it keeps."""

    def __init__(self, *events: dict[str, Any], status: int = 200, refusal: str = "") -> None:
        self.done: list[list[str]] = []
        self.answers: dict[str, str] = {}  # the output of some commands; "!..." is an error
        # Each has a clock of its own, as events of real nodes have.
        self._events = [{**one, "t": str(i)} for i, one in enumerate(events, 1)]
        self._status = status
        self._refusal = refusal

    def __call__(self, route: Any, request: Any) -> None:
        path = request.url.removeprefix(BASE)
        if path == "/":
            head = f"<style>{modules.text('page.css')}</style>"
            script = f'<script type="module">{modules.joined()}</script>'
            body = file.frame(file.about("lab", live=True), head=head, data="", script=script)
            route.fulfill(body=body, content_type="text/html")
        elif path == "/events" and self._status != 200:
            route.fulfill(status=self._status, json={"error": self._refusal})
        elif path == "/events":
            text = f"event: events\nid: 1.1\ndata: {json.dumps(self._events)}\n\n"
            route.fulfill(body=text, content_type="text/event-stream")
        elif path == "/do":
            self.done.append(json.loads(request.post_data)["words"])
            said = self.answers.get(" ".join(self.done[-1]), "done")
            if said.startswith("!"):
                route.fulfill(status=422, json={"status": 2, "output": "", "error": said[1:]})
            else:
                route.fulfill(json={"status": 0, "output": said, "error": ""})
        else:
            route.fulfill(status=404, json={"error": path})


@contextmanager
def watched(server: Server, **options: Any) -> Iterator[Any]:
    options.setdefault("viewport", {"width": 1280, "height": 860})
    with opened("about:blank", **options) as page:
        page.route(f"{BASE}/**", server)
        page.goto(f"{BASE}/#token=x")
        yield page


def cluster() -> list[dict[str, Any]]:
    """Three nodes; n1 leads, and has sent much."""
    ready = [event("node.ready", node, machine="files") for node in (1, 2, 3)]
    led = event("leader.elected", 1, role="leader", votes=[1, 2], last_index=0)
    return [*up(3), *ready, led, a_message(1.0)]


def test_why_the_stream_was_refused_is_said_however_often_it_is_tried() -> None:
    tries = "performance.getEntriesByType('resource').filter((e) => e.name.endsWith('/events'))"
    with watched(Server(status=503, refusal="64 pages are open")) as page:
        wait_until(page, f"{tries}.length >= 4")
        shows(page, "#note", "64 pages are open", alone=True)


def test_a_stream_that_begins_anew_leaves_nothing_of_what_was() -> None:
    """As after a long pause, or a repaired timeline."""
    server = Server(*cluster())
    with watched(server) as page:
        wait_until(page, SHOWN)
        wait_until(page, "page.player.place > 3")
        page.keyboard.press("ArrowLeft")  # time stands still meanwhile
        page.evaluate("page.restart()")
        wait_until(page, "document.getElementById('place').textContent === 'event 0 of 0'")
        page.evaluate(f"page.add({json.dumps(cluster())})")
        wait_until(page, "page.player.place === page.history.length && page.player.following")


def test_a_link_is_cut_by_keyboard_alone() -> None:
    server = Server(*cluster())
    with watched(server) as page:
        wait_until(page, SHOWN)
        page.locator("#tab-links").focus()
        page.keyboard.press("Space")
        page.locator("[data-cell='1>3']").focus()
        page.evaluate("page.add([{...page.history.events.at(-1), t: '9', at: 2, to: 3}])")
        wait_until(page, "document.querySelector('[data-cell=\"1>3\"]').textContent === '1'")
        page.keyboard.press("Enter")
        page.get_by_role("menuitem", name="Cut, both ways").wait_for()
        page.keyboard.press("Enter")
        wait_until(page, "document.querySelector('.outcome.good') !== null")
        assert server.done == [["link", "1-3", "cut"]]
        assert page.evaluate("document.activeElement.dataset.cell") == "1>3"


def test_an_entry_a_load_and_chaos_are_for_the_machine_that_runs() -> None:
    server = Server(*cluster())
    with watched(server) as page:
        wait_until(page, SHOWN)
        wait_until(page, "document.getElementById('entry').placeholder === 'ADD file-1'")
        page.keyboard.press("c")
        page.click("#workload")
        page.fill("#seed", "12")
        page.click("#chaos")
        wait_until(page, "document.querySelectorAll('.outcome.good').length === 3")
        entry, load, chaos = server.done
        assert entry[-1].startswith("ADD file-")
        assert load[:2] == ["workload", "--time"]
        assert chaos[-2:] == ["--seed", "12"]


def test_any_command_is_typed_or_begun_by_a_menu() -> None:
    server = Server(*cluster())
    with watched(server) as page:
        wait_until(page, SHOWN)
        page.keyboard.press(":")
        page.keyboard.type("launcher submit 'ADD a \"b\"'")
        page.keyboard.press("Enter")
        wait_until(page, "document.querySelectorAll('.outcome.good').length === 1")
        assert page.input_value("#command") == ""
        page.locator("[data-node='2']").click()
        page.get_by_role("menuitem", name="Arm another point…").click()
        assert page.input_value("#command") == "arm 2 "
        page.keyboard.type("before-sync '3*off->kill'")
        page.keyboard.press("Enter")
        wait_until(page, "document.querySelectorAll('.outcome.good').length === 2")
        page.fill("#command", "submit 'ADD a")
        page.keyboard.press("Enter")
        shows(page, ".outcome.bad", "a quote is not closed")
        assert page.input_value("#command") == "submit 'ADD a"
        assert server.done == [
            ["submit", "--", 'ADD a "b"'],
            ["arm", "2", "before-sync", "3*off->kill"],
        ]


MIDDLE_OF_A_MESSAGE = """(() => {
    const box = document.querySelector('.message').getBoundingClientRect();
    return [box.x + box.width / 2, box.y + box.height / 2];
})()"""
"""In one step: what moves is drawn anew with each frame, so an element does not last."""


def test_what_a_message_says_is_at_the_pointer_and_stays_until_it_moves() -> None:
    with watched(Server(*cluster())) as page:
        wait_until(page, SHOWN)
        page.evaluate("page.act(() => { page.player.seek(1); page.player.slow = 1 / 500; })")
        page.evaluate("page.act(() => page.player.goTo(page.history.length - 1))")
        page.evaluate("page.add([{...page.history.events.at(-1), t: '8', at: 1.0001}])")
        page.evaluate("page.act(() => { page.player.seek(1.0001); page.player.slow = 1 / 500; })")
        wait_until(page, "document.querySelector('.message') !== null")
        page.mouse.move(*page.evaluate(MIDDLE_OF_A_MESSAGE))
        tip = page.locator("#tip")
        shows(page, "#tip", "AppendEntries from n1 to n2")
        shows(page, "#tip", "entries: 2")
        page.evaluate("page.restart()")  # it is not on its way any more
        page.wait_for_timeout(100)
        assert tip.is_visible()
        page.mouse.move(5, 5)
        tip.wait_for(state="hidden")


PANELS = {
    "health": "may_fail_now", "logs": "starts", "events": "leader.elected", "node": '"id": 1',
    "links": '"1>2": 1', "rates": "committed", "why": "null",
}  # fmt: skip


@pytest.mark.parametrize("panel", PANELS)
def test_each_panel_has_its_json_at_one_click_and_it_stays_open(panel: str) -> None:
    with watched(Server(*cluster())) as page:
        wait_until(page, SHOWN)
        page.evaluate("page.choose(1)")
        if page.locator(f"#tab-{panel}").count():
            page.evaluate(f"document.getElementById('tab-{panel}').click()")
        page.locator(f"[data-json={panel}] summary").click()
        shows(page, f"[data-json={panel}] pre", PANELS[panel])
        page.evaluate("page.add([{...page.history.events.at(-1), t: '9', at: 2, to: 3}])")
        page.wait_for_timeout(700)
        shows(page, f"[data-json={panel}] pre", PANELS[panel])
        if panel == "links":
            shows(page, "[data-json=links] pre", '"1>3": 1')


def test_slow_motion_gives_back_the_pace_that_the_cluster_had() -> None:
    server = Server(*cluster())
    server.answers = {
        "set timescale 10": "timescale: 4 -> 10\n",
        "set message-delay 30ms": "raft.message_delay: 5ms -> 30ms\n",
    }
    with watched(server) as page:
        wait_until(page, SHOWN)
        button = page.locator("#slow-motion")
        button.click()
        page.locator("#slow-motion[aria-pressed=true]").wait_for()
        button.click()
        page.locator("#slow-motion[aria-pressed=false]").wait_for()
        assert server.done[2:] == [["set", "timescale", "4"], ["set", "message-delay", "5ms"]]


def test_slow_motion_that_is_refused_leaves_the_pace_as_it_was() -> None:
    server = Server(*cluster())
    server.answers = {
        "set timescale 10": "timescale: 1 -> 10\n",
        "set message-delay 30ms": "!no quorum",
    }
    with watched(server) as page:
        wait_until(page, SHOWN)
        page.click("#slow-motion")
        wait_until(page, "document.querySelectorAll('.outcome.good').length === 2")
        assert server.done[-1] == ["set", "timescale", "1"]
        assert page.get_attribute("#slow-motion", "aria-pressed") == "false"


def test_of_many_lines_the_last_is_shown_and_all_at_a_click() -> None:
    server = Server(*cluster())
    words = "workload --time 15s --clients 2 --rate 40"
    server.answers = {words: "op\tok\nadd\t7\n\u202evalid: 7 operations\n"}
    with watched(server) as page:
        wait_until(page, SHOWN)
        page.click("#workload")
        page.locator(".outcome.good").wait_for()
        shows(page, ".outcome", "\\u202evalid: 7 operations", alone=True)
        page.get_by_text("all 3 lines").click()
        shows(page, "#answer pre", "add  7")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [(360, 740), (1280, 860)])
def test_the_live_page_passes_the_rules_of_axe_and_fits(scheme: str, size: tuple[int, int]) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is missing")
    width, height = size
    links = cut_from(1, [2, 3], "cut, delay 100ms")
    events = [
        *cluster(),
        event("node.exited", target=2, reason="killed"),
        event("world.changed", paused=[], links=links, disks={"3": "hang-disk"}),
    ]
    viewport = {"width": width, "height": height}
    with watched(Server(*events), viewport=viewport, color_scheme=scheme) as page:
        wait_until(page, SHOWN)
        page.evaluate("document.querySelector('#tab-links').click()")
        page.evaluate("for (const one of document.querySelectorAll('.json')) one.open = true")
        page.click("#workload")
        page.locator(".outcome.good").wait_for()
        page.locator("[data-node='3']").focus()
        page.keyboard.press("Enter")
        page.get_by_role("menuitem", name="Disk works again").wait_for()
        page.evaluate("page.hover._at = [90, 90]; page.hover._show(['AppendEntries', 'term: 1'])")
        page.wait_for_timeout(400)
        results = axe.Axe().run(page)
        assert results.violations_count == 0, results.generate_report()
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_timer_moves_in_steps_where_the_system_asks_for_reduced_motion() -> None:
    told = {
        "id": 2, "process": "up", "why": "", "role": "follower", "term": 1, "leader": 1,
        "vote": 1, "commit": 0, "first": 1, "last": 0, "disk": "", "clock": "", "throttle": "",
        "responding": True, "election_in": 600.0, "peers": [],
    }  # fmt: skip
    status = event("status.seen", nodes=[told], links={}, frozen=False, conf=None, machine=None)
    drawn = """new Promise((done) => {
        const arc = document.querySelector("[data-node='2'] .timer");
        let count = 0;
        new MutationObserver((all) => { count += all.length; }).observe(arc, {attributes: true});
        page.player.playing = true; page.player.following = false; page.player.slow = 1 / 500;
        setTimeout(() => done(count), 500);
    })"""
    with watched(Server(*cluster(), status), reduced_motion="reduce") as page:
        wait_until(page, SHOWN)
        assert page.evaluate(drawn) <= 2
