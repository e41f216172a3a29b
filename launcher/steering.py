"""What an operator changes in how a running cluster runs; a part of the API of `Cluster`.

Settings in force, links, single elections and messages, what is recorded of messages, and an entry
at one node.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence

from launcher import life
from launcher.client.answers import Submitted, encoded
from launcher.client.here import submit_here
from launcher.client.sockets import Sockets
from launcher.config import ClusterConfig
from launcher.control import asking, requests
from launcher.control.naming import node_names
from launcher.control.requests import Reply, Request
from launcher.control.status import Chosen
from launcher.control.steering import SettingChange
from launcher.control.taps import TapOfNode
from launcher.control.targets import words
from launcher.errors import NotRunning, UsageError
from launcher.folders import lock
from node.raft.messages import NodeId
from node.wire import MOST_COMMANDS, Drop, LinkFault

HERE_TIMEOUT_S = 2.0
HERE_HEARTBEATS = 4
"""How long `submit_to` waits: this long, or for this many heartbeats if they take longer."""


class Steering:
    """Those methods of `Cluster`."""

    config: ClusterConfig

    @abstractmethod
    def _call(self, request: Request) -> Reply: ...

    # -- settings --------------------------------------------------------------------------------

    def settings(self) -> ClusterConfig:
        """The settings in force: of the cluster that runs, else those that it would start with."""
        try:
            return life.as_running(self.config)
        except NotRunning:
            return self.config

    @property
    def is_running(self) -> bool:
        """Whether some supervisor runs on the cluster's data."""
        return lock.is_locked(self.config)

    def set(self, key: str, value: str | float) -> SettingChange:
        """Changes a setting on all nodes while they run: `timescale`, `log-level`, `pre-vote`,
        `failure-hint`, `message-delay`.

        value: as cluster.yaml would say it

        The change lasts until the cluster is taken down. Raises UsageError, and LauncherError for a
        change that is not safe while nodes run.
        """
        text = {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)
        changed = self._call(requests.ChangeSetting(key, text)).changed
        assert changed is not None, "the reply to ChangeSetting says what has changed"
        return changed

    # -- links -------------------------------------------------------------------------------------

    def set_links(self, faults: Iterable[LinkFault]) -> None:
        """Gives the links these faults (`node/faults/links.py`), in place of all earlier ones but
        for a partition.

        Returns when every node that is up has them; `heal` ends them. Raises UsageError.
        """
        self._call(requests.SetLinks(list(faults)))

    def heal(self) -> list[str]:
        """Ends every fault that was injected, of links, clocks and disks, and throttles; forgets
        the messages that were still to be lost; and resumes paused nodes. It starts nothing.

        Returns what has ended, a phrase each: `clock of n2`, `resumed n4`.
        """
        return self._call(requests.Heal()).ended

    # -- elections and messages ------------------------------------------------------------------

    def time_out(self, *targets: str | int) -> list[Chosen]:
        """Has the election timers of nodes fire now, all at once: they campaign.

        Raises LauncherError for a node that cannot: the leader, a learner, one that does not run.
        """
        return self._call(requests.TimeOutNodes(words(targets))).chosen

    def drop(self, link: str, message: str, *, count: int = 1) -> list[Drop]:
        """The next messages of a type on a link are lost. Returns those, for each link.

        link: `n1>n2`; each end is a target, so `leader>followers` are several links
        message: its name in the paper, such as RequestVote, or `heartbeat`
        """
        return self._call(requests.DropMessages(link, message, count)).drops

    def drops(self) -> list[Drop]:
        """The messages that are still to be lost by their type; `heal` forgets them."""
        return self._call(requests.AskDrops()).drops

    # -- what is recorded ------------------------------------------------------------------------

    def tap(self, mode: str, *targets: str | int) -> list[TapOfNode]:
        """Has nodes record their messages: `off`, `ring` or `full`. Without targets: all nodes.

        It is in force for later lives too, until the cluster is taken down. Returns what was
        ordered of each node, with a note where it is not in force yet.
        """
        return self._call(requests.SetTaps(words(targets or ("all",)), mode)).taps

    # -- one node --------------------------------------------------------------------------------

    def submit_to(
        self, node: NodeId, *entries: str | bytes, timeout_s: float | None = None
    ) -> list[Submitted]:
        """Has this node, and no other, append entries now, and returns when they are committed.

        They are sent once: without a question for the leader first, without a redirect, without a
        retry. So a leader that is cut off takes them into its log. The answer to an entry that the
        machine refuses has its `error`.

        Raises LauncherError when the node does not lead: then nothing is submitted. Raises
        NotCommitted, a TimedOut, when they are not committed in time; it has their index.
        """
        config = self.settings()
        runtime_dir = asking.runtime_dir(config)
        asking.check_thawed(runtime_dir)
        sockets = Sockets(config, runtime_dir)
        if node not in sockets:
            raise UsageError(f"there is no node {node}; there are {node_names(sockets)}")
        commands = [encoded(entry) for entry in entries]
        check_entries(commands, config.entry_limit_bytes)
        if timeout_s is None:
            heartbeats_s = HERE_HEARTBEATS * config.heartbeat_interval_s
            timeout_s = max(HERE_TIMEOUT_S, heartbeats_s)
        return submit_here(node, sockets[node], commands, timeout_s)


def check_entries(commands: Sequence[bytes], most_bytes: int) -> None:
    """Raises UsageError for entries that no node takes."""
    if not 1 <= len(commands) <= MOST_COMMANDS:
        raise UsageError(
            f"1 to {MOST_COMMANDS} entries are submitted together, not {len(commands)}"
        )
    for command in commands:
        if not command:
            raise UsageError("an entry is empty; it needs one byte at least")
        if len(command) > most_bytes:
            raise UsageError(
                f"an entry of {len(command)} bytes is over the limit of {most_bytes} (limits.entry)"
            )
