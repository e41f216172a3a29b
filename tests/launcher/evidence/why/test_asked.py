"""What may be asked about, and what is said when it is not there."""

from __future__ import annotations

import pytest

from launcher.errors import LauncherError, UsageError
from launcher.evidence.why import explain, explain_first_lines, lines
from launcher.evidence.why.explaining import NO_MESSAGES
from launcher.timeline.events import Event
from tests.launcher.evidence.why.made import SECOND, event, lost, received, sent

ELECTION = [
    event(1, 1 * SECOND, "leader.elected", votes=[1, 2], last_index=0, role="leader"),
    event(0, 2 * SECOND, "fault.injected", fault="kill", targets=[1], id=7),
    event(0, 2 * SECOND + 1, "node.exited", target=1, reason="killed"),
    event(2, 3 * SECOND, "election.started", pre_vote=True, for_term=2, silent_s=1.0),
    event(2, 3 * SECOND + 1, "leader.elected", votes=[2, 3], last_index=0, term=2),
]


def tree(events: list[Event], what: str) -> list[str]:
    found = explain(lambda: events, what)
    return [*lines(found.tree, clock=lambda t: f"{t / SECOND:5.1f}"), *found.notes]


@pytest.mark.parametrize("text", ["", "n", "n4:", "4:x", "last", "-3", "n1:2>", "1e9", "n4:1 n4:2"])
def test_what_names_no_event_is_refused_with_the_words_that_do(text: str) -> None:
    with pytest.raises(UsageError, match="names no event: n4:T"):
        explain(lambda: ELECTION, text)


def test_an_event_that_does_not_exist() -> None:
    with pytest.raises(LauncherError, match=r"there is no event n2:4000000000: .*--ids"):
        explain(lambda: ELECTION, "n2:4000000000")


def test_an_event_that_is_older_than_the_record_is_said_to_be_gone() -> None:
    said = r"n2:5 is older than everything that is recorded: the first event is n1:1000000000"
    with pytest.raises(LauncherError, match=said):
        explain(lambda: ELECTION, "n2:5")


@pytest.mark.parametrize("text", ["n9:5", "n9:4000000000", "n9:5>n1"])
def test_an_event_of_a_node_that_there_is_not_is_not_said_to_have_been_overwritten(
    text: str,
) -> None:
    with pytest.raises(LauncherError, match=f"no event {text}: nothing of n9 is recorded"):
        explain(lambda: ELECTION, text)


def test_a_run_without_any_election_or_violation() -> None:
    started = [event(1, SECOND, "node.started")]
    with pytest.raises(LauncherError, match="there was no election"):
        explain(lambda: started, "last-election")
    with pytest.raises(LauncherError, match="nothing was violated"):
        explain(lambda: started, "last-violation")
    with pytest.raises(LauncherError, match="there are no events"):
        explain(list, "last-election")
    with pytest.raises(LauncherError, match="there is no node n9"):
        explain(lambda: started, "n9")


def test_a_run_without_messages_says_how_to_turn_the_tap_on() -> None:
    said = tree(ELECTION, f"n2:{3 * SECOND}")
    assert NO_MESSAGES in said
    assert "launcher tap ring" in NO_MESSAGES


def test_an_election_that_came_to_nothing_is_the_last_one() -> None:
    tried = event(3, 4 * SECOND, "election.started", pre_vote=False, for_term=3, term=3,
                  role="candidate", promised=[2, 3])  # fmt: skip
    asked = event(3, 5 * SECOND, "election.started", pre_vote=True, for_term=4, term=3,
                  role="pre-candidate")  # fmt: skip
    assert "asks for votes in term 3" in tree([*ELECTION, tried, asked], "last-election")[0]
    assert "became leader of term 2" in tree(ELECTION, "last-election")[0]


def test_a_message_is_named_by_its_two_ends() -> None:
    one, other = sent(1, 5, 2), sent(1, 5, 3)
    events = [one, other, received(one, 9), lost(other, 6, "cut")]
    assert (
        "n1 sent n2 a heartbeat of term 1 (commit None); it arrived" in tree(events, "n1:5>n2")[0]
    )
    assert "it was lost (cut)" in tree(events, "n1:5>n3")[0]


def test_a_kind_without_a_rule_falls_back_to_order_and_says_so() -> None:
    message = sent(1, 5, 2, commit=3)
    odd = event(2, 11, "snapshot.taken", index=4, bytes=10)
    said = tree([message, received(message, 9), odd], "n2:11")
    assert said[1].endswith("└─ before it, n1 sent n2 a heartbeat of term 1 (commit 3); it arrived")
    assert said[2] == (
        "no rule names the causes of snapshot.taken: what follows only came before it on n2"
    )


def test_an_index_that_nobody_has_sent() -> None:
    message = sent(1, 5, 2, first=1, last=4, entries=4, index=0)
    said = tree([message], "9")
    assert (
        "no leader has sent an entry 9 in what is recorded: the last entry that was sent is 4"
        in said[0]
    )


def test_the_first_lines_for_a_report_never_raise() -> None:
    assert explain_first_lines([], "last-violation") == [
        "why last-violation: there are no events, so nothing is known of last-violation"
    ]
    assert len(explain_first_lines(ELECTION, "last-election", most=2)) == 2


def test_a_node_that_is_down_is_said_to_be_also_where_no_entry_was_recorded() -> None:
    assert tree(ELECTION, "n1")[:2] == [
        (
            "  3.0  no entry that the leader n2 has sent since it was elected is recorded, so "
            "nothing says how far n1 is behind"
        ),
        "  2.0  └─ n1 did not run any more (killed)",
    ]
    back = event(0, 4 * SECOND, "node.spawned", target=1, pid=7)
    assert "did not run" not in tree([*ELECTION, back], "n1")[1]
