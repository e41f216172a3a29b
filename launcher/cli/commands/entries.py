"""Commands that use the replicated state machine: submit, read, watch."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import click

from launcher import streams
from launcher.cli.context import Context
from launcher.cli.output import (
    answer_json,
    print_bytes,
    print_json,
    submitted_json,
    unanswered_json,
)
from launcher.cli.parameters import NODE, NODE_NUMBER
from launcher.cli.progress import counting
from launcher.cli.rows import as_json, positive_timeout, row, timeout
from launcher.client.intake import lines
from launcher.errors import LauncherError, UsageError

if TYPE_CHECKING:
    from launcher.client.answers import Submitted
    from launcher.cluster import Cluster


@row(
    "submit",
    "Submit entries, one per argument; - reads one per line from standard input.\n\n"
    "Prints each entry's index and the machine's answer. Quote an entry that has spaces: "
    "submit 'ADD a b'. Put an entry that begins with a dash after --.\n\n"
    "With --node the entries go to that node and no other, at once and once: if it leads, they are "
    "in its log, even if it is cut off and cannot commit them.",
)
@click.argument("entries", nargs=-1, required=True, type=click.UNPROCESSED, metavar="ENTRY...")
@click.option("--node", type=NODE, help="The node that takes them, and no other does.")
@timeout
@as_json
def submit(
    context: Context,
    entries: tuple[str, ...],
    node: str | None,
    timeout: float | None,
    as_json: bool,
) -> int:
    """`launcher submit`."""
    cluster = context.cluster()
    timeout_s = None if timeout is None else positive_timeout(timeout, 0.0)
    if node is not None:
        done = _submit_to(cluster, node, entries, timeout_s, as_json)
        refusals = _print_submitted(iter(done), as_json)
    elif entries == ("-",):
        piped = _lines(0, cluster.config.entry_limit_bytes)
        refusals = _print_with_progress(cluster.submit_many(piped, timeout_s=timeout_s), as_json)
    else:
        encoded = [encode(entry) for entry in entries]
        refusals = _print_submitted(cluster.submit_many(encoded, timeout_s=timeout_s), as_json)
    if refusals.first is None:
        return 0
    hint = _hint("entry", entries, refusals.count)
    if context.typed and not as_json:  # the answer stands on the terminal already
        if hint:
            click.echo(hint.removeprefix("; "), err=True)
        return 1
    raise LauncherError(refusals.first + hint)


def _submit_to(
    cluster: Cluster, node: str, entries: tuple[str, ...], timeout_s: float | None, as_json: bool
) -> list[Submitted]:
    """The answers of one node. Prints what is known of entries that it has not committed."""
    # Start-up time: loads what describes nodes, and the wire's messages.
    from launcher.client.here import NotCommitted
    from launcher.control.targets import parse_id

    if "-" in entries:
        raise UsageError("submit --node takes the entries as arguments, not from standard input")
    commands = [encode(entry) for entry in entries]
    try:
        return cluster.submit_to(parse_id(node), *commands, timeout_s=timeout_s)
    except NotCommitted as error:
        for place, entry in enumerate(commands) if as_json else ():
            index = None if error.first_index is None else error.first_index + place
            known = {"index": index, "term": error.term}
            print_json(unanswered_json("entry", entry, str(error)) | known)
        raise


@row(
    "read",
    "Query the state machine, one query per argument; linearizable unless --stale.\n\n"
    "Quote a query that has spaces: read 'GET a'.",
)
@click.argument("queries", nargs=-1, required=True, type=click.UNPROCESSED, metavar="QUERY...")
@click.option(
    "--stale", is_flag=True, help="Let any node answer at once, however old its state is."
)
@click.option(
    "--node", type=NODE_NUMBER, help="The node that answers; linearizably too, unless --stale."
)
@timeout
@as_json
def read(
    context: Context,
    queries: tuple[str, ...],
    stale: bool,
    node: int | None,
    timeout: float | None,
    as_json: bool,
) -> None:
    """`launcher read`."""
    # Start-up time: loads the client's session and the wire's messages.
    from launcher.client.unanswered import NoAnswer

    cluster = context.cluster()
    refusals = _Refusals()
    timeout_s = None if timeout is None else positive_timeout(timeout, 0.0)
    asked = [encode(query) for query in queries]
    try:
        answers = cluster.read_many(asked, stale=stale, node=node, timeout_s=timeout_s)
    except NoAnswer as error:
        if as_json:
            for query in asked:
                print_json(unanswered_json("query", query, str(error)))
        raise
    for answer in answers:
        if as_json:
            print_json(answer_json(answer))
        elif answer.ok and answer.result:
            print_bytes(answer.result)  # an empty list has no lines, not an empty one
        refusals.add(answer.error)
    if refusals.first is not None:
        raise LauncherError(refusals.first + _hint("query", queries, refusals.count))


@row("watch", "Print the messages of a multicast cluster, each once and in order, until Ctrl-C.")
@click.option(
    "--from", "first", type=int, metavar="N", help="Begin with message N, not with the oldest kept."
)
@click.option("--node", type=NODE_NUMBER, help="Read this node, however far behind it is.")
@click.option("-n", "--count", type=click.IntRange(min=1), help="Only COUNT messages.")
@as_json
def watch(
    context: Context, first: int | None, node: int | None, count: int | None, as_json: bool
) -> None:
    """`launcher watch`."""
    for message in islice(context.cluster().watch(first, node=node), count):
        if as_json:
            print_json({"number": message.number, "text": message.text})
        else:
            print_bytes(b"%d\t%s" % (message.number, message.data))


@dataclass
class _Refusals:
    """first: what the machine said of the first that it refused; count: how many it refused"""

    first: str | None = None
    count: int = 0

    def add(self, error: str | None) -> None:
        """One more answer; None: it was no refusal."""
        if error is not None:
            self.count += 1
            if self.first is None:
                self.first = error


def _hint(kind: str, words: Sequence[str], refused: int) -> str:
    """For several words of which the machine took none alone: they were meant as one, perhaps."""
    if len(words) > 1 and refused == len(words) and not any(" " in word for word in words):
        return f"; one {kind} of several words needs quotes around it"
    return ""


def encode(argument: str) -> bytes:
    """An argument of the command line, as the bytes that it was. Raises UsageError."""
    try:
        return os.fsencode(argument)
    except UnicodeEncodeError as error:
        raise UsageError(
            f"{argument!a} cannot be written in this locale's encoding ({error.encoding}): "
            "choose one of UTF-8 (LC_ALL=C.UTF-8)"
        ) from error


def _lines(descriptor: int, most_bytes: int) -> Iterator[bytes]:
    """The lines of a stream, as they come, without their ends; empty ones are none."""
    return filter(None, lines(descriptor, most_bytes))


def _print_submitted(done: Iterator[Submitted], as_json: bool) -> _Refusals:
    """Prints each as it comes; returns what the machine said of those that it refused."""
    # Start-up time: loads the client's session and the wire's messages.
    from launcher.client.unanswered import NoAnswer

    refusals = _Refusals()
    acknowledged = 0
    try:
        for one in done:
            acknowledged += 1
            refusals.add(one.error)
            if as_json:
                print_json(submitted_json(one))
            elif one.ok:
                print_bytes(b"%d\t%s" % (one.index, one.result))
            else:
                print_bytes(b"%d\terror: %s" % (one.index, one.raw))
    except streams.ReaderGone:
        _check_all_done(done, acknowledged)
    except NoAnswer as error:
        if as_json:
            for entry in error.unanswered:
                print_json(unanswered_json("entry", entry, str(error)))
        raise
    return refusals


def _check_all_done(done: Iterator[Submitted], acknowledged: int) -> None:
    """Nobody reads the answers any more. Raises LauncherError unless there are no more entries."""
    streams.silence()
    if next(done, None) is not None:
        raise LauncherError(
            f"nobody reads the output any more: the first {acknowledged} entries are answered; "
            "some behind them may have been submitted"
        )


def _print_with_progress(done: Iterator[Submitted], as_json: bool) -> _Refusals:
    if sys.stderr.isatty() and not sys.stdin.isatty():
        with counting(done, 0, quiet=sys.stdout.isatty()) as counted:
            return _print_submitted(counted, as_json)
    return _print_submitted(done, as_json)
