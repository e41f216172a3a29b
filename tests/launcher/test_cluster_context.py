"""`Cluster` in a `with`, and across a fork: what ends, and what is left alone. Over fake nodes."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import msgspec
import psutil
import pytest

from launcher.cluster import Cluster
from launcher.errors import LauncherError
from launcher.folders import lock
from tests.launcher.fake_cluster import (
    FakeCluster,
    all_gone,
    config_in,
    fake_cluster,
    script,
    until,
)


@pytest.mark.cluster
def test_leaving_a_context_ends_only_what_entering_it_began(tmp_path: Path) -> None:
    with fake_cluster(tmp_path) as running:
        pid = running.record().pid
        for other in (
            Cluster.attach(running.config),
            Cluster(config=running.config),
            Cluster(3, machine="files", config=running.config),
            running,  # it has started the cluster, but not by being entered
        ):
            with other as entered:
                assert entered.status().supervisor_pid == pid
            assert running.record().pid == pid
        running.down()
        with running, running:  # the outer one begins it
            assert running.status().leader == 1
        assert not lock.is_locked(running.config)


@pytest.mark.cluster
def test_a_cluster_that_is_not_what_was_asked_for_is_not_used(tmp_path: Path) -> None:
    with fake_cluster(tmp_path) as running:
        config = running.config
        named = msgspec.structs.replace(config, machine="kv", machine_named=True)
        for other, wanted in (
            (FakeCluster(5, config=config), "5 nodes"),
            (FakeCluster(machine="kv", config=config), "the machine kv"),
            (FakeCluster(config=named), "the machine kv"),
            (FakeCluster(5, machine="kv", config=config), "5 nodes, the machine kv"),
            (FakeCluster(config=config, fresh=True), "empty data"),
        ):
            with pytest.raises(
                LauncherError,
                match=rf"3 nodes with the machine files runs here already .*\({wanted}\).*attach",
            ):
                other.__enter__()
            assert running.status().leader == 1


@pytest.mark.cluster
def test_leaving_a_context_leaves_alone_what_came_after(tmp_path: Path) -> None:
    """Within it the cluster was taken down, and another was begun, by others or detached."""
    with fake_cluster(tmp_path, start=False) as other:
        with FakeCluster(3, config=other.config) as mine:
            mine.down()
            pid = other.up().supervisor_pid
        assert other.record().pid == pid
        other.down()
        with FakeCluster(3, config=other.config) as mine:
            mine.down()
            pid = mine.up(detached=True).supervisor_pid
        assert other.record().pid == pid


@pytest.mark.cluster
def test_a_forked_child_neither_ends_a_cluster_nor_keeps_it(tmp_path: Path) -> None:
    """One child leaves the context that it was forked in; another outlives its parent."""
    running = script(
        tmp_path,
        """
        import os, sys, time
        with FakeCluster(3) as cluster:
            child = os.fork()
            if not child:
                sys.exit(0)
            os.waitpid(child, 0)
            print(cluster.status().leader, flush=True)
            lives_on = os.fork()
            if not lives_on:
                time.sleep(60)
            print(lives_on, flush=True)
            time.sleep(60)
        """,
    )
    assert running.stdout is not None
    assert running.stdout.readline() == "1\n"
    child = psutil.Process(int(running.stdout.readline()))
    with fake_cluster(tmp_path, start=False) as cluster:
        processes = cluster.processes()

        running.kill()

        try:
            until(lambda: all_gone(processes), "everything to be gone")
            assert child.is_running()
        finally:
            child.kill()
            running.communicate()
        (stopped,) = cluster.events("supervisor.stopped")
        assert stopped["reason"] == "the launcher has gone"


@pytest.mark.cluster
def test_a_fork_while_a_supervisor_starts_keeps_nothing_of_it(tmp_path: Path) -> None:
    """A child that is forked by another thread, and lives on, holds no pipe of the supervisor's."""
    running = script(
        tmp_path,
        """
        import os, subprocess, threading, time, warnings
        # Python 3.12 and later warn of what is tried here.
        warnings.simplefilter("ignore", DeprecationWarning)
        starting, forked = threading.Event(), threading.Event()
        popen = subprocess.Popen

        def slow_popen(*arguments, **options):
            starting.set()
            forked.wait(1.0)
            return popen(*arguments, **options)

        def fork():
            starting.wait()
            child = os.fork()
            if not child:
                time.sleep(60)
                os._exit(0)
            forked.set()
            print(child, flush=True)

        subprocess.Popen = slow_popen
        thread = threading.Thread(target=fork)
        thread.start()
        FakeCluster(3).up()
        thread.join()
        os._exit(0)
        """,
    )
    assert running.stdout is not None
    child = psutil.Process(int(running.stdout.readline()))
    try:
        with fake_cluster(tmp_path, start=False) as cluster:
            until(lambda: running.poll() is not None, "the parent to end")
            until(lambda: not lock.is_locked(cluster.config), "the cluster to go down")
        assert child.is_running()
    finally:
        child.kill()
        running.communicate()


def test_a_forked_child_holds_no_lock_of_its_parent(tmp_path: Path) -> None:
    config = config_in(tmp_path)
    config.data_dir.mkdir()
    with lock.locked(config):
        child = os.fork()
        if not child:
            time.sleep(60)
            os._exit(0)
    try:
        assert not lock.is_locked(config)
        with lock.locked(config):
            pass
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
