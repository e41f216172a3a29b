"""What `launcher log` prints: the logs side by side, and below them each entry once."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

import click
import msgspec

from launcher.cli.output import text
from launcher.control.naming import node_names
from launcher.log_table import Row, most_columns, table
from launcher.logs import ClusterLog, NodeLog, SharedEntry
from node.printable import printable
from node.wire import LogEntry

DEFAULT_COUNT = 20
_LEAST_ROOM = 12
"""Columns for a command; where there are fewer, nodes are counted and not named."""

LEGEND = (
    "A number is the term of an entry; all entries left of | are known to be committed; . is an "
    "entry that is only in a snapshot."
)


def log_json(log: ClusterLog) -> dict[str, object]:
    """The contract of `log --json`."""
    return {
        "first_index": log.first_index,
        "last_index": log.last_index,
        "nodes": [_node_json(node) for node in log.nodes],
        "entries": [
            {
                **_entry_json(shared.entry),
                "nodes": shared.nodes,
                "committed": shared.committed,
                "overruled": shared.overruled,
            }
            for shared in log.entries
        ],
        "differ": log.differ,
    }


def _node_json(node: NodeLog) -> dict[str, object]:
    part = node.part
    known: dict[str, object] = {} if part is None else msgspec.structs.asdict(part)
    known.pop("request", None)
    return {
        "id": node.id,
        "state": node.state,
        "source": node.source,
        "problem": node.problem,
        **known,
        "role": (part.role if part else "") or None,
        "entries": [{"index": entry.index, "term": entry.term} for entry in node.entries],
    }


def _entry_json(entry: LogEntry) -> dict[str, object]:
    beginning = None if entry.text is None else text(entry.text)
    return {
        "index": entry.index,
        "term": entry.term,
        "kind": entry.kind,
        "text": beginning,
        "size": entry.size,
    }


def log_lines(log: ClusterLog, width: int | None, *, colour: bool = False) -> list[str]:
    """For people.

    width: columns of the terminal; None: lines may be of any length
    colour: what differs is red
    """
    rows = [_row(node, log.first_index) for node in log.nodes]
    lines = _grid(log, rows, width)
    if colour:
        lines = [_red(line) if line.startswith("differ") else line for line in lines]
    lines += _wrapped([LEGEND], width)
    remarks = [*_of_snapshots(log), *_of_silent(log), *_of_ends(log)]
    lines += _wrapped(remarks, width)
    shared = log.entries
    if shared:
        lines += ["", *_entries(log, shared, width, colour)]
    differences = _wrapped(_differences(log), width)
    lines += map(_red, differences) if colour else differences
    return lines


def fitting(log: ClusterLog, width: int) -> ClusterLog:
    """The last indexes of the window, as many as fit into lines of `width` columns."""
    rows = [_row(node, log.first_index) for node in log.nodes]
    first = max(
        log.first_index, log.last_index - most_columns(rows, log.last_index, width, "node") + 1
    )
    nodes = [
        msgspec.structs.replace(
            node,
            part=node.part
            and msgspec.structs.replace(
                node.part, entries=[entry for entry in node.entries if entry.index >= first]
            ),
        )
        for node in log.nodes
    ]
    return ClusterLog(first_index=first, last_index=log.last_index, nodes=nodes)


# -- the grid --------------------------------------------------------------------------------------


def _row(node: NodeLog, first: int) -> Row:
    """The node in the table; of its log only what may be shown from `first` on."""
    part, name = node.part, f"n{node.id}"
    if part is None:
        return Row(name, _without_answer(node), 0, "", None, [])
    base = max(part.first_index, first) - 1
    by_index = {entry.index: entry.term for entry in part.entries}
    terms = [by_index.get(index) for index in range(base + 1, max(by_index, default=base) + 1)]
    return Row(
        name, part.role or _without_answer(node), part.term, "", part.commit_index, terms, base
    )


def _without_answer(node: NodeLog) -> str:
    """What is said in place of the role of a node that has not answered."""
    return "no answer" if node.state == "up" else node.state


def _grid(log: ClusterLog, rows: Sequence[Row], width: int | None) -> list[str]:
    """The table; in several pieces, one below the other, where it is wider than the terminal."""
    last = log.last_index
    step = last - log.first_index + 1
    if width is not None:
        step = min(step, most_columns(rows, last, width, "node"))
    lines: list[str] = []
    for first in range(log.first_index, max(last, log.first_index) + 1, max(step, 1)):
        end = min(last, first + step - 1)
        lines += table(rows, first=first, last=end, title="node", differ=log.differ)
        lines.append("")
    return lines


# -- remarks ---------------------------------------------------------------------------------------


def _of_snapshots(log: ClusterLog) -> list[str]:
    """Where snapshots end, and where the logs begin."""
    alike: dict[tuple[int, int], list[int]] = {}
    for node in log.nodes:
        if node.part is not None and node.part.snapshot_index:
            key = (node.part.snapshot_index, node.part.first_index)
            alike.setdefault(key, []).append(node.id)
    return [
        f"{node_names(ids)}: a snapshot stands for the entries up to {snapshot}; the log still "
        f"holds those from {first} on."
        for (snapshot, first), ids in alike.items()
    ]


def _of_silent(log: ClusterLog) -> list[str]:
    """Whose files were read, and whose could not be."""
    alike: dict[str, list[int]] = {}
    said = []
    for node in log.nodes:
        if node.source == "disk":
            alike.setdefault(node.state, []).append(node.id)
        elif node.source == "none":
            said.append(f"n{node.id} is {node.state}, and its log cannot be read: {node.problem}.")
    return [
        f"{node_names(ids)} {_is_not_asked(state, len(ids))}: the row shows what is on disk. "
        "Files do not say what is committed."
        for state, ids in alike.items()
    ] + said


def _is_not_asked(state: str, count: int) -> str:
    if state == "up":
        return "does not answer" if count == 1 else "do not answer"
    return f"{'is' if count == 1 else 'are'} {state}"


def _of_ends(log: ClusterLog) -> list[str]:
    """Whose log ends before the window."""
    ends: dict[int, list[int]] = {}
    for node in log.nodes:
        if node.part is not None and node.part.last_index < log.first_index:
            ends.setdefault(node.part.last_index, []).append(node.id)
    return [
        f"{node_names(ids)}: the log ends with entry {last}."
        if last
        else f"{node_names(ids)}: no entry yet."
        for last, ids in ends.items()
    ]


def _differences(log: ClusterLog) -> list[str]:
    """One sentence for each run of indexes at which the same nodes differ in the same terms."""
    runs: list[tuple[int, int, dict[int, list[int]]]] = []
    for index in log.differ:
        sides: dict[int, list[int]] = {}
        for node in log.nodes:
            term = node.term_at(index)
            if term is not None:
                sides.setdefault(term, []).append(node.id)
        if runs and runs[-1][1] == index - 1 and runs[-1][2] == sides:
            runs[-1] = (runs[-1][0], index, sides)
        else:
            runs.append((index, index, sides))
    said = []
    for first, last, sides in runs:
        where = f"At index {first}" if first == last else f"At indexes {first} to {last}"
        whose = (f"{node_names(ids)} of term {term}" for term, ids in sorted(sides.items()))
        said.append(f"{where} the logs DIFFER: there is an entry on {', and on '.join(whose)}.")
    return ["", *said] if said else []


# -- the entries -----------------------------------------------------------------------------------


def _entries(
    log: ClusterLog, shared: Sequence[SharedEntry], width: int | None, colour: bool
) -> list[str]:
    """A table with a line for each entry; commands are cut where they do not fit."""
    differ = set(log.differ)
    on = [_holders(log, one) for one in shared]
    status = [_fate(one) + (" DIFFERS" if one.entry.index in differ else "") for one in shared]
    index = max(len("index"), *(len(str(one.entry.index)) for one in shared))
    term = max(len("term"), *(len(str(one.entry.term)) for one in shared))
    room = None
    if width is not None:
        last = max(len("committed"), *map(len, status))
        rest = width - index - term - last - 4 * len("  ")
        if rest - max(map(len, on)) < _LEAST_ROOM:
            on = [f"{len(one.nodes)} of {len(log.nodes)}" for one in shared]
        room = max(_LEAST_ROOM, rest - max(map(len, on)))
    whats = [_what(one.entry, room) for one in shared]
    what = max(len("entry"), *map(len, whats))
    ends = max(len("on"), *map(len, on))
    lines = [f"{'index':>{index}}  {'term':>{term}}  {'entry':{what}}  {'on':{ends}}  committed"]
    for one, said, where, known in zip(shared, whats, on, status, strict=True):
        place = f"{one.entry.index:>{index}}  {one.entry.term:>{term}}"
        line = f"{place}  {said:{what}}  {where:{ends}}  {known}"
        lines.append(_red(line) if colour and one.entry.index in differ else line.rstrip())
    return lines


def _fate(one: SharedEntry) -> str:
    """Whether it is committed. Where another entry is, at the same index, it never will be."""
    if one.overruled:
        return f"{'never':9}"
    known = {True: "yes", False: "not yet", None: "?"}[one.committed]
    return f"{known:9}"


def _holders(log: ClusterLog, one: SharedEntry) -> str:
    """The nodes that hold the entry, and in brackets those that hold it in a snapshot."""
    index = one.entry.index
    others = [
        f"(n{node.id})"
        for node in log.nodes
        if node.id not in one.nodes and node.part and index < node.part.first_index
    ]
    return " ".join([*(f"n{node}" for node in one.nodes), *others])


def _what(entry: LogEntry, room: int | None) -> str:
    """Its kind or its command, in one line that cannot steer a terminal."""
    beginning = "" if entry.text is None else printable(text(entry.text))
    if entry.kind == "command":
        said = "(too long to show)" if entry.text is None else beginning
        is_cut = entry.text is not None and entry.size > len(entry.text)
    else:
        said, is_cut = f"({entry.kind}{f': {beginning}' if beginning else ''})", False
    if room is not None and len(said) + is_cut > room:
        said, is_cut = said[: room - 1], True
    return said + "…" * is_cut


def _red(line: str) -> str:
    return click.style(line, "red") if line else line


def _wrapped(sentences: Iterable[str], width: int | None) -> list[str]:
    return [line for said in sentences for line in (textwrap.wrap(said, width or 100) or [""])]
