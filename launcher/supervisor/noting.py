"""What others do, in the supervisor's event log: runs of chaos, and the page.

`fault.injected` says what was done to which nodes. The events of chaos, beside it, say why: which
fault of which seed's schedule it was, and what was left out. Those of the page say what somebody
did there: an entry goes to a node, past the supervisor.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from launcher.control.requests import Note, NoteChaos, NotePage, Reply


def note(said: Note, emit: Callable[..., None]) -> Reply:
    """Writes it. emit: writes an event of the supervisor (level, name, fields)"""
    match said:
        case NotePage(line):
            emit("info", "page.runs", line=line)
        case NoteChaos():
            _note_chaos(said, emit)
    return Reply(ok=True)


def _note_chaos(said: NoteChaos, emit: Callable[..., None]) -> None:
    about: dict[str, Any] = {"number": said.number, "fault": said.fault}
    if said.nodes:
        about["targets"] = said.nodes
    if said.words:
        about["does"] = said.words
    match said.what:
        case "began":
            emit("info", "chaos.began", seed=said.seed, reason=said.why)
        case "injected":
            emit("info", "chaos.injected", **about)
        case "ended":
            emit("info", "chaos.ended", **about)
        case "left-out":
            emit("info", "chaos.left_out", **about, reason=said.why)
        case "failed":
            emit("info", "chaos.failed", **about, reason=said.why)
        case "over" if said.why:
            emit("warn", "chaos.over", seed=said.seed, reason=said.why)
        case "over":
            emit("info", "chaos.over", seed=said.seed)
