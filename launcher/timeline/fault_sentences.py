"""The sentences of events of faults, for `launcher/timeline/templates.py`, which says how they are
read."""

from __future__ import annotations

FAULT_SENTENCES: dict[str, tuple[str, ...]] = {
    "point.hit": ("{node:node} has reached {point} (hit {number}): {action}",),
    "fault.injected": (
        "armed at {targets:nodes}: {point} {action}",
        "fault injected: {fault} {groups:groups}",
        "fault injected: {fault} on {links:links}: {does}",
        "fault injected: {fault} on {links:links}",
        "fault injected: {fault} {targets:nodes}: {does}",
        "fault injected: {fault} {targets:nodes}",
        "fault injected: {fault} {nodes:nodes}",
        "fault injected: {fault}",
    ),
    "chaos.began": ("chaos begins, seed {seed}: {reason}",),
    "chaos.injected": (
        "chaos #{number}: {fault} {targets:nodes}: {does}",
        "chaos #{number}: {fault} {targets:nodes}",
        "chaos #{number}: {fault}: {does}",
        "chaos #{number}: {fault}",
    ),
    "chaos.ended": (
        "chaos #{number} is over: {fault} {targets:nodes}{does:unsaid}",
        "chaos #{number} is over: {fault} {targets:nodes}",
        "chaos #{number} is over: {fault}{does:unsaid}",
        "chaos #{number} is over: {fault}",
    ),
    "chaos.left_out": (
        "chaos #{number}: {fault} is left out: {reason}{does:unsaid}",
        "chaos #{number}: {fault} is left out: {reason}",
    ),
    "chaos.failed": (
        "chaos #{number}: {fault} {targets:nodes} failed: {reason}{does:unsaid}",
        "chaos #{number}: {fault} {targets:nodes} failed: {reason}",
        "chaos #{number}: {fault} failed: {reason}{does:unsaid}",
        "chaos #{number}: {fault} failed: {reason}",
    ),
    "chaos.over": (
        "chaos is over, seed {seed}, and the cluster is not well: {reason}",
        "chaos is over, seed {seed}",
    ),
    "power.lost": (
        "{target:node} had nothing unsynced to lose{files:none}{names:none}{bytes:unsaid}",
        "{target:node} lost {bytes} bytes of {files:words}, which it had not synced{names:none}",
        "{target:node} lost changes of names: {names:words}{files:none}{bytes:unsaid}",
        ("{target:node} lost {bytes} bytes of {files:words}, and changes of names: {names:words}"),
    ),
    "fault.healed": (
        "fault ended: {fault} {targets:nodes}",
        "fault ended: {fault} on {links:links}",
        "fault ended: {targets:nodes} may run again",
        "every fault has ended",
    ),
}
"""By the event's name."""
