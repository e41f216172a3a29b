"""What the page derives from its state: how many nodes may fail, the leader, the messages."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path
from typing import Any

from node.machines.registry import load
from tests.launcher.page.javascript import evaluated, needs_node

pytestmark = needs_node

FOLDED = "events.reduce(fold, EMPTY)"


def event(name: str, node: int = 0, **more: Any) -> dict[str, Any]:
    record = {"t": "1", "at": 1.0, "life": 1, "level": "info", "node": node, "event": name}
    return {**record, "term": 1, "role": "follower" if node else None, "commit": 0, **more}


def up(count: int) -> list[dict[str, Any]]:
    return [event("node.spawned", target=node) for node in range(1, count + 1)]


def status(node: int, role: str, term: int) -> dict[str, Any]:
    """What a node has said last to the supervisor."""
    told = {
        "id": node, "process": "up", "why": "", "role": role, "term": term, "leader": None,
        "vote": None, "commit": 0, "first": 1, "last": 0, "disk": "", "clock": "", "throttle": "",
        "responding": True, "election_in": 0.2, "peers": [],
    }  # fmt: skip
    return event("status.seen", nodes=[told], links={}, frozen=False, conf=None, machine=None)


def cut_from(alone: int, others: list[int], does: str) -> list[list[Any]]:
    return [[a, b, does] for pair in others for a, b in permutations((alone, pair))]


def test_a_link_that_is_cut_and_slow_is_cut(tmp_path: Path) -> None:
    """As when a link was made slow before a partition."""
    links = cut_from(1, [2, 3], "cut, delay 100ms")
    events = [*up(3), event("world.changed", paused=[], links=links, disks={})]
    found = evaluated(tmp_path, f"tolerance({FOLDED})", events=events)
    assert (found["number"], found["why"]) == (0, "n1 is cut off")
    assert evaluated(tmp_path, f"condition({FOLDED}, {FOLDED}.nodes[1]).sign", events=events) == "⊘"


def test_what_is_wrong_is_said_once_for_all_whom_it_concerns(tmp_path: Path) -> None:
    disks = {"3": "hang-disk", "4": "full-disk", "5": "slow-disk 50ms"}
    events = [
        *up(7),
        event("node.exited", target=1, reason="killed"),
        event("node.exited", target=2, reason="killed"),
        event("world.changed", paused=[], links=[], disks=disks),
    ]
    found = evaluated(tmp_path, f"tolerance({FOLDED})", events=events)
    assert found["number"] == -1, "a node with a slow disk still takes part"
    assert found["why"] == "n1, n2 are dead, the disk of n3 hangs, the disk of n4 is full"


def test_a_message_to_a_dead_process_does_not_stay_on_its_way(tmp_path: Path) -> None:
    sent = event("message.sent", 1, to=2, type="AppendEntries", message={"term": 1, "index": 0})
    events = [*up(2), event("node.exited", target=2, reason="killed"), sent]
    state = evaluated(tmp_path, FOLDED, events=events)
    assert state["flights"] == {}
    assert state["counts"] == {"1>2": 1}


def test_a_node_that_asks_for_votes_claims_to_know_no_leader(tmp_path: Path) -> None:
    heard = [*up(2), event("leader.heard", 1, leader=2)]
    assert evaluated(tmp_path, f"{FOLDED}.nodes[1].leader", events=heard) == 2
    asks = event("election.started", 1, role="pre-candidate", pre_vote=True)
    assert evaluated(tmp_path, f"{FOLDED}.nodes[1].leader", events=[*heard, asks]) is None
    seen = status(1, "pre-candidate", 1)
    events = [*heard, seen, seen]
    assert evaluated(tmp_path, f"{FOLDED}.nodes[1].leader", events=events) is None


def test_a_report_that_is_older_than_an_event_takes_nothing_back(tmp_path: Path) -> None:
    elected = event("leader.elected", 1, term=2, role="leader", votes=[1, 2], last_index=0)
    events = [*up(2), elected, status(1, "candidate", 2)]
    assert evaluated(tmp_path, f"{FOLDED}.nodes[1].role", events=events) == "leader"
    older = status(1, "follower", 1)
    assert (
        evaluated(tmp_path, f"{FOLDED}.nodes[1].role", events=[*events, older, older]) == "leader"
    )
    later = status(1, "follower", 2)
    assert (
        evaluated(tmp_path, f"{FOLDED}.nodes[1].role", events=[*events, later, later]) == "follower"
    )
    assert evaluated(tmp_path, f"{FOLDED}.nodes[1].role", events=[*up(1), later]) == "follower"


def test_the_machine_is_known_from_its_nodes_and_from_the_status(tmp_path: Path) -> None:
    ready = [*up(1), event("node.ready", 1, machine="files")]
    assert evaluated(tmp_path, f"{FOLDED}.machine", events=ready) == "files"
    seen = event("status.seen", nodes=[], links={}, frozen=False, conf=None, machine="lock")
    assert evaluated(tmp_path, f"{FOLDED}.machine", events=[*ready, seen]) == "lock"


def test_each_machine_takes_the_entry_that_the_page_offers(tmp_path: Path) -> None:
    for machine in ("files", "kv", "lock", "election", "members", "multicast"):
        entry = evaluated(tmp_path, f"exampleEntry('{machine}', 7)")
        assert entry
        load(machine).apply(1, entry.encode())
    assert evaluated(tmp_path, "exampleEntry('package.module:Class', 7)") == ""


def test_chaos_has_the_seed_that_was_asked_for(tmp_path: Path) -> None:
    assert evaluated(tmp_path, "chaos(' 41 ')")[-2:] == ["--seed", "41"]
    assert int(evaluated(tmp_path, "chaos('')")[-1]) > 0


def test_a_disk_that_works_again_is_shown_so_though_no_fault_is_named(tmp_path: Path) -> None:
    """As `launcher disk 2 ok` and chaos tell it."""
    slow = event("fault.injected", fault="slow-disk", targets=[2], delay_s=0.1, id=8)
    worse = event("fault.injected", fault="hang-disk", targets=[2, 3], id=9)
    well = event("fault.healed", fault="disk", targets=[2])
    disks = f"Object.values({FOLDED}.nodes).map((one) => one.disk)"
    assert evaluated(tmp_path, disks, events=[*up(3), slow]) == ["", "slow-disk", ""]
    both = [*up(3), slow, worse]
    assert evaluated(tmp_path, disks, events=both) == ["", "hang-disk", "hang-disk"]
    assert evaluated(tmp_path, disks, events=[*both, well]) == ["", "", "hang-disk"]
    once = event("fault.injected", fault="fail-sync", targets=[1], id=10)
    gone = event("node.exited", target=1, reason="failed")
    assert evaluated(tmp_path, disks, events=[*up(3), once, gone]) == ["", "", ""]


def test_the_plots_shade_a_fault_until_it_is_over(tmp_path: Path) -> None:
    def at(second: float, name: str, **more: Any) -> dict[str, Any]:
        return event(name, at=second, **more)

    events = [
        at(1, "node.spawned", target=1),
        at(2, "fault.injected", fault="kill", targets=[1], id=1),
        at(3, "node.spawned", target=1),
        at(4, "fault.injected", fault="slow-disk", targets=[1], id=2),
        at(5, "fault.injected", fault="cut", links=[[1, 2]], id=3),
        at(6, "fault.healed", fault="disk", targets=[1]),
        at(7, "fault.healed", ids=[3]),
        at(8, "fault.injected", fault="pause", targets=[1], id=4),
        at(9, "cluster.thawed"),
    ]
    shaded = "(() => { const h = new History(); h.add(events); return measured(h).faults; })()"
    assert evaluated(tmp_path, shaded, events=events) == [
        [2, 3, "kill"], [4, 6, "slow-disk"], [5, 7, "cut"], [8, 9, "pause"],
    ]  # fmt: skip
