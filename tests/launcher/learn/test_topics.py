"""`launcher explain`: every word of the glossary, every event, every column, one source."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from launcher.cli.status_table import _PEER, _RAFT, status_table
from launcher.cli.table import launcher
from launcher.control.status import ClusterStatus, NodeStatus
from launcher.errors import UsageError
from launcher.learn import glossary, topics
from launcher.timeline.sentences import EVENT_NAMES

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "GLOSSARY.md").read_text()


def plain(markdown: str) -> str:
    without_links = re.sub(r"\[([^]]+)\]\([^)]*\)", r"\1", markdown)
    return " ".join(without_links.replace("*", "").split())


def test_the_page_of_the_documentation_is_the_one_in_the_package() -> None:
    assert glossary.page() == PAGE, "cp launcher/learn/glossary.txt docs/GLOSSARY.md"


def test_every_word_of_the_page_is_explained_as_the_page_says_it() -> None:
    entries = re.findall(r"(?ms)^- \*\*(.+?):\*\* (.+?)(?=^- \*\*|^## |\Z)", PAGE)
    assert len(entries) > 60
    for word, text in entries:
        assert any(plain(text) in paragraph for paragraph in topics.explain(word)), word


@pytest.mark.parametrize(
    ("asked", "begins"),
    [
        ("no-op", "No-op: "),
        ("NOOP", "No-op: "),
        ("no op", "No-op: "),
        ("Leaders", "Leader: "),
        ("failure_hint", "Failure hint: "),
        ("majority", "Quorum: "),
        ("heartbeat", "Append: "),
        ("membership", "Configuration: "),
        ("4@2", "Up to date: "),
        ("3", "Exit status: "),
        ("leader.stepped_down", "leader.stepped_down: an event"),
    ],
)
def test_a_topic_may_be_written_in_several_ways(asked: str, begins: str) -> None:
    assert topics.explain(asked)[0].startswith(begins)


@pytest.mark.parametrize("name", EVENT_NAMES)
def test_every_event_is_explained(name: str) -> None:
    first, *_ = topics.explain(name)
    assert first.startswith(f"{name}: an event of the timeline.")
    assert "{" not in "".join(topics.explain(name))


def test_what_explains_events_is_there() -> None:
    for words in topics.ABOUT.values():
        for word in words:
            topics.explain(word)


def test_every_column_of_ps_is_explained() -> None:
    node = NodeStatus(id=1, state="down", reason="killed")
    status = ClusterStatus(cluster="leeky", supervisor_pid=1, leader=None, term=1, nodes=[node])
    shown = {*status_table(status, colour=False).splitlines()[0].split(), *_RAFT, *_PEER}
    for title in shown:
        assert any("(a column of ps)" in one for one in topics.explain(title)), title


@pytest.mark.parametrize(
    ("asked", "hint"),
    [
        ("trem", "; did you mean term or "),
        ("leader.electd", "; did you mean leader.elected"),
        ("xyzzy", ": `launcher explain` lists the topics"),
    ],
)
def test_an_unknown_topic_suggests_near_ones(asked: str, hint: str) -> None:
    with pytest.raises(UsageError) as refused:
        topics.explain(asked)
    assert str(refused.value).startswith(f"no topic {asked!r}{hint}")


def test_all_that_is_offered_and_listed_can_be_explained() -> None:
    for name in [*topics.names(), *(one for part in topics.listed().values() for one in part)]:
        assert topics.explain(name)
    assert {"term", "no-op", "failure-hint", "leader.elected", "majority", "3"} <= {*topics.names()}


def test_the_command_prints_a_topic_or_the_list(tmp_path: Path) -> None:
    run = CliRunner().invoke
    assert run(launcher, ["explain", "failure", "hint"]).output.startswith(
        "Failure hint: A follower"
    )
    listed = run(launcher, ["explain"]).output
    assert "no-op" in listed
    assert "leader.elected" in listed
    assert max(map(len, listed.splitlines())) <= 80
    shown = json.loads(run(launcher, ["explain", "--json", "term"]).output)
    assert shown["topic"] == "term"
    assert shown["text"][0].startswith("Term: ")
