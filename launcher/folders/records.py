"""cluster.json: who a cluster is, which of its nodes are to run, and the change under way.

Nothing in the log says any of this, and nothing else says it either: a wrong `founders` would let
empty nodes outvote the real ones. So the file is sealed (`launcher/folders/sealed.py`), it is
replaced durably before what it says is acted upon, and what must never change stands in each node's
log as well, where it is compared at each start (`node/storage/lives.py: Founding`).

Who *votes* only the log says. A change of the membership is recorded here first, as an intent, and
`launcher/supervisor/changes.py` says what is made of one that was broken off.
"""

from __future__ import annotations

import secrets
from typing import Literal

import msgspec

from launcher.config import ClusterConfig
from launcher.errors import LauncherError
from launcher.folders import sealed
from node.quantities import write_duration
from node.raft.messages import Floor, NodeId
from node.storage.lives import Founding

FORMAT = 3
UNSEALED_FORMAT = 2
"""The version before: it has no checksum, and is read once more."""


class Renewed(msgspec.Struct, frozen=True):
    """A node's data was removed, and by then the log was committed up to `floor`."""

    node: NodeId
    floor: Floor


class Change(msgspec.Struct, frozen=True):
    """A change of the membership that was begun and is not done yet.

    kind: what was asked for nodes: those that are added or removed together, or rebuilt one after
    the other done: how many of its steps are done (`launcher/supervisor/changes.py`); of a rebuild,
    for the first node then: what goes on when this is done: the rest of a change from which this
    one took nodes away"""

    kind: Literal["add", "remove", "rebuild"]
    nodes: list[NodeId]
    done: int = 0
    then: Change | None = None


class ClusterRecord(msgspec.Struct, frozen=True, kw_only=True):
    """cluster.json.

    founders: the nodes that it began with
    session_timeout_s, most_sessions: when sessions end; never to change, for then nodes that apply
        the same entry would differ
    members: which nodes are to run now; who votes, the log says
    last_id: the highest id that any node has had; none is given twice
    renewed: the nodes whose data was removed, and what is to bind them: they learn everything anew
    change: the one under way
    """

    format: int = FORMAT
    cluster_id: str
    name: str
    machine: str
    founders: list[NodeId]
    session_timeout_s: float
    most_sessions: int
    members: list[NodeId]
    last_id: NodeId
    renewed: list[Renewed] = []
    change: Change | None = None

    @property
    def founding(self) -> Founding:
        """What each node's log repeats."""
        return Founding(tuple(self.founders), self.session_timeout_s, self.most_sessions)

    def voters_of(self, node: NodeId) -> list[NodeId]:
        """With which voters the log of `node` begins; a node that joins learns who they are."""
        joins = node not in self.founders or any(one.node == node for one in self.renewed)
        return [] if joins else self.founders

    def floor_of(self, node: NodeId) -> Floor:
        """What was committed when its data was last removed."""
        return max((one.floor for one in self.renewed if one.node == node), default=Floor())

    # -- what happens to it: each returns the record that is to be written next ------------------

    def enlisting(self, count: int) -> tuple[ClusterRecord, list[NodeId]]:
        """That many more nodes are to run; their ids."""
        new = list(range(self.last_id + 1, self.last_id + count + 1))
        members = [*self.members, *new]
        return msgspec.structs.replace(self, members=members, last_id=self.last_id + count), new

    def dismissing(self, node: NodeId) -> ClusterRecord:
        """This node is not to run any more."""
        return msgspec.structs.replace(self, members=[n for n in self.members if n != node])

    def renewing(self, node: NodeId, floor: Floor) -> ClusterRecord:
        """The data of this node goes, when as much as `floor` is committed."""
        others = [one for one in self.renewed if one.node != node]
        return msgspec.structs.replace(self, renewed=[*others, Renewed(node, floor)])

    def intending(self, change: Change | None) -> ClusterRecord:
        """This change is under way, or none is."""
        return msgspec.structs.replace(self, change=change)


class _Unsealed(msgspec.Struct, kw_only=True):
    """cluster.json as the version before wrote it."""

    format: int
    cluster_id: str
    name: str
    nodes: int
    machine: str
    session_timeout_s: float = 0.0
    most_sessions: int = 0
    members: list[NodeId] | None = None
    last_id: NodeId = 0
    renewed: list[Renewed] = []


def begin(config: ClusterConfig) -> ClusterRecord:
    """The record of a cluster that begins, with an id of its own."""
    founders = list(range(1, config.nodes + 1))
    return ClusterRecord(
        cluster_id=secrets.token_hex(8),
        name=config.name,
        machine=config.machine,
        founders=founders,
        session_timeout_s=config.session_timeout_s,
        most_sessions=config.most_sessions,
        members=founders,
        last_id=config.nodes,
    )


def read(config: ClusterConfig) -> ClusterRecord | None:
    """The record of this data folder; None when there is none yet.

    Raises LauncherError if it cannot be used, and OSError.
    """
    file = config.cluster_file
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        return None
    try:
        if sealed.is_sealed(data):
            return _known(config, sealed.unseal(data, ClusterRecord))
        return _sealed_now(config, sealed.decode(data, _Unsealed))
    except sealed.BrokenSeal as error:
        raise LauncherError(
            f"{file} is damaged ({error}): put back an intact copy, let `launcher recover NODE` "
            "begin anew from the data of one node, or begin without any data with --fresh"
        ) from error


def write(config: ClusterConfig, record: ClusterRecord) -> None:
    """Durable when it returns. Raises OSError."""
    sealed.replace(config.cluster_file, sealed.seal(record), durable=True)


def as_known(config: ClusterConfig, *, count_given: bool) -> ClusterConfig:
    """The config, with what the data says where nobody has asked for anything else.

    count_given: the number of nodes was asked for; else the config says only how a cluster begins
    Raises LauncherError if the record cannot be used, and OSError.
    """
    known = read(config)
    if known is None:
        return config
    return msgspec.structs.replace(
        config,
        nodes=config.nodes if count_given else len(known.members),
        machine=config.machine if config.machine_named else known.machine,
    )


def check_wanted(config: ClusterConfig, *, count_given: bool, fresh: bool) -> None:
    """Raises LauncherError when the cluster that runs is another than the one that was asked for.

    count_given: the number of nodes was asked for; else the config says only how a cluster begins
    fresh: empty data was asked for
    """
    known = read(config)
    if known is None:
        return
    wanted = []
    if count_given and config.nodes not in (len(known.founders), len(known.members)):
        wanted.append(f"{config.nodes} nodes")
    if config.machine_named and config.machine != known.machine:
        wanted.append(f"the machine {config.machine}")
    if fresh:
        wanted.append("empty data")
    if wanted:
        raise LauncherError(
            f"a cluster of {len(known.members)} nodes with the machine {known.machine} runs here "
            f"already (data in {config.data_dir}), and is not what was asked for "
            f"({', '.join(wanted)}): use it as it is with Cluster.attach(), or take it down first"
        )


def check_same(config: ClusterConfig, known: ClusterRecord) -> None:
    """Raises LauncherError when the config asks for another cluster than the data is of: all that
    differs, and how to go on with the data, in one message."""
    count = len(known.members)
    asked, found, words = [], [], []
    if config.nodes not in (len(known.founders), count):
        asked.append(_nodes(config.nodes))
        found.append(f"a cluster of {_nodes(count)}")
        words.append(f" {count}")
    if known.machine != config.machine:
        asked.append(f"the machine {config.machine}")
        found.append(f"the machine {known.machine}")
        words.append(f" --machine {known.machine}")
    ways = [f"`up{''.join(words)}`"] if words else []
    ended = (known.session_timeout_s, known.most_sessions)
    if ended != (config.session_timeout_s, config.most_sessions):
        asked.append(_sessions(config.session_timeout_s, config.most_sessions))
        found.append(_sessions(*ended))
        ways.append("those sessions in cluster.yaml")
    if found:
        raise LauncherError(
            f"the data in {config.data_dir} belongs to {' with '.join(found)}: "
            f"{' and '.join(ways)}, or --fresh to begin anew ({' with '.join(asked)} was asked for)"
        )


def _nodes(count: int) -> str:
    return f"{count} node{'s' * (count != 1)}"


def _sessions(timeout_s: float, most: int) -> str:
    return f"sessions.timeout {write_duration(timeout_s)} and sessions.most {most}"


def _known(config: ClusterConfig, record: ClusterRecord) -> ClusterRecord:
    if record.format != FORMAT:
        raise _other_format(config, record.format)
    return record


def _sealed_now(config: ClusterConfig, old: _Unsealed) -> ClusterRecord:
    """What the version before wrote, as this one would have written it."""
    if old.format == FORMAT:
        raise sealed.BrokenSeal("it has no checksum at its end")
    if old.format != UNSEALED_FORMAT:
        raise _other_format(config, old.format)
    founders = list(range(1, old.nodes + 1))
    return ClusterRecord(
        cluster_id=old.cluster_id,
        name=old.name,
        machine=old.machine,
        founders=founders,
        session_timeout_s=old.session_timeout_s,
        most_sessions=old.most_sessions,
        members=founders if old.members is None else old.members,
        last_id=max(old.last_id, old.nodes),
        renewed=old.renewed,
    )


def _other_format(config: ClusterConfig, version: int) -> LauncherError:
    return LauncherError(
        f"{config.cluster_file} has format {version}, and this launcher knows {FORMAT}: "
        "use the launcher that wrote it, or begin anew with --fresh"
    )
