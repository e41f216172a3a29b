"""What `ps` prints: tables of the nodes, and below them faults, and nodes that are cut off."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Sequence

import click
from tabulate import tabulate

from launcher.cli.links_table import slowed
from launcher.control.naming import node_names
from launcher.control.status import ClusterStatus, NodeStatus, PeerStatus
from launcher.control.throttles import describe as throttled
from node.printable import printable_line

ASSUMED_WIDTH = 80
"""The width of a narrow table where there is no terminal."""

_MOST_WHY_CHARACTERS = 2000
_WIDE = [
    *("node", "state", "role", "term", "leader", "first", "last", "commit", "applied"),
    *("pid", "restarts", "uptime", "cpu", "memory"),
]
_WORTH = [
    *("node", "state", "role", "term", "leader", "commit", "last", "applied"),
    *("restarts", "uptime", "pid", "first", "memory", "cpu"),
]
"""The columns of a narrow table: the last of them is left out first."""

_RAFT = ["node", "role", "term", "vote", "leader", "commit", "last", "election", "heard"]
_RAFT_WORTH = ["node", "role", "term", "vote", "commit", "last", "election", "heard", "leader"]
_PEER = ["peer", "mode", "next_index", "match_index", "in_flight", "heard"]
_LEAST_COLUMNS = 3

_STATE_COLOURS = {"up": "green", "paused": "yellow", "down": "bright_black", "failed": "red"}
_ROLE_COLOURS = {
    "leader": "green", "candidate": "yellow", "pre-candidate": "yellow", "learner": "cyan",
}  # fmt: skip


def shown(
    status: ClusterStatus,
    *,
    colour: bool,
    width: int | None,
    narrow: bool = False,
    raft: bool = False,
) -> str:
    """What `ps` shows.

    width: columns of the terminal, beyond which no line goes; None where there is none
    narrow: as for a narrow terminal, also where the whole table would fit
    raft: Raft's own state, in place of the processes'
    """
    table = _shown(status, colour, width, narrow=narrow, raft=raft)
    warnings = [str(one) for one in status.violations]
    warnings += [status.frozen_because] if status.frozen else []
    lines = [printable_line(one) for one in warnings]
    if colour and status.violations:
        lines = [click.style(line, fg="red") for line in lines]
    return "\n".join([*lines, table])


def _shown(
    status: ClusterStatus, colour: bool, width: int | None, *, narrow: bool, raft: bool
) -> str:
    if raft:
        return raft_tables(status, colour, width or ASSUMED_WIDTH)
    wide = status_table(status, colour)
    if not narrow and (width is None or _width(wide) <= width):
        return wide
    return narrow_table(status, colour, width or ASSUMED_WIDTH)


def status_table(status: ClusterStatus, colour: bool) -> str:
    """Everything, in lines of any length."""
    titles = list(_WIDE)
    rows = [_cells(node, status, colour) for node in status.nodes]
    if any(map(_why, status.nodes)):
        titles.append("why")
        rows = [{**row, "why": _why(node)} for row, node in zip(rows, status.nodes, strict=True)]
    return "\n".join([_table(titles, rows), *_cuts(status.nodes), *slowed(status.links)])


def narrow_table(status: ClusterStatus, colour: bool, width: int) -> str:
    """The columns that are worth most, in lines of at most `width`; reasons are below them."""
    rows = [_cells(node, status, colour) for node in status.nodes]
    return "\n".join([_fitting(_WIDE, _WORTH, rows, width), *_remarks(status, width)])


def raft_tables(status: ClusterStatus, colour: bool, width: int) -> str:
    """Each node's state of Raft, and what each leader believes of its peers."""
    rows = [_raft_cells(node, status, colour) for node in status.nodes]
    parts = [_fitting(_RAFT, _RAFT_WORTH, rows, width), *_remarks(status, width)]
    leaders = [node for node in status.nodes if node.peers]
    for node in leaders:
        parts += ["", f"n{node.id}, which leads term {node.term}, believes of its peers:"]
        parts.append(_fitting(_PEER, _PEER, list(map(_peer_cells, node.peers)), width))
    if leaders:
        legend = (
            "next_index: the next entry that is sent to the peer. match_index: up to there the "
            "peer's disk is known to hold the leader's log."
        )
        parts += ["", *textwrap.wrap(legend, width)]
    return "\n".join(parts)


# -- tables ----------------------------------------------------------------------------------------


def _table(titles: Sequence[str], rows: Iterable[dict[str, str]]) -> str:
    cells = [[row[title] for title in titles] for row in rows]
    # As a row, since the titles of a table are set further apart.
    lines = [list(titles), *cells]
    return tabulate(lines, tablefmt="plain", disable_numparse=True, stralign="left")


def _fitting(
    titles: Sequence[str], worth: Sequence[str], rows: Sequence[dict[str, str]], width: int
) -> str:
    """The table with as many columns as fit into `width`, in the order of `titles`."""
    kept = list(worth)
    while True:
        text = _table([title for title in titles if title in kept], rows)
        if _width(text) <= width or len(kept) <= _LEAST_COLUMNS:
            return text
        kept.pop()


def _width(text: str) -> int:
    return max((len(click.unstyle(line)) for line in text.splitlines()), default=0)


# -- cells -----------------------------------------------------------------------------------------


def _cells(node: NodeStatus, status: ClusterStatus, colour: bool) -> dict[str, str]:
    state: str = node.state
    return {
        "node": _name(node, status, colour),
        "state": click.style(state, _STATE_COLOURS[state]) if colour else state,
        "role": _role(node.role or "-", colour),
        "term": str(node.term),
        "leader": f"n{node.leader}" if node.leader else "-",
        "first": str(node.first_index),
        "last": str(node.last_index),
        "commit": str(node.commit_index),
        "applied": str(node.applied_index),
        "pid": str(node.pid or "-"),
        "restarts": str(node.restarts),
        "uptime": "-" if node.uptime_s is None else duration(node.uptime_s),
        "cpu": "-" if node.cpu_percent is None else f"{node.cpu_percent:.0f}%",
        "memory": "-" if node.rss_bytes is None else f"{node.rss_bytes / 2**20:.0f}MiB",
    }


def _raft_cells(node: NodeStatus, status: ClusterStatus, colour: bool) -> dict[str, str]:
    due = node.election_in_s
    heard = node.leader_heard_s
    return {
        "node": _name(node, status, colour),
        "role": _role(node.role if node.role and node.state == "up" else node.state, colour),
        "term": str(node.term),
        "vote": f"n{node.voted_for}" if node.voted_for else "-",
        "leader": f"n{node.leader}" if node.leader else "-",
        "commit": str(node.commit_index),
        "last": str(node.last_index),
        "election": "-" if due is None else "due" if due <= 0 else f"in {_short(due)}",
        "heard": "-" if heard is None else f"{_short(heard)} ago",
    }


def _peer_cells(peer: PeerStatus) -> dict[str, str]:
    flying = str(peer.in_flight)
    if peer.in_flight_bytes:
        flying += f" ({peer.in_flight_bytes} bytes)"
    return {
        "peer": f"n{peer.id}",
        "mode": peer.mode,
        "next_index": str(peer.next_index),
        "match_index": str(peer.match_index),
        "in_flight": flying,
        "heard": "-" if peer.heard_s is None else f"{_short(peer.heard_s)} ago",
    }


def _name(node: NodeStatus, status: ClusterStatus, colour: bool) -> str:
    """Red where it cannot reach a majority, because of links that are cut."""
    away = {*node.cut_off_from, *node.cannot_send_to, *node.cannot_hear}
    others = {one.id for one in status.nodes} - away
    is_cut_off = away and status.membership is not None and not status.has_quorum(others)
    return click.style(f"n{node.id}", "red") if colour and is_cut_off else f"n{node.id}"


def _role(role: str, colour: bool) -> str:
    if not colour or role not in _ROLE_COLOURS:
        return role
    return click.style(role, _ROLE_COLOURS[role], bold=role == "leader")


def _short(seconds: float) -> str:
    """`12ms`, `1.3s`, `3m04s`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    return f"{seconds:.1f}s" if seconds < 60 else duration(seconds)


# -- what is wrong ---------------------------------------------------------------------------------


def _remarks(status: ClusterStatus, width: int) -> list[str]:
    """The nodes that are cut off, and the faults of each node, in lines of at most `width`."""
    said = [*_cuts(status.nodes), *slowed(status.links)]
    said += [f"n{node.id}: {why}" for node in status.nodes if (why := _why(node))]
    return [line for one in said for line in textwrap.wrap(one, width, subsequent_indent="    ")]


def _cuts(nodes: Sequence[NodeStatus]) -> list[str]:
    """Which nodes are cut off from which, each link once: `n1, n2 are cut off from n3, n4, n5`."""
    lines: list[str] = []
    told: set[frozenset[int]] = set()
    for ids, others in _alike(nodes, lambda node: node.cut_off_from):
        links = {frozenset((one, other)) for one in ids for other in others}
        if not links <= told:
            told |= links
            lines.append(f"{node_names(ids)} {_are(ids)} cut off from {node_names(others)}")
    for ids, others in _alike(nodes, lambda node: node.cannot_send_to):
        lines.append(f"no message of {node_names(ids)} reaches {node_names(others)}")
    return lines


def _alike(
    nodes: Sequence[NodeStatus], others: Callable[[NodeStatus], list[int]]
) -> list[tuple[list[int], list[int]]]:
    """The nodes that have the same others, small groups first."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for node in nodes:
        if others(node):
            groups.setdefault(tuple(others(node)), []).append(node.id)
    return sorted(
        ((ids, list(found)) for found, ids in groups.items()), key=lambda one: len(one[0])
    )


def _are(ids: Sequence[int]) -> str:
    return "is" if len(ids) == 1 else "are"


def _why(node: NodeStatus) -> str:
    """What is wrong with it, on one line: some of it comes from the user's machine."""
    disk = f"disk: {node.disk}" if node.disk else ""
    clock = f"clock: {node.clock}" if node.clock else ""
    throttle = "" if node.throttle is None else throttled(node.throttle)
    snapshot = f"no snapshot: {node.snapshot}" if node.snapshot else ""
    silent = f"not responding for {node.last_answer_s:.0f} s" if node.hangs else ""
    diverged = str(node.diverged) if node.diverged is not None else ""
    said = (silent, node.reason, diverged, disk, clock, throttle, snapshot)
    found = (*said, node.points, node.change)
    return printable_line("; ".join(filter(None, found)), _MOST_WHY_CHARACTERS)


def duration(seconds: float) -> str:
    """A duration as people write it: `12s`, `3m04s`, `2h10m`."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
