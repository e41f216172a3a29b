"""A change of the membership waits for a leader, and is made again when the leader is lost."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from launcher.errors import LauncherError, NotRunning, TimedOut
from launcher.lab.chaos import leading
from launcher.lab.chaos.aiming import View
from launcher.lab.chaos.course import Course
from launcher.lab.chaos.healing import heal
from launcher.lab.chaos.leading import once_led
from tests.launcher.lab.chaos.toy import ToyCluster

NO_LEADER = LauncherError("there is no leader now: `launcher wait --leader` waits for one")


class Change:
    """Fails as often as it is told to, and does then what it is told to."""

    def __init__(self, *errors: LauncherError) -> None:
        self.errors = [*errors]
        self.made = 0

    def __call__(self) -> None:
        if self.errors:
            raise self.errors.pop(0)
        self.made += 1


@pytest.fixture
def toy(tmp_path: Path) -> ToyCluster:
    return ToyCluster(tmp_path, nodes=3)


def test_a_change_is_made_once_there_is_a_leader(toy: ToyCluster) -> None:
    toy.led_at_s = time.monotonic() + 0.3
    change = Change()
    once_led(toy, change)
    assert change.made == 1
    assert time.monotonic() >= toy.led_at_s


def test_a_change_whose_leader_is_lost_is_made_again(toy: ToyCluster) -> None:
    change = Change(NO_LEADER, NO_LEADER)
    lost_again = [True, True]

    def fails() -> None:
        if lost_again:
            lost_again.pop()
            toy.led_at_s = time.monotonic() + 0.1
        change()

    once_led(toy, fails)
    assert change.made == 1


def test_a_change_that_fails_beside_a_leader_fails_at_once(toy: ToyCluster) -> None:
    change = Change(LauncherError("n9 is no member"))
    with pytest.raises(LauncherError, match="n9 is no member"):
        once_led(toy, change)
    assert change.made == 0


def test_without_a_leader_it_gives_up(toy: ToyCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leading, "LED_S", 0.1)
    toy.led_at_s = time.monotonic() + 60.0
    with pytest.raises(TimedOut):
        once_led(toy, Change())


def test_a_cluster_that_is_gone_is_not_waited_for(toy: ToyCluster) -> None:
    toy.gone = True
    with pytest.raises(NotRunning):
        once_led(toy, Change())


def test_what_was_lost_is_rebuilt_in_the_end_though_there_is_no_leader_at_first(
    toy: ToyCluster,
) -> None:
    """Found by `launcher test --seed 3 --time 10s --faults wipe --interval 2s`."""
    course = Course(toy, View(toy.status(), began_with=3), time.monotonic_ns)
    course.lost.add(2)
    toy.change(2, state="failed", reason="its data is gone")
    toy.led_at_s = time.monotonic() + 0.5
    heal(course, down_before=(), began_with=3)
    assert "rebuild 2" in toy.done
    assert toy.status().node(2).state == "up"
    assert not course.lost
