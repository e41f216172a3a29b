"""cluster.yaml: what a cluster is made of, validated once.

`load` finds the file, reads it, refuses what makes no sense, and returns a `ClusterConfig`: plain
numbers in seconds and bytes, absolute paths, every default filled in. Nothing after it checks a
setting again, and nothing but this module and `launcher/settings.py` knows that there is YAML.

The file is never turned into Python objects at large. It is composed into YAML's own nodes, which
know their line, and only known keys are followed into them. So a tag constructs nothing, an alias
is never expanded, and every refusal is one line: file, line, the key's path, what was found, and
what is allowed.

Durations are written with a unit (`150ms`, `2s`, `1m`) and held to the microsecond, sizes too
(`8MiB`, `1MB`). `timescale` multiplies the durations under `raft`, and no others.
`render` is the inverse of `load`: what is in force, as YAML that `load` accepts again.
"""

from __future__ import annotations

import difflib
import os
import re
import stat
from pathlib import Path
from typing import Any, Literal

import msgspec
import yaml

from launcher.errors import ConfigError, UsageError
from launcher.settings import (
    BOOL,
    FLOAT,
    INT,
    MAP,
    MAX_NODES,
    NAME_EXPECTED,
    NULL,
    SECTIONS,
    SETTINGS,
    STR,
    is_cluster_name,
)

__all__ = [
    "FILE_NAME",
    "LEAST_HEARTBEATS",
    "MAX_FILE_BYTES",
    "MAX_NODES",
    "ClusterConfig",
    "load",
    "parse",
    "parse_node_count",
    "render",
]

FILE_NAME = "cluster.yaml"
MAX_FILE_BYTES = 64 << 10
"""No sensible cluster.yaml is longer; it bounds what a hostile one can cost."""

LEAST_HEARTBEATS = 3
"""Heartbeats in the shortest election timeout: losing two in a row starts no election (§5.2)."""

_MICROSECONDS = 1_000_000


class ClusterConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What is in force for one cluster. `_s` is seconds, timescale applied; `_bytes` is bytes.

    data_dir, log_dir: absolute, the `-p NAME` subfolder included
    session_timeout_s, most_sessions: of the cluster's identity (`launcher/supervisor/claim.py`)
    restart_attempts: starts in a row that may fail before a node is given up
    machine_named: whether cluster.yaml names the machine; else data that exists says which it is
    digest_every: the running hash of what was applied is logged at indexes divisible by it
    slow_s: an apply or a query of the machine that takes so long is told of
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
    reads: Literal["read-index", "lease"]
    entry_limit_bytes: int
    append_limit_bytes: int
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
    client_timeout_s: float
    machine_named: bool = False
    source: Path | None = None

    def node_data_dir(self, node: int) -> Path:
        """The folder of one node's write-ahead log."""
        return self.data_dir / f"node-{node}"

    def event_log(self, node: int) -> Path:
        """The event log that a node is writing; node 0 is the supervisor."""
        return self.log_dir / (f"node-{node}.jsonl" if node else "supervisor.jsonl")

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
    source = start if path is not None else _find(start)
    if source is None:
        return parse(b"", source=None, directory=start, name=name)
    return parse(_read(source), source=source, directory=source.parent, name=name)


def parse(
    data: bytes, *, source: Path | None, directory: Path, name: str | None = None
) -> ClusterConfig:
    """The config that `data` (UTF-8 YAML) says; `source` is only its name in messages.

    directory: absolute; relative paths in `data` start there. Raises as `load` does.
    """
    file = _File(_shown_path(source))
    nodes: dict[str, yaml.Node] = {}
    lines: dict[str, int] = {}
    root = _compose(data, file)
    if root is not None:
        _collect(root, "", root.start_mark.line + 1, nodes, lines, file)
    values: dict[str, Any] = {}
    for key, setting in SETTINGS.items():
        node = nodes.get(key, setting.default)
        try:
            values[key] = setting.read(node)
        except ValueError:
            problem = f"found {_found(node)}, expected {setting.expected}"
            raise file.error(lines[key], key, problem) from None
    _cross_check(values, lines, file)
    return _assemble(values, lines, file, directory, name, source)


def parse_node_count(text: str) -> int:
    """The number of nodes in `text`; raises UsageError unless it is 1 to MAX_NODES."""
    if re.fullmatch(r"[0-9]{1,9}", text) and 1 <= int(text) <= MAX_NODES:
        return int(text)
    raise UsageError(f"a cluster has 1 to {MAX_NODES} nodes, not {_shown(text)}")


def render(config: ClusterConfig) -> str:
    """What is in force, as YAML. `load` reads it to an equal config, but for who said so: its
    `source`, and that it names the machine."""
    origin = "the built-in defaults" if config.source is None else f"from {_shown(config.source)}"
    lines = [f"# In force: {origin}"]
    section: list[str] = []
    for key, setting in SETTINGS.items():
        *parents, leaf = key.split(".")
        for depth, parent in enumerate(parents):
            if section[: depth + 1] != parents[: depth + 1]:
                lines.append(f"{'  ' * depth}{parent}:")
        section = parents
        value = getattr(config, setting.field)
        if setting.is_duration:
            value = round(value * _MICROSECONDS / _scale(key, config.timescale))
        lines.append(f"{'  ' * len(parents)}{leaf}: {setting.write(value)}")
    return "\n".join(lines) + "\n"


# -- the file ------------------------------------------------------------------------------------


class _File(msgspec.Struct, frozen=True):
    """The file as it is named in messages."""

    shown: str

    def error(self, line: int | None, key: str, problem: str) -> ConfigError:
        place = self.shown if line is None else f"{self.shown}:{line}"
        return ConfigError(": ".join(part for part in (place, key, problem) if part))


def _find(directory: Path) -> Path | None:
    for folder in (directory, *directory.parents):
        if os.path.lexists(folder / FILE_NAME):
            return folder / FILE_NAME
    return None


def _read(source: Path) -> bytes:
    file = _File(_shown_path(source))
    try:
        if not stat.S_ISREG(source.stat().st_mode):
            what = "a folder" if source.is_dir() else "no regular file"
            raise file.error(None, "", f"this is {what}; name the YAML file itself with -c")
        with source.open("rb") as opened:
            data = opened.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        hint = "name another with -c, or leave -c out"
        raise file.error(None, "", f"no such config file; {hint}") from None
    except OSError as error:
        raise file.error(None, "", f"cannot be read: {error.strerror or error}") from None
    if len(data) > MAX_FILE_BYTES:
        raise file.error(None, "", f"longer than {MAX_FILE_BYTES >> 10}KiB: not a cluster.yaml")
    return data


def _compose(data: bytes, file: _File) -> yaml.Node | None:
    """The root node, or None for a file without any."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        found = f"the byte 0x{data[error.start]:02x}"
        raise file.error(line, "", f"found {found}, expected UTF-8; save it as UTF-8") from None
    loader = None
    try:
        loader = yaml.SafeLoader(text)
        root: yaml.Node | None = loader.get_single_node()
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        found = _shown(text[error.position])
        raise file.error(line, "", f"found {found}, which YAML does not allow") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = _one_line(error.problem or error.context or "it does not parse")
        if "'\\t'" in problem:
            problem += "; indent with spaces, not tabs"
        raise file.error(mark.line + 1 if mark else None, "", f"not YAML: {problem}") from None
    except RecursionError:
        raise file.error(None, "", "nested too deeply; three levels are enough") from None
    except (ValueError, OverflowError):
        # The scanner lets int() and chr() raise: a huge %YAML version, "\UFFFFFFFF".
        line = loader.line + 1 if loader else 1
        raise file.error(line, "", "not YAML: found a number that is out of range") from None
    return root


def _collect(
    node: yaml.Node,
    section: str,
    line: int,
    nodes: dict[str, yaml.Node],
    lines: dict[str, int],
    file: _File,
) -> None:
    """Gathers the nodes of known keys in `section`, by path, and the line of every key."""
    if isinstance(node, yaml.ScalarNode) and node.tag == NULL:
        return  # a section whose every key is commented out
    allowed = ", ".join(SECTIONS[section])
    if not isinstance(node, yaml.MappingNode) or node.tag != MAP:
        raise file.error(line, section, f"found {_found(node)}, expected keys: {allowed}")
    for key_node, value in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            problem = f"found {_found(key_node)} as a key, expected one of: {allowed}"
            raise file.error(line, section, problem)
        if key_node.value not in SECTIONS[section]:
            raise file.error(line, "", _unknown_key(str(key_node.value), section))
        key = _path(section, key_node.value)
        if key in lines:
            problem = f"found twice, first in line {lines[key]}; keep one of them"
            raise file.error(line, key, problem)
        lines[key] = line
        if key in SETTINGS:
            nodes[key] = value
        else:
            _collect(value, key, line, nodes, lines, file)


def _path(section: str, key: str) -> str:
    return f"{section}.{key}" if section else key


def _unknown_key(key: str, section: str) -> str:
    """Says what was probably meant: a key of this section, or one of that name elsewhere."""
    unknown = f"unknown key {_path(section, _shown(key)[1:-1])}"
    if _path(section, key) in SETTINGS:
        return f"{unknown}; write its parts on lines of their own, each indented below the other"
    siblings = {_path(section, child): child for child in SECTIONS[section]}
    anywhere = {path: path.rpartition(".")[2] for path in (*SETTINGS, *SECTIONS) if path}
    for leaves in (siblings, anywhere):
        near = difflib.get_close_matches(key[:64], leaves.values(), 1)
        if near:
            meant = next(path for path, leaf in leaves.items() if leaf == near[0])
            return f"{unknown}; did you mean {meant}?"
    return f"{unknown}; expected one of: {', '.join(SECTIONS[section])}"


# -- what no key alone can get wrong -------------------------------------------------------------


def _cross_check(values: dict[str, Any], lines: dict[str, int], file: _File) -> None:
    """Refuses settings that contradict each other, at a line of one that the file sets."""
    heartbeat = "raft.heartbeat_interval"
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
            blamed = next(key for key in keys if key in lines)
            found = " and ".join(f"{key} {SETTINGS[key].write(values[key])}" for key in keys)
            raise file.error(lines[blamed], blamed, f"found {found}; {rule}")


def _assemble(
    values: dict[str, Any],
    lines: dict[str, int],
    file: _File,
    directory: Path,
    name: str | None,
    source: Path | None,
) -> ClusterConfig:
    """Puts values into fields: seconds, scaled timings, absolute folders, `-p NAME`."""
    data_dir, log_dir = (Path(os.path.abspath(directory / values[k])) for k in ("data", "logs"))
    if log_dir == data_dir or data_dir in log_dir.parents:
        blamed = "logs" if "logs" in lines else "data"
        problem = "logs must not be inside data: removing the data must leave the logs"
        raise file.error(lines[blamed], blamed, f"found {_shown(values[blamed])}; {problem}")
    if name is not None and name != values["name"]:
        if not is_cluster_name(name):
            raise UsageError(f"a cluster's name is {NAME_EXPECTED}; found {_shown(name)}")
        data_dir, log_dir = data_dir / name, log_dir / name
        values["name"] = name
    fields: dict[str, Any] = {"source": source, "machine_named": "machine" in lines}
    for key, setting in SETTINGS.items():
        fields[setting.field] = values[key]
        if setting.is_duration:
            seconds = values[key] * _scale(key, values["timescale"]) / _MICROSECONDS
            fields[setting.field] = seconds
    fields |= {"data_dir": data_dir, "log_dir": log_dir}
    return msgspec.convert(fields, ClusterConfig)


def _scale(key: str, timescale: float) -> float:
    return timescale if key.startswith("raft.") else 1.0


# -- what a message shows ------------------------------------------------------------------------


def _found(node: yaml.Node) -> str:
    """A node in a few words, never followed into."""
    if not isinstance(node, yaml.ScalarNode):
        kind = "a mapping" if isinstance(node, yaml.MappingNode) else "a list"
        return kind if node.tag.startswith("tag:yaml.org,2002:") else f"{kind} with a tag"
    if node.tag == NULL:
        return "nothing"
    shown = _shown(node.value)
    if node.tag == STR:
        return shown
    if node.tag in (BOOL, FLOAT, INT):
        return shown[1:-1]
    return f"{shown} with the tag {_shown(node.tag)}"


def _one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _shown(text: object) -> str:
    """In quotes, on one line, and not too long."""
    whole = str(text)
    return repr(whole if len(whole) <= 200 else whole[:60] + "...")


def _shown_path(source: Path | None) -> str:
    """Relative when it is below the current folder."""
    if source is None:
        return "the built-in defaults"
    try:
        shown = os.path.relpath(source)
    except OSError:  # the current folder has been removed
        shown = ".."
    return _one_line(str(source) if shown.startswith("..") else shown)
