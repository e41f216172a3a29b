"""cluster.yaml: what it may say, what is refused and how, and that `render` undoes `load`."""

from __future__ import annotations

import os
import re
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from launcher.config import (
    LEAST_HEARTBEATS,
    MAX_FILE_BYTES,
    MAX_NODES,
    ClusterConfig,
    load,
    parse,
    parse_node_count,
    render,
)
from launcher.errors import ConfigError, UsageError
from launcher.settings import SECTIONS, SETTINGS
from tests.refused import refusal

ROOT = Path(__file__).parents[2]
FOLDER = Path("/somewhere")
NEST_IT = "write its parts on lines of their own, each indented below the other"


def parsed(text: str | bytes, name: str | None = None) -> ClusterConfig:
    """The config of a file that says `text`."""
    data = text if isinstance(text, bytes) else text.encode()
    return parse(data, source=FOLDER / "cluster.yaml", directory=FOLDER, name=name)


def refused_file(text: str | bytes) -> str:
    """The one line that the file is refused with, without its name: `LINE: the rest`."""
    message = refusal(ConfigError, parsed, text)
    assert len(message) < 1000
    prefix = f"{FOLDER}/cluster.yaml:"
    assert message.startswith(prefix)
    return message.removeprefix(prefix)


def saved(folder: Path, text: str) -> Path:
    path = folder / "cluster.yaml"
    path.write_text(text, encoding="utf-8", errors="surrogateescape")
    return path


# -- what it says --------------------------------------------------------------------------------


def test_an_empty_file_means_the_defaults() -> None:
    config = parsed("")

    assert config.name == "leeky"
    assert config.nodes == 5
    assert config.machine == "files"
    assert config.heartbeat_interval_s == 0.1
    assert (config.election_timeout_min_s, config.election_timeout_max_s) == (0.5, 1.0)
    assert config.failure_hint is True
    assert config.pre_vote is True
    assert config.reads == "read-index"
    assert config.entry_limit_bytes == config.append_limit_bytes == 1 << 20
    assert config.inflight_batches == 64
    assert config.inflight_bytes == config.segment_bytes == config.log_rotate_bytes == 8 << 20
    assert config.uncommitted_bytes == 64 << 20
    assert (config.restart_policy, config.restart_attempts) == ("on-failure", 5)
    assert config.restart_backoff_s == 0.2
    assert (config.log_level, config.log_keep, config.digest_every) == ("info", 16, 1000)
    assert config.client_timeout_s == 10.0
    assert (config.session_timeout_s, config.most_sessions) == (3600.0, 10_000)
    assert config.most_clients == 512


@pytest.mark.parametrize("text", ["# nothing\n", "---\n", "~", "raft:\nlimits:\n", "\ufeff"])
def test_a_file_that_sets_nothing_means_the_defaults(text: str) -> None:
    assert parsed(text) == parsed("")


def test_the_shipped_file_says_the_defaults(tmp_path: Path) -> None:
    shipped = load(ROOT / "cluster.yaml")
    defaults = load(directory=tmp_path)

    assert shipped.data_dir == ROOT / "data"
    assert shipped.log_dir == ROOT / "logs"
    elsewhere = {"data_dir": defaults.data_dir, "log_dir": defaults.log_dir}
    assert same(msgspec.structs.replace(shipped, **elsewhere), defaults)


def test_the_shipped_file_names_every_key_and_says_what_it_means() -> None:
    text = (ROOT / "cluster.yaml").read_text(encoding="utf-8")
    keys = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]

    assert len(keys) == len(SETTINGS) + len(SECTIONS) - 1
    for line in keys:
        assert line.endswith(":") or " # " in line or line.strip() in {"min: 500ms", "max: 1s"}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("150ms", 0.15), ("2s", 2.0), ("1m", 60.0), ("0.5s", 0.5), ("1.5 m", 90.0), ("1h", 3600.0)],
)
def test_durations_carry_a_unit(text: str, seconds: float) -> None:
    assert parsed(f"client: {{timeout: {text}}}").client_timeout_s == seconds


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [("8MiB", 8 << 20), ("512KiB", 512 << 10), ("1MB", 1_000_000), ("1.5 MiB", 3 << 19),
     ("5000B", 5000), ("20kB", 20_000), ("20KB", 20_000), ("1GiB", 1 << 30)],
)  # fmt: skip
def test_sizes_carry_a_unit(text: str, size_bytes: int) -> None:
    assert parsed(f"log: {{rotate: {text}}}").log_rotate_bytes == size_bytes


@pytest.mark.parametrize("text", ["on", "yes", "true", "True"])
def test_a_switch_is_on(text: str) -> None:
    assert parsed(f"raft: {{failure_hint: {text}}}").failure_hint is True


@pytest.mark.parametrize("text", ["off", "no", "false", "OFF"])
def test_a_switch_is_off(text: str) -> None:
    assert parsed(f"raft: {{failure_hint: {text}}}").failure_hint is False


def test_the_timescale_multiplies_raft_timings_and_no_others() -> None:
    plain, slow = parsed(""), parsed("timescale: 2.5")

    assert slow.timescale == 2.5
    assert slow.heartbeat_interval_s == pytest.approx(2.5 * plain.heartbeat_interval_s)
    assert slow.election_timeout_min_s == pytest.approx(2.5 * plain.election_timeout_min_s)
    assert slow.election_timeout_max_s == pytest.approx(2.5 * plain.election_timeout_max_s)
    assert slow.client_timeout_s == plain.client_timeout_s
    assert slow.restart_backoff_s == plain.restart_backoff_s


@pytest.mark.parametrize("machine", ["files", "kv", "my_kv", "package.module:Class", "m:C"])
def test_machines(machine: str) -> None:
    assert parsed(f"machine: {machine}").machine == machine


def test_an_alias_stands_for_what_it_names() -> None:
    config = parsed("limits: {entry: &size 2MiB, append: *size}")

    assert config.entry_limit_bytes == config.append_limit_bytes == 2 << 20


# -- where things are ----------------------------------------------------------------------------


def test_folders_are_relative_to_the_file() -> None:
    config = parsed("data: ../disk\nlogs: /var/tmp/logs")

    assert config.data_dir == Path("/disk")
    assert config.log_dir == Path("/var/tmp/logs")


def test_a_tilde_is_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/at/home")

    assert parsed("data: ~/disk").data_dir == Path("/at/home/disk")


def test_the_files_of_a_cluster() -> None:
    config = parsed("")

    assert config.node_data_dir(2) == FOLDER / "data/node-2"
    assert config.event_log(2) == FOLDER / "logs/node-2.jsonl"
    assert config.event_log(0) == FOLDER / "logs/supervisor.jsonl"
    assert config.timeline_file == FOLDER / "logs/timeline.jsonl"
    assert config.supervisor_stderr == FOLDER / "logs/supervisor.stderr"
    assert config.supervisor_lock == FOLDER / "data/supervisor.lock"
    assert config.supervisor_file == FOLDER / "data/supervisor.json"
    assert config.cluster_file == FOLDER / "data/cluster.json"


def test_another_name_has_folders_of_its_own() -> None:
    config = parsed("name: one", name="two")

    assert config.name == "two"
    assert config.data_dir == FOLDER / "data/two"
    assert config.log_dir == FOLDER / "logs/two"


def test_the_files_own_name_changes_nothing() -> None:
    assert parsed("name: one", name="one") == parsed("name: one")


@pytest.mark.parametrize("name", ["", "Two", "a/b", "..", "-x", "a" * 33, "ü", "two\n", "node-1"])
def test_names_that_no_cluster_has(name: str) -> None:
    """`node-1` is refused because data/node-1 is the folder of a node of the unnamed cluster."""
    with pytest.raises(UsageError, match="a cluster's name is"):
        parsed("", name=name)
    text = yaml.safe_dump({"name": name})
    assert refused_file(text).startswith("1: name: found ")


def test_the_nearest_file_upwards_is_used(tmp_path: Path) -> None:
    inner = tmp_path / "a/b/c"
    inner.mkdir(parents=True)
    saved(tmp_path, "nodes: 3")
    source = saved(tmp_path / "a", "nodes: 7")

    config = load(directory=inner)

    assert config.nodes == 7
    assert config.source == source
    assert config.data_dir == tmp_path / "a/data"


def test_here_is_where_it_looks_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved(tmp_path, "nodes: 7")
    monkeypatch.chdir(tmp_path)

    assert load().nodes == 7
    assert load(Path("cluster.yaml")) == load()


def test_without_a_file_everything_is_here(tmp_path: Path) -> None:
    config = load(directory=tmp_path, name="two")

    assert config.source is None
    assert config.data_dir == tmp_path / "data/two"
    assert config.log_dir == tmp_path / "logs/two"


# -- files that cannot be read -------------------------------------------------------------------


def load_error(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load(path)
    message = str(caught.value)
    assert message.isprintable()
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


def test_a_missing_file(tmp_path: Path) -> None:
    assert "no such config file; name another with -c" in load_error(tmp_path / "other.yaml")


def test_a_folder(tmp_path: Path) -> None:
    assert "this is a folder" in load_error(tmp_path)


def test_a_pipe_is_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    assert "no regular file" in load_error(tmp_path / "pipe")


def test_a_link_to_itself(tmp_path: Path) -> None:
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")

    assert "cannot be read: Too many levels" in load_error(tmp_path / "loop.yaml")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_without_permission(tmp_path: Path) -> None:
    saved(tmp_path, "").chmod(0)

    assert "cannot be read: Permission denied" in load_error(tmp_path / "cluster.yaml")


def test_a_file_that_is_far_too_long(tmp_path: Path) -> None:
    path = saved(tmp_path, "#" * (MAX_FILE_BYTES + 1))

    assert "longer than 64KiB" in load_error(path)


def test_a_current_folder_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()

    with pytest.raises(ConfigError, match="has been removed"):
        load()
    assert load(directory=tmp_path).nodes == 5


def test_messages_name_a_file_below_here_relatively(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sub").mkdir()
    saved(tmp_path / "sub", "nodes: 0")
    monkeypatch.chdir(tmp_path)

    with pytest.raises(ConfigError, match=r"^sub/cluster\.yaml:1: nodes: found 0, "):
        load(tmp_path / "sub/cluster.yaml")


# -- text that is refused ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"name: a\nlogs: \xff", "2: found the byte 0xff, expected UTF-8"),
        ("a: 1\n\tb: 2".encode("utf-16"), "1: found the byte 0xff, expected UTF-8"),
        ("nodes: 3\n\tname: x", r"2: not YAML: found character '\\t' that"),
        ("raft:\n\tfailure_hint: on", "2: not YAML: .*indent with spaces, not tabs"),
        ("name: 'x", "1: not YAML: found unexpected end of stream"),
        ("nodes: 3\nname: a: b", "2: not YAML: mapping values are not allowed here"),
        ("nodes: *five", "1: not YAML: found undefined alias 'five'"),
        ("---\n---\n", "2: not YAML: .*another document"),
        ("name: x\nlogs: \x1b[31m", r"2: found '\\x1b', which YAML does not allow"),
        ('data: "\\UFFFFFFFF"', "1: not YAML: found a number that is out of range"),
        ("%YAML " + "1" * 5000 + ".0\n---\n", "1: not YAML: found a number that is out of range"),
        ("- nodes: 3", "1: found a list, expected keys: name, nodes, "),
        ("\nnodes", "2: found 'nodes', expected keys: name, nodes, "),
        ("!!set {nodes}", "1: found a mapping, expected keys: "),
        ("raft: !mine {}", "1: raft: found a mapping with a tag, expected keys: "),
        ("raft: 5", "1: raft: found 5, expected keys: heartbeat_interval, election_timeout, "),
        ("[a]: 5", "1: found a list as a key, expected one of: name"),
    ],
)
def test_what_is_no_config(text: str | bytes, expected: str) -> None:
    assert re.match(expected, refused_file(text))


def test_nesting_is_bounded() -> None:
    with pytest.raises(ConfigError, match="nested too deeply"):
        parsed("raft: " + "[" * 20_000)


def test_an_anchor_bomb_is_not_expanded() -> None:
    """Nine levels of nine aliases: 387 million scalars, if anyone followed them."""
    levels = "".join(f", &{x} [{','.join(['*' + y] * 9)}]" for y, x in pairwise("abcdefghi"))

    assert refused_file(f"limits: [&a [lol]{levels}]").startswith("1: limits: found a list")


def test_a_mapping_inside_itself_is_not_followed() -> None:
    expected = "1: unknown key raft.election_timeout.election_timeout; "
    assert refused_file("raft: &r {election_timeout: *r}").startswith(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nodes: 3\nmachin: kv", "2: unknown key machin; did you mean machine?"),
        (
            "raft:\n  heartbeat_intervall: 1s",
            "2: unknown key raft.heartbeat_intervall; did you mean raft.heartbeat_interval?",
        ),
        ("failure_hint: on", "1: unknown key failure_hint; did you mean raft.failure_hint?"),
        ("raft: {min: 5s}", "1: unknown key raft.min; did you mean raft.election_timeout.min?"),
        (
            "raft:\n  election_timeout:\n    zebra: 5s",
            "3: unknown key raft.election_timeout.zebra; expected one of: min, max",
        ),
        ("raft.failure_hint: on", f"1: unknown key raft.failure_hint; {NEST_IT}"),
        (
            "log: {keep: 3}\n\nlog: {keep: 4}",
            "3: log: found twice, first in line 1; keep one of them",
        ),
        (
            "log:\n  keep: 3\n  keep: 3",
            "3: log.keep: found twice, first in line 2; keep one of them",
        ),
    ],
)
def test_keys_that_are_refused(text: str, expected: str) -> None:
    assert refused_file(text) == expected


@pytest.mark.parametrize("key", ['""', "<<", '"a\\nb"', "x" * 5000, "on", "5"])
def test_odd_keys(key: str) -> None:
    assert refused_file(f"? {key}\n: 5").startswith("1: unknown key ")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nodes: 0", "1: nodes: found 0, expected a whole number from 1 to 31"),
        ("nodes: 32", "1: nodes: found 32, expected a whole number from 1 to 31"),
        ("nodes: -1", "1: nodes: found -1, expected a whole number from 1 to 31"),
        ("nodes: five", "1: nodes: found 'five', expected a whole number from 1 to 31"),
        ("nodes: '5'", "1: nodes: found '5', expected a whole number from 1 to 31"),
        ("nodes: 5.0", "1: nodes: found 5.0, expected a whole number from 1 to 31"),
        ("nodes: 0x5", "1: nodes: found 0x5, expected a whole number from 1 to 31"),
        ("nodes: 0:5", "1: nodes: found '0:5', expected a whole number from 1 to 31"),
        ("nodes: 1:0", "1: nodes: found 1:0, expected a whole number from 1 to 31"),
        ("nodes:", "1: nodes: found nothing, expected a whole number from 1 to 31"),
        ("nodes: [5]", "1: nodes: found a list, expected a whole number from 1 to 31"),
        ("nodes: !mine 5", "1: nodes: found '5' with the tag '!mine', expected a whole number"),
        ("timescale: 0", "1: timescale: found 0, expected a number from 0.01 to 100"),
        ("timescale: .inf", "1: timescale: found .inf, expected a number from 0.01 to 100"),
        ("timescale: .nan", "1: timescale: found .nan, expected a number from 0.01 to 100"),
        ("timescale: 2x", "1: timescale: found '2x', expected a number from 0.01 to 100"),
        ("machine: a-b", "1: machine: found 'a-b', expected a machine's name or package.module"),
        ("machine: .m:C", "1: machine: found '.m:C', expected a machine's name"),
        ("data: ~", "1: data: found nothing, expected the path of a folder"),
        ("data: ''", "1: data: found '', expected the path of a folder"),
        ('data: "a\\0b"', "1: data: found 'a\\x00b', expected the path of a folder"),
        ('data: "\\ud800"', "1: data: found '\\ud800', expected the path of a folder"),
        (f"data: {'d' * 2000}", f"1: data: found '{'d' * 60}...', expected the path of a folder"),
        ("log: {level: loud}", "1: log.level: found 'loud', expected debug, info, warn or error"),
        ("restart: {policy: no}", "1: restart.policy: found no, expected on-failure or never"),
        ("raft: {failure_hint: maybe}", "1: raft.failure_hint: found 'maybe', expected on or off"),
        ("raft: {reads: stale}", "1: raft.reads: found 'stale', expected read-index or lease"),
        ("raft: {failure_hint: !!bool x}", "1: raft.failure_hint: found x, expected on or off"),
        ("limits:\n  entry: 100", "2: limits.entry: found 100, expected a size with a unit, such"),
        ("limits: {entry: 1mib}", "1: limits.entry: found '1mib', expected a size with a unit"),
        ("limits: {entry: 0B}", "1: limits.entry: found '0B', expected a size with a unit"),
        ("limits: {entry: -1KiB}", "1: limits.entry: found '-1KiB', expected a size with a unit"),
    ],
)  # fmt: skip
def test_values_that_are_refused(text: str, expected: str) -> None:
    assert refused_file(text).startswith(expected)


@pytest.mark.parametrize("text", ["100", "1.5", "ms", "5 minutes", "-1s", "0s", "2h", "1e3ms"])
def test_durations_that_are_refused(text: str) -> None:
    message = refused_file(f"\n\nclient:\n  timeout: {text}")

    assert message.startswith("4: client.timeout: found ")
    assert message.endswith("expected a duration with a unit, such as 150ms, 2s or 1m, "
                            "from 10ms to 1h")  # fmt: skip


# -- settings that contradict each other ---------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line_and_key", "rule"),
    [
        ("raft: {heartbeat_interval: 2s}", "1: raft.heartbeat_interval: ", "at most 1/3 of"),
        ("\nraft:\n  election_timeout:\n    min: 299ms", "4: raft.election_timeout.min: ", "1/3"),
        ("raft: {election_timeout: {min: 1s}}", "1: raft.election_timeout.min: ", "split votes"),
        ("raft: {election_timeout: {max: 400ms}}", "1: raft.election_timeout.max: ", "below max"),
        ("raft: {heartbeat_interval: 9ms}\ntimescale: 0.1", "2: timescale: ", "at least 1ms"),
        ("limits: {append: 9MiB}", "1: limits.append: ", "at most limits.inflight"),
        ("limits: {inflight: 512KiB}", "1: limits.inflight: ", "at most limits.inflight"),
        ("limits: {uncommitted: 1023KiB}", "1: limits.uncommitted: ", "at most limits.uncommitted"),
        ("limits: {entry: 4097KiB}", "1: limits.entry: ", "half of storage.segment"),
        ("storage: {segment: 1MiB}", "1: storage.segment: ", "half of storage.segment"),
        ("data: x\nlogs: x", "2: logs: ", "must not be inside data"),
        ("logs: data/logs", "1: logs: ", "must not be inside data"),
        ("data: .", "1: data: ", "must not be inside data"),
    ],
)
def test_contradictions_are_refused(text: str, line_and_key: str, rule: str) -> None:
    message = refused_file(text)

    assert message.startswith(line_and_key)
    assert rule in message


def test_the_bounds_of_the_cross_checks_are_allowed() -> None:
    at_most = (
        f"raft: {{heartbeat_interval: 100ms, election_timeout: {{min: {LEAST_HEARTBEATS}00ms}}}}"
    )

    assert parsed(at_most).election_timeout_min_s == pytest.approx(0.3)
    assert parsed("limits: {entry: 4MiB}").entry_limit_bytes == 4 << 20
    assert parsed("limits: {append: 8MiB}").append_limit_bytes == 8 << 20


# -- how many nodes ------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 5, MAX_NODES])
def test_node_counts(count: int) -> None:
    assert parse_node_count(str(count)) == count


@pytest.mark.parametrize("text", ["0", "-1", "five", "200", "32", "", " 5", "5.0", "٣", "9" * 5000])
def test_node_counts_that_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"a cluster has 1 to 31 nodes, not '") as caught:
        parse_node_count(text)
    assert len(str(caught.value)) < 200
    assert caught.value.exit_status == 2


# -- there and back ------------------------------------------------------------------------------


def reloaded(config: ClusterConfig, folder: Path) -> ClusterConfig:
    """What `load` makes of `render`."""
    return load(saved(folder, render(config)))


def same(one: ClusterConfig, other: ClusterConfig) -> bool:
    """The same is in force, whether a file said so or nobody did."""
    said_by_nobody = {"source": None, "machine_named": False}
    return msgspec.structs.replace(one, **said_by_nobody) == msgspec.structs.replace(
        other, **said_by_nobody
    )


def test_whether_the_file_names_the_machine_is_known() -> None:
    assert parsed("machine: files").machine_named
    assert not parsed("nodes: 3").machine_named


def test_rendered_defaults_load_again(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    config = load(directory=elsewhere, name="other")

    assert same(reloaded(config, tmp_path), config)


def test_it_says_where_it_came_from(tmp_path: Path) -> None:
    assert render(load(directory=tmp_path)).startswith("# In force: the built-in defaults\n")
    path = saved(tmp_path, "")
    assert render(load(path)).startswith(f"# In force: from '{path}'\n")


def test_units_are_those_that_people_write() -> None:
    text = render(parsed("timescale: 0.3\nclient: {timeout: 90s}\nlog: {rotate: 1.5MiB}"))

    assert "timescale: 0.3\n" in text
    assert "  heartbeat_interval: 100ms  # with the timescale: 30ms\n" in text
    assert "    max: 1s  # with the timescale: 300ms\n" in text
    assert "  timeout: 90s\n" in text
    assert "  rotate: 1536KiB\n" in text
    assert "  failure_hint: on\n" in text


@pytest.mark.parametrize("folder", ['a "b" \\c', "a\nb", "ü 日 🦭", "a: b # c", "\udcff"])
def test_odd_folders_survive(folder: str, tmp_path: Path) -> None:
    config = parse(b"name: '5'", source=None, directory=FOLDER / folder)

    assert same(reloaded(config, tmp_path), config)


def quantities(least: str, most: str, units: list[str]) -> st.SearchStrategy[str]:
    numbers = st.decimals(Decimal(least), Decimal(most), places=3)
    return st.builds(lambda number, unit: f"{number:f}{unit}", numbers, st.sampled_from(units))


settings = st.fixed_dictionaries(
    {
        "name": st.from_regex(r"[a-z0-9][a-z0-9_]{0,31}", fullmatch=True),
        "nodes": st.integers(1, MAX_NODES),
        "timescale": st.floats(0.1, 100).map(lambda number: round(number, 6)),
        "raft": st.fixed_dictionaries(
            {
                "heartbeat_interval": quantities("10", "50", ["ms"]),
                "election_timeout": st.fixed_dictionaries(
                    {
                        "min": quantities("0.15", "0.9", ["s"]),
                        "max": quantities("1", "5", ["s", "m"]),
                    }
                ),
                "failure_hint": st.booleans(),
                "pre_vote": st.booleans(),
                "reads": st.sampled_from(["read-index", "lease"]),
            }
        ),
        "limits": st.fixed_dictionaries({"entry": quantities("1", "1000", ["KiB", "kB"])}),
        "client": st.fixed_dictionaries({"timeout": quantities("10", "900", ["ms", "s"])}),
        "log": st.fixed_dictionaries({"rotate": quantities("5", "900", ["KiB", "MB"])}),
    }
)


@given(settings)
def test_whatever_is_accepted_renders_to_the_same(document: dict[str, object]) -> None:
    config = parsed(yaml.safe_dump(document))

    again = parse(render(config).encode(), source=config.source, directory=FOLDER / "other")

    assert same(again, config)


# -- any text at all -----------------------------------------------------------------------------

KEYS = [key.rpartition(".")[2] for key in (*SETTINGS, *SECTIONS)]
VALUES = ["on", "5", "100ms", "8MiB", "~", "'", '"', "|", ">", "\\x", "\\UFFFFFFFF"]
MARKS = ["&a", "*a", "!!bool", "!!null", "!x", "<<", "- ", ": ", "?", "{", "}", "[", "]", ","]
LINES = ["\n", "\n  ", "\n    ", "#", "%", "\t", "---", "...", "\x85", "\ufeff"]
words = st.sampled_from([*SETTINGS, *KEYS, *VALUES, *MARKS, *LINES])
yaml_like = st.lists(words | st.text(max_size=5), max_size=30).map("".join)
documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=4),
    max_leaves=12,
).map(lambda document: yaml.safe_dump(document, allow_unicode=True))


@given(yaml_like | documents | st.text() | st.binary())
def test_any_text_is_a_config_or_a_config_error(text: str | bytes) -> None:
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    try:
        config = parse(data, source=FOLDER / "cluster.yaml", directory=FOLDER)
    except ConfigError as error:
        said = str(error)
        assert said.isprintable()
        assert said.startswith("/somewhere/cluster.yaml")
    else:
        assert 1 <= config.nodes <= MAX_NODES
