"""The HTML file in Chromium, from the disk: it replays with the slider, at any size."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from launcher.page import file, recorded
from launcher.simulation.runner import run_seed
from launcher.simulation.situation import Options
from launcher.simulation.trace import Trace
from tests.launcher.page.browser import needs_chromium, opened, shows, wait_until
from tests.launcher.page.test_recorded import HOSTILE, line

pytestmark = [pytest.mark.slow, needs_chromium]


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a simulated run of five nodes."""
    folder = tmp_path_factory.mktemp("page")
    trace = folder / "seed-5.jsonl"
    with trace.open("w") as opened_file:
        run_seed(Options(time_s=6.0), 5, Trace(opened_file.write))
    return made(trace)


def made(trace: Path) -> Path:
    html = trace.with_suffix(".html")
    html.write_text(file.html_file(recorded.read(trace)), encoding="utf-8")
    return html


def loaded(page: Any) -> Any:
    wait_until(page, "globalThis.page?.history.length > 0")
    page.wait_for_selector("[data-node='1']")
    return page


def roles(page: Any) -> dict[str, str]:
    said = "Object.values(page.player.state.nodes).map((n) => [String(n.id), n.role])"
    return dict(page.evaluate(said))


def test_it_replays_with_the_slider_offline(html: Path) -> None:
    with opened(html.as_uri()) as page:
        loaded(page)
        slider: Any = page.locator("#slider")
        assert float(slider.get_attribute("max")) > 6.0
        box = slider.bounding_box()
        page.mouse.click(box["x"] + box["width"] * 0.08, box["y"] + box["height"] / 2)
        wait_until(page, "page.player.now > 0.2")
        where = page.evaluate("page.player.place")
        assert "leader" in roles(page).values()
        page.locator("[data-does=first]").click()
        assert set(roles(page).values()) <= {None, "follower"}
        page.locator("#events button").last.click()
        assert page.evaluate("page.player.place") != where
        requests: list[str] = []
        page.on("request", lambda request: requests.append(request.url))
        page.locator("#play").click()
        wait_until(page, "page.player.playing && page.player.now > 0.05")
        assert requests == []


def test_it_works_by_keyboard_alone_in_both_directions(html: Path) -> None:
    with opened(html.as_uri()) as page:
        loaded(page)
        for _ in range(5):
            page.keyboard.press("n")
        fifth = page.evaluate("JSON.stringify(page.player.state)")
        for _ in range(40):
            page.keyboard.press("ArrowRight")
        for _ in range(40):
            page.keyboard.press("ArrowLeft")
        assert page.evaluate("JSON.stringify(page.player.state)") == fifth
        page.keyboard.press("?")
        shows(page, "#help #keys", "play or pause")
        page.keyboard.press("Escape")
        page.keyboard.press("End")
        assert page.evaluate("page.player.place === page.history.length")
        page.locator("[data-node='2']").focus()
        page.keyboard.press("Enter")
        wait_until(page, "document.getElementById('node-panel').innerText.includes('Node n2')")


def test_a_cause_can_be_followed_and_is_lit_up(html: Path) -> None:
    with opened(html.as_uri()) as page:
        loaded(page)
        page.evaluate("page.act(() => page.player.step(1, (e) => e.event === 'leader.elected'))")
        elected = page.evaluate("page.player.place")
        page.get_by_role("button", name="Why?").click()
        page.locator(".causes .root").wait_for()
        shows(page, ".causes .root > .cause", "became leader")
        page.locator(".node.lit").first.wait_for()
        page.locator(".causes ul .cause").first.click()
        assert page.evaluate("page.player.place") < elected


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [(360, 740), (1920, 1080)])
def test_it_passes_the_rules_of_axe_and_fits(
    html: Path, scheme: str, size: tuple[int, int]
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is missing")
    width, height = size
    with opened(
        html.as_uri(), viewport={"width": width, "height": height}, color_scheme=scheme
    ) as page:
        loaded(page)
        page.evaluate("page.act(() => page.player.seek(2.5))")
        page.wait_for_timeout(400)
        for tab in ("tab-events", "tab-node", "tab-why", "tab-links", "tab-rates"):
            page.evaluate(f"document.getElementById('{tab}').click()")
            page.wait_for_timeout(100)
            results = axe.Axe().run(page)
            assert results.violations_count == 0, results.generate_report()
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_hostile_text_is_shown_as_what_it_is(tmp_path: Path) -> None:
    trace = tmp_path / "trace.jsonl"
    hostile = line(2, "machine.failed", reason=HOSTILE, entry=HOSTILE)
    trace.write_text(line(1, "node.ready") + hostile + line(3, HOSTILE, level="warn"))
    with opened(made(trace).as_uri()) as page:
        loaded(page)
        page.keyboard.press("End")
        shows(page, "#events", "<script>alert(1)</script>")
        shows(page, "#events", "\\u202egnp")
        assert "\u202e" not in page.inner_text("#events")


def test_thirty_one_nodes_fit(tmp_path: Path) -> None:
    trace = tmp_path / "trace.jsonl"
    voters = list(range(1, 32))
    state = {
        "term": 1, "role": "follower", "vote": 1, "commit": 3, "last": 3, "last_term": 1,
        "conf": {"voters": voters, "outgoing": [], "learners": []},
        "log": {"base": 0, "base_term": 0, "starts": [[1, 1]]},
        "peers": [], "votes": [], "snapshot": 0,
    }  # fmt: skip
    lines = [line(node, "node.spawned", node=0, target=node) for node in voters]
    lines += [
        line(40 + node, "state.changed", node=node, state={**state, "role": role})
        for node in voters
        for role in ["leader" if node == 1 else "follower"]
    ]
    trace.write_text("".join(lines))
    with opened(made(trace).as_uri(), viewport={"width": 1280, "height": 800}) as page:
        loaded(page)
        page.keyboard.press("End")
        page.wait_for_selector("[data-node='31']")
        boxes = json.loads(
            page.evaluate(
                "JSON.stringify([...document.querySelectorAll('.node .body')]"
                ".map((one) => one.getBoundingClientRect()))"
            )
        )
        for i, one in enumerate(boxes):
            other = boxes[(i + 1) % len(boxes)]
            apart = ((one["x"] - other["x"]) ** 2 + (one["y"] - other["y"]) ** 2) ** 0.5
            assert apart >= one["width"], "two nodes overlap"
        shows(page, "#tolerance", "15", alone=True)
