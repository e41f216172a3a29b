"""What an operator changes in a cluster that runs, over nodes that speak the control protocol."""

from __future__ import annotations

from pathlib import Path

import pytest

from launcher.cluster import Cluster
from launcher.control.steering import Unconfirmed
from launcher.errors import LauncherError, UsageError
from launcher.folders import runtime_files
from tests.launcher.fake_cluster import fake_cluster, until

pytestmark = pytest.mark.cluster


def test_a_setting_is_changed_and_whoever_uses_the_cluster_sees_it(tmp_path: Path) -> None:
    with fake_cluster(tmp_path) as cluster:
        changed = cluster.set("timescale", 20)
        assert (changed.key, changed.before, changed.after) == ("timescale", "1", "20")
        assert changed.unconfirmed == []
        other = Cluster(config=cluster.config)
        assert other.settings().election_timeout_min_s == 10.0
        assert cluster.settings().answer_timeout_s == 200.0
        (event,) = cluster.events("setting.changed")
        assert (event["setting"], event["before"], event["after"]) == ("timescale", "1", "20")
        assert not cluster.set("pre-vote", False).unconfirmed
        assert cluster.settings().timescale == 20
        assert not cluster.settings().pre_vote
    assert cluster.settings().timescale == 1, "it is down: cluster.yaml counts again"


def test_a_paused_node_has_not_confirmed_it(tmp_path: Path) -> None:
    with fake_cluster(tmp_path) as cluster:
        cluster.pause(2)
        cluster.kill(3)
        assert cluster.set("log-level", "debug").unconfirmed == [Unconfirmed(2, "paused")]
        cluster.resume(2)
        assert cluster.set("log-level", "info").unconfirmed == []


def test_a_setting_that_is_refused_changes_nothing(tmp_path: Path) -> None:
    with fake_cluster(tmp_path, reads="lease") as cluster:
        with pytest.raises(LauncherError, match="stays as it is while the cluster runs"):
            cluster.set("timescale", 2)
        with pytest.raises(UsageError, match="timescale is a number from"):
            cluster.set("timescale", "many")
        with pytest.raises(UsageError, match="there is no setting 'colour'"):
            cluster.set("colour", "red")
        assert cluster.settings() == cluster.config
        assert not cluster.events("setting.changed")


def test_the_settings_in_force_are_written_again_when_they_are_removed(tmp_path: Path) -> None:
    with fake_cluster(tmp_path) as cluster:
        cluster.set("timescale", 5)
        file = cluster.record().runtime_dir / runtime_files.SETTINGS_FILE
        file.unlink()
        until(file.exists, "the settings to be written again")
        assert cluster.settings().timescale == 5


def test_what_is_to_be_lost_is_listed_until_links_are_healed(tmp_path: Path) -> None:
    with fake_cluster(tmp_path) as cluster:
        (one,) = cluster.drop("n1>n2", "requestvote")
        assert (one.source, one.target, one.type, one.count) == (1, 2, "RequestVote", 1)
        several = cluster.drop("leader>followers", "heartbeat", count=2)
        assert [(drop.source, drop.target, drop.count) for drop in several] == [
            (1, 2, 2),
            (1, 3, 2),
        ]
        assert cluster.drop("1>2", "RequestVote") == [one]
        assert [(drop.target, drop.type, drop.count) for drop in cluster.drops()] == [
            (2, "RequestVote", 2),
            (2, "heartbeat", 2),
            (3, "heartbeat", 2),
        ]
        cluster.heal()
        assert cluster.drops() == []


def test_a_link_that_is_none_is_refused(tmp_path: Path) -> None:
    with fake_cluster(tmp_path) as cluster:
        with pytest.raises(UsageError, match="from one node to another, not to itself"):
            cluster.drop("2>2", "RequestVote")
        with pytest.raises(UsageError, match="there is no node 9"):
            cluster.drop("2>9", "RequestVote")
        assert cluster.drops() == []


def test_a_node_that_cannot_campaign_is_named(tmp_path: Path) -> None:
    with fake_cluster(tmp_path) as cluster:
        cluster.pause(2)
        cluster.kill(3)
        with pytest.raises(LauncherError, match="n2 is paused, and campaigns for nothing"):
            cluster.time_out(2)
        with pytest.raises(LauncherError, match="n3 is not running, and campaigns for nothing"):
            cluster.time_out("n3")
        cluster.resume(2)
        with pytest.raises(LauncherError, match="n2 does not answer"):
            cluster.time_out(2)  # it speaks no Raft
        with pytest.raises(UsageError, match="there is no node 9"):
            cluster.time_out(9)
