"""What every command can reach."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from launcher.cluster import Cluster
    from launcher.config import ClusterConfig


@dataclass
class Context:
    """Which cluster a command is about, and how it opens a prompt.

    config, name: the values of -c and -p
    attached: the cluster to which the command, or the prompt that runs it, is connected
    open_prompt: reads lines for a cluster until the user leaves, and returns the exit status; None
        where a prompt runs the command. It is passed in because the prompt runs the table's
        commands, so that no command can import the prompt.
    at_prompt: a prompt, or a script of its lines, runs the command
    typed: a person has typed the line at a terminal, and sees both outputs on it
    """

    config: Path | None = None
    name: str | None = None
    attached: Cluster | None = None
    open_prompt: Callable[[Cluster], int] | None = None
    at_prompt: bool = False
    typed: bool = False

    def print_unconfirmed(self) -> None:
        """Names the nodes that have not confirmed the faults that the command has injected or
        ended, and why."""
        if self.attached is None or not self.attached.unconfirmed:
            return
        left, self.attached.unconfirmed = self.attached.unconfirmed, []
        # Start-up time, as below.
        from launcher.cli.output import print_unconfirmed

        print_unconfirmed(left, self.attached.status())

    def load_config(self) -> ClusterConfig:
        """The configuration of the attached cluster, or else the one that -c and -p select.

        Raises ConfigError.
        """
        if self.attached is not None:
            return self.attached.config
        # Start-up time: loads YAML, which neither --help nor the list of commands needs.
        from launcher.config import load

        return load(self.config, name=self.name)

    def cluster(self) -> Cluster:
        """The running cluster. Raises NotRunning, ConfigError."""
        if self.attached is None:
            # Start-up time: loads the client, sockets and psutil; --help needs none of them.
            from launcher.cluster import Cluster

            self.attached = Cluster.attach(self.load_config())
        return self.attached

    def cluster_if_any(self) -> Cluster:
        """The cluster, whether it runs or not. Raises ConfigError."""
        # Start-up time, as above.
        from launcher.cluster import Cluster

        return Cluster(config=self.load_config())
