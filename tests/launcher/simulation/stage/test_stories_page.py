"""docs/STORIES.md has every word of the language, as it is written, and an example that is true."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

import pytest

from launcher.real_stories import play as real_play
from launcher.real_stories import words as real_words
from launcher.simulation.stage.commands import COMMANDS
from launcher.simulation.stage.expectations import EXPECTATIONS
from launcher.simulation.stage.play import KINDS
from launcher.simulation.stage.script import ScenarioFailed, run_script, words_of

PAGE = (Path(__file__).parents[4] / "docs" / "STORIES.md").read_text("utf-8")
ON_CORES, _, ON_REAL = PAGE.partition("\n## On real processes\n")


def tables(text: str, heading: str) -> dict[str, str]:
    """By word: the example in its row, of each table with this first heading."""
    found: dict[str, str] = {}
    for table in re.findall(rf"(?m)^\| {heading} \|.*\n\|[-|]+\n((?:\|.*\n?)+)", text):
        for row in table.splitlines():
            word, _, example = (cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:4])
            assert word.strip("`") not in found, f"{word} has two rows"
            found[word.strip("`")] = example.strip("`").replace(r"\|", "|")
    return found


@pytest.mark.parametrize(
    ("text", "heading", "words", "begins"),
    [
        (ON_CORES, "command", COMMANDS, ""),
        (ON_CORES, "expectation", EXPECTATIONS, "expect "),
        (ON_REAL, "command", real_words.REAL_COMMANDS, ""),
        (ON_REAL, "expectation", real_words.REAL_EXPECTATIONS, "expect "),
    ],
    ids=["commands", "expectations", "real-commands", "real-expectations"],
)
def test_the_page_has_each_word_once_with_an_example(
    text: str, heading: str, words: dict[str, object], begins: str
) -> None:
    told = tables(text, heading)

    assert told.keys() == words.keys()
    for word, example in told.items():
        assert re.match(rf"{begins}{word}\b", example), example


def test_each_example_is_understood() -> None:
    """Played by itself it may fail, but not because a word of it has no meaning."""
    begins = "start 5\ncrash S4\n"
    for example in [*tables(ON_CORES, "command").values(),
                    *tables(ON_CORES, "expectation").values()]:  # fmt: skip
        text = example if words_of(example)[0] == "start" else f"{begins}{example}"
        for one in ("S1", "S3"):
            if example in (f"restart {one}", f"forget {one}", f"hint {one} died"):
                text = f"start 5\ncrash {one}\n{example}"
        if example.split()[0] in ("log", "term"):
            text = f"start 5\n{example}"
        with suppress(ScenarioFailed):
            list(run_script(text))


def test_each_real_example_has_only_words_for_real_processes() -> None:
    for heading in ("command", "expectation"):
        for example in tables(ON_REAL, heading).values():
            real_words.check(example)


def test_the_page_has_each_kind_of_message() -> None:
    (rows,) = re.findall(r"(?m)^\| kind \|.*\n\|[-|]+\n((?:\|.*\n)+)", PAGE)
    told = re.findall(r"`(\w+)`", "".join(row.split("|")[1] for row in rows.splitlines()))

    assert sorted(told) == sorted(KINDS)


def test_the_example_prints_what_the_page_says() -> None:
    script, output = re.findall(r"(?s)```text\n(.*?)```", PAGE)

    *played, end = output.splitlines()
    assert list(run_script(script)) == played
    assert end == "3 expectations, all held"


def test_what_real_processes_understand_has_an_action() -> None:
    assert {"start", *real_play.COMMANDS} == real_words.REAL_COMMANDS.keys()
    assert real_play.EXPECTATIONS.keys() == real_words.REAL_EXPECTATIONS.keys()
