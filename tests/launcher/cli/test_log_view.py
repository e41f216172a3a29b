"""What `launcher log` prints: of five nodes of which two differ, of snapshots, of any bytes."""

from __future__ import annotations

import click
import pytest

from launcher.cli.log_view import fitting, log_json, log_lines
from launcher.logs import ClusterLog, NodeLog
from node.wire import LogEntry, LogPart


def node(
    n: int,
    terms: dict[int, int],
    *,
    texts: dict[int, bytes] | None = None,
    commit: int | None = 2,
    first: int = 1,
    state: str = "up",
) -> NodeLog:
    """One with entries of these terms at these indexes."""
    entries = [
        LogEntry(index, term, "command", (texts or {}).get(index, b"ADD x%d" % index), 6)
        for index, term in terms.items()
    ]
    part = LogPart(
        role="" if commit is None else "follower",
        term=3,
        voted_for=None,
        commit_index=commit,
        first_index=first,
        last_index=max(terms, default=first - 1),
        snapshot_index=first - 1,
        entries=entries,
    )
    return NodeLog(id=n, state=state, source="disk" if commit is None else "node", part=part)


def log(*nodes: NodeLog, first: int = 1) -> ClusterLog:
    last = max(node.part.last_index for node in nodes if node.part is not None)
    return ClusterLog(first_index=first, last_index=last, nodes=list(nodes))


SAME = {1: 1, 2: 1}
DIFFERENT = log(
    *(node(n, {**SAME, 3: 2}, texts={3: b"ADD lost"}) for n in (1, 2)),
    *(node(n, {**SAME, 3: 3, 4: 3}, commit=4) for n in (3, 4, 5)),
)


def test_where_two_nodes_differ_is_marked_and_said_in_words() -> None:
    lines = log_lines(DIFFERENT, 80)
    assert [line for line in lines if line.startswith("differ")]
    assert [line.split() for line in lines if "DIFFERS" in line] == [
        ["3", "2", "ADD", "lost", "n1", "n2", "never", "DIFFERS"],
        ["3", "3", "ADD", "x3", "n3", "n4", "n5", "yes", "DIFFERS"],
    ]
    assert (
        "At index 3 the logs DIFFER: there is an entry on n1, n2 of term 2, and on n3, n4, n5 of "
        "term 3."
    ) in " ".join(" ".join(lines).split())
    assert log_json(DIFFERENT)["differ"] == [3]


def test_what_differs_is_red_and_nothing_else_changes() -> None:
    plain, coloured = (log_lines(DIFFERENT, 80, colour=colour) for colour in (False, True))
    assert list(map(click.unstyle, coloured)) == plain
    red = [click.unstyle(line) for line in coloured if line.startswith("\x1b[31m")]
    assert red == [line for line in plain if "differ" in line.lower() or "term 3." in line]


def test_each_entry_stands_once_with_the_nodes_that_hold_it() -> None:
    entries = log_json(DIFFERENT)["entries"]
    assert isinstance(entries, list)
    assert [one["overruled"] for one in entries] == [False, False, True, False, False]
    assert [(one["index"], one["term"], one["nodes"], one["committed"]) for one in entries] == [
        (1, 1, [1, 2, 3, 4, 5], True),
        (2, 1, [1, 2, 3, 4, 5], True),
        (3, 2, [1, 2], False),
        (3, 3, [3, 4, 5], True),
        (4, 3, [3, 4, 5], True),
    ]


def test_logs_that_agree_are_not_said_to_differ() -> None:
    text = "\n".join(log_lines(log(node(1, SAME), node(2, SAME)), 80))
    assert "differ" not in text.lower()


def test_entries_that_a_node_holds_only_in_its_snapshot_are_dots_and_in_brackets() -> None:
    lines = log_lines(log(node(1, {3: 2}, first=3, commit=3), node(2, {**SAME, 3: 2})), 80)
    assert next(line for line in lines if line.startswith("n1 ")).endswith(".  .  2|")
    assert any(line.split()[:1] == ["1"] and "n2 (n1)" in line for line in lines)
    assert "n1: a snapshot stands for the entries up to 2" in " ".join(lines)


def test_a_node_that_is_down_is_shown_as_its_disk_is_and_that_is_said() -> None:
    lines = log_lines(log(node(1, SAME), node(2, SAME, commit=None, state="down")), 80)
    assert next(line for line in lines if line.startswith("n2 ")).split() == [
        *("n2", "down", "3", "-", "1", "1"),
    ]
    assert "n2 is down: the row shows what is on disk." in " ".join(lines)


def test_a_node_that_hangs_is_no_node_that_is_up() -> None:
    lines = log_lines(log(node(1, SAME), node(2, SAME, commit=None, state="up")), 80)
    assert next(line for line in lines if line.startswith("n2 ")).split()[1:3] == ["no", "answer"]
    assert "n2 does not answer" in " ".join(lines)


def test_a_node_whose_files_cannot_be_read_has_an_empty_row_and_a_reason() -> None:
    broken = NodeLog(id=2, state="failed", source="none", problem="its log is damaged")
    lines = log_lines(log(node(1, SAME), broken), 80)
    assert next(line for line in lines if line.startswith("n2 ")).split()[:2] == ["n2", "failed"]
    assert "its log cannot be read: its log is damaged" in " ".join(lines)


def test_a_command_cannot_steer_the_terminal() -> None:
    texts = {1: b"SET a \x1b[2J\x07\n", 2: b"\xff\xfe\xe2\x80\xae"}
    lines = log_lines(log(node(1, SAME, texts=texts)), 80)
    assert all(line.isprintable() for line in lines)
    assert "SET a \\x1b[2J" in "\n".join(lines)


@pytest.mark.parametrize("width", [60, 80, 100])
@pytest.mark.parametrize("first", [1, 90, 99_990])
def test_no_line_is_wider_than_the_terminal(width: int, first: int) -> None:
    terms = {index: index // 10 + 1 for index in range(first, first + 20)}
    texts = dict.fromkeys(terms, b"x" * 64)
    nodes = [
        node(n, {**terms, first: terms[first] + n % 2}, texts=texts, commit=first + 18)
        for n in (1, 2, 3, 4, 5)
    ]
    whole = log(*nodes, first=first)
    for shown in (whole, fitting(whole, width)):
        assert max(map(len, log_lines(shown, width))) <= width


def test_what_fits_is_one_table_of_the_newest_entries() -> None:
    terms = dict.fromkeys(range(100, 120), 1)
    shown = fitting(log(node(1, terms), first=100), 80)
    assert shown.last_index == 119
    assert 100 < shown.first_index < 119
    assert len([line for line in log_lines(shown, 80) if line.startswith("n1 ")]) == 1
    assert shown.entries[0].entry.index == shown.first_index


def test_a_window_that_was_asked_for_comes_in_several_tables() -> None:
    terms = dict.fromkeys(range(100, 120), 1)
    lines = log_lines(log(node(1, terms), first=100), 80)
    assert len([line for line in lines if line.startswith("node ")]) > 1


def test_a_log_that_ends_before_the_window_says_where() -> None:
    lines = log_lines(log(node(1, {9: 1, 10: 1}), node(2, {}), first=9), 80)
    assert "n2: no entry yet." in " ".join(lines)


def fates(log: ClusterLog) -> list[str]:
    lines = log_lines(log, None)
    table = lines[lines.index(next(line for line in lines if line.startswith("index"))) + 1 :]
    return [line.partition("n1")[2].strip() for line in table]


def test_an_entry_is_committed_or_not_yet_or_never_or_nobody_can_say() -> None:
    assert fates(log(node(1, {**SAME, 3: 1}, commit=2))) == ["yes", "yes", "not yet"]
    assert fates(log(node(1, SAME, commit=None, state="down"))) == ["?", "?"]
