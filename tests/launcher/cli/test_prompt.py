"""What the prompt offers while a line is typed: as a shell does, from the table of commands."""

from __future__ import annotations

from pathlib import Path

import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from launcher.cli.context import Context
from launcher.cli.prompt import TableCompleter
from launcher.control.disks import FAULT_WORDS


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the settings of three nodes, where nothing has been started."""
    (tmp_path / "cluster.yaml").write_text("name: mine\nnodes: 3\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def offered(line: str, context: Context | None = None, history: tuple[str, ...] = ()) -> list[str]:
    completer = TableCompleter(context or Context(), history)
    return [one.text for one in completer.get_completions(Document(line), CompleteEvent())]


def test_a_first_word_is_a_command_of_the_prompt() -> None:
    assert offered(":re") == [
        *(":restart", ":resume", ":remove", ":rebuild", ":recover", ":read"),
    ]
    assert offered(":q") == [":quit"]
    assert offered(":u") == [], "a cluster is not started at the prompt of another"


def test_targets_faults_and_options_are_offered_where_they_may_stand() -> None:
    assert {"leader", "n3"} <= set(offered(":disk "))
    assert {*FAULT_WORDS, "leader", "n3"} <= set(offered(":disk n1 "))
    assert offered(":disk n1 fail") == ["fail-write", "fail-sync"]
    assert offered(":kill n1,le") == ["n1,leader"]
    assert offered(":kill n1 fail") == []
    assert offered(":kill -s SIGKI") == ["SIGKILL"]
    assert offered(":status --w") == ["--watch"]


def test_what_makes_no_sense_has_no_offers() -> None:
    for line in (":nonsense x", ":kill 'n", ":kill --nonsense ", ":bench nonsense ", ":kill \0 n"):
        offered(line)
    assert offered(":nonsense n") == []


def test_settings_that_cannot_be_used_leave_the_words(folder: Path) -> None:
    (folder / "cluster.yaml").write_text("nodes: [")
    assert offered(":kill fo") == ["follower", "followers"]
    assert offered(":kill n") == []


def test_completion_changes_nothing_that_a_command_would_see() -> None:
    context = Context()
    offered(":kill -p blue n", context)
    assert context.name is None


def test_an_entry_is_completed_from_earlier_entries() -> None:
    assert offered("ADD no", history=("ADD notes.txt", ":kill nobody")) == ["notes.txt"]
