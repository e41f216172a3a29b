"""The control socket: what an operator asks of the supervisor, and how it answers.

`control.sock` in the cluster's runtime folder, which only its user can enter. Frames are those of
`multiprocessing.connection` (a length of four bytes), each a JSON object. A request names its `op`:

    status                              {"ok": true, "status": {...}, "restarting": [3]}
    log {nodes, first_index, count}     {"ok": true, "logs": {"1": {...}}}
    kill {targets, signal, power, torn} {"ok": true, "chosen": [{"id", "role", ...}]}
    stop, pause, resume, snapshot {targets}
    start {targets, other_machine_code}
    restart {targets, rolling, other_machine_code}
    transfer {targets}                  {"ok": true, "handed_over": {"led", "leads", "term"}}
    add {count}, remove {targets}, rebuild {targets}
    partition {spec}                    {"ok": true, "groups": [[1, 2], [3, 4, 5]]}
    links {faults}
    link {links, change}                {"ok": true, "links": [{"source", "target", "does"}]}
    heal                                {"ok": true, "ended": ["clock of n2", "resumed n4"]}
    set {key, value}                    {"ok": true, "changed": {"key", "before", "after", ...}}
    time-out {targets}                  {"ok": true, "chosen": [...]}
    drop {link, type, count}            {"ok": true, "drops": [{"source", "target", "type", ...}]}
    tap {targets, mode}                 {"ok": true, "taps": [{"node", "mode", "note"}]}
    drops                               the same, of all that is still to be lost
    disk {targets, fault}               {"ok": true, "chosen": [...]}; fault null: the disk is well
    arm {targets, point, terms}         {"ok": true, "chosen": [...]}; no terms: it is disarmed
    points                              {"ok": true, "points": [{"point", "nodes", ...}]}
    clock {targets, change}             {"ok": true, "chosen": [...]}
    throttle {targets, share}           the same; share null: it gets all of its core
    freeze, thaw                        the same; works on a cluster that is not, or is, frozen
    chaos {what, number, fault, ...}    the same; it is written into the event log
    page {line}                         the same
    down                                answered when every node is gone
    anything that cannot be done        {"ok": false, "error": "...", "exit_status": 1}
    anything, of one client too many    {"ok": false, "error": "...", "busy": true}

`kill` and `stop` answer when the process is gone, `start` and `restart` when it has answered,
`snapshot` when it is on the node's disk, `add`, `remove` and `rebuild` when they are done, or after
a minute with an error that says that they go on. The operator's side is `calling.py`, the
supervisor's `launcher/supervisor/listener.py`. What a request may say is checked by one function,
`check`, on both: before it is sent, and before it is carried out."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from launcher import overrides
from launcher.control import bounds
from launcher.control.clocks import ClockChange, check_change
from launcher.control.disks import check_fault
from launcher.control.killing import check_kill
from launcher.control.links import LinkChange, split_links
from launcher.control.links import check_change as check_link_change
from launcher.control.points import PointRow, check_point, check_terms
from launcher.control.status import Chosen, ClusterStatus, HandedOver, LinkStatus
from launcher.control.steering import (
    MOST_VALUE_CHARACTERS,
    SettingChange,
    check_count,
    parse_message_type,
    split_link,
)
from launcher.control.taps import TapOfNode, parse_mode
from launcher.control.throttles import check_share
from launcher.errors import UsageError
from launcher.settings import MAX_NODES
from node import wire
from node.raft.messages import NodeId

CONTROL_SOCKET = "control.sock"
"""Its name in the runtime folder."""


class AskStatus(msgspec.Struct, frozen=True, tag_field="op", tag="status"):
    """How is everybody?"""


class AskLogs(msgspec.Struct, frozen=True, tag_field="op", tag="log"):
    """What is in the logs of these nodes, from `first_index` on? No more entries than `count`.

    A node that does not run, is paused or hangs is not in the answer.
    """

    nodes: list[NodeId]
    first_index: int
    count: int


class Kill(msgspec.Struct, frozen=True, tag_field="op", tag="kill"):
    """Send a signal. `signal` is a name, with or without SIG, or a number.

    power: the power fails: what the nodes have not synced is lost; torn: a part of it, by chance
    """

    targets: list[str]
    signal: str = "SIGKILL"
    power: bool = False
    torn: bool = False


class StopNodes(msgspec.Struct, frozen=True, tag_field="op", tag="stop"):
    """Stop in good order."""

    targets: list[str]


class StartNodes(msgspec.Struct, frozen=True, tag_field="op", tag="start"):
    """Start what is not running.

    other_machine_code: also where the machine's code is not what the nodes that run have
    """

    targets: list[str]
    other_machine_code: bool = False


class RestartNodes(msgspec.Struct, frozen=True, tag_field="op", tag="restart"):
    """Stop and start. rolling: one at a time, each caught up before the next.

    other_machine_code: as for `StartNodes`
    """

    targets: list[str]
    rolling: bool = False
    other_machine_code: bool = False


class Transfer(msgspec.Struct, frozen=True, tag_field="op", tag="transfer"):
    """Have the leader hand over to the one node that the targets mean."""

    targets: list[str]


class Pause(msgspec.Struct, frozen=True, tag_field="op", tag="pause"):
    """SIGSTOP."""

    targets: list[str]


class Resume(msgspec.Struct, frozen=True, tag_field="op", tag="resume"):
    """SIGCONT."""

    targets: list[str]


class TakeSnapshots(msgspec.Struct, frozen=True, tag_field="op", tag="snapshot"):
    """Take a snapshot of what is applied."""

    targets: list[str]


class AddNodes(msgspec.Struct, frozen=True, tag_field="op", tag="add"):
    """Start new nodes and make them voters."""

    count: int


class RemoveNodes(msgspec.Struct, frozen=True, tag_field="op", tag="remove"):
    """Make nodes no members any more, stop them and remove their data."""

    targets: list[str]


class Rebuild(msgspec.Struct, frozen=True, tag_field="op", tag="rebuild"):
    """Have nodes forget everything and learn it from their peers, one after the other."""

    targets: list[str]


class Partition(msgspec.Struct, frozen=True, tag_field="op", tag="partition"):
    """Cut every link between the groups."""

    spec: str


class SetLinks(msgspec.Struct, frozen=True, tag_field="op", tag="links"):
    """From now on the links do this to their messages, and nothing else."""

    faults: list[wire.LinkFault]


class ChangeLinks(msgspec.Struct, frozen=True, tag_field="op", tag="link"):
    """Change what links do to their messages.

    links: in words, as `leader>followers`; empty: those of `pairs`, each source and target
    """

    links: str
    change: LinkChange
    pairs: list[tuple[NodeId, NodeId]] = []


class Heal(msgspec.Struct, frozen=True, tag_field="op", tag="heal"):
    """End every fault, and resume what is paused; or end only the partition.

    only_partition: that
    """

    only_partition: bool = False


class SetDisks(msgspec.Struct, frozen=True, tag_field="op", tag="disk"):
    """Have the disks of nodes do this, and nothing else; None: they are well."""

    targets: list[str]
    fault: wire.DiskFault | None


class Arm(msgspec.Struct, frozen=True, tag_field="op", tag="arm"):
    """Arm this point at nodes with this chain; without terms: disarm it."""

    targets: list[str]
    point: str
    terms: list[wire.PointTerm]


class ListPoints(msgspec.Struct, frozen=True, tag_field="op", tag="points"):
    """Which points are there, and how often was each reached?"""


class SetClocks(msgspec.Struct, frozen=True, tag_field="op", tag="clock"):
    """Change what moves the clocks of nodes."""

    targets: list[str]
    change: ClockChange


class SetThrottles(msgspec.Struct, frozen=True, tag_field="op", tag="throttle"):
    """Give nodes this share of a core; None: all of it."""

    targets: list[str]
    share: float | None


class Freeze(msgspec.Struct, frozen=True, tag_field="op", tag="freeze"):
    """Stop every process of all nodes at one moment."""


class Thaw(msgspec.Struct, frozen=True, tag_field="op", tag="thaw"):
    """Let the processes of a frozen cluster run again."""


class ChangeSetting(msgspec.Struct, frozen=True, tag_field="op", tag="set"):
    """Change one setting while the cluster runs: `key` and `value` as text."""

    key: str
    value: str


class TimeOutNodes(msgspec.Struct, frozen=True, tag_field="op", tag="time-out"):
    """Have the election timers of nodes fire now."""

    targets: list[str]


class DropMessages(msgspec.Struct, frozen=True, tag_field="op", tag="drop"):
    """Lose the next `count` messages of a type on the link `A>B`."""

    link: str
    type: str
    count: int = 1


class AskDrops(msgspec.Struct, frozen=True, tag_field="op", tag="drops"):
    """What is still to be lost by its type?"""


class Note(msgspec.Struct, frozen=True):
    """Write something into the event log. Has subclasses."""


class NoteChaos(Note, frozen=True, tag_field="op", tag="chaos"):
    """Write into the event log what a run of chaos does (`launcher/lab/chaos/`).

    number, fault, nodes, words: which fault of its schedule, and the nodes that it has struck
    why: why it was left out, or what else there is to say
    """

    what: Literal["began", "injected", "ended", "left-out", "failed", "over"]
    seed: int = 0
    number: int = 0
    fault: str = ""
    nodes: list[NodeId] = []
    words: str = ""
    why: str = ""


class NotePage(Note, frozen=True, tag_field="op", tag="page"):
    """Write into the event log that the page runs this command line."""

    line: str


class SetTaps(msgspec.Struct, frozen=True, tag_field="op", tag="tap"):
    """Have nodes record their messages in this mode."""

    targets: list[str]
    mode: str


class Down(msgspec.Struct, frozen=True, tag_field="op", tag="down"):
    """Take the cluster down."""


Request: TypeAlias = (
    AskStatus
    | AskLogs
    | Kill
    | StopNodes
    | StartNodes
    | RestartNodes
    | Transfer
    | Pause
    | Resume
    | TakeSnapshots
    | AddNodes
    | RemoveNodes
    | Rebuild
    | Partition
    | SetLinks
    | ChangeLinks
    | Heal
    | SetDisks
    | Arm
    | ListPoints
    | ChangeSetting
    | TimeOutNodes
    | DropMessages
    | AskDrops
    | SetTaps
    | SetClocks
    | SetThrottles
    | Freeze
    | Thaw
    | NoteChaos
    | NotePage
    | Down
)


class Reply(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The answer to any request.

    busy: the request was not looked at, for there are too many connections; ask again
    restarting: the nodes that are about to come up by themselves
    unconfirmed: the nodes that run and have not confirmed a fault, or its end; they obey as soon as
        they read it
    links: what the links of a request do now
    cut: those that a partition cuts which is not made of groups
    ended: what `heal` has ended, a phrase each
    """

    ok: bool
    error: str = ""
    exit_status: int = 0
    busy: bool = False
    chosen: list[Chosen] = []
    status: ClusterStatus | None = None
    logs: dict[NodeId, wire.LogPart] = {}
    restarting: list[NodeId] = []
    groups: list[list[NodeId]] = []
    handed_over: HandedOver | None = None
    changed: SettingChange | None = None
    drops: list[wire.Drop] = []
    taps: list[TapOfNode] = []
    unconfirmed: list[NodeId] = []
    points: list[PointRow] = []
    links: list[LinkStatus] = []
    cut: list[tuple[NodeId, NodeId]] = []
    ended: list[str] = []


# -- what may be asked ---------------------------------------------------------------------------


def check(request: Request) -> None:
    """Raises UsageError for a request that makes no sense, whatever the state of the cluster.

    Whom the targets mean is not looked at here: that takes the cluster
    (`launcher/control/targets.py`)."""
    match request:
        case AskLogs(nodes, first_index, count):
            bounds.check_logs(nodes, first_index, count)
        case Kill(_, name, power, torn):
            check_kill(name, power, torn)
        case AddNodes(count):
            if not 1 <= count <= MAX_NODES:
                raise UsageError(f"add takes a number of nodes from 1 to {MAX_NODES}")
        case Partition(spec):
            bounds.check_length("a partition", len(spec))
        case ChangeSetting(key, value):
            overrides.key_of(key)
            if len(value) > MOST_VALUE_CHARACTERS:
                raise UsageError(f"{key} has no value of {len(value)} characters")
        case DropMessages(link, kind, count):
            bounds.check_length("a link", len(link))
            split_link(link)
            parse_message_type(kind)
            check_count(count)
        case SetLinks(asked):
            bounds.check_links(asked)
        case ChangeLinks(text, link_change, pairs):
            bounds.check_length("LINKS", len(text))
            bounds.check_pairs(pairs)
            if not pairs:
                split_links(text)
            check_link_change(link_change)
        case SetDisks(_, fault):
            if fault is not None:
                check_fault(fault)
        case Arm(_, point, terms):
            check_point(point)
            check_terms(terms)
        case SetClocks(_, change):
            check_change(change)
        case SetTaps(_, mode):
            parse_mode(mode)
        case SetThrottles(_, share):
            if share is not None:
                check_share(share)
        case NoteChaos(_, _, _, fault, nodes, words, why):
            bounds.check_length("a note", sum(map(len, (fault, words, why))) + len(nodes))
            bounds.check_ids(nodes)
        case NotePage(line):
            bounds.check_length("a note", len(line))
        case _:
            pass
    targets: list[str] = getattr(request, "targets", [])
    bounds.check_length("the targets", sum(len(target) + 1 for target in targets))
