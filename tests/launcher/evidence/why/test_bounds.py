"""However much is recorded, only so much is kept, and the explanation says what is missing."""

from __future__ import annotations

from collections.abc import Iterator

from launcher.evidence.why import collect, explain, lines
from launcher.evidence.why.past import FREQUENT
from launcher.timeline.events import Event
from tests.launcher.evidence.why.made import SECOND, event, received, sent

COUNT = 20_000


def long_run() -> Iterator[Event]:
    """An election at the beginning, very many heartbeats, and the leader's death at the end."""
    yield event(1, 1, "leader.elected", votes=[1, 2], last_index=0, role="leader")
    for number in range(COUNT):
        t = 100 * (number + 1)
        message = sent(1, t, 2, commit=number, index=number, entries=0)
        yield message
        yield received(message, t + 10)
        yield event(2, t + 20, "commit.advanced", level="debug", commit=number)
    end = 100 * (COUNT + 1)
    yield event(0, end, "fault.injected", fault="kill", targets=[1], id=1)
    yield event(0, end + 1, "node.exited", target=1, reason="killed")
    yield event(2, end + SECOND, "election.started", pre_vote=True, for_term=2, silent_s=1.0)
    yield event(2, end + SECOND + 5, "leader.elected", votes=[2], term=2, last_index=9)


def test_of_messages_and_events_the_last_ones_are_kept() -> None:
    past = collect(long_run(), most_messages=500, most_events=300)
    assert len(past.messages) == 500
    assert sum(map(len, past.sent.values())) == sum(map(len, past.arrivals.values())) == 500
    assert len(past.happenings) == 300
    assert past.left_out == (COUNT - 500) + (COUNT + 5 - 300)


def test_while_it_reads_it_holds_little_more_than_that() -> None:
    most = 0

    def watched() -> Iterator[Event]:
        nonlocal most
        for one in long_run():
            most = max(most, len(past.messages))
            yield one

    past = collect(iter(()))
    for one in watched():
        past.take(one)
        if len(past.messages) > 600:
            past.shed(500, 300)
    assert most <= 601


def test_rare_events_outlive_the_frequent_ones() -> None:
    past = collect(long_run(), most_messages=500, most_events=300)
    assert past.happenings[0].kind == "leader.elected", "it came before 20000 others"
    assert sum(one.kind in FREQUENT for one in past.happenings) == 300 - 5


def test_the_cause_is_found_all_the_same_and_what_was_left_out_is_said() -> None:
    found = explain(long_run, "last-election", most_messages=500, most_events=300)
    said = "\n".join(lines(found.tree, clock=str))
    assert "n1 was killed by a fault (SIGKILL) (fault 1)" in said
    assert any("were left out to bound the memory" in note for note in found.notes)


def test_an_event_long_ago_is_explained_with_what_came_before_it() -> None:
    found = explain(long_run, "n2:120", most_messages=500, most_events=300)
    assert found.past.end == 4, "nothing after it is read into memory"


def test_only_a_damaged_message_is_left_out() -> None:
    whole = sent(1, 5, 2)
    broken = event(1, 7, "message.sent", to="n2", type="AppendEntries")
    past = collect([whole, broken])
    assert (len(past.messages), past.damaged) == (1, 1)
