"""What is known of one node, put together for `ps`: its lifecycle, its process, its last word."""

from __future__ import annotations

import time

import msgspec

from launcher.control.disks import ailment, with_folder_gone
from launcher.control.divergence import Divergence
from launcher.control.status import NodeStatus, with_timers_of, with_word_of
from launcher.folders.ownership import FolderId
from launcher.supervisor.processes import Node

RESPONDS_WITHIN_S = 3.0
"""The supervisor asks every node once a second. One that has not answered for so long hangs: in its
machine, as a rule."""


def describe(
    node: Node, reason: str, voter: bool, diverged: Divergence | None, folder: FolderId | None
) -> NodeStatus:
    """One node as it is now.

    reason: why it is down or failed
    voter: with its last word unknown, whether it began as one
    folder: its data folder as it is now; None when there is none
    """
    process, said = node.process, node.status
    described = NodeStatus(
        id=node.id,
        state=node.lifecycle.state,
        voter=voter,
        restarts=node.lifecycle.restarts,
        reason=reason,
        disk=ailment(node.disk.fault, False),
        clock=str(node.clocks),
        throttle=None if node.throttle is None else node.throttle.share,
        points=node.points.in_words(),
        responding=False,
        diverged=diverged,
    )
    answers = process is not None and process.ready.is_set()
    if said is not None:
        described = with_word_of(described, said, answers=answers)
        if answers:
            described = msgspec.structs.replace(
                described,
                disk=ailment(said.disk_fault, said.disk_stalled),
                snapshot=said.snapshot_problem,
                slowest_apply_s=round(said.slowest_apply_s, 6),
                slowest_query_s=round(said.slowest_query_s, 6),
                tap=said.tap,
            )
    if process is None:
        return described
    if folder != node.folder:
        described = msgspec.structs.replace(described, disk=with_folder_gone(described.disk))
    cpu, rss = process.measure() or (None, None)
    now = time.monotonic()
    silent_s = now - process.heard_at
    responds = answers and described.state == "up" and silent_s < RESPONDS_WITHIN_S
    if said is not None and responds:
        described = with_timers_of(described, said)
    return msgspec.structs.replace(
        described,
        responding=responds,
        last_answer_s=round(silent_s, 3) if answers else None,
        pid=process.pid,
        uptime_s=round(now - process.started_at, 3),
        cpu_percent=None if cpu is None else round(cpu, 1),
        rss_bytes=rss,
    )
