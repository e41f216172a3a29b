"""What nodes and links are called, wherever people read of them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from node.raft.messages import NodeId

Link: TypeAlias = tuple[NodeId, NodeId]
"""Sender and receiver."""

_MOST_NAMED = 6


def node_names(nodes: Iterable[NodeId]) -> str:
    """`n1, n2`."""
    return ", ".join(f"n{node}" for node in nodes)


def link_name(link: Link) -> str:
    """`n1>n2`."""
    return f"n{link[0]}>n{link[1]}"


def link_names(links: Sequence[Link]) -> str:
    """`n1>n2, n2>n1`, or how many links there are."""
    if len(links) > _MOST_NAMED:
        return f"{len(links)} links"
    return ", ".join(map(link_name, links))
