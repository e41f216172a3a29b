"""Stories in the page: each plays, and says what the story says."""

from __future__ import annotations

import pytest

from launcher.page import staged
from launcher.simulation.stage import library
from launcher.simulation.stage.script import ScenarioFailed


@pytest.mark.parametrize("name", library.names())
def test_every_story_becomes_events_of_the_form_that_the_page_takes(name: str) -> None:
    story = library.find(name)
    found = staged.recorded(name, story.on_cores)
    times = [event["at"] for event in found.events]
    assert times == sorted(times)
    kinds = {event["event"] for event in found.events}
    assert {"story.told", "story.line", "node.spawned", "state.changed"} <= kinds
    sent = {(e["node"], e["t"]) for e in found.events if e["event"] == "message.sent"}
    for event in found.events:
        if event["event"] == "message.received" and event["sent_t"] != "0":
            assert (event["from"], str(event["sent_t"])) in {(n, str(t)) for n, t in sent}


def test_figure_8_ends_as_the_paper_says() -> None:
    found = staged.recorded("figure8", library.find("figure8").on_cores)
    told = [event["text"] for event in found.events if event["event"] == "story.told"]
    assert told[0].startswith("Figure 8 of the paper")
    assert "n1 leads term 2" in " ".join(told), "the page calls its servers n1, n2, ..."


def test_a_story_that_does_not_come_true_is_an_error() -> None:
    with pytest.raises(ScenarioFailed, match="expect leader"):
        staged.recorded("mine", "start 3\nexpect leader S1\n")
