"""What follows a death: histories of one node, replayed through its lifecycle."""

from __future__ import annotations

import signal

import pytest

from launcher.supervisor.lifecycle import (
    MAX_BACKOFF_S,
    STABLE_S,
    End,
    Lifecycle,
    RestartPolicy,
    signal_name,
)

ON_FAILURE = RestartPolicy(restart=True, attempts=3, backoff_s=0.5)
NEVER = RestartPolicy(restart=False, attempts=3, backoff_s=0.5)
UNEXPLAINED = (
    "ended with exit status {} and without a word, as code does that calls os._exit "
    "(the machine's?); what it printed is in supervisor.stderr"
)
CRASH = End(1, "the disk is full")


def running(policy: RestartPolicy = ON_FAILURE, now: float = 0.0) -> Lifecycle:
    node = Lifecycle(policy)
    node.started(now)
    return node


def test_a_new_node_is_down_and_due() -> None:
    node = Lifecycle(ON_FAILURE)

    assert (node.state, node.reason) == ("down", "not started yet")
    assert node.due(0.0)


def test_started_is_up() -> None:
    node = running()

    assert (node.state, node.reason, node.restarts) == ("up", "", 0)
    assert not node.due(1e9)


@pytest.mark.parametrize(
    ("end", "state", "reason", "retried"),
    [
        (End(-signal.SIGKILL), "down", "killed from outside", False),
        (End(0, announced=True), "down", "stopped from outside", False),
        # Any code in the process can call os._exit(0): that is no stop in good order.
        (End(0), "down", "to be restarted: " + UNEXPLAINED.format(0), True),
        (End(3, "another node's directory"), "failed", "another node's directory", False),
        (End(3), "failed", UNEXPLAINED.format(3), False),
        (End(1, "no such machine", retry=False), "failed", "no such machine", False),
        (End(1), "down", "to be restarted: " + UNEXPLAINED.format(1), True),
        (End(-signal.SIGSEGV), "down", "to be restarted: ended by SIGSEGV", True),
        (End(None), "down", "to be restarted: ended, nobody saw how", True),
        (CRASH, "down", "to be restarted: the disk is full", True),
        # It had said why it must exit, and something killed it meanwhile: a failure all the same.
        (End(-signal.SIGKILL, "sync failed"), "down", "to be restarted: sync failed", True),
    ],
)
def test_an_unexpected_end(end: End, state: str, reason: str, retried: bool) -> None:
    node = running()

    node.ended(1.0, end)

    assert (node.state, node.reason) == (state, reason)
    assert (node.retry_at is not None) is retried


@pytest.mark.parametrize("end", [End(0), End(-9), End(1), End(3), End(None), CRASH])
def test_an_end_that_was_asked_for_is_never_followed_by_a_start(end: End) -> None:
    node = running()
    node.expect_end("stopped")

    node.ended(1.0, end)

    assert (node.state, node.reason, node.retry_at) == ("down", "stopped", None)


def test_what_was_asked_for_is_forgotten_with_the_end() -> None:
    node = running()
    node.expect_end("stopped")
    node.ended(1.0, End(0))
    node.started(2.0)

    node.ended(3.0, CRASH)

    assert node.retry_at is not None


def test_a_signal_that_was_survived_excuses_no_later_end() -> None:
    node = running()
    node.expect_end("killed with SIGINT")
    node.expect_end("")

    node.ended(1.0, CRASH)

    assert node.retry_at is not None


def test_backoff_doubles_and_then_gives_up() -> None:
    """Launchers, 13: a crashing child is not restarted in a tight loop."""
    node = running()
    now, waits = 0.0, []
    while node.state != "failed":
        node.ended(now, CRASH)
        if node.retry_at is not None:
            waits.append(node.retry_at - now)
            assert not node.due(node.retry_at - 0.01)
            assert node.due(node.retry_at)
            now = node.retry_at
            node.started(now)

    assert waits == [0.5, 1.0, 2.0]
    assert node.reason == "gave up after 3 restarts: the disk is full"
    assert node.restarts == 3
    assert not node.due(1e9)


def test_backoff_is_bounded() -> None:
    node = running(RestartPolicy(restart=True, attempts=50, backoff_s=1.0))
    for _ in range(40):
        node.ended(0.0, CRASH)
        assert node.retry_at is not None
        assert node.retry_at <= MAX_BACKOFF_S
        node.started(0.0)


def test_a_node_that_ran_for_long_starts_with_a_clean_slate() -> None:
    node = running()
    for _ in range(20):
        node.started(100.0)
        node.ended(100.0 + STABLE_S, CRASH)
        assert node.retry_at == pytest.approx(100.0 + STABLE_S + 0.5)


def test_one_that_ran_a_moment_less_does_not() -> None:
    node = running()
    node.ended(1.0, CRASH)
    node.started(2.0)
    node.ended(2.0 + STABLE_S - 0.1, CRASH)

    assert node.retry_at == pytest.approx(2.0 + STABLE_S - 0.1 + 1.0)


def test_policy_never_fails_at_once() -> None:
    node = running(NEVER)

    node.ended(1.0, CRASH)

    assert (node.state, node.reason, node.retry_at) == ("failed", "the disk is full", None)


def test_a_failed_node_can_be_started_by_hand_and_gets_all_its_attempts() -> None:
    node = running()
    for _ in range(4):
        node.ended(0.0, CRASH)
        if node.state == "failed":
            break
        node.started(0.0)
    assert node.state == "failed"

    node.started(1.0)
    assert (node.state, node.reason) == ("up", "")
    node.ended(1.1, CRASH)

    assert node.retry_at == pytest.approx(1.1 + 0.5)


def test_could_not_start_counts_like_an_end() -> None:
    node = Lifecycle(ON_FAILURE)
    for _ in range(4):
        node.could_not_start(0.0, "too many open files")

    assert node.state == "failed"
    assert node.reason == "gave up after 3 restarts: too many open files"


def test_stay_down_cancels_the_restart() -> None:
    node = running()
    node.ended(0.0, CRASH)

    node.stay_down("stopped")

    assert (node.state, node.reason, node.retry_at) == ("down", "stopped", None)


def test_paused_and_back() -> None:
    node = running()
    seen = []
    for is_paused in (True, True, False):
        node.paused(is_paused)
        seen.append(node.state)

    assert seen == ["paused", "paused", "up"]


def test_who_is_down_is_not_paused() -> None:
    node = running()
    node.ended(0.0, End(0))

    node.paused(True)

    assert node.state == "down"


def test_signal_names() -> None:
    assert signal_name(9) == "SIGKILL"
    assert signal_name(250) == "signal 250"
