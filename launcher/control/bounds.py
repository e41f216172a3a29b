"""How much one request may say, and which nodes it may name: parts of `requests.check`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from launcher.errors import UsageError
from launcher.settings import MAX_NODES
from node import wire
from node.faults import links
from node.raft.messages import NodeId

MOST_TARGET_CHARACTERS = 4096
"""All targets of one request together, or its partition, are no longer: far more than name every
node several times."""

MOST_LOG_ENTRIES = 1000
"""No request asks for more entries of each log."""

MOST_LINK_FAULTS = 4096
"""More than four for each direction of each link of the largest cluster."""


def check_length(what: str, characters: int) -> None:
    """Raises UsageError for a text that is too long. what: the subject of the message"""
    if characters > MOST_TARGET_CHARACTERS:
        raise UsageError(f"{what} may have {MOST_TARGET_CHARACTERS} characters, not {characters}")


def check_ids(nodes: Iterable[NodeId]) -> None:
    """Raises UsageError for an id that no node can have; whether a node has it is not asked."""
    for node in nodes:
        if not 1 <= node <= links.MOST_ID:
            raise UsageError(f"a node has an id from 1 to {links.MOST_ID}")


def check_logs(nodes: Sequence[NodeId], first_index: int, count: int) -> None:
    """Raises UsageError for entries that no log can be asked for."""
    if len(nodes) > MAX_NODES:
        raise UsageError(f"log takes at most {MAX_NODES} nodes, not {len(nodes)}")
    check_ids(nodes)
    if not 1 <= first_index < 1 << 63:
        raise UsageError(f"the first entry of a log has index 1: --from takes no {first_index}")
    if not 1 <= count <= MOST_LOG_ENTRIES:
        raise UsageError(f"log shows 1 to {MOST_LOG_ENTRIES} entries at a time, not {count}")


def check_links(asked: Sequence[wire.LinkFault]) -> None:
    """Raises UsageError for faults that links cannot have, each or all of one link together."""
    if len(asked) > MOST_LINK_FAULTS:
        raise UsageError(f"the links can have {MOST_LINK_FAULTS} faults, not {len(asked)}")
    try:
        links.combined(asked)
    except ValueError as error:
        raise UsageError(f"no link can do that: {error}") from error


def check_pairs(pairs: Sequence[tuple[NodeId, NodeId]]) -> None:
    """Raises UsageError unless each of these, a source and a target, can be a link."""
    if len(pairs) > MOST_LINK_FAULTS:
        raise UsageError(f"a request names {MOST_LINK_FAULTS} links, not {len(pairs)}")
    for source, target in pairs:
        check_ids((source, target))
        if source == target:
            raise UsageError("a link leads from one node to another, not to itself")
