"""The page on a real cluster, in Chromium: watch an election, break things, and go back in time."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import time
import urllib.error
import urllib.request
from typing import Any

import pytest

from launcher.lessons.lesson import lessons
from tests.cluster.lab import PATIENCE_S, Lab, eventually
from tests.launcher.page.browser import needs_chromium, opened, shows, wait_until

pytestmark = pytest.mark.cluster
pytest.importorskip("uvicorn", reason="the extra `page` is not installed")

TO_AN_ELECTION = "page.act(() => page.player.step(1, (e) => e.event === 'leader.elected'))"
ROLES = "Object.values(page.player.state.nodes).map((n) => [n.id, n.role, n.process, n.term])"


def up_with_page(lab: Lab, nodes: int = 3) -> str:
    """Starts a cluster with its page; the page's address."""
    done = lab.launcher(
        "up", str(nodes), "-d", "--machine", "kv", "--page", "--timeout", str(PATIENCE_S),
        stdin="", check=True,
    )  # fmt: skip
    found = re.search(r"^page: (http://127\.0\.0\.1:\d+/#token=\S+)$", done.out, re.MULTILINE)
    assert found is not None, done.out
    return found[1]


def ask(address: str, path: str, token: bool = True) -> tuple[int, Any]:
    base, _, given = address.partition("/#token=")
    request = urllib.request.Request(base + path)
    if token:
        request.add_header("X-Leeky-Token", given)
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def leader_of(page: Any, but: int = 0) -> int:
    """The node that the page shows as the leader, once it shows one that is up."""
    wait_until(
        page,
        f"{ROLES}.some(([id, role, process]) => role === 'leader' && process === 'up' "
        f"&& id !== {but})",
    )
    shown = page.evaluate(ROLES)
    return next(int(node) for node, role, _, _ in shown if role == "leader" and node != but)


def where(page: Any, node: int) -> tuple[float, float]:
    box = page.locator(f"[data-node='{node}'] .body").bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def drag(page: Any, node: int, other: int) -> None:
    """Opens the menu of the link between two nodes."""
    page.mouse.move(*where(page, node))
    page.mouse.down()
    page.mouse.move(*where(page, other), steps=8)
    page.mouse.up()


def draw_around(page: Any, node: int) -> None:
    box = page.locator(f"[data-node='{node}'] .body").bounding_box()
    x, y = where(page, node)
    across, down = box["width"] * 0.7, box["height"] * 0.66
    page.mouse.move(x - across, y - down)
    page.mouse.down()
    for right, below in ((1, -1), (1, 1), (-1, 1), (-1, -0.95)):
        page.mouse.move(x + right * across, y + below * down, steps=6)
    page.mouse.up()


@needs_chromium
@pytest.mark.timeout(240)
def test_the_leader_is_killed_by_a_click_and_the_page_goes_back_to_before_it(lab: Lab) -> None:
    address = up_with_page(lab, 5)
    with opened(address, viewport={"width": 1280, "height": 860}) as page:
        first = leader_of(page)
        wait_until(page, "Object.keys(page.player.state.counts).length > 0")
        page.fill("#entry", "SET a <b>1</b>")
        page.click("#submit-entry")
        page.locator(".outcome.good").first.wait_for()
        page.locator(f"[data-node='{first}']").click()
        page.get_by_role("menuitem", name="Kill", exact=True).click()
        second = leader_of(page, but=first)
        shows(page, "#answer", f"launcher kill {first}")
        shows(page, "#events", "on the page somebody runs launcher submit -- 'SET a <b>1</b>'")
        wait_until(page, f"page.player.state.nodes[{first}].process === 'down'")
        assert lab.node(first)["state"] == "down"
        assert lab.leader() == second
        for _ in range(80):
            page.locator("[data-does=beforeNotable]").click()
            if page.evaluate(f"page.player.state.nodes[{first}]?.process") == "up":
                break
        assert page.evaluate(f"page.player.state.nodes[{first}].role") == "leader"
        page.click("#live")
        wait_until(page, f"page.player.state.nodes[{first}].process === 'down'")
        ran = [one["line"] for one in lab.events("page.runs")]
        assert ran == ["launcher submit -- 'SET a <b>1</b>'", f"launcher kill {first}"]
        shows(page, "#tolerance", "1", alone=True)


@needs_chromium
@pytest.mark.timeout(240)
def test_an_entry_of_a_mebibyte_leaves_the_page_quick(lab: Lab) -> None:
    """It is taken, one that is longer is refused with the bound, and neither is shown whole."""
    address = up_with_page(lab)
    with opened(address, viewport={"width": 1280, "height": 860}) as page:
        leader_of(page)
        page.fill("#entry", "SET big " + "x" * ((1 << 20) - 100))
        page.click("#submit-entry")
        page.locator(".outcome.good").first.wait_for()

        page.fill("#entry", "SET big " + "x" * (1 << 20))
        page.click("#submit-entry")
        refused = page.locator(".outcome.bad").first
        refused.wait_for()
        assert "1048576" in refused.inner_text()
        assert page.evaluate("document.body.textContent.length") < 1 << 18

        page.fill("#entry", "SET small 1")
        page.click("#submit-entry")
        wait_until(page, "document.querySelectorAll('.outcome.good').length === 2")
    assert len(lab.launcher("read", "GET big", check=True).out) > (1 << 20) - 200


@needs_chromium
@pytest.mark.timeout(240)
def test_a_partition_is_drawn_and_a_link_is_cut_by_dragging(lab: Lab) -> None:
    address = up_with_page(lab)
    with opened(address, viewport={"width": 1280, "height": 860}) as page:
        leader = leader_of(page)
        other = next(node for node in (1, 2, 3) if node != leader)
        drag(page, leader, other)
        page.get_by_role("menuitem", name="Cut, both ways").click()
        wait_until(page, f"page.player.state.links['{leader}>{other}'] === 'cut'")
        page.get_by_role("button", name="Heal all").click()
        wait_until(page, "Object.keys(page.player.state.links).length === 0")
        page.locator(".outcome.good").nth(1).wait_for()
        draw_around(page, leader)
        wait_until(page, "Object.keys(page.player.state.links).length === 4")
        leader_of(page, but=leader)
        page.get_by_role("button", name="Heal all").click()
        wait_until(page, "Object.keys(page.player.state.links).length === 0")


@needs_chromium
@pytest.mark.timeout(240)
def test_a_message_that_a_link_holds_is_lost_by_a_click(lab: Lab) -> None:
    """The link to a node that the leader does not need for a majority."""
    address = up_with_page(lab)
    with opened(address, viewport={"width": 1280, "height": 860}) as page:
        leader = leader_of(page)
        other = next(node for node in (1, 2, 3) if node != leader)
        wait_until(page, "Object.keys(page.player.state.counts).length > 0")

        def choose(label: str) -> None:
            drag(page, leader, other)
            page.get_by_role("menuitem", name=label).click()

        choose("Hold all messages")
        flights = f"page.player.state.flights['{leader}>{other}']"
        wait_until(page, f"({flights} ?? []).some((one) => one.held)")
        choose(f"Drop the held AppendEntries to n{other}")
        eventually(lambda: lab.events("message.dropped"), "the held message to be lost")
        (lost,) = lab.events("message.dropped")
        assert (lost["node"], lost["to"]) == (leader, other)
        shows(page, "#answer", f"launcher drop '{leader}>{other}' AppendEntries")
        page.get_by_role("button", name="Heal all").click()
        wait_until(page, "Object.keys(page.player.state.links).length === 0")


@needs_chromium
@pytest.mark.timeout(240)
def test_slow_motion_slows_timers_and_links_and_gives_both_back(lab: Lab) -> None:
    address = up_with_page(lab)
    with opened(address) as page:
        leader_of(page)
        page.click("#slow-motion")
        page.locator("#slow-motion[aria-pressed=true]").wait_for()
        assert "10" in lab.launcher("set", "timescale", check=True).out
        assert "300ms" in lab.launcher("ps", check=True).out
        page.click("#slow-motion")
        page.locator("#slow-motion[aria-pressed=false]").wait_for()
        assert "300ms" not in lab.launcher("ps", check=True).out


@needs_chromium
@pytest.mark.timeout(240)
def test_a_reload_in_an_election_and_the_end_of_the_cluster(lab: Lab) -> None:
    address = up_with_page(lab)
    with opened(address) as page:
        first = leader_of(page)
        lab.launcher("kill", "leader", check=True)
        page.reload()
        second = leader_of(page, but=first)
        assert lab.leader() == second
        doubles = (
            "page.history.events.length - new Set(page.history.events.map((e) => "
            "`${e.t}.${e.node}.${e.event}.${e.from ?? e.to ?? ''}`)).size"
        )
        assert page.evaluate(doubles) == 0
        lab.launcher("down", check=True)
        wait_until(page, "!document.getElementById('note').hidden")
        assert "does not answer" in page.inner_text("#note") or "down" in page.inner_text("#note")
        assert page.evaluate("page.history.length") > 10


def test_only_who_has_the_token_gets_anything_and_the_page_ends_with_the_cluster(lab: Lab) -> None:
    address = up_with_page(lab)
    assert ask(address, "/", token=False)[0] == 200
    status, said = ask(address, "/status", token=False)
    assert status == 401
    assert "`launcher page`" in said["error"]
    assert json.loads(ask(address, "/status")[1])["leader"] in (1, 2, 3)
    assert "leeky_raft_cluster_quorum 1" in ask(address, "/metrics")[1]
    lab.launcher("down", check=True)
    ends = time.monotonic() + PATIENCE_S
    while time.monotonic() < ends:
        try:
            ask(address, "/", token=False)
        except OSError:
            break
        time.sleep(0.1)
    else:
        pytest.fail("the page outlives its cluster")


def test_a_port_in_use_is_an_error_only_if_it_was_asked_for(lab: Lab) -> None:
    lab.up(1)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = lab.launcher("page", "--port", str(port))
        assert done.status == 2
        assert done.last_error.startswith(f"launcher: --port {port}: Address already in use")


def test_without_a_cluster_and_without_a_record_one_line_says_so(lab: Lab) -> None:
    assert lab.launcher("page").status == 3
    done = lab.launcher("page", "nonsense")
    assert done.status == 2
    assert "nonsense is no file and no folder" in done.last_error
    assert lab.launcher("page", "--html", "out.html").status == 2


def test_the_logs_of_a_cluster_become_a_file_when_it_is_down(lab: Lab) -> None:
    lab.up(3)
    lab.launcher("tap", "ring", check=True)
    lab.launcher("kill", "leader", check=True)
    lab.leader()
    lab.launcher("down", check=True)
    done = lab.launcher("page", "logs", "--html", "run.html", check=True)
    assert re.match(r"run\.html: \d+ events, \d+ KiB\n", done.out)
    assert (lab.folder / "run.html").stat().st_size > 50_000


def begun(process: subprocess.Popen[bytes]) -> str:
    """The address that a command in the foreground has printed."""
    assert process.stdout is not None
    line = process.stdout.readline().decode()
    assert line.startswith("page: http://"), line
    return line.split()[1]


@needs_chromium
@pytest.mark.timeout(300)
@pytest.mark.parametrize("number", lessons())
def test_a_lesson_is_played_to_its_end(lab: Lab, number: int) -> None:
    commands = lessons()[number].commands
    process = lab.spawn("lesson", str(number), "--page")
    try:
        with opened(begun(process)) as page:
            button = page.locator(".lesson-next button")
            for _ in range(100):
                button.click()
                wait_until(page, "!document.querySelector('.lesson-next button').disabled")
                if not button.is_visible():
                    break
            checks = sum(len(one.claims) for one in commands)
            shows(page, ".lesson-over", f"all {checks} checks held")
            wait_until(page, f"{ROLES}.length >= 3")
            page.reload()
            page.locator(".story").wait_for()
            shows(page, ".story", commands[-1].line)
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


@needs_chromium
def test_a_simulated_run_is_shown_at_once(lab: Lab) -> None:
    process = lab.spawn("simulate", "--seed", "5", "--time", "3s", "--page")
    try:
        with opened(begun(process)) as page:
            wait_until(page, "globalThis.page?.history.length > 1000")
            assert "seed-5" in page.title()
            page.evaluate(TO_AN_ELECTION)
            page.get_by_role("button", name="Why?").click()
            page.locator(".causes .root").wait_for()
    finally:
        process.terminate()
        process.wait(PATIENCE_S)
