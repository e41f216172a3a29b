"""cluster.yaml: what a cluster is made of, validated once.

`load` finds the file, reads it, refuses what makes no sense, and returns a `ClusterConfig`: plain
numbers in seconds and bytes, absolute paths, every default filled in. Nothing after it checks a
setting again, and nothing but this module and `launcher/settings.py` knows that there is YAML.

How the file is read, and what a refusal says, stands in `launcher/config_file.py`.

Durations are written with a unit (`150ms`, `2s`, `1m`) and held to the microsecond, sizes too
(`8MiB`, `1MB`). `timescale` multiplies the durations under `raft`, and no others. What waits for
elections and messages waits `ClusterConfig.patience` times as long.
`render` is the inverse of `load`: what is in force, as YAML that `load` accepts again.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Literal

import msgspec
import yaml

from launcher.config_file import (
    FILE_NAME,
    MAX_FILE_BYTES,
    ConfigFile,
    collect,
    compose,
    find_file,
    in_words,
    quoted,
    read_file,
    shown_path,
)
from launcher.errors import ConfigError, UsageError
from launcher.settings import (
    MAX_NODES,
    NAME_EXPECTED,
    SETTINGS,
    is_cluster_name,
)

__all__ = [
    "FILE_NAME",
    "LEAST_HEARTBEATS",
    "MAX_FILE_BYTES",
    "MAX_NODES",
    "ClusterConfig",
    "contradiction",
    "fields_of",
    "load",
    "parse",
    "parse_node_count",
    "render",
    "value_of",
]

LEAST_HEARTBEATS = 3
"""Heartbeats in the shortest election timeout: losing two in a row starts no election (§5.2)."""

LEAST_TRIPS = 4
"""Delays of a message in the shortest election timeout: a request and its reply take two, and the
heartbeat that ends the election a third."""

TAP_FOLDER = "tap"
"""In the folder of the logs."""

_MICROSECONDS = 1_000_000


class ClusterConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What is in force for one cluster. `_s` is seconds, timescale applied; `_bytes` is bytes.

    data_dir, log_dir: absolute, the `-p NAME` subfolder included
    session_timeout_s, most_sessions: of the cluster's identity (`launcher/supervisor/claim.py`)
    restart_attempts: starts in a row that may fail before a node is given up
    machine_named: whether cluster.yaml names the machine; else data that exists says which it is
    digest_every: the running hash of what was applied is logged at indexes divisible by it
    tap_mode, tap_segment_bytes, tap_keep_bytes: how nodes record their messages (`node/tap/`)
    slow_s: an apply or a query of the machine that takes so long is told of
    safety: what is done when a promise of Raft turns out to be broken: every node is frozen, or it
        is only said
    source: the file that it came from, or None for the built-in defaults
    """

    name: str
    nodes: int
    machine: str
    data_dir: Path
    log_dir: Path
    timescale: float
    heartbeat_interval_s: float
    election_timeout_min_s: float
    election_timeout_max_s: float
    failure_hint: bool
    pre_vote: bool
    message_delay_s: float
    reads: Literal["read-index", "lease"]
    entry_limit_bytes: int
    append_limit_bytes: int
    chunk_limit_bytes: int
    inflight_batches: int
    inflight_bytes: int
    uncommitted_bytes: int
    most_clients: int
    session_timeout_s: float
    most_sessions: int
    segment_bytes: int
    snapshot_log_bytes: int
    snapshot_entries: int
    snapshot_trailing_bytes: int
    restart_policy: Literal["on-failure", "never"]
    restart_attempts: int
    restart_backoff_s: float
    log_level: Literal["debug", "info", "warn", "error"]
    log_rotate_bytes: int
    log_keep: int
    digest_every: int
    slow_s: float
    safety: Literal["freeze", "report"]
    tap_mode: Literal["off", "ring", "full"]
    tap_segment_bytes: int
    tap_keep_bytes: int
    client_timeout_s: float
    machine_named: bool = False
    source: Path | None = None

    @property
    def patience(self) -> float:
        """How many times as long as with the default timers to wait for an election, or an answer.

        At least 1: nodes whose timers are faster than the default are not faster at their work.
        """
        return max(1.0, self.timescale)

    @property
    def answer_timeout_s(self) -> float:
        """How long a client waits for an answer: `client.timeout`, at the pace of the timers."""
        return self.client_timeout_s * self.patience

    def node_data_dir(self, node: int) -> Path:
        """The folder of one node's write-ahead log."""
        return self.data_dir / f"node-{node}"

    def event_log(self, node: int) -> Path:
        """The event log that a node is writing; node 0 is the supervisor."""
        return self.log_dir / (f"node-{node}.jsonl" if node else "supervisor.jsonl")

    @property
    def tap_folder(self) -> Path:
        """The records of messages that the nodes write."""
        return self.log_dir / TAP_FOLDER

    @property
    def timeline_file(self) -> Path:
        """All event logs, merged into one order."""
        return self.log_dir / "timeline.jsonl"

    @property
    def supervisor_stderr(self) -> Path:
        """Whatever a process of the cluster printed."""
        return self.log_dir / "supervisor.stderr"

    @property
    def supervisor_lock(self) -> Path:
        """Locked (flock) by the living supervisor: that, and no pid, says who is running."""
        return self.data_dir / "supervisor.lock"

    @property
    def supervisor_file(self) -> Path:
        """Who the supervisor is, and where its sockets are."""
        return self.data_dir / "supervisor.json"

    @property
    def cluster_file(self) -> Path:
        """The identity that the cluster was given at its first start."""
        return self.data_dir / "cluster.json"


# -- the door ------------------------------------------------------------------------------------


def load(
    path: Path | None = None, *, name: str | None = None, directory: Path | None = None
) -> ClusterConfig:
    """Reads `path`, or cluster.yaml in `directory` (default: here) or in a parent folder of it.

    Without such a file the built-in defaults hold, with `data/` and `logs/` in `directory`.
    name: the cluster's name, if not the file's; then its files are in data/NAME and logs/NAME

    Raises ConfigError when the file cannot be used, UsageError when `name` is no cluster's name.
    """
    try:
        start = Path(os.path.abspath(path or directory or "."))
    except FileNotFoundError:
        raise ConfigError("the current folder has been removed: go to another one") from None
    source = start if path is not None else find_file(start)
    if source is None:
        return parse(b"", source=None, directory=start, name=name)
    return parse(read_file(source), source=source, directory=source.parent, name=name)


def parse(
    data: bytes, *, source: Path | None, directory: Path, name: str | None = None
) -> ClusterConfig:
    """The config that `data` (UTF-8 YAML) says; `source` is only its name in messages.

    directory: absolute; relative paths in `data` start there. Raises as `load` does.
    """
    file = ConfigFile(shown_path(source))
    nodes: dict[str, yaml.Node] = {}
    lines: dict[str, int] = {}
    root = compose(data, file)
    if root is not None:
        collect(root, "", root.start_mark.line + 1, nodes, lines, file)
    values: dict[str, Any] = {}
    for key, setting in SETTINGS.items():
        node = nodes.get(key, setting.default)
        try:
            values[key] = setting.read(node)
        except ValueError:
            problem = f"found {in_words(node)}, expected {setting.expected}"
            raise file.error(lines[key], key, problem) from None
    _cross_check(values, lines, file)
    return _assemble(values, lines, file, directory, name, source)


def parse_node_count(text: str) -> int:
    """The number of nodes in `text`; raises UsageError unless it is 1 to MAX_NODES."""
    if re.fullmatch(r"[0-9]{1,9}", text) and 1 <= int(text) <= MAX_NODES:
        return int(text)
    raise UsageError(f"a cluster has 1 to {MAX_NODES} nodes, not {quoted(text)}")


def render(config: ClusterConfig, *, is_running: bool = False) -> str:
    """What is in force, as YAML. `load` reads it to an equal config, but for who said so: its
    `source`, and that it names the machine. is_running: it is in force in a cluster that runs."""
    origin = "the built-in defaults" if config.source is None else f"from {quoted(config.source)}"
    if is_running:
        origin = f"in the cluster that runs. For the next `up`: {origin}"
    lines = [f"# In force: {origin}"]
    section: list[str] = []
    for key, setting in SETTINGS.items():
        *parents, leaf = key.split(".")
        for depth, parent in enumerate(parents):
            if section[: depth + 1] != parents[: depth + 1]:
                lines.append(f"{'  ' * depth}{parent}:")
        section = parents
        value = value_of(config, key)
        lines.append(f"{'  ' * len(parents)}{leaf}: {setting.write(value)}{_paced(config, key)}")
    return "\n".join(lines) + "\n"


def _paced(config: ClusterConfig, key: str) -> str:
    """What the timescale makes of a duration, as a comment; nothing where it changes nothing."""
    setting = SETTINGS[key]
    if not setting.is_duration:
        return ""
    is_answer = key == "client.timeout"
    paced_s = config.answer_timeout_s if is_answer else getattr(config, setting.field)
    paced = round(paced_s * _MICROSECONDS)
    if paced == value_of(config, key):
        return ""
    return f"  # with the timescale: {setting.write(paced)}"


def value_of(config: ClusterConfig, key: str) -> Any:
    """The value of a key, as `Setting.read` gives it: durations in microseconds, not scaled."""
    setting = SETTINGS[key]
    value = getattr(config, setting.field)
    if setting.is_duration:
        return round(value * _MICROSECONDS / _scale(key, config.timescale))
    return value


def fields_of(values: dict[str, Any]) -> dict[str, Any]:
    """The fields of `ClusterConfig` that these values fill: durations in seconds, and scaled.

    values: of keys, as `Setting.read` gives them; `timescale` among them
    """
    fields: dict[str, Any] = {}
    for key, value in values.items():
        setting = SETTINGS[key]
        if setting.is_duration:
            value = value * _scale(key, values["timescale"]) / _MICROSECONDS
        fields[setting.field] = value
    return fields


# -- what no key alone can get wrong -------------------------------------------------------------


def contradiction(values: dict[str, Any]) -> tuple[tuple[str, ...], str] | None:
    """The first settings that contradict each other, by their keys, and why; None when none do.

    values: of all keys, as `Setting.read` gives them
    """
    heartbeat, delay = "raft.heartbeat_interval", "raft.message_delay"
    shortest, longest = "raft.election_timeout.min", "raft.election_timeout.max"
    rules = [
        (
            values[heartbeat] * LEAST_HEARTBEATS <= values[shortest],
            (heartbeat, shortest),
            f"the heartbeat must be at most 1/{LEAST_HEARTBEATS} of the shortest election timeout",
        ),
        (
            values[shortest] < values[longest],
            (shortest, longest),
            "min must be below max, for equal timeouts split votes without end (§9.3)",
        ),
        (
            values[delay] * LEAST_TRIPS <= values[shortest],
            (delay, shortest),
            f"a message may take 1/{LEAST_TRIPS} of the shortest election timeout (§5.6)",
        ),
        (
            values[heartbeat] * values["timescale"] >= 1000,
            ("timescale", heartbeat),
            "their product must be at least 1ms",
        ),
        (
            values["limits.append"] <= values["limits.inflight"],
            ("limits.append", "limits.inflight"),
            "limits.append must be at most limits.inflight",
        ),
        (
            values["limits.entry"] <= values["limits.uncommitted"],
            ("limits.entry", "limits.uncommitted"),
            "limits.entry must be at most limits.uncommitted, or it could never be submitted",
        ),
        (
            values["limits.entry"] * 2 <= values["storage.segment"],
            ("limits.entry", "storage.segment"),
            "limits.entry must be at most half of storage.segment",
        ),
    ]
    for holds, keys, rule in rules:
        if not holds:
            found = " and ".join(f"{key} {SETTINGS[key].write(values[key])}" for key in keys)
            return keys, f"found {found}; {rule}"
    return None


def _cross_check(values: dict[str, Any], lines: dict[str, int], file: ConfigFile) -> None:
    """Refuses settings that contradict each other, at a line of one that the file sets."""
    found = contradiction(values)
    if found is not None:
        keys, problem = found
        blamed = next(key for key in keys if key in lines)
        raise file.error(lines[blamed], blamed, problem)


def _assemble(
    values: dict[str, Any],
    lines: dict[str, int],
    file: ConfigFile,
    directory: Path,
    name: str | None,
    source: Path | None,
) -> ClusterConfig:
    """Puts values into fields: seconds, scaled timings, absolute folders, `-p NAME`."""
    data_dir, log_dir = (Path(os.path.abspath(directory / values[k])) for k in ("data", "logs"))
    if log_dir == data_dir or data_dir in log_dir.parents:
        blamed = "logs" if "logs" in lines else "data"
        problem = "logs must not be inside data: removing the data must leave the logs"
        raise file.error(lines[blamed], blamed, f"found {quoted(values[blamed])}; {problem}")
    if name is not None and name != values["name"]:
        if not is_cluster_name(name):
            raise UsageError(f"a cluster's name is {NAME_EXPECTED}; found {quoted(name)}")
        data_dir, log_dir = data_dir / name, log_dir / name
        values["name"] = name
    fields = fields_of(values)
    fields |= {"source": source, "machine_named": "machine" in lines}
    fields |= {"data_dir": data_dir, "log_dir": log_dir}
    return msgspec.convert(fields, ClusterConfig)


def _scale(key: str, timescale: float) -> float:
    return timescale if key.startswith("raft.") else 1.0
