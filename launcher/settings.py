"""The keys of cluster.yaml: what each may say, its default, and the field that it fills.

`SETTINGS` is the whole of it, one row a key. A row reads its value from a YAML node, so that the
text is still the user's own (YAML takes `0x10` and `1:30` for integers; nobody means them), and
writes a value back as text. `node/quantities.py` reads and writes durations and sizes.

What two keys together can get wrong stands in `launcher/config.py`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import yaml

from node.events import LEVELS
from node.quantities import parse_duration_us, parse_size, write_duration_us, write_size

MAX_NODES = 31

BOOL, FLOAT, INT, MAP, NULL, STR = (
    f"tag:yaml.org,2002:{kind}" for kind in ("bool", "float", "int", "map", "null", "str")
)
NAME_EXPECTED = "up to 32 of a-z, 0-9, _ and -, the first a letter or digit, and not node-N"

_WORD = r"[A-Za-z_][A-Za-z0-9_]*"


class Setting(msgspec.Struct, frozen=True):
    """One key: the field of `ClusterConfig` that it fills, and how its value is read and written.

    expected: what is allowed, in words
    read: the value of a node; raises ValueError for anything that is not `expected`
    write: the value's text in YAML; the inverse of `read`
    is_duration: the value is in microseconds, and its field in seconds
    """

    field: str
    default: yaml.ScalarNode
    expected: str
    read: Callable[[yaml.Node], Any]
    write: Callable[[Any], str]
    is_duration: bool = False


def is_cluster_name(text: str) -> bool:
    """Whether a cluster may be called so. With `-p` its folder stands beside those of the nodes."""
    return bool(re.fullmatch("[a-z0-9][a-z0-9_-]{0,31}", text)) and not re.fullmatch(
        "node-[0-9]+", text
    )


def _is_machine(text: str) -> bool:
    return bool(re.fullmatch(rf"{_WORD}|{_WORD}(\.{_WORD})*:{_WORD}", text))


# -- reading and writing text --------------------------------------------------------------------


def _scalar(node: yaml.Node, *tags: str) -> str:
    if not isinstance(node, yaml.ScalarNode) or node.tag not in tags:
        raise ValueError
    return str(node.value)


def _matching(pattern: str, text: str) -> str:
    if not re.fullmatch(pattern, text):
        raise ValueError
    return text


def _within(value: Any, least: Any, most: Any) -> Any:
    if not least <= value <= most:
        raise ValueError
    return value


# -- kinds of settings ---------------------------------------------------------------------------


def _duration(field: str, default: str, least: str, most: str) -> Setting:
    low, high = parse_duration_us(least), parse_duration_us(most)
    return Setting(
        field,
        yaml.ScalarNode(STR, default),
        f"a duration with a unit, such as 150ms, 2s or 1m, from {least} to {most}",
        lambda node: _within(parse_duration_us(_scalar(node, STR)), low, high),
        write_duration_us,
        is_duration=True,
    )


def _size(field: str, default: str, least: str, most: str) -> Setting:
    low, high = parse_size(least), parse_size(most)
    return Setting(
        field,
        yaml.ScalarNode(STR, default),
        f"a size with a unit, such as 512KiB, 8MiB or 1MB, from {least} to {most}",
        lambda node: _within(parse_size(_scalar(node, STR)), low, high),
        write_size,
    )


def _count(field: str, default: int, least: int, most: int) -> Setting:
    def read(node: yaml.Node) -> Any:
        return _within(int(_matching("0|[1-9][0-9]{0,8}", _scalar(node, INT))), least, most)

    expected = f"a whole number from {least} to {most}"
    return Setting(field, yaml.ScalarNode(INT, str(default)), expected, read, str)


def _factor(field: str, default: str, least: float, most: float) -> Setting:
    def read(node: yaml.Node) -> Any:
        pattern = r"[0-9]{1,9}(\.[0-9]{0,30})?|\.[0-9]{1,30}"
        return _within(float(_matching(pattern, _scalar(node, INT, FLOAT))), least, most)

    def write(value: float) -> str:
        return f"{Decimal(repr(value)):f}".removesuffix(".0")

    expected = f"a number from {least:g} to {most:g}"
    return Setting(field, yaml.ScalarNode(INT, default), expected, read, write)


def _flag(field: str, default: str) -> Setting:
    def read(node: yaml.Node) -> bool:
        text = _scalar(node, BOOL).lower()
        if text not in yaml.SafeLoader.bool_values:  # !!bool says so of any text
            raise ValueError
        return yaml.SafeLoader.bool_values[text]

    def write(value: bool) -> str:
        return "on" if value else "off"

    return Setting(field, yaml.ScalarNode(BOOL, default), "on or off", read, write)


def _choice(field: str, default: str, *choices: str) -> Setting:
    def read(node: yaml.Node) -> str:
        text = _scalar(node, STR, BOOL)  # for YAML the word off is a boolean
        if text not in choices:
            raise ValueError
        return text

    expected = ", ".join(choices[:-1]) + f" or {choices[-1]}"
    return Setting(field, yaml.ScalarNode(STR, default), expected, read, str)


def _word(field: str, default: str, expected: str, allowed: Callable[[str], bool]) -> Setting:
    def read(node: yaml.Node) -> str:
        text = _scalar(node, STR)
        if not allowed(text):
            raise ValueError
        return text

    def write(text: str) -> str:
        return yaml.safe_dump(text).splitlines()[0]  # in quotes where YAML would see a number

    return Setting(field, yaml.ScalarNode(STR, default), expected, read, write)


def _folder(field: str, default: str) -> Setting:
    """The path of a folder, relative as it stands; refuses only what no file system can hold."""

    def read(node: yaml.Node) -> Path:
        text = os.path.expanduser(_scalar(node, STR))
        if not text.strip() or "\0" in text or len(os.fsencode(text)) > 1024:
            raise ValueError
        return Path(text)

    def write(path: Path) -> str:
        text = yaml.safe_dump(str(path), default_style='"', allow_unicode=True, width=1 << 30)
        return text.rstrip("\n")

    return Setting(field, yaml.ScalarNode(STR, default), "the path of a folder", read, write)


# -- the table -----------------------------------------------------------------------------------

SETTINGS: dict[str, Setting] = {
    "name": _word("name", "leeky", f"{NAME_EXPECTED} (digits alone in quotes)", is_cluster_name),
    "nodes": _count("nodes", 5, 1, MAX_NODES),
    "machine": _word("machine", "files", "a machine's name or package.module:Class", _is_machine),
    "data": _folder("data_dir", "data"),
    "logs": _folder("log_dir", "logs"),
    "timescale": _factor("timescale", "1", 0.01, 100),
    "raft.heartbeat_interval": _duration("heartbeat_interval_s", "100ms", "1ms", "1m"),
    "raft.election_timeout.min": _duration("election_timeout_min_s", "500ms", "1ms", "10m"),
    "raft.election_timeout.max": _duration("election_timeout_max_s", "1s", "1ms", "20m"),
    "raft.failure_hint": _flag("failure_hint", "on"),
    "raft.pre_vote": _flag("pre_vote", "on"),
    "raft.message_delay": _duration("message_delay_s", "0ms", "0ms", "10m"),
    "raft.reads": _choice("reads", "read-index", "read-index", "lease"),
    "limits.entry": _size("entry_limit_bytes", "1MiB", "1B", "64MiB"),
    "limits.append": _size("append_limit_bytes", "1MiB", "1KiB", "64MiB"),
    "limits.chunk": _size("chunk_limit_bytes", "1MiB", "256B", "64MiB"),
    "limits.inflight_batches": _count("inflight_batches", 64, 1, 65_536),
    "limits.inflight": _size("inflight_bytes", "8MiB", "1KiB", "4GiB"),
    "limits.uncommitted": _size("uncommitted_bytes", "64MiB", "1KiB", "4GiB"),
    "limits.clients": _count("most_clients", 512, 1, 100_000),
    "sessions.timeout": _duration("session_timeout_s", "1h", "100ms", "8760h"),
    "sessions.most": _count("most_sessions", 10_000, 1, 1_000_000),
    "storage.segment": _size("segment_bytes", "8MiB", "4KiB", "1GiB"),
    "snapshot.log": _size("snapshot_log_bytes", "32MiB", "4KiB", "64GiB"),
    "snapshot.entries": _count("snapshot_entries", 500_000, 1, 1_000_000_000),
    "snapshot.trailing": _size("snapshot_trailing_bytes", "8MiB", "0B", "4GiB"),
    "restart.policy": _choice("restart_policy", "on-failure", "on-failure", "never"),
    "restart.attempts": _count("restart_attempts", 5, 1, 1000),
    "restart.backoff": _duration("restart_backoff_s", "200ms", "1ms", "10m"),
    "log.level": _choice("log_level", "info", *LEVELS),
    "log.rotate": _size("log_rotate_bytes", "8MiB", "4KiB", "1GiB"),
    "log.keep": _count("log_keep", 16, 1, 10_000),
    "log.digest_every": _count("digest_every", 1000, 1, 1_000_000),
    "log.slow": _duration("slow_s", "100ms", "1ms", "1h"),
    "safety": _choice("safety", "freeze", "freeze", "report"),
    "tap.mode": _choice("tap_mode", "off", "off", "ring", "full"),
    "tap.segment": _size("tap_segment_bytes", "4MiB", "64KiB", "1GiB"),
    "tap.keep": _size("tap_keep_bytes", "256MiB", "128KiB", "64GiB"),
    "client.timeout": _duration("client_timeout_s", "10s", "10ms", "1h"),
}


def _sections() -> dict[str, list[str]]:
    sections: dict[str, list[str]] = {}
    for key in SETTINGS:
        parts = key.split(".")
        for depth, part in enumerate(parts):
            keys = sections.setdefault(".".join(parts[:depth]), [])
            if part not in keys:
                keys.append(part)
    return sections


SECTIONS = _sections()
"""The keys of each section, by its path; the path of the whole file is empty."""
