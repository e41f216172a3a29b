"""The table of `ps`."""

from __future__ import annotations

import click
from tabulate import tabulate

from launcher.control.status import ClusterStatus, NodeStatus
from node.printable import printable_line

_MOST_WHY_CHARACTERS = 2000
_STATE_COLOURS = {"up": "green", "paused": "yellow", "down": "bright_black", "failed": "red"}


def status_table(status: ClusterStatus, colour: bool) -> str:
    """What `ps` shows."""
    headers = "node state role term leader first last commit applied pid restarts uptime cpu memory"
    rows = [_row(node, colour) for node in status.nodes]
    titles = headers.split()
    if any(map(_why, status.nodes)):
        titles.append("why")
        rows = [[*row, _why(node)] for row, node in zip(rows, status.nodes, strict=True)]
    return tabulate(rows, titles, tablefmt="plain", disable_numparse=True, stralign="left")


def _row(node: NodeStatus, colour: bool) -> list[str]:
    state: str = node.state
    if colour:
        state = click.style(state, _STATE_COLOURS[node.state])
    role: str = node.role or "-"
    if colour and role == "leader":
        role = click.style(role, bold=True)
    return [
        f"n{node.id}",
        state,
        role,
        str(node.term),
        f"n{node.leader}" if node.leader else "-",
        str(node.first_index),
        str(node.last_index),
        str(node.commit_index),
        str(node.applied_index),
        str(node.pid or "-"),
        str(node.restarts),
        "-" if node.uptime_s is None else duration(node.uptime_s),
        "-" if node.cpu_percent is None else f"{node.cpu_percent:.0f}%",
        "-" if node.rss_bytes is None else f"{node.rss_bytes / 2**20:.0f}MiB",
    ]


def _why(node: NodeStatus) -> str:
    """What is wrong with it, on one line: some of it comes from the user's machine."""
    disk = f"disk: {node.disk}" if node.disk else ""
    snapshot = f"no snapshot: {node.snapshot}" if node.snapshot else ""
    silent = f"not responding for {node.last_answer_s:.0f} s" if node.hangs else ""
    diverged = str(node.diverged) if node.diverged is not None else ""
    found = (silent, node.reason, diverged, disk, snapshot, node.points, node.change)
    return printable_line("; ".join(filter(None, found)), _MOST_WHY_CHARACTERS)


def duration(seconds: float) -> str:
    """A duration as people write it: `12s`, `3m04s`, `2h10m`."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
