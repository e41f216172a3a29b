"""Which words of a story make sense on real processes, and what is said of the others."""

from __future__ import annotations

import re

import pytest

from launcher.errors import UsageError
from launcher.real_stories.play import play_on_real_processes
from launcher.real_stories.words import REAL_COMMANDS, can_be_played, check
from launcher.simulation.stage.commands import COMMANDS
from launcher.simulation.stage.library import REAL, Story


@pytest.mark.parametrize(
    "text",
    [
        "start 3\nelect S1\nexpect leader S1,S2\nexpect no leader",
        "start 2 named a_b lease failure_hint on\nquietly propose a_b x y",
        "# only\n\nstart 1 failure_hint off\n  | S1 -> S2 AppendEntries\nshow",
    ],
)
def test_a_story_with_words_for_real_processes_can_be_played(text: str) -> None:
    check(text)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("start 3\n\ndeliver", "line 3: `deliver`"),
        ("start 3\nquietly run 2s", "line 2: `run`"),
        ("start 3\nexpect commit S1 3", "line 2: `expect commit`"),
        ("start 3\nexpect no event S1 log.truncated", "line 2: `expect no event`"),
        ("start 3 lease on", "line 1: `start .. lease`"),
        ("start 3 failure_hint on inflight_batches 2", "line 1: `start .. inflight_batches`"),
        ("start 3\nsnapshot S1 250", "line 2: `snapshot S 250`"),
    ],
)
def test_a_word_that_makes_no_sense_there_is_named_with_its_line(text: str, word: str) -> None:
    with pytest.raises(UsageError, match=re.escape(word)) as wrong:
        check(text)
    assert all(name in str(wrong.value) for name in REAL_COMMANDS)
    assert REAL in str(wrong.value)


def test_nothing_is_started_for_a_story_that_cannot_be_played() -> None:
    with pytest.raises(UsageError, match="`persist`"):
        next(play_on_real_processes("start 3\npersist"))


def test_a_part_of_its_own_decides() -> None:
    cores = "start 3\npersist\n"
    assert not can_be_played(Story("a", "", cores))
    assert can_be_played(Story("a", "", f"{cores}{REAL}\nstart 3\n"))


def test_each_command_for_real_processes_is_one_of_the_language() -> None:
    assert REAL_COMMANDS.keys() <= COMMANDS.keys()
