"""What the events say in words that are in a tap (`node/tap/`), or in a trace of the simulated
world. A part of the table of `sentences.py`."""

from __future__ import annotations

TAP_SENTENCES: dict[str, tuple[str, ...]] = {
    "message.sent": (
        "{told}",
        "{node:node} sends {to:node}: {said}",
        "{node:node} sends {to:node} {type}",
    ),
    "message.received": (
        "{told}",
        "{node:node} receives from {from:node}: {said}",
        "{node:node} receives {type} from {from:node}",
    ),
    "message.lost": (
        "{told}",
        "{type} from {from:node} to {to:node} is lost at {node:node}: {why}",
        "a message from {from:node} to {to:node} is lost at {node:node}: {why}",
    ),
    "message.held": (
        "{told}",
        "{type} from {node:node} to {to:node} is held",
    ),
    "message.delayed": (
        "{told}",
        "{type} from {node:node} to {to:node} leaves {delay_s} s later",
    ),
    "message.duplicated": (
        "{told}",
        "{type} from {node:node} to {to:node} is sent twice",
    ),
    "entries.proposed": ("{node:node} appends entries to its log, as the leader",),
    "timer.fired": ("the {which} timer of {node:node} has fired",),
    "disk.waited": ("{node:node} has waited {seconds} s for its disk: {what}",),
    "command.received": ("{node:node} is told by the supervisor: {what}",),
    "tap.ordered": ("{targets:nodes} are to record their messages: {mode}",),
    "tap.failed": ("{node:node} does not record its messages any more: {reason}",),
    "link.opened": ("{node:node} has a link to {peer:node}",),
    "link.closed": (
        "{node:node} lost its link to {peer:node}: {reason}",
        "{node:node} lost its link to {peer:node}",
    ),
}
