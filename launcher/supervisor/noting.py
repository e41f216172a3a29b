"""What a run of chaos does, in the supervisor's event log: beside the events of its faults.

`fault.injected` says what was done to which nodes. The events here say why: which fault of which
seed's schedule it was, and what was left out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from launcher.control.requests import NoteChaos, Reply


def note(said: NoteChaos, emit: Callable[..., None]) -> Reply:
    """Writes it. emit: writes an event of the supervisor (level, name, fields)"""
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
    return Reply(ok=True)
