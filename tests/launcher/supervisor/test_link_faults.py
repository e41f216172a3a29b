"""What is ordered of links: two layers, one command after the other, two operators, and the end."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from launcher.control import asking, requests
from launcher.control.links import LinkChange, parse_change
from launcher.errors import LauncherError, UsageError
from launcher.supervisor.link_layers import NO_FAULTS, LinkLayers, link_statuses
from node.faults.links import partition
from node.wire import LinkFault
from tests.launcher.control.test_requests import cluster_test
from tests.launcher.fake_cluster import FakeCluster, fake_cluster


def links(cluster: FakeCluster) -> dict[str, str]:
    return {f"{one.source}>{one.target}": one.does for one in cluster.status().links}


def faults(cluster: FakeCluster) -> list[dict[str, Any]]:
    log = map(json.loads, cluster.config.event_log(0).read_text().splitlines())
    return [event for event in log if event["event"].startswith("fault.")]


# -- pure ----------------------------------------------------------------------------------------


def test_layers_add_up_and_end_apart() -> None:
    layers = NO_FAULTS.split(partition([[1], [2, 3]]), 1, "1|2,3")
    layers = layers.changed([(1, 2), (2, 3)], parse_change(["delay 50ms"]), {"delay": 2})
    assert said(layers) == {
        (1, 2): "cut, delay 50ms", (1, 3): "cut", (2, 1): "cut", (2, 3): "delay 50ms",
        (3, 1): "cut",
    }  # fmt: skip
    assert layers.order.ids == [1, 2]
    layers = layers.split(partition([[3], [1, 2]]), 3, "3|1,2")
    assert said(layers)[1, 2] == "delay 50ms"
    assert said(layers)[2, 3] == "cut, delay 50ms"
    layers = layers.changed([(1, 2), (2, 3)], parse_change(["ok"]), {})
    assert said(layers) == dict.fromkeys(((1, 3), (3, 1), (2, 3), (3, 2)), "cut")
    assert layers.order.ids == [3]


def test_nodes_are_told_which_fault_is_behind_each_part_of_a_link() -> None:
    layers = NO_FAULTS.split(partition([[1], [2, 3]]), 1, "1|2,3")
    layers = layers.changed(
        [(1, 2), (2, 3)], parse_change(["delay 50ms", "loss 5%"]), {"delay": 2, "loss": 3}
    )
    found = {(source, target): by for source, target, by in layers.order.causes}
    assert found[1, 2] == {"cut": 1, "delay": 2, "loss": 3}
    assert found[2, 3] == {"delay": 2, "loss": 3}
    assert found[3, 1] == {"cut": 1}
    layers = layers.whole().replaced([LinkFault(source=3, target=1, cut=True, loss=0.5)], 4)
    assert layers.order.causes == [(3, 1, {"cut": 4, "loss": 4})]


def test_a_fault_is_in_force_as_long_as_some_link_has_it() -> None:
    both = [(1, 2), (2, 1)]
    layers = NO_FAULTS.changed(both, parse_change(["loss 5%"]), {"loss": 1})
    layers = layers.changed([(1, 2)], parse_change(["loss 9%"]), {"loss": 2})
    assert layers.link_ids == {1, 2}
    layers = layers.changed([(2, 1)], parse_change(["loss 0%"]), {})
    assert layers.link_ids == {2}
    layers = layers.changed(both, parse_change(["delay 0ms"]), {"delay": 3})
    assert layers.link_ids == {2}, "nothing is no fault"
    assert layers.replaced([LinkFault(source=3, target=1, cut=True)], 4).link_ids == {4}


def test_links_of_nodes_that_are_gone_are_not_shown() -> None:
    layers = NO_FAULTS.changed([(1, 2), (1, 3)], parse_change(["cut"]), {"cut": 1})
    shown = link_statuses(layers.order.faults, [1, 2])
    assert [(one.source, one.target) for one in shown] == [(1, 2)]


def said(layers: LinkLayers) -> dict[tuple[int, int], str]:
    shown = link_statuses(layers.order.faults, range(1, 10))
    return {(one.source, one.target): one.does for one in shown}


# -- a supervisor --------------------------------------------------------------------------------


@cluster_test
def test_a_command_returns_when_the_nodes_have_it_and_its_handle_ends_only_that(
    tmp_path: Path,
) -> None:
    with fake_cluster(tmp_path) as cluster:
        cluster.link("1>2", "loss 5%")
        with cluster.link("leader>followers", "delay 50ms 10ms", "rate 1mbit") as fault:
            assert [(one.source, one.target, one.does) for one in fault.links] == [
                (1, 2, "delay 50ms 10ms, loss 5%, rate 1mbit"),
                (1, 3, "delay 50ms 10ms, rate 1mbit"),
            ]
            assert [node.id for node in fault.chosen] == [1, 2, 3]
            # The fake node shows the number of faulty links as its applied_index.
            assert [node.applied_index for node in cluster.status().nodes] == [2, 2, 2]
            cluster.link("1>2", "hold")
            cluster.restart(3)
            assert cluster.status().node(3).applied_index == 2, "told when it starts"
        assert links(cluster) == {"1>2": "hold, loss 5%"}
        assert cluster.link("all", "ok").links[0].does == "ok"
        assert links(cluster) == {}
        assert [node.applied_index for node in cluster.status().nodes] == [0, 0, 0]
        told = [
            (one["event"], one["fault"], one.get("does"), one.get("id"), one.get("ids"))
            for one in faults(cluster)
        ]
        assert told == [
            ("fault.injected", "flaky", "loss 5%", 1, None),
            ("fault.injected", "slow-link", "delay 50ms 10ms", 2, None),
            ("fault.injected", "rate", "rate 1mbit", 3, None),
            ("fault.injected", "hold", "hold", 4, None),
            ("fault.healed", "links", None, None, [2, 3]),
            ("fault.healed", "links", None, None, [1, 4]),
        ]


@cluster_test
def test_a_partition_and_links_are_two_layers_and_ps_counts_both(tmp_path: Path) -> None:
    with fake_cluster(tmp_path) as cluster:
        cluster.partition("1|2,3")
        cluster.link("2-3", "cut")
        status = cluster.status()
        assert [node.cut_off_from for node in status.nodes] == [[2, 3], [1, 3], [1, 2]]
        cluster.link("all", "ok")
        assert [node.cut_off_from for node in cluster.status().nodes] == [[2, 3], [1], [1]]
        cluster.link("2>3", "cut")
        cluster.partition("3|1,2")
        assert links(cluster) == {"1>3": "cut", "2>3": "cut", "3>1": "cut", "3>2": "cut"}
        assert cluster.heal() == ["partition 3|1,2", "links n2>n3"]
        assert links(cluster) == {}


@cluster_test
def test_a_request_that_cannot_be_met_changes_nothing(tmp_path: Path) -> None:
    with fake_cluster(tmp_path) as cluster:
        cluster.link("1>2", "delay 50ms")
        for where, words in [
            ("1>9", "cut"),
            ("1>1", "cut"),
            ("1>2>3", "cut"),
            ("1>2", "loss 150%"),
            ("1>2", "cut rate 0"),
            ("1>2", "frobnicate"),
        ]:
            with pytest.raises(UsageError) as refused:
                cluster.link(where, words)
            assert "\n" not in str(refused.value)
        cluster.set_links([LinkFault(source=1, target=2, delay_s=0.05)])
        with pytest.raises(UsageError, match="no link can do that"):
            cluster.set_links([LinkFault(source=1, target=3, rate=1.0)])
        with pytest.raises(LauncherError, match="in another group"):
            cluster.partition("1|leader")
        assert links(cluster) == {"1>2": "delay 50ms"}


@cluster_test
def test_two_operators_change_links_at_once_and_nothing_is_lost(tmp_path: Path) -> None:
    words = ["delay 50ms", "loss 5%", "duplicate 1%", "reorder 2%", "rate 1mbit", "hold"]
    with fake_cluster(tmp_path) as cluster:

        def change(word: str) -> list[int]:
            return cluster.link("1>2", word).unconfirmed

        with ThreadPoolExecutor(6) as operators:
            assert list(operators.map(change, words)) == [[]] * 6
        assert links(cluster) == {
            "1>2": "hold, delay 50ms, loss 5%, duplicate 1%, reorder 2%, rate 1mbit"
        }


@cluster_test
def test_a_node_that_is_paused_is_named_and_obeys_later(tmp_path: Path) -> None:
    with fake_cluster(tmp_path) as cluster:
        cluster.pause(2)
        assert cluster.link("1-2", "cut").unconfirmed == [2]
        assert cluster.unconfirmed == [2]
        cluster.partition("1,2|3")
        assert cluster.unconfirmed == [2]
        cluster.resume(2)
        cluster.link("1>3", "loss 5%")
        assert cluster.unconfirmed == []


@cluster_test
def test_heal_ends_everything_and_says_what(tmp_path: Path) -> None:
    with fake_cluster(tmp_path) as cluster:
        assert cluster.heal() == []
        assert faults(cluster) == []
        cluster.partition("1,2|3")
        cluster.link("all", "delay 50ms")
        cluster.clock("2,3", "rate 2")
        cluster.disk(1, fault="slow 10ms")
        cluster.arm(1, point="before-sync", action="pause")
        cluster.drop("1>2", "RequestVote")
        cluster.pause(3)
        cluster.kill(2)
        assert cluster.heal() == [
            "partition 1,2|3",
            "links n1>n2, n1>n3, n2>n1, n2>n3, n3>n1, n3>n2",
            "clock of n2, n3",
            "disk of n1",
            "point before-sync of n1",
            "drop n1>n2 RequestVote",
            "resumed n3",
        ]
        status = cluster.status()
        assert [node.state for node in status.nodes] == ["up", "down", "up"], "it starts nothing"
        assert [(node.clock, node.disk) for node in status.nodes] == [("", "")] * 3
        assert status.links == []
        assert cluster.drops() == []
        assert cluster.unconfirmed == []
        *_, resumed, healed = faults(cluster)
        assert resumed["targets"] == [3]
        assert healed["event"] == "fault.healed"
        assert len(healed["ids"]) == 5
        assert cluster.heal() == []


@cluster_test
def test_the_fault_of_a_link_ends_whose_node_was_removed_meanwhile(tmp_path: Path) -> None:
    """Its handle names the links that there were when it began."""
    with fake_cluster(tmp_path) as cluster:
        cluster.link("1>2", "cut")
        end = requests.ChangeLinks("", LinkChange(ends=["cut"]), [(1, 2), (1, 9), (9, 1)])
        reply = asking.ask(cluster.config, end, 10.0)
        assert [node.id for node in reply.chosen] == [1, 2]
        assert links(cluster) == {}


@cluster_test
def test_the_end_of_a_disks_fault_names_it_once_no_node_has_it(tmp_path: Path) -> None:
    with fake_cluster(tmp_path) as cluster:
        cluster.disk("1,2", fault="slow 10ms")
        cluster.disk(1, fault="ok")
        cluster.disk(2, fault="ok")
        injected, first, second = faults(cluster)
        assert (first["targets"], first.get("ids")) == ([1], None), "n2 still has it"
        assert (second["targets"], second["ids"]) == ([2], [injected["id"]])
