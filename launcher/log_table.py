"""A table of logs, as the Raft paper's Figure 7 draws them: one server a row, one index a column.

Each number is the term of an entry, and each dot an entry that is only in a snapshot. The entries
left of the bar are known to be committed. The scenarios' `show` and `launcher log` both print it.
Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

UNKNOWN = "?"
"""In the place of a term that is not known."""


@dataclass(frozen=True)
class Row:
    """One server in a table of logs.

    vote: whom it has voted for; where no row says that, there is no such column
    commit: its commit index; None when it is not known
    terms: one for each entry after `base_index`; None where it is not known
    """

    name: str
    role: str
    term: int
    vote: str
    commit: int | None
    terms: Sequence[int | None]
    base_index: int = 0

    @property
    def last_index(self) -> int:
        """Where the row ends."""
        return self.base_index + len(self.terms)


def table(
    rows: Sequence[Row],
    *,
    first: int = 1,
    last: int | None = None,
    title: str = "server",
    differ: Collection[int] = (),
) -> list[str]:
    """Returns the lines: one for each server, with its entries below their indexes.

    first, last: the indexes that are shown; by default all of them
    title: what a row is
    differ: indexes that a last line marks
    """
    end = _end(rows) if last is None else last
    width = _cell_width(rows, end)
    lefts = _lefts(rows, title)
    indexes = "".join(f"{index:>{width}} " for index in range(first, end + 1))
    lines = [f"{lefts[0]}  log {indexes}".rstrip()]
    for row, left in zip(rows, lefts[1:], strict=True):
        edge = "|" if row.commit == first - 1 > 0 and end >= first else " "
        lines.append(f"{left}     {edge}{_cells(row, first, end, width)}".rstrip())
    if any(first <= index <= end for index in differ):
        marks = "".join(
            f"{'^' if index in differ else '':>{width}} " for index in range(first, end + 1)
        )
        lines.append(f"{'differ':{len(lefts[0])}}      {marks}".rstrip())
    return lines


def most_columns(rows: Sequence[Row], last: int, width: int, title: str = "server") -> int:
    """How many indexes, up to `last`, fit into lines of `width` columns; at least 1."""
    left = len(_lefts(rows, title)[0]) + len("  log ")
    return max(1, (width - left) // (_cell_width(rows, last) + 1))


def _end(rows: Sequence[Row]) -> int:
    return max((row.last_index for row in rows), default=0)


def _cell_width(rows: Sequence[Row], end: int) -> int:
    widest = max([end, *(term or 0 for row in rows for term in row.terms)])
    return len(str(widest)) + 1


def _cells(row: Row, first: int, end: int, width: int) -> str:
    cells = ""
    for index in range(first, min(row.last_index, end) + 1):
        term = row.terms[index - row.base_index - 1] if index > row.base_index else None
        text = "." if index <= row.base_index else UNKNOWN if term is None else str(term)
        cells += f"{text:>{width}}{'|' if index == row.commit else ' '}"
    return cells


def _lefts(rows: Sequence[Row], title: str) -> list[str]:
    """What stands left of the log: first the titles, then one text for each row."""
    name = max(len(title), *(len(row.name) for row in rows))
    role = max(10, *(len(row.role) for row in rows))
    vote = max(len("vote"), *(len(row.vote) for row in rows))
    term = max(len("term"), *(len(str(row.term)) for row in rows))
    commits = ["-" if row.commit is None else str(row.commit) for row in rows]
    commit = max(len("commit"), *map(len, commits))
    with_votes = any(row.vote for row in rows)

    def left(name_: str, role_: str, term_: str, vote_: str, commit_: str) -> str:
        voted = f"{vote_:{vote}}  " if with_votes else ""
        return f"{name_:{name}}  {role_:{role}} {term_:>{term}}  {voted}{commit_:>{commit}}"

    return [left(title, "role", "term", "vote", "commit")] + [
        left(row.name, row.role, str(row.term), row.vote, said)
        for row, said in zip(rows, commits, strict=True)
    ]
