"""Lines at the prompt: entries, refusals, and how errors name commands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, cast

import pytest

from launcher.cli.context import Context
from launcher.cli.repl import MEANT, run_line
from launcher.cli.shell import for_prompt
from launcher.client.answers import Submitted
from launcher.cluster import Cluster
from launcher.errors import LauncherError


class OneThatRefuses:
    """A cluster whose machine refuses every entry, and whose other commands fail."""

    def __init__(self) -> None:
        self.entries: list[bytes] = []
        self.unconfirmed: list[int] = []

    def submit_many(self, entries: Iterable[bytes], **_: Any) -> Iterator[Submitted]:
        for entry in entries:
            self.entries.append(entry)
            yield Submitted(
                entry, ok=False, raw=b"it is no file", error="it is no file", index=3, term=1,
                leader=1, latency_ms=0.1,
            )  # fmt: skip

    def kill(self, *_: str, **__: object) -> None:
        raise LauncherError("there is no leader now: `launcher wait --leader` waits for one")

    def start(self, *_: str, **__: object) -> list[object]:
        return []


class Prompt:
    def __init__(self, capsys: pytest.CaptureFixture[str], *, typed: bool = True) -> None:
        self.cluster = OneThatRefuses()
        attached = cast(Cluster, self.cluster)
        self.context = Context(attached=attached, at_prompt=True, typed=typed)
        self.capsys = capsys

    def type(self, line: str) -> tuple[int | None, str, str]:
        status = run_line(self.context, line)
        said = self.capsys.readouterr()
        return status, said.out, said.err


@pytest.mark.parametrize("word", [*MEANT, "HELP", " exit "])
def test_a_word_that_means_a_command_is_not_submitted(
    word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    prompt = Prompt(capsys)
    status, out, err = prompt.type(word)
    assert (status, out, prompt.cluster.entries) == (2, "", [])
    assert err.startswith(("`:help` lists the commands. ", "`:quit` leaves, as Ctrl-D does. "))
    assert f":submit {word.strip().lower()}" in err

    prompt.type(f":submit {word.strip()}")
    assert prompt.cluster.entries == [word.strip().encode()]


def test_a_script_submits_such_a_word(capsys: pytest.CaptureFixture[str]) -> None:
    prompt = Prompt(capsys, typed=False)
    prompt.type("exit")
    assert prompt.cluster.entries == [b"exit"]


def test_a_refused_line_is_told_once_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert Prompt(capsys).type("x") == (1, "3\terror: it is no file\n", "")
    assert Prompt(capsys).type(":submit a b") == (
        1,
        "3\terror: it is no file\n3\terror: it is no file\n",
        "one entry of several words needs quotes around it\n",
    )
    piped = Prompt(capsys, typed=False).type("x")
    assert piped == (1, "3\terror: it is no file\n", "launcher: it is no file\n")


def test_a_line_that_begins_with_a_dash_is_an_entry(capsys: pytest.CaptureFixture[str]) -> None:
    prompt = Prompt(capsys)
    prompt.type("-5")
    assert prompt.cluster.entries == [b"-5"]
    status, _, err = prompt.type(":submit -5")
    assert status == 2
    assert err == (
        "launcher: -5 is no option of submit; text that begins with a dash comes after --, as in: "
        "submit -- '-5'. See `:help submit`\n"
    )


def test_errors_name_commands_of_the_prompt(capsys: pytest.CaptureFixture[str]) -> None:
    prompt = Prompt(capsys)
    assert prompt.type(":kill leader")[2] == (
        "launcher: there is no leader now: `:wait --leader` waits for one\n"
    )
    assert prompt.type(":nonsense") == (
        2,
        "",
        "launcher: no command 'nonsense'; `:help` lists the commands\n",
    )
    assert "; did you mean :quit? " in prompt.type(":quitt")[2]
    assert for_prompt("`launcher start 3`, `launcher up` and `launcher kill --help`") == (
        "`:start 3`, `launcher up` and `:help kill`"
    )


def test_help_shows_a_command_as_it_is_typed_at_the_prompt(
    capsys: pytest.CaptureFixture[str],
) -> None:
    prompt = Prompt(capsys)
    assert prompt.type(":help kill")[1].startswith("Usage: :kill [OPTIONS] TARGET...")
    assert ":explain" in prompt.type(":help")[1]
    assert "no command 'nonsense'" in prompt.type(":help nonsense")[2]


def test_a_command_that_chooses_no_node_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    said = Prompt(capsys).type(":start all")
    assert said == (0, "", "nothing to do: every node is running already\n")
