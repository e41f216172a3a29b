"""The control socket: what an operator asks of the supervisor, and how it answers.

`control.sock` in the cluster's runtime folder, which only its user can enter. Frames are those of
`multiprocessing.connection` (a length of four bytes), each a JSON object. A request names its `op`:

    status                              {"ok": true, "status": {...}, "restarting": [3]}
    kill {targets, signal}              {"ok": true, "chosen": [{"id", "role", ...}]}
    stop, start, pause, resume, snapshot {targets}
    restart {targets, rolling}
    transfer {targets}                  {"ok": true, "handed_over": {"led", "leads", "term"}}
    add {count}, remove {targets}, rebuild {targets}
    partition {spec}                    {"ok": true, "groups": [[1, 2], [3, 4, 5]]}
    links {faults}
    heal
    disk {targets, fault}               {"ok": true, "chosen": [...]}; fault null: the disk is well
    down                                answered when every node is gone
    anything that cannot be done        {"ok": false, "error": "...", "exit_status": 1}

`kill` and `stop` answer when the process is gone, `start` and `restart` when it has answered,
`snapshot` when it is on the node's disk, `add`, `remove` and `rebuild` when they are done, or after
a minute with an error that says that they go on.
This is the operator's side; the supervisor's is `launcher/listener.py`.
"""

from __future__ import annotations

import signal
import socket
import time
from pathlib import Path
from typing import TypeAlias

import msgspec

from launcher.errors import LauncherError, NotRunning, TimedOut, UsageError
from launcher.status import Chosen, ClusterStatus, HandedOver
from node import wire
from node.raft.messages import NodeId

CONTROL_SOCKET = "control.sock"
"""Its name in the runtime folder."""


class AskStatus(msgspec.Struct, frozen=True, tag_field="op", tag="status"):
    """How is everybody?"""


class Kill(msgspec.Struct, frozen=True, tag_field="op", tag="kill"):
    """Send a signal. `signal` is a name, with or without SIG, or a number."""

    targets: list[str]
    signal: str = "SIGKILL"


class StopNodes(msgspec.Struct, frozen=True, tag_field="op", tag="stop"):
    """Stop in good order."""

    targets: list[str]


class StartNodes(msgspec.Struct, frozen=True, tag_field="op", tag="start"):
    """Start what is not running."""

    targets: list[str]


class RestartNodes(msgspec.Struct, frozen=True, tag_field="op", tag="restart"):
    """Stop and start. rolling: one at a time, each caught up before the next."""

    targets: list[str]
    rolling: bool = False


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


class Heal(msgspec.Struct, frozen=True, tag_field="op", tag="heal"):
    """Mend every link."""


class SetDisks(msgspec.Struct, frozen=True, tag_field="op", tag="disk"):
    """Have the disks of nodes do this, and nothing else; None: they are well."""

    targets: list[str]
    fault: wire.DiskFault | None


class Down(msgspec.Struct, frozen=True, tag_field="op", tag="down"):
    """Take the cluster down."""


Request: TypeAlias = (
    AskStatus
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
    | Heal
    | SetDisks
    | Down
)


class Reply(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The answer to any request.

    restarting: the nodes that are about to come up by themselves
    """

    ok: bool
    error: str = ""
    exit_status: int = 0
    chosen: list[Chosen] = []
    status: ClusterStatus | None = None
    restarting: list[NodeId] = []
    groups: list[list[NodeId]] = []
    handed_over: HandedOver | None = None


# -- asking --------------------------------------------------------------------------------------


def call(path: Path, request: Request, timeout_s: float) -> Reply:
    """Asks the supervisor behind `path`. Blocks.

    Raises NotRunning when nobody listens or whoever did has died, TimedOut, and what the supervisor
    answered: UsageError, TimedOut or LauncherError.
    """
    deadline = time.monotonic() + timeout_s
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(timeout_s)
            connection.connect(str(path))
            connection.sendall(wire.frame(msgspec.json.encode(request)))
            body = _receive(connection, deadline)
    except TimeoutError as error:
        raise TimedOut(f"the supervisor has not answered in {timeout_s:g} s") from error
    except (OSError, EOFError) as error:
        raise NotRunning("the supervisor is gone: `launcher up` starts the cluster") from error
    reply = msgspec.json.decode(body, type=Reply)
    if reply.ok:
        return reply
    kinds: dict[int, type[LauncherError]] = {2: UsageError, 3: NotRunning, 4: TimedOut}
    raise kinds.get(reply.exit_status, LauncherError)(reply.error)


def _receive(connection: socket.socket, deadline: float) -> bytes:
    frames = wire.FrameReader()
    while True:
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        connection.settimeout(left_s)
        data = connection.recv(1 << 16)
        if not data:
            raise EOFError
        for body in frames.feed(data):
            return body


# -- signals -------------------------------------------------------------------------------------


def parse_signal(text: str) -> signal.Signals:
    """`SIGTERM`, `term` or `15`. Raises UsageError."""
    name = text.strip().upper()
    try:
        if name.isascii() and name.isdigit():
            return signal.Signals(int(name))
        return signal.Signals[name if name.startswith("SIG") else f"SIG{name}"]
    except (KeyError, ValueError):
        raise UsageError(
            f"there is no signal {text!r}: write a name such as KILL, TERM or SIGINT, or a number"
        ) from None
