"""What each command prints and with which status it ends, and what bad input gets."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cluster.lab import PATIENCE_S, Lab, eventually

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> object:
    """A cluster of three that is only talked to, never broken."""
    lab = Lab(tmp_path_factory.mktemp("shared"), "name: shared\nmachine: journal\n")
    try:
        lab.up(3)
        yield lab
    finally:
        lab.close()


def one_line(text: str) -> bool:
    return len(text.strip().splitlines()) == 1


# -- without a cluster ----------------------------------------------------------------------------


@pytest.mark.parametrize("count", ["0", "-1", "five", "200"])
def test_an_impossible_number_of_nodes(lab: Lab, count: str) -> None:
    done = lab.launcher("up", "-d", *(["--"] if count.startswith("-") else []), count)
    assert done.status == 2
    assert one_line(done.err)
    assert not (lab.folder / "data").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["ps"],
        ["kill", "leader"],
        ["submit", "ADD x"],
        ["read", "LS"],
        ["partition", "1|2"],
        ["heal"],
        ["disk", "leader", "hang"],
        ["wait", "--leader"],
        ["repl"],
        ["watch"],
        ["down"],
    ],
)
def test_commands_without_a_cluster_say_so(lab: Lab, words: list[str]) -> None:
    done = lab.launcher(*words)
    assert done.status == 3
    assert one_line(done.err)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["frobnicate"], "no command 'frobnicate'"),
        (["stauts"], "did you mean status"),
        (["up", "3", "-d", "--machine", "nonsense"], "files, journal, kv"),
        (["up", "3", "-d", "--machine", "no.such.module:Thing"], "no.such"),
        (["up", "3", "-d", "--timeout", "-1"], "timeout"),
        (["ps", "--frob"], "--frob"),
        (["kill"], "TARGET"),
        (["timeline", "--since", "yesterday-ish"], "since"),
        (["timeline", "--level", "loud"], "level"),
        (["-c", "nowhere.yaml", "config"], "nowhere.yaml"),
    ],
)
def test_bad_words_get_one_line_and_status_2(lab: Lab, words: list[str], says: str) -> None:
    done = lab.launcher(*words)
    assert done.status == 2, done.err
    assert one_line(done.err)
    assert says in done.err


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ("raft:\n  heartbeat_interval: 2s\n", "raft.heartbeat_interval"),
        ("nodse: 5\n", "nodes"),
        ("nodes: many\n", "nodes"),
    ],
)
def test_a_bad_config_is_refused_with_key_and_line(lab: Lab, settings: str, says: str) -> None:
    (lab.folder / "cluster.yaml").write_text(settings)
    for words in (["config"], ["up", "3", "-d"]):
        done = lab.launcher(*words)
        assert done.status == 2
        assert one_line(done.err)
        assert says in done.err
        assert "cluster.yaml:" in done.err or "line" in done.err


def test_config_prints_what_it_accepts(lab: Lab) -> None:
    shown = lab.launcher("config", check=True).out
    (lab.folder / "again.yaml").write_text(shown)
    assert (
        lab.launcher("-c", "again.yaml", "config", check=True).out.splitlines()[1:]
        == (shown.splitlines()[1:])
    )
    assert lab.launcher("config", "--json", check=True).json["nodes"] == 5


def test_every_command_has_help(lab: Lab) -> None:
    assert "up" in lab.launcher("--help", check=True).out
    assert lab.launcher("help", check=True).out == lab.launcher("--help", check=True).out
    assert lab.launcher("help", "kill", check=True).out.startswith("Usage: launcher kill")
    alone = lab.launcher()
    assert alone.status == 2
    assert "Break it and mend it:" in alone.err
    for name in ("up", "ps", "kill", "submit", "timeline", "repl"):
        assert lab.launcher(name, "--help", check=True).out.startswith("Usage")


# -- data directories -----------------------------------------------------------------------------


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only for root")
def test_a_read_only_data_folder(lab: Lab) -> None:
    data = lab.folder / "data"
    data.mkdir()
    data.chmod(0o500)
    try:
        done = lab.launcher("up", "3", "-d")
        assert done.status in (1, 2)
        assert one_line(done.err)
        assert "data" in done.err
    finally:
        data.chmod(0o700)


def test_a_data_folder_that_is_a_file(lab: Lab) -> None:
    (lab.folder / "data").write_text("no folder")
    done = lab.launcher("up", "3", "-d")
    assert done.status in (1, 2)
    assert one_line(done.err)
    assert (lab.folder / "data").read_text() == "no folder"


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="needs a small file system")
def test_another_clusters_node_folder_is_refused(
    lab: Lab, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = Lab(tmp_path_factory.mktemp("other"))
    try:
        other.up(3)
        other.launcher("submit", "ADD theirs", check=True)
        other.launcher("down", check=True)
    finally:
        other.close()
    lab.up(3)
    lab.launcher("submit", "ADD ours", check=True)
    lab.launcher("down", check=True)
    shutil.rmtree(lab.folder / "data" / "node-2")
    shutil.copytree(other.folder / "data" / "node-2", lab.folder / "data" / "node-2")
    done = lab.launcher("up", "3", "-d", "--timeout", "10", check=True)
    assert "lab: n2 is failed: " in done.err
    assert "another cluster" in done.err or "belongs to" in done.err
    assert lab.launcher("read", "LS", check=True).out.splitlines() == ["ours"]
    assert lab.node(2)["state"] == "failed"


def test_two_nodes_folders_swapped_are_refused(lab: Lab) -> None:
    lab.up(3)
    lab.launcher("down", check=True)
    data = lab.folder / "data"
    (data / "node-1").rename(data / "x")
    (data / "node-2").rename(data / "node-1")
    (data / "x").rename(data / "node-2")
    done = lab.launcher("up", "3", "-d", "--timeout", "10")
    assert done.status == 1
    assert "node" in done.err


def test_another_size_or_machine_than_the_datas_is_refused(lab: Lab) -> None:
    lab.up(3)
    lab.launcher("down", check=True)
    for words in (["up", "5", "-d"], ["up", "3", "-d", "--machine", "kv"]):
        done = lab.launcher(*words)
        assert done.status in (1, 2)
        assert one_line(done.err)
        assert "--fresh" in done.err
    lab.launcher("up", "5", "-d", "--fresh", check=True)
    assert len(lab.ps()["nodes"]) == 5


# -- entries --------------------------------------------------------------------------------------

AWKWARD = [
    "plain",
    "two words",
    " blanks around ",
    "quotes \"double\" and 'single'",
    "ünïcödé — 漢字 🌱",
    "a new\nline",
    "tab\tand \x1b[31mescape",
    "--looks-like-an-option",
    ":looks-like-a-command",
    "-",
    "$HOME `ls` \\ %s {} ;",
]


@pytest.mark.parametrize("entry", AWKWARD)
def test_an_entry_arrives_as_it_was(shared: Lab, entry: str) -> None:
    """Pitfall 20."""
    said = shared.launcher("submit", "--json", "--", entry, check=True) if entry != "-" else None
    if said is None:
        said = shared.launcher("submit", "--json", "-", stdin="-\n", check=True)
    assert said.json["entry"] == entry
    position = int(said.json["result"].split()[-1])
    assert shared.launcher("read", f"GET {position}", check=True).out == entry + "\n"


def test_binary_entries_arrive_as_they_were(shared: Lab) -> None:
    entry = bytes(range(1, 256)).replace(b"\n", b"")
    said = shared.launcher("submit", "--json", "-", stdin=entry + b"\n", check=True)
    position = int(said.json["result"].split()[-1])
    done = shared.launcher("read", f"GET {position}", check=True)
    assert done.out.encode("utf-8", "surrogateescape") == entry + b"\n"


def test_an_empty_entry(shared: Lab) -> None:
    done = shared.launcher("submit", "")
    assert done.status == 2
    assert one_line(done.err)


def test_an_entry_over_the_limit_loses_nothing(shared: Lab) -> None:
    before = shared.launcher("read", "COUNT", check=True).out
    done = shared.launcher("submit", "-", stdin=b"x" * (2 << 20) + b"\n")
    assert done.status == 2
    assert one_line(done.err)
    assert "1048576" in done.err or "1 MiB" in done.err or "1MiB" in done.err
    assert shared.launcher("read", "COUNT", check=True).out == before
    big = shared.launcher("submit", "--json", "-", stdin=b"y" * (1 << 20) + b"\n", check=True)
    assert big.json["ok"]


def test_lines_keep_their_order_and_each_has_its_index(shared: Lab) -> None:
    lines = [f"line {n}" for n in range(3000)]
    done = shared.launcher("submit", "-", "--json", stdin="\n".join(lines), check=True)
    said = [json.loads(line) for line in done.lines]
    assert [one["entry"] for one in said] == lines
    indexes = [one["index"] for one in said]
    assert indexes == sorted(set(indexes))
    assert set(said[0]) == {
        "entry", "ok", "result", "error", "index", "term", "leader", "latency_ms",
    }  # fmt: skip


def test_slow_input_is_answered_line_by_line(shared: Lab) -> None:
    """Pitfall 10: nothing waits for the end of the input."""
    process = shared.spawn("submit", "-", stdin=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    for number in range(3):
        process.stdin.write(b"slow %d\n" % number)
        process.stdin.flush()
        assert process.stdout.readline()
    process.stdin.close()
    assert process.wait(PATIENCE_S) == 0
    process.stdout.close()
    assert process.stderr is not None
    process.stderr.close()


def test_a_reader_that_has_seen_enough_is_no_error(shared: Lab) -> None:
    lines = "\n".join(f"x {n}" for n in range(2000))
    process = shared.spawn("submit", "-", stdin=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdin.write(lines.encode())
    process.stdin.close()
    process.stdout.readline()
    process.stdout.close()
    process.wait(PATIENCE_S)
    assert b"Traceback" not in process.stderr.read()
    process.stderr.close()


def test_an_entry_the_machine_refuses_is_committed_and_explained(lab: Lab) -> None:
    lab.up(1)
    done = lab.launcher("submit", "NONSENSE", "--json")
    assert done.status == 1
    assert "ADD" in done.last_error
    assert done.json["ok"] is False
    assert done.json["index"] > 0


# -- targets --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ["kill", "9"],
        ["kill", "n0"],
        ["kill", "everyone"],
        ["kill", "1", "-s", "SIGNOTHING"],
        ["partition", "1,2|2,3"],
        ["partition", "1|9"],
        ["partition", ""],
        ["read", "--node", "9", "COUNT"],
        ["disk", "1", "burn"],
        ["disk", "1", "slow"],
        ["disk", "1", "slow", "soon"],
        ["disk", "9", "hang"],
        ["disk", "slow", "20ms"],
        ["disk", "hang"],
    ],
)
def test_bad_targets(shared: Lab, words: list[str]) -> None:
    done = shared.launcher(*words)
    assert done.status == 2, done.err
    assert one_line(done.err)
    assert [node["state"] for node in shared.ps()["nodes"]] == ["up"] * 3


def test_ps_json_is_the_contract(shared: Lab) -> None:
    status = shared.ps()
    assert {"cluster", "supervisor_pid", "leader", "term", "nodes"} <= set(status)
    assert {
        "id", "state", "role", "term", "leader", "voter", "first_index", "last_index",
        "commit_index", "applied_index", "snapshot_index", "pid", "restarts", "uptime_s",
        "cpu_percent", "rss_bytes",
    } <= set(status["nodes"][0])  # fmt: skip
    assert shared.launcher("status", "--json", check=True).json["cluster"] == "shared"


def test_ps_is_a_table(shared: Lab) -> None:
    lines = shared.launcher("ps", check=True).lines
    assert lines[0].split()[:5] == ["node", "state", "role", "term", "leader"]
    assert [line.split()[0] for line in lines[1:4]] == ["n1", "n2", "n3"]


def test_stale_reads_come_from_any_node(shared: Lab) -> None:
    shared.launcher("submit", "something", check=True)
    shared.converge()
    for node in ("1", "2", "3"):
        done = shared.launcher("read", "--stale", "--node", node, "COUNT", "--json", check=True)
        assert done.json["leader"] in (1, 2, 3)
        assert int(done.json["result"]) > 0


def test_wait_fails_at_once_when_it_cannot_come_about(lab: Lab) -> None:
    lab.up(3)
    lab.launcher("kill", "1", "2", check=True)
    done = lab.launcher("wait", "--leader", "--timeout", "60", timeout_s=PATIENCE_S)
    assert done.status == 1
    assert "n1" in done.last_error
    assert "n2" in done.last_error


def test_wait_times_out(shared: Lab) -> None:
    done = shared.launcher("wait", "--commit", "999999999", "--timeout", "0.3")
    assert done.status == 4


def test_several_clusters_side_by_side(lab: Lab) -> None:
    lab.launcher("-p", "east", "up", "1", "-d", check=True)
    lab.launcher("up", "1", "-d", "-p", "west", check=True)
    try:
        lab.launcher("submit", "ADD e", "-p", "east", check=True)
        assert lab.launcher("-p", "east", "read", "LS", check=True).lines == ["e"]
        assert lab.launcher("-p", "west", "read", "LS", check=True).lines == []
        assert lab.launcher("ps").status == 3
    finally:
        for name in ("east", "west"):
            lab.launcher("-p", name, "down", "-v")


def test_the_users_own_machine(lab: Lab) -> None:
    (lab.folder / "counting.py").write_text(
        "class Counter:\n"
        "    total = 0\n"
        "    def apply(self, index, command):\n"
        "        self.total += int(command)\n"
        "        return b'%d' % self.total\n"
        "    def query(self, request):\n"
        "        return b'%d' % self.total\n"
        "    def snapshot(self):\n"
        "        yield b'%d' % self.total\n"
        "    def restore(self, chunks):\n"
        "        self.total = int(b''.join(chunks))\n"
    )
    lab.up(3, "--machine", "counting:Counter")
    lab.launcher("submit", "40", "2", check=True)
    assert lab.launcher("read", "total", check=True).out == "42\n"


def test_a_machine_that_breaks_stops_its_nodes_and_ps_says_why(lab: Lab) -> None:
    (lab.folder / "breaking.py").write_text(
        "class Breaking:\n"
        "    def apply(self, index, command):\n"
        "        raise RuntimeError('broken machine')\n"
        "    def query(self, request):\n"
        "        return b''\n"
        "    def snapshot(self):\n"
        "        yield b''\n"
        "    def restore(self, chunks):\n"
        "        pass\n"
    )
    lab.up(3, "--machine", "breaking:Breaking")
    assert lab.launcher("submit", "x", "--timeout", "3").status == 4
    eventually(lambda: any(n["state"] == "failed" for n in lab.ps()["nodes"]), "a node has failed")
    reasons = " ".join(node["reason"] for node in lab.ps()["nodes"])
    assert "broken machine" in reasons


def test_repl_from_a_pipe_runs_each_line(shared: Lab) -> None:
    done = shared.launcher("repl", stdin="an entry\n:ps --json\n\n:wait --leader\n")
    assert done.status == 0, done.err
    assert '"cluster": "shared"' in done.out
    done = shared.launcher("repl", stdin=":nonsense\nanother entry\n")
    assert done.status == 2
    assert "nonsense" in done.err
    assert done.out


def test_ctrl_c_in_the_middle_of_a_submit(shared: Lab) -> None:
    process = shared.spawn("submit", "-", stdin=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"before\n")
    process.stdin.flush()
    assert process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert b"Traceback" not in err
    shared.launcher("submit", "after", check=True)


# -- what is said ---------------------------------------------------------------------------------


def test_the_hint_about_quotes_comes_only_where_no_word_was_taken(lab: Lab) -> None:
    hint = "of several words needs quotes around it"
    lab.up(1, "--machine", "kv")
    for words, hinted in (
        (["SET", "a", "1"], True),
        (["SET a 1", "GET b"], False),
        (["GET b"], False),
        (["KEYS", "nonsense"], False),
    ):
        done = lab.launcher("submit", *words)
        assert done.status == 1
        assert (f"one entry {hint}" in done.last_error) is hinted, done.err
    assert f"one query {hint}" in lab.launcher("read", "GET", "a").last_error
    assert hint not in lab.launcher("read", "GET b").err


def test_up_again_needs_no_machine(lab: Lab) -> None:
    """The data says which it is, unless cluster.yaml or the command line says another."""
    lab.up(3, "--machine", "kv")
    lab.launcher("submit", "SET a 1", check=True)
    lab.launcher("down", check=True)
    lab.launcher("up", "-d", check=True)
    assert lab.launcher("read", "GET a", check=True).out == "1\n"
    lab.launcher("down", check=True)

    refused = lab.launcher("up", "-d", "--machine", "files")
    assert refused.status == 1
    assert "belongs to the machine kv: `up --machine kv`, or --fresh" in refused.last_error
    refused = lab.launcher("up", "5", "-d", "--machine", "files")
    assert "a cluster of 3 nodes with the machine kv: `up 3 --machine kv`" in refused.last_error
    (lab.folder / "cluster.yaml").write_text("name: lab\nmachine: files\n")
    refused = lab.launcher("up", "-d")
    assert refused.status == 1
    assert "belongs to the machine kv" in refused.last_error
    lab.launcher("up", "-d", "--machine", "kv", check=True)
    lab.launcher("down", check=True)
    lab.launcher("up", "-d", "--fresh", check=True)
    assert lab.launcher("submit", "ADD a", check=True).out.endswith("added\n")


def test_a_killed_supervisor_was_not_taken_down(lab: Lab) -> None:
    running = lab.spawn("up", "3")
    eventually(lambda: lab.launcher("wait", "--leader").status == 0, "a leader")
    lab.remember()
    os.kill(lab.ps()["supervisor_pid"], signal.SIGKILL)
    _, said = running.communicate(timeout=PATIENCE_S)

    assert running.returncode == 1
    last = said.decode().strip().splitlines()[-1]
    assert re.search(
        r"the supervisor \(pid \d+\) was ended by SIGKILL, and its nodes with it", last
    )

    running = lab.spawn("up", "3")
    eventually(lambda: lab.launcher("wait", "--leader").status == 0, "a leader")
    lab.launcher("down", check=True)
    _, said = running.communicate(timeout=PATIENCE_S)
    assert running.returncode == 1
    assert said.decode().strip().endswith("another process has stopped the cluster")


def test_kill_beside_a_supervisor_that_is_stopped(lab: Lab) -> None:
    lab.up(3)
    pid = lab.ps()["supervisor_pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        done = lab.launcher("kill", "1", timeout_s=20)
        assert done.status == 1
        assert one_line(done.err)
        assert f"`kill -CONT {pid}` lets it go on" in done.err
    finally:
        os.kill(pid, signal.SIGCONT)
    assert lab.node(1)["state"] == "up"


@pytest.mark.parametrize("command", ["start", "restart"])
def test_a_node_that_ends_a_moment_after_its_start(lab: Lab, command: str) -> None:
    """It answers, and dies of an entry in its log: the cluster's commit index reaches it later."""
    (lab.folder / "fuse.py").write_text(
        "from node.machines.journal import Journal\n\n\n"
        "class Fuse(Journal):\n"
        "    def apply(self, index, command):\n"
        "        if command == b'blow':\n"
        "            raise RuntimeError('the fuse has blown')\n"
        "        return super().apply(index, command)\n"
    )
    (lab.folder / "cluster.yaml").write_text(
        "name: lab\nmachine: fuse:Fuse\nrestart:\n  policy: never\n"
    )
    lab.up(3)
    lab.launcher("submit", "well", check=True)
    assert lab.launcher("submit", "blow", "--timeout", "2").status == 4
    # Each leader dies of it in turn, as long as there is a quorum that can elect one.
    eventually(
        lambda: [node["state"] for node in lab.ps()["nodes"]].count("failed") == 2, "two to fail"
    )

    done = lab.launcher(command, "all")
    assert done.status == 1
    assert one_line(done.err)
    assert re.search(r"n[123] ended a moment after it was started: .*the fuse has blown", done.err)


def test_nodes_that_are_well_are_started_without_a_word(lab: Lab) -> None:
    lab.up(3)
    lab.launcher("submit", "ADD a", check=True)
    lab.launcher("kill", "all", check=True)
    done = lab.launcher("start", "all")
    assert (done.status, done.err) == (0, "")
    applied = {node["applied_index"] for node in lab.ps()["nodes"]}
    assert applied == {3}, "the last is the no-op of the new leader"
    lab.launcher("kill", "majority", check=True)
    lab.launcher("kill", "all", check=True)
    assert lab.launcher("start", "1", check=True).out.startswith("started n1")


def test_a_line_without_end_is_refused_before_its_end(lab: Lab) -> None:
    lab.up(1)
    running = lab.spawn("submit", "-", stdin=subprocess.PIPE)
    assert running.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        running.stdin.write(b"ADD a\n" + b"x" * (3 << 20))
        running.stdin.flush()
    assert running.wait(PATIENCE_S) == 2, "while its input is still open"
    assert running.stdout is not None
    assert running.stderr is not None
    assert running.stdout.read().endswith(b"added\n")
    assert b"an entry of more than 1048576 bytes is over the limit" in running.stderr.read()
    for pipe in (running.stdin, running.stdout, running.stderr):
        with contextlib.suppress(BrokenPipeError):
            pipe.close()
