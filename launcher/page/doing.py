"""Which commands the page may run, and with which words. Pure.

The page does what a user could type; a browser is still no terminal. So there are only the commands
that change or ask a running cluster, and only options that name no file of this machine.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Annotated

import msgspec

COMMANDS: dict[str, frozenset[str]] = {
    "kill": frozenset({"--power", "--torn", "--signal"}),
    "pause": frozenset(),
    "resume": frozenset(),
    "stop": frozenset(),
    "start": frozenset(),
    "restart": frozenset({"--rolling"}),
    "transfer": frozenset(),
    "time-out": frozenset(),
    "rebuild": frozenset(),
    "add": frozenset(),
    "remove": frozenset(),
    "snapshot": frozenset(),
    "partition": frozenset(),
    "link": frozenset(),
    "heal": frozenset(),
    "disk": frozenset(),
    "clock": frozenset({"--wall"}),
    "throttle": frozenset(),
    "arm": frozenset(),
    "drop": frozenset({"--count"}),
    "set": frozenset(),
    "freeze": frozenset(),
    "thaw": frozenset(),
    "submit": frozenset({"--node"}),
    "read": frozenset({"--node", "--stale"}),
    "why": frozenset(),
    "tap": frozenset(),
    "chaos": frozenset({"--seed", "--time"}),
    "workload": frozenset({"--seed", "--time", "--clients", "--rate"}),
}
"""The commands, each with the options that it may have."""

LONG = ("chaos", "workload")
"""Commands that take as long as they are told to; others are run meanwhile."""

FREE = ("submit", "read")
"""Commands whose words are an entry or a query, which may look like anything."""


ASKING = ("read", "why")
"""Commands that change nothing: they are not in the timeline."""

MOST_LINE_CHARACTERS = 1000
"""Of a command line, in the timeline: an entry may be long."""


class Refused(Exception):
    """What was posted is not run. Its text is one line."""


class _Asked(msgspec.Struct, forbid_unknown_fields=True):
    words: Annotated[list[str], msgspec.Meta(min_length=1, max_length=64)]


class _Step(msgspec.Struct, forbid_unknown_fields=True):
    step: Annotated[int, msgspec.Meta(ge=0, le=1000)]


_step_decoder = msgspec.json.Decoder(_Step)


def parse_step(body: bytes) -> int:
    """The number of a lesson's command, from the body of a request. Raises Refused."""
    try:
        return _step_decoder.decode(body).step
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(f'not a step such as {{"step": 3}}: {error}') from None


_decoder = msgspec.json.Decoder(_Asked)


def parse(body: bytes) -> list[str]:
    """The words of a command line, from the body of a request. Raises Refused."""
    try:
        words = _decoder.decode(body).words
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(f'not a command such as {{"words": ["kill", "2"]}}: {error}') from None
    command = words[0]
    if command not in COMMANDS:
        raise Refused(f"the page does not run {command[:40]!r}: use a terminal")
    if any("\0" in word for word in words):
        raise Refused("a word has a zero byte")
    free = False
    for word in words[1:]:
        if command in FREE and word == "--":
            free = True
        if free:
            continue
        name = word.partition("=")[0]
        if word == "-" or (name.startswith("--") and name not in COMMANDS[command] | {"--"}):
            raise Refused(f"the page does not run {command} with {name[:40]}: use a terminal")
    if free and words[-1] == "-":
        raise Refused("a lone dash would read from a terminal, and there is none")
    if command in FREE and not free:
        raise Refused(f"{command}: put -- before the text")
    return words


def command_line(words: Sequence[str]) -> str:
    """The words as somebody would type them in a shell."""
    return shlex.join(["launcher", *words])


def noted(words: Sequence[str]) -> str | None:
    """What the timeline says of a command of the page; None: nothing."""
    if words[0] in ASKING:
        return None
    line = command_line(words)
    if len(line) <= MOST_LINE_CHARACTERS:
        return line
    return f"{line[:MOST_LINE_CHARACTERS]}… ({len(line)} characters)"
