"""A cluster's status in the form that the page's fold takes (`static/fold_process.js: seen`)."""

from __future__ import annotations

from launcher.control.status import ClusterStatus, NodeStatus
from launcher.page.events import Record


def seen(status: ClusterStatus, machine: str | None = None) -> Record:
    """The fields of `status.seen`: what each node has said last, and what is known beside.

    machine: the name of the one that the cluster runs; None: its nodes' events have said it
    """
    membership = status.membership
    conf = None
    if membership is not None:
        conf = {
            "voters": list(membership.voters),
            "outgoing": list(membership.outgoing),
            "learners": [
                node.id for node in status.nodes
                if status.is_member(node.id) and not status.may_vote(node.id)
            ],
        }  # fmt: skip
    return {
        "nodes": [_node(node) for node in status.nodes],
        "links": {f"{one.source}>{one.target}": one.does for one in status.links},
        "frozen": status.frozen,
        "conf": conf,
        "machine": machine,
    }


def _node(node: NodeStatus) -> Record:
    return {
        "id": node.id,
        "process": node.state,
        "why": node.reason,
        "role": node.role,
        "term": node.term,
        "leader": node.leader,
        "vote": node.voted_for,
        "commit": node.commit_index,
        "first": node.first_index,
        "last": node.last_index,
        "disk": node.disk,
        "clock": node.clock,
        "throttle": "" if node.throttle is None else f"{node.throttle:.0%} of a core",
        "responding": node.responding or node.last_answer_s is None,
        "election_in": node.election_in_s,
        "peers": [[peer.id, peer.next_index, peer.match_index] for peer in node.peers],
    }
