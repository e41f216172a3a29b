"""A story for each point in the code: a process dies there, and what must hold afterwards does.

In all of them nothing that was acknowledged is lost, and each entry is applied once
(`check_whole`). The machine is a journal, so an entry that was applied twice would stand in it
twice.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from launcher import Cluster
from launcher.errors import LauncherError
from node.faults.points import POINTS
from node.storage.mark import MARK_FILE
from node.storage.snapshots import TAKING
from tests.cluster.lab import PATIENCE_S, Lab, eventually
from tests.cluster.load import Load

pytestmark = pytest.mark.cluster

SETTINGS = """\
name: lab
machine: journal
log: {digest_every: 20}
restart: {backoff: 50ms}
"""
SMALL = SETTINGS + "snapshot: {entries: 200, trailing: 0B}\n"


def begin(lab: Lab, settings: str = SETTINGS, nodes: int = 3) -> Cluster:
    (lab.folder / "cluster.yaml").write_text(settings)
    lab.up(nodes)
    cluster = Cluster.attach(lab.folder / "cluster.yaml")
    cluster.submit("first")
    cluster.wait(converged=True, timeout_s=PATIENCE_S)
    return cluster


@contextmanager
def under_load(lab: Lab) -> Iterator[Load]:
    """Entries come all the time, and at the end every one of them was acknowledged."""
    load = Load(lab.folder, "entry {}".format, many=True, timeout_s=60.0, pause_s=0.001)
    with load:
        load.goes_on()
        yield load


def a_follower(cluster: Cluster) -> int:
    cluster.wait(leader=True, timeout_s=PATIENCE_S)
    return next(node.id for node in cluster.status().nodes if node.role == "follower")


def leader_of(cluster: Cluster) -> int:
    led = cluster.wait(leader=True, timeout_s=PATIENCE_S).leader
    assert led is not None
    return led


def arm(lab: Lab, target: str | int, point: str, action: str = "1*kill") -> int:
    """The node at which it is armed."""
    said = lab.launcher("arm", str(target), point, action, check=True).out
    found = re.fullmatch(rf"armed n(\d+): .*\({point} .*\)\n", said)
    assert found, said
    return int(found[1])


def await_death(lab: Lab, cluster: Cluster, node_id: int, point: str) -> dict[str, Any]:
    """The node dies at the point, and nobody starts it. Returns the event of the hit."""
    eventually(lambda: cluster.status().node(node_id).state == "down", f"it dies at {point}")
    assert cluster.status().node(node_id).reason == f"killed at the point {point}"
    events = [event for event in lab.events() if event["node"] == node_id]
    hit = events[-1]
    assert hit["event"] == "point.hit", f"the last word of the process, and not {hit}"
    assert (hit["point"], hit["action"]) == (point, "kill")
    return hit


def check_whole(lab: Lab, cluster: Cluster, entries: int, *, others: int = 1) -> None:
    """Everything that was acknowledged is there once, in order, at every node.

    entries: of the load; others: that were submitted one by one
    """
    cluster.wait(converged=True, timeout_s=PATIENCE_S)
    for node in cluster.status().nodes:
        said = cluster.read("LS", node=node.id).text.splitlines()
        of_load = [line for line in said if line.startswith("entry ")]
        assert of_load == [f"entry {number}" for number in range(1, entries + 1)]
        assert len(said) == len(set(said)) == entries + others
    nodes = cluster.status().nodes
    assert {(node.state, node.applied_index) for node in nodes} == {("up", nodes[0].applied_index)}
    assert all(len(set(said.values())) == 1 for said in lab.digests().values())
    assert not lab.events("safety.violated")
    led = Counter(event["term"] for event in lab.events("leader.elected"))
    assert set(led.values()) == {1}, "each term has one leader"


def recovered(lab: Lab, node_id: int) -> dict[str, Any]:
    """The event of the node's last recovery."""
    return [event for event in lab.events("node.recovered") if event["node"] == node_id][-1]


# -- an entry comes by ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "point"),
    [
        ("leader", "before-leader-send"),
        ("leader", "before-sync"),
        ("leader", "before-apply"),
        ("leader", "before-reply"),
        ("follower", "before-follower-send"),
        ("follower", "before-sync"),
        ("follower", "after-sync"),
        ("follower", "before-apply"),
    ],
)
def test_a_node_dies_under_load_and_every_entry_is_applied_once(
    lab: Lab, target: str, point: str
) -> None:
    cluster = begin(lab)
    with under_load(lab) as load:
        node_id = arm(lab, target, point)
        hit = await_death(lab, cluster, node_id, point)
        assert hit["role"] == target
        load.goes_on(50)
        cluster.start(node_id)
    check_whole(lab, cluster, load.count)
    assert len(lab.events("point.hit")) == 1, "it is used up"


def test_a_leader_dies_before_it_replies_and_the_retry_is_answered_with_the_first_answer(
    lab: Lab,
) -> None:
    """The entry was committed and applied; only its client did not hear of it."""
    cluster = begin(lab)
    led = arm(lab, "leader", "before-reply")
    done = cluster.submit("second", timeout_s=PATIENCE_S)
    hit = await_death(lab, cluster, led, "before-reply")
    assert (hit["commit"], hit["term"]) == (done.index, done.term)
    assert done.text == "2"
    assert cluster.read("LS").text.splitlines() == ["first", "second"]
    cluster.start(led)
    check_whole(lab, cluster, 0, others=2)


@pytest.mark.parametrize(("point", "is_marked"), [("before-sync", False), ("after-sync", True)])
def test_a_record_that_was_written_is_recovered_synced_or_not(
    lab: Lab, point: str, is_marked: bool
) -> None:
    """SIGKILL leaves the page cache. The mark tells that a sync has returned: so the two points are
    on the two sides of the sync."""
    cluster = begin(lab)
    away = a_follower(cluster)
    mark = lab.folder / "data" / f"node-{away}" / MARK_FILE
    arm(lab, away, point)
    before = mark.read_bytes()
    done = cluster.submit("second")
    await_death(lab, cluster, away, point)
    assert (mark.read_bytes() != before) == is_marked
    cluster.start(away)
    assert recovered(lab, away)["last_index"] >= done.index
    check_whole(lab, cluster, 0, others=2)


# -- an election ---------------------------------------------------------------------------------


def test_a_voter_that_dies_behind_its_vote_never_votes_again_in_that_term(lab: Lab) -> None:
    cluster = begin(lab)
    lab.launcher("arm", "followers", "after-vote", "1*kill", check=True)
    led = leader_of(cluster)
    cluster.kill(led)
    eventually(lambda: lab.events("point.hit"), "a follower votes")
    (hit, *_) = lab.events("point.hit")
    await_death(lab, cluster, hit["node"], "after-vote")
    cluster.start(hit["node"], led)
    cluster.wait(leader=True, timeout_s=PATIENCE_S)
    for node in cluster.status().nodes:
        if node.state == "down":  # the other follower has voted too, behind the first
            cluster.start(node.id)
    assert recovered(lab, hit["node"])["term"] >= hit["term"]
    votes: dict[tuple[int, int], set[int]] = {}
    for event in lab.events("vote.granted"):
        votes.setdefault((event["node"], event["term"]), set()).add(event["candidate"])
    assert (hit["node"], hit["term"]) in votes
    assert all(len(candidates) == 1 for candidates in votes.values())
    check_whole(lab, cluster, 0)


# -- a configuration -----------------------------------------------------------------------------


def test_a_leader_that_dies_before_it_applies_a_configuration_stops_no_change(lab: Lab) -> None:
    cluster = begin(lab)
    led = arm(lab, "leader", "before-apply-configuration")
    adding = threading.Thread(target=_whatever, args=(lambda: cluster.add(1),), daemon=True)
    adding.start()
    await_death(lab, cluster, led, "before-apply-configuration")
    cluster.start(led)

    def is_done() -> bool:
        membership = cluster.status().membership
        return membership is not None and membership.voters == (1, 2, 3, 4)

    eventually(is_done, "the node that is added votes")
    adding.join(PATIENCE_S)
    check_whole(lab, cluster, 0)


def _whatever(does: Callable[[], object]) -> None:
    try:
        does()
    except LauncherError:
        return


# -- a snapshot of one's own ---------------------------------------------------------------------


@pytest.mark.parametrize("point", ["before-save-snapshot", "after-save-snapshot"])
def test_a_snapshot_counts_from_when_it_is_saved_and_is_ignored_before(
    lab: Lab, point: str
) -> None:
    cluster = begin(lab)
    away = arm(lab, "follower", point)
    refused = lab.launcher("snapshot", f"n{away}")
    assert refused.status == 1
    assert refused.last_error.endswith("ended before its snapshot was on disk")
    await_death(lab, cluster, away, point)
    folder = lab.folder / "data" / f"node-{away}"
    assert (folder / TAKING).exists() == (point == "before-save-snapshot")
    cluster.start(away)
    assert not (folder / TAKING).exists()
    index = recovered(lab, away)["snapshot_index"]
    assert index == (0 if point == "before-save-snapshot" else cluster.status().commit_index)
    cluster.snapshot(away)
    check_whole(lab, cluster, 0)


# -- a snapshot that is sent ---------------------------------------------------------------------


def need_a_snapshot(lab: Lab, cluster: Cluster) -> tuple[int, int]:
    """A follower is down, and the others' logs begin behind its own. Returns it, and how many
    entries there were."""
    away = a_follower(cluster)
    cluster.kill(away)
    had = cluster.status().node(away).last_index
    with under_load(lab) as load:

        def is_far_behind() -> bool:
            return all(node.first_index > had + 1 for node in cluster.status().up)

        eventually(is_far_behind, "the log before is dropped")
    return away, load.count


def test_a_leader_dies_before_it_sends_its_snapshot_and_another_sends_one(lab: Lab) -> None:
    cluster = begin(lab, SMALL)
    away, entries = need_a_snapshot(lab, cluster)
    led = arm(lab, "leader", "before-send-snapshot")
    cluster.start(away)
    await_death(lab, cluster, led, "before-send-snapshot")
    eventually(lambda: cluster.status().leader not in (led, None), "another leads")
    cluster.start(led)
    check_whole(lab, cluster, entries)
    assert away in [event["node"] for event in lab.events("snapshot.installed")]


@pytest.mark.parametrize("point", ["before-install-snapshot", "after-install-snapshot"])
def test_a_received_snapshot_counts_from_when_it_is_installed(lab: Lab, point: str) -> None:
    """The node is down when the point is armed: it is armed in its next life."""
    cluster = begin(lab, SMALL)
    away, entries = need_a_snapshot(lab, cluster)
    had = cluster.status().node(away).last_index
    said = lab.launcher("arm", f"n{away}", point, "1*kill", check=True).out
    assert said.endswith(f"({point} 1*kill, for its next life)\n")
    _whatever(lambda: cluster.start(away))
    await_death(lab, cluster, away, point)
    cluster.start(away)
    found = recovered(lab, away)
    if point == "before-install-snapshot":
        assert (found["snapshot_index"], found["last_index"]) == (0, had), "the old log counts"
    else:
        assert found["snapshot_index"] > had, "the snapshot counts"
    check_whole(lab, cluster, entries)


# -- what strikes --------------------------------------------------------------------------------


def points_of(lab: Lab) -> dict[str, dict[int, tuple[int, str]]]:
    """Hits and what is armed, by point and node, as `launcher arm --json` has them."""
    said = lab.launcher("arm", "--json", check=True).lines
    rows = [json.loads(line) for line in said]
    return {
        row["point"]: {node["node"]: (node["hits"], node["actions"]) for node in row["nodes"]}
        for row in rows
    }


def test_a_count_lets_a_kill_strike_again_in_the_next_life(lab: Lab) -> None:
    cluster = begin(lab)
    away = a_follower(cluster)
    arm(lab, away, "before-sync", "2*kill")
    with under_load(lab) as load:
        await_death(lab, cluster, away, "before-sync")
        assert cluster.status().node(away).points == "armed: before-sync 1*kill"
        _whatever(lambda: cluster.start(away))
        eventually(lambda: len(lab.events("point.hit")) == 2, "it strikes again")
        hit = await_death(lab, cluster, away, "before-sync")
        assert hit["number"] == 2
        assert cluster.status().node(away).points == ""
        cluster.start(away)
    check_whole(lab, cluster, load.count)
    assert points_of(lab)["before-sync"] == {away: (2, "")}


def test_a_point_that_is_armed_and_never_reached_shows_in_the_list(lab: Lab) -> None:
    cluster = begin(lab)
    with cluster.arm("all", point="before-send-snapshot", action="kill"):
        cluster.submit("second")
        listed = points_of(lab)
        assert listed["before-send-snapshot"] == dict.fromkeys((1, 2, 3), (0, "1*kill"))
        assert listed["before-apply"] == {}
        assert [*listed] == [*POINTS]
        said = lab.launcher("arm", check=True).out
        assert "before-send-snapshot" in said
        assert "n1: 0, n2: 0, n3: 0" in said
    assert points_of(lab)["before-send-snapshot"] == dict.fromkeys((1, 2, 3), (0, ""))


def test_a_node_pauses_itself_and_is_resumed(lab: Lab) -> None:
    cluster = begin(lab)
    away = arm(lab, "follower", "after-sync", "1*pause")
    done = cluster.submit("second")
    eventually(lambda: cluster.status().node(away).state == "paused", "it stops itself")
    assert cluster.status().node(away).commit_index < done.index
    cluster.resume(away)
    assert cluster.status().node(away).state == "up"
    check_whole(lab, cluster, 0, others=2)


def test_heal_ends_a_point_that_pauses_its_node_again_once_it_is_resumed(lab: Lab) -> None:
    cluster = begin(lab)
    away = arm(lab, "follower", "before-follower-send", "pause")
    eventually(lambda: cluster.status().node(away).state == "paused", "it stops itself")
    cluster.submit("second")  # it gets that first when it is resumed, and answers
    done = lab.launcher("heal", check=True)
    assert done.out == f"healed: point before-follower-send of n{away}; resumed n{away}\n"
    assert done.err == "", "every node has confirmed"
    assert cluster.status().node(away).state == "up"
    check_whole(lab, cluster, 0, others=2)


def test_a_sleep_makes_a_reply_late(lab: Lab) -> None:
    cluster = begin(lab, SETTINGS + "raft: {election_timeout: {min: 3s, max: 4s}}\n")
    lab.launcher("arm", "leader", "before-reply", "1*sleep(1s)", check=True)
    began = time.monotonic()
    cluster.submit("second")
    assert time.monotonic() - began >= 1.0
    check_whole(lab, cluster, 0, others=2)


def test_power_that_fails_before_a_sync_loses_what_was_written(lab: Lab) -> None:
    """As `kill --power`, at the moment at which there is most to lose."""
    cluster = begin(lab)
    away = a_follower(cluster)
    cluster.wait(converged=True, timeout_s=PATIENCE_S)
    before = cluster.status().node(away).last_index
    arm(lab, away, "before-sync", "1*power")

    cluster.submit("second")

    eventually(lambda: lab.events("power.lost"), "what was not synced is lost")
    lost = lab.events("power.lost")[-1]
    assert lost["target"] == away
    assert lost["bytes"] > 0
    found = cluster.status().node(away)
    assert (found.state, found.reason) == ("down", "its power failed at the point before-sync")
    cluster.start(away)
    assert recovered(lab, away)["last_index"] == before
    check_whole(lab, cluster, 0, others=2)


def test_a_sync_fails_at_the_point_and_the_node_comes_back(lab: Lab) -> None:
    cluster = begin(lab)
    away = arm(lab, "follower", "before-sync", "fail-sync")
    cluster.submit("second")
    eventually(lambda: cluster.status().node(away).restarts == 1, "it is started again")
    (failed,) = [event for event in lab.events("node.failed") if event["node"] == away]
    assert "(injected: fail-sync)" in failed["reason"]
    check_whole(lab, cluster, 0, others=2)


def test_a_node_cuts_itself_off_until_heal_whatever_becomes_of_other_faults(lab: Lab) -> None:
    cluster = begin(lab)
    led = arm(lab, "leader", "before-leader-send", "cut")
    eventually(lambda: cluster.status().leader not in (led, None), "another leads")
    cut = "cut off at the point before-leader-send"
    assert cluster.status().node(led).points == cut
    assert cut in lab.launcher("ps", check=True).out
    others = [node for node in (1, 2, 3) if node != led]
    assert cluster.status().node(led).cut_off_from == others
    does = {(one.source, one.target): one.does for one in cluster.status().links}
    assert does == {link: "cut" for one in others for link in ((led, one), (one, led))}
    assert lab.launcher("ps", "--links", check=True).out.count("cut") == 4
    cluster.set_links([])  # an order of the links does not end it
    assert cluster.status().node(led).cut_off_from == others
    done = cluster.submit("second")
    cluster.restart(led)  # nor does a restart
    cluster.submit("third")
    assert cluster.status().node(led).commit_index < done.index
    cluster.heal()
    assert cluster.status().node(led).points == ""
    assert (cluster.status().links, cluster.status().node(led).cut_off_from) == ([], [])
    check_whole(lab, cluster, 0, others=3)


def test_heal_disarms_every_point(lab: Lab) -> None:
    cluster = begin(lab)
    cluster.arm("all", point="before-reply", action="kill")
    cluster.heal()
    cluster.submit("second")
    assert [node.points for node in cluster.status().nodes] == [""] * 3
    check_whole(lab, cluster, 0, others=2)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("leader before-snyc kill", "no point is called 'before-snyc': is it before-sync"),
        ("leader before-sync explode", "no action is called 'explode': there are kill, power"),
        ("leader before-sync 150%kill", "at most 100, not 150.0"),
        ("leader before-sync 0*kill", "a count is from 1 to 1000000, not 0"),
        ("leader before-sync sleep", "sleep takes a duration with a unit"),
        ("n1,n9 before-sync kill", "there is no node 9"),
        ("before-sync kill", "arm takes a target, a point and an action"),
    ],
)
def test_nonsense_arms_nothing(one: Lab, words: str, why: str) -> None:
    refused = one.launcher("arm", *words.split())
    assert refused.status == 2
    assert why in refused.err
    assert len(refused.err.splitlines()) == 1
    assert all(not nodes for nodes in points_of(one).values())


@pytest.fixture(name="one", scope="module")
def _one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    lab = Lab(Path(tmp_path_factory.mktemp("points")))
    try:
        begin(lab)
        yield lab
    finally:
        lab.close()
