"""What the events say in words that are in a tap (`node/tap/`), or in a trace of the simulated
world. A part of the table of `sentences.py`."""

from __future__ import annotations

TAP_SENTENCES: dict[str, tuple[str, ...]] = {
    "message.sent": ("{told}", "{node:node} sent {to:node} a message"),
    "message.received": ("{told}", "{node:node} received a message"),
    "message.lost": ("{told}", "a message was lost at {node:node}"),
    "message.held": ("{told}", "a message waits at {node:node}"),
    "message.delayed": ("{told}", "a message of {node:node} is delayed"),
    "message.duplicated": ("{told}", "a message of {node:node} is doubled"),
    "entries.proposed": ("{node:node} appends entries to its log, as the leader",),
    "timer.fired": ("the {which} timer of {node:node} has fired",),
    "disk.waited": ("{node:node} has waited {seconds} s for its disk: {what}",),
    "command.received": ("{node:node} is told by the supervisor: {what}",),
    "tap.ordered": ("{targets:nodes} are to record their messages: {mode}",),
    "tap.failed": ("{node:node} does not record its messages any more: {reason}",),
}
