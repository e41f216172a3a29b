"""The README explains every column that `ps` and the timeline print, and shows a real session."""

from __future__ import annotations

import importlib.util
import json
import re
import xml.etree.ElementTree as ElementTree
from html import unescape
from pathlib import Path
from types import ModuleType

import msgspec
import pytest

from launcher.cli.status_table import raft_tables, status_table
from launcher.control.status import ClusterStatus, NodeStatus, PeerStatus
from launcher.log_table import Row, table
from launcher.timeline.events import parse_line
from launcher.timeline.render import render

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
LEGEND = README[README.index("## What the columns say") : README.index("## Commands")]
GLOSSARY = (ROOT / "docs" / "GLOSSARY.md").read_text()


def rows(table: str) -> dict[str, list[str]]:
    """The rows of a table, by their first cell, without its head."""
    lines = [line for line in table.splitlines() if line.startswith("|")][2:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {first: rest for first, *rest in cells}


PARTS = re.split("`launcher ps --raft`|and for each leader|`launcher (?:log|timeline)`", LEGEND)
PS, RAFT, PEERS, _, TIMELINE = map(rows, PARTS)


def test_every_column_of_ps_is_explained_in_its_place() -> None:
    node = NodeStatus(id=1, state="down", reason="killed with SIGKILL")
    status = msgspec.convert(
        {"cluster": "leeky", "supervisor_pid": 1, "leader": None, "term": 1, "nodes": [node]},
        ClusterStatus,
        from_attributes=True,
    )
    titles = status_table(status, colour=False).splitlines()[0].split()
    assert "why" in titles
    assert [f"`{title}`" for title in titles] == list(PS)
    assert all(len(said) > 10 for (said,) in PS.values())


def test_every_column_of_raft_s_state_is_explained_in_its_place() -> None:
    peer = PeerStatus(
        id=2,
        next_index=3,
        match_index=2,
        mode="probe",
        in_flight=0,
        in_flight_bytes=0,
        heard_s=None,
    )
    leader = NodeStatus(id=1, state="up", role="leader", peers=[peer])
    status = ClusterStatus(cluster="c", supervisor_pid=1, leader=1, term=1, nodes=[leader])
    lines = raft_tables(status, colour=False, width=200).splitlines()
    peers = next(line for line in lines if line.startswith("peer "))
    assert [f"`{title}`" for title in lines[0].split()] == list(RAFT)
    assert [f"`{title}`" for title in peers.split()] == list(PEERS)


def test_the_table_of_logs_is_what_the_command_prints() -> None:
    rows = [
        Row("n1", "pre-candidate", 1, "", 2, [1, 1, 1]),
        Row("n2", "follower", 2, "", 5, [1, 1, 2, 2, 2]),
        Row("n3", "leader", 2, "", 5, [1, 1, 2, 2, 2]),
    ]
    assert "\n".join(table(rows, title="node", differ=[3])) in PARTS[3]


def test_every_column_of_the_timeline_is_explained_in_its_place() -> None:
    """The examples of the legend are what an event looks like."""
    samples = {name: sample.strip("`") for name, (sample, _) in TIMELINE.items()}
    event = parse_line(
        json.dumps(
            {
                "t": 0,
                "node": 4,
                "life": 1,
                "term": 2,
                "role": "leader",
                "commit": 3,
                "level": "warn",
                "event": "leader.elected",
                "last_index": 3,
            }
        ).encode()
    )
    assert event is not None
    line = render(event, clock=lambda _: samples["time"])
    shown = re.split(r" {2,}|(?<=WARN:) |(?<=\d{3}) (?=n)|(?<=term 2) ", line)
    assert shown == list(samples.values())


def test_the_words_of_the_columns_stand_in_the_glossary() -> None:
    wanted = (
        "term", "commit", "no-op", "quorum", "pre-vote", "log", "entry", "leader", "follower",
        "candidate", "learner", "configuration", "joint configuration", "snapshot", "lease", "life",
        "session", "linearizable", "read index", "failure hint", "role", "index", "node",
    )  # fmt: skip
    explained = [word.lower() for word in re.findall(r"^- \*\*(.+?):\*\*", GLOSSARY, re.MULTILINE)]
    assert [word for word in wanted if word not in explained] == []
    for part in GLOSSARY.split("## ")[1:]:
        words = re.findall(r"^- \*\*(.+?):\*\*", part, re.MULTILINE)
        assert words == sorted(words, key=str.lower), "in alphabetical order"


# -- the picture ---------------------------------------------------------------------------------


def session() -> ModuleType:
    spec = importlib.util.spec_from_file_location("session", ROOT / "docs" / "session.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def texts(picture: str) -> list[str]:
    root = ElementTree.fromstring(picture)
    return [unescape(one.text or "") for one in root.iter("{http://www.w3.org/2000/svg}text")]


def check_picture(picture: str) -> None:
    found = texts(picture)
    root = ElementTree.fromstring(picture)
    ends = [
        int(one.attrib["x"]) + int(one.attrib["textLength"]) for one in root if "x" in one.attrib
    ]
    assert max(ends) < int(root.attrib["width"]), "no line is longer than the terminal"
    typed = [found[at + 1] for at, text in enumerate(found) if text == "$"]
    assert typed == [f"leeky-raft {command}" for command in session().COMMANDS]
    assert len(found) > 100
    assert not [text for text in found if "Traceback" in text or "\x1b" in text or "error" in text]


def test_the_picture_in_the_readme_is_of_the_session_that_its_program_runs() -> None:
    assert README.index("](docs/session.svg)") < README.index("    make up")
    check_picture((ROOT / "docs" / "session.svg").read_text())


@pytest.mark.cluster
@pytest.mark.soak
def test_the_picture_can_be_drawn_anew() -> None:
    module = session()
    check_picture(module.draw(module.record()))
