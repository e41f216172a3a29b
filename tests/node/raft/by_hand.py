"""What tests of cores moved by hand have in common (`launcher/simulation/stage/cores.py`)."""

from __future__ import annotations

from typing import Any, TypeVar

from launcher.simulation.stage.cores import Network
from node.raft.messages import AppendEntries, Message, NodeId

_M = TypeVar("_M", bound=Message)


def persist(net: Network, node_id: NodeId) -> None:
    """Makes durable all that the server has to make durable."""
    while net.persist(node_id):
        pass


def follower(term: int, log: list[int]) -> Network:
    """A cluster of three whose server 2 has this log and term; server 1 speaks as the leader."""
    return Network(3, logs={2: log}, terms={2: term})


def led(size: int = 3, *, at_s: float = 0.0, run_s: float = 0.15, **options: Any) -> Network:
    """A cluster that server 1 leads, whose entries are all everywhere, after some heartbeats.

    at_s: when it campaigns
    run_s: how long the cluster runs after that
    """
    net = Network(size, **options)
    net.now = at_s
    net.elect(1)
    net.propose()
    net.settle()
    net.run(run_s)
    return net


def in_flight(net: Network, kind: type[_M]) -> list[_M]:
    """The messages of this kind that are under way."""
    return [message for _, _, message in net.mail if isinstance(message, kind)]


def sent_to(net: Network, peer: NodeId) -> list[AppendEntries]:
    """The AppendEntries that are under way to this server."""
    return [m for _, to, m in net.mail if to == peer and isinstance(m, AppendEntries)]
