"""What each event says in words: the table of sentences, and how a sentence is filled in.

Each event that is emitted anywhere has a row here, and each row is of an event that is emitted: a
test compares the two (`tests/launcher/timeline/test_sentences.py`).
"""

from __future__ import annotations

import string
from collections.abc import Callable

from launcher.timeline.events import Event

SENTENCES: dict[str, tuple[str, ...]] = {
    "node.started": ("{node:node} started, life {life}",),
    "node.recovered": (
        "{node:node} recovered its log up to entry {last_index} of term {last_term}",
        "{node:node} recovered its log",
    ),
    "snapshot.begun": ("{node:node} begins a snapshot of entry {index}",),
    "snapshot.taken": ("{node:node} has a snapshot of entry {index}, {bytes} bytes",),
    "log.not_prepared": ("{node:node} could not make its next segment ahead: {reason}",),
    "snapshot.failed": ("{node:node} could not take a snapshot: {reason}",),
    "snapshot.sending": (
        "{node:node} sends {peer:node} its snapshot of entry {index}, {bytes} bytes",
    ),
    "snapshot.sent": ("{node:node} sent {peer:node} its snapshot of entry {index}",),
    "snapshot.installed": ("{node:node} goes on from a snapshot of entry {index}, {bytes} bytes",),
    "snapshot.rejected": ("{node:node} rejects a snapshot of {peer:node}: {reason}",),
    "snapshot.damaged": ("{node:node} passes over its damaged snapshot {file}: {reason}",),
    "snapshot.not_canonical": (
        "{machine}'s snapshot of entry {index}, restored, gives other bytes: not to be compared",
    ),
    "machine.failed": ("{node:node} cannot go on: {reason}",),
    "machine.slow": ("the machine of {node:node} is slow ({count}): {reason}",),
    "machine.other_code": (
        "{target:node} runs other code of the machine {machine} than the other nodes",
    ),
    "query.failed": ("{count} queries failed at {node:node}; the last: {reason}",),
    "node.diverged": (
        "{odd:true}{target:node} DIVERGED from {others:nodes}, {first_index}-{last_index}: {kind}",
        "{odd:false}{target:node}, {others:nodes} DISAGREE, {first_index}-{last_index}: {kind}",
    ),
    "divergence.ended": ("{target:node} does not differ from the others any more",),
    "node.ready": ("{node:node} is ready and runs the machine {machine}", "{node:node} is ready"),
    "node.stopped": ("{node:node} stopped: {reason}", "{node:node} stopped"),
    "node.failed": ("{target:node} failed: {reason}", "{node:node} failed: {reason}"),
    "log.torn_tail_dropped": (
        "{node:node} dropped the torn tail of its log: {reason}",
        "{node:node} dropped the torn tail of its log",
    ),
    "log.truncated": (
        "{node:node} removed its entries {first_index} to {last_index}: the leader has others",
        "{node:node} removed entries that the leader does not have",
    ),
    "log.lost": (
        "{file}: {lines} broken lines were skipped",
        "{node:node} could not write {lines} lines of its event log",
    ),
    "election.started": (
        "{pre_vote:true}{node:node} asks who would vote for it in term {for_term}",
        "{pre_vote:true}{node:node} asks who would vote for it",
        "{pre_vote:false}{node:node} campaigns in term {for_term}",
        "{node:node} campaigns in term {term}",
    ),
    "prevote.granted": ("{node:node} would vote for {candidate:node}",),
    "prevote.denied": ("{node:node} would not vote for {candidate:node}",),
    "vote.granted": ("{node:node} voted for {candidate:node} in term {term}",),
    "vote.denied": (
        "{node:node} denied its vote to {candidate:node}: {reason}",
        "{node:node} denied its vote to {candidate:node}",
    ),
    "configuration.adopted": (
        "{node:node} uses majorities of {voters:nodes} and of {outgoing:nodes}{learners:none}",
        "{node:node} uses {voters:nodes}, with {learners:nodes} learning{outgoing:none}",
        "{node:node} uses {voters:nodes}{outgoing:none}{learners:none}",
    ),
    "node.renewed": ("{target:node} has forgotten everything, and learns it from its peers",),
    "change.begun": ("the change `{kind}` of {targets:nodes} begins",),
    "change.resumed": ("the change `{kind}` of {targets:nodes}, which was broken off, goes on",),
    "change.given_up": ("the change `{kind}` of {targets:nodes} is given up",),
    "change.undone": ("the change `{kind}` of {targets:nodes} is undone: {reason}",),
    "change.done": ("the change `{kind}` of {targets:nodes} is done",),
    "leader.elected": (
        "{node:node} became leader of term {term} with votes from {votes:others}",
        "{node:node} became leader of term {term}",
    ),
    "leader.stepped_down": ("{node:node} stepped down: {reason}", "{node:node} stepped down"),
    "transfer.started": ("{node:node} hands over to {target:node}",),
    "transfer.received": ("{leader:node} has asked {node:node} to lead",),
    "transfer.done": ("{node:node} has handed over to {target:node}",),
    "transfer.aborted": (
        "{node:node} gives up handing over to {target:node}: {reason}",
        "{node:node} gives up handing over",
    ),
    "disk.stalled": (
        "{node:node} has waited for its disk for {for_s} s",
        "{node:node} waits for its disk",
    ),
    "disk.recovered": ("the disk of {node:node} goes on",),
    "leader.heard": ("{node:node} follows {leader:node} in term {term}",),
    "term.advanced": (
        "{node:node} moved from term {previous} to term {term}",
        "{node:node} moved to term {term}",
    ),
    "commit.advanced": ("{node:node} knows all up to entry {commit} to be committed",),
    "frame.skipped": (
        "{node:node} skipped {count} messages that make no sense, the last {reason}",
        "{node:node} skipped messages that make no sense",
    ),
    "sockets.renewed": ("the supervisor has made its sockets anew in {folder}",),
    "sockets.missing": ("the supervisor cannot make its sockets anew: {reason}",),
    "socket.failed": ("{node:node} cannot make its socket anew: {reason}",),
    "link.renewed": ("{targets:nodes} are linked anew",),
    "link.opened": ("{node:node} is linked to {peer:node}",),
    "link.closed": (
        "{node:node} lost its link to {peer:node}: {reason}",
        "{node:node} lost its link to {peer:node}",
    ),
    "applied.digest": ("{node:node} has applied all up to entry {index}: digest {digest}",),
    "client.dropped": ("{node:node} hung up on a client: {reason}",),
    "entries.skipped": (
        "{node:node} SKIPPED the entries {first_index} to {last_index}: no requests: {reason}",
    ),
    "client.refused": (
        "{node:node} refused {count} requests of clients, the last: {reason}",
        "{node:node} refused a client: {reason}",
        "{node:node} refused a client",
    ),
    "supervisor.started": ("the supervisor of {nodes} nodes started", "the supervisor started"),
    "supervisor.stopping": ("the cluster is being taken down: {reason}",),
    "supervisor.stopped": ("the cluster is down: {reason}",),
    "timeline.lagging": ("the timeline is behind what has happened: {reason}",),
    "record.damaged": ("{what}",),
    "record.failed": ("what is known of the nodes could not be written down: {reason}",),
    "cluster.healed": ("cleaned up after an earlier run: {what}",),
    "node.spawned": ("{target:node} was started, as process {pid}", "{target:node} was started"),
    "node.exited": (
        "{target:node} exited with status {status}: {reason}",
        "{target:node} exited with status {status}",
        "{target:node} ended: {reason}",
    ),
    "restart.scheduled": ("{target:node} will be started again in {in_s} s",),
    "faults.stopped": ("no more faults from here on",),
    "transfer.asked": ("{leader:node} is asked to hand over to {target:node}",),
    "leader.killed": (
        "{leader:node} leads, and is killed; {hasty:node} asks for votes all the time",
    ),
    "disk.hung": ("{leader:node} leads, and its disk hangs from here on",),
    "leader.deafened": ("{leader:node} leads, and hears nobody from here on",),
    "follower.deafened": ("{follower:node} does not hear the leader from here on",),
    "point.hit": ("{node:node} has reached {point} (hit {number}): {action}",),
    "fault.injected": (
        "armed at {targets:nodes}: {point} {action}",
        "injected: {fault} {groups:groups}",
        "injected: {fault} {targets:nodes}",
        "injected: {fault} {nodes:nodes}",
        "injected: {fault}",
    ),
    "fault.healed": (
        "healed: {fault} {targets:nodes}",
        "healed: {targets:nodes}",
        "healed: every link is whole again",
    ),
    "safety.violated": (
        "STATE MACHINE SAFETY IS BROKEN: {nodes:nodes} applied different entries up to {index}",
        "STATE MACHINE SAFETY IS BROKEN at entry {index}",
    ),
}
"""What happened, in words; of several the first whose fields the event has. After the colon stands
how a field is said; `true` and `false` say nothing and only choose."""

EVENT_NAMES = tuple(sorted(SENTENCES))
"""The names of all events that are told in words."""


def sentence(event: Event, name: Callable[[int], str]) -> tuple[str, dict[str, object]]:
    """What happened, in words, and the fields that the words do not tell."""
    fields = event.fields
    for template in SENTENCES.get(event.event, ()):
        rest = dict(fields)
        try:
            return _fill(template, event, rest, name), rest
        except (LookupError, TypeError):
            continue
    return event.event, fields


def _fill(template: str, event: Event, rest: dict[str, object], name: Callable[[int], str]) -> str:
    """Takes what it tells out of `rest`. Raises LookupError, TypeError when that will not do."""
    said = ""
    for literal, field, how, _ in string.Formatter().parse(template):
        said += literal
        if field is not None:
            value = rest.pop(field) if field in rest else getattr(event, field, None)
            said += _say(value, how or "", event.node, name)
    return said


def _say(value: object, how: str, speaker: int, name: Callable[[int], str]) -> str:
    match how, value:
        case ("true", True) | ("false", False) | ("none", []):
            return ""
        case "node", int():
            return name(value)
        case "nodes", list() if value:
            return ", ".join(name(node) for node in value)
        case "others", list() if any(node != speaker for node in value):
            return ", ".join(name(node) for node in value if node != speaker)
        case "groups", list() if value and all(isinstance(group, list) for group in value):
            return " | ".join(",".join(map(str, group)) for group in value)
        case "", str():
            return value
        case "", int() | float():
            return str(value)
        case _:
            raise TypeError(f"{value!r} cannot be said as {how or 'text'}")
