"""How results look: tables for people, JSON for programs, bytes as they are for pipes."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence

import click
import msgspec

from launcher.client.answers import ReadAnswer, Submitted
from launcher.control.status import Chosen, ClusterStatus, NodeStatus
from node.machines.failures import printable_line

_MOST_WHY_CHARACTERS = 2000
_STATE_COLOURS = {"up": "green", "paused": "yellow", "down": "bright_black", "failed": "red"}


def wants_colour() -> bool:
    """Colour is for terminals whose owner has not asked to be spared (NO_COLOR)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def print_json(value: object) -> None:
    """One JSON object, on one line. ASCII, so that bytes which are no text come through."""
    click.echo(json.dumps(msgspec.to_builtins(value, enc_hook=str)))


def status_json(status: ClusterStatus) -> dict[str, object]:
    """The contract of `ps --json`. A membership is an object with the names of its parts."""
    membership = status.membership
    parts = None if membership is None else msgspec.structs.asdict(membership)
    described: dict[str, object] = msgspec.to_builtins(status)
    return {**described, "membership": parts}


def nodes_up(status: ClusterStatus) -> str:
    """`5 nodes up`; `4 of 5 nodes up` when one is not."""
    up, all_nodes = len(status.up), len(status.nodes)
    count = str(up) if up == all_nodes else f"{up} of {all_nodes}"
    return f"{count} node{'s' * (all_nodes != 1)} up"


def text(data: bytes) -> str:
    """Bytes as text; what is no UTF-8 is kept, as Python keeps such bytes in arguments."""
    return data.decode("utf-8", "surrogateescape")


def print_bytes(data: bytes) -> None:
    """A machine's answer: as it is into a pipe; on a terminal without what would steer it."""
    if sys.stdout.isatty():
        shown = data.decode("utf-8", "backslashreplace")
        safe = (c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in shown)
        data = "".join(safe).encode("utf-8", "backslashreplace")
    click.echo(data)


def submitted_json(done: Submitted) -> dict[str, object]:
    """The contract of `submit --json`."""
    return {
        "entry": text(done.entry),
        "ok": done.ok,
        "result": text(done.raw),
        "error": done.error,
        "index": done.index,
        "term": done.term,
        "leader": done.leader,
        "latency_ms": round(done.latency_ms, 3),
    }


def answer_json(answer: ReadAnswer) -> dict[str, object]:
    """The contract of `read --json`."""
    return {
        "query": text(answer.query),
        "ok": answer.ok,
        "result": text(answer.raw),
        "error": answer.error,
        "index": answer.index,
        "term": answer.term,
        "leader": answer.leader,
        "latency_ms": round(answer.latency_ms, 3),
    }


def unanswered_json(kind: str, text_of: bytes, error: str) -> dict[str, object]:
    """The same contracts, for what was not answered in time: it may still come about.

    kind: "entry" or "query"
    """
    nothing = dict.fromkeys(("index", "term", "leader", "latency_ms"))
    return {kind: text(text_of), "ok": False, "result": None, "error": error, **nothing}


def print_chosen(action: str, chosen: Sequence[Chosen], as_json: bool) -> None:
    """Which nodes a command chose, and what each was when it was chosen."""
    if as_json:
        print_json({"action": action, "chosen": chosen})
        return
    if not chosen:
        click.echo("nothing to do: every node that is meant is so already", err=True)
    for node in chosen:
        role = node.role or "no role"
        note = f" ({node.note})" if node.note else ""
        was = f"{role}, term {node.term}, commit {node.commit_index}"
        click.echo(f"{action} n{node.id}: {was}{note}")


def status_table(status: ClusterStatus, colour: bool) -> str:
    """What `ps` shows."""
    from tabulate import tabulate

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
    found = (silent, node.reason, diverged, disk, snapshot, node.change)
    return printable_line("; ".join(filter(None, found)), _MOST_WHY_CHARACTERS)


def duration(seconds: float) -> str:
    """A duration as people write it: `12s`, `3m04s`, `2h10m`."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
