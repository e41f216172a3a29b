"""The alarm is raised by what the supervisor has written, once it is whole."""

from __future__ import annotations

from pathlib import Path

from launcher.lab.trial.alarm import Alarm

QUIET = b'{"t":1,"event":"node.spawned"}\n'
LOUD = b'{"t":2,"event":"safety.violated","found":"x"}\n'


def looks(alarm: Alarm) -> bool:
    alarm._looked_at = float("-inf")
    return alarm.is_raised()


def test_it_is_raised_by_a_whole_line_and_stays(tmp_path: Path) -> None:
    log = tmp_path / "supervisor.jsonl"
    alarm = Alarm(log)
    assert not looks(alarm), "there is no log yet"
    log.write_bytes(QUIET + LOUD[:20])
    assert not looks(alarm)
    log.write_bytes(QUIET + LOUD)
    assert looks(alarm)
    log.write_bytes(b"")
    assert alarm.is_raised()
