"""How results are printed: JSON for programs, lines for people, bytes unchanged for pipes."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click
import msgspec

from node.printable import escaped, printable_line

if TYPE_CHECKING:
    from launcher.client.answers import ReadAnswer, Submitted
    from launcher.control.status import Chosen, ClusterStatus
    from launcher.folders.violations import Violation


def wants_colour() -> bool:
    """Whether to print colours: on a terminal, unless NO_COLOR is set."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def columns() -> int | None:
    """How many columns the terminal has; None where the output is no terminal."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def print_json(value: object) -> None:
    """Prints one JSON object on one line, in ASCII, so that bytes that are no text survive."""
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
    """Bytes as text; bytes that are not UTF-8 become surrogates, as in Python's arguments."""
    return data.decode("utf-8", "surrogateescape")


def print_bytes(data: bytes) -> None:
    """Prints a machine's answer: unchanged into a pipe, printable on a terminal."""
    if sys.stdout.isatty():
        shown = data.decode("utf-8", "backslashreplace")
        data = escaped(shown, keep="\n\t").encode()
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
    """The same contracts for an entry or a query without an answer; an entry may yet be committed.

    kind: "entry" or "query"
    """
    nothing = dict.fromkeys(("index", "term", "leader", "latency_ms"))
    return {kind: text(text_of), "ok": False, "result": None, "error": error, **nothing}


def print_unconfirmed(nodes: Sequence[int], status: ClusterStatus) -> None:
    """Names the nodes that run and have not confirmed a fault, or its end, and why."""
    for node in nodes:
        if not status.has(node) or not status.node(node).running:
            continue  # it has ended meanwhile, and what starts in its place obeys
        paused = status.node(node).state == "paused"
        why = "is paused" if paused else "does not respond"
        when = "runs again" if paused else "responds"
        click.echo(
            f"n{node} has not confirmed: it {why}; the change takes effect when it {when}", err=True
        )


def warn_of(violations: Sequence[Violation]) -> None:
    """Says on standard error, in red on a terminal, what was found wrong with safety."""
    for one in violations:
        click.secho(f"launcher: {printable_line(str(one))}", fg="red", err=True)


_IDLE = {
    "killed": "no node is running",
    "power failed at": "no node is running",
    "stopped": "no node is running",
    "started": "every node is running already",
    "paused": "every node that is running is paused already",
    "resumed": "no node is paused",
    "disk of": "no node is running",
    "share of": "no node is running",
    "frozen": "no node is running; nothing is started before `launcher thaw`",
    "thawed": "no node was running that was not paused before",
    "snapshot by": "no node is running",
}
"""Why a command chose no node, by what it would have done."""


def print_chosen(action: str, chosen: Sequence[Chosen], as_json: bool) -> None:
    """Prints which nodes a command chose, and the role of each when it was chosen."""
    if as_json:
        print_json({"action": action, "chosen": chosen})
        return
    if not chosen:
        click.echo(f"nothing to do: {_IDLE.get(action, 'no node was chosen')}", err=True)
    for node in chosen:
        role = node.role or "no role"
        note = f" ({node.note})" if node.note else ""
        was = f"{role}, term {node.term}, commit {node.commit_index}"
        click.echo(f"{action} n{node.id}: {was}{note}")
