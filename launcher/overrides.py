"""Settings that are in force in place of what cluster.yaml says, as text. Pure.

`up --timescale`, `up --as-in-the-paper` and `set` change a `ClusterConfig` by the keys of
cluster.yaml (`launcher/settings.py`), and the text that the file would have. So what may be said,
and what is said of a mistake, is the same in all places.

`texts_of` and `with_texts` carry the settings of a running cluster from its supervisor to whoever
asks (`launcher/folders/in_force.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import yaml

from launcher.config import ClusterConfig, contradiction, fields_of, value_of
from launcher.errors import LauncherError, UsageError
from launcher.settings import SETTINGS
from node.printable import printable

AS_IN_THE_PAPER = {
    "timescale": "10",
    "raft.failure_hint": "off",
    "raft.pre_vote": "off",
    "raft.message_delay": "30ms",
    "log.level": "debug",
}
"""`up --as-in-the-paper`: no hint and no pre-votes, which the paper's Figure 2 has not, and slow
enough to watch: with the default timers an election takes seconds, and a message 300 ms."""

CHANGEABLE = {
    "timescale": "timescale",
    "log-level": "log.level",
    "pre-vote": "raft.pre_vote",
    "failure-hint": "raft.failure_hint",
    "message-delay": "raft.message_delay",
}
"""What `set` can change while a cluster runs: the word for it, and the key of cluster.yaml."""

_OF_THE_FOLDERS = ("name", "nodes", "machine", "data", "logs")
"""Whoever asks knows these by the folder that it asks about, and by cluster.json."""

_SHOWN_CHARACTERS = 60


def overridden(config: ClusterConfig, texts: Mapping[str, str]) -> ClusterConfig:
    """The config with these settings in place of its own.

    texts: by key, as cluster.yaml would say them

    Raises UsageError for a value that is none, or that contradicts another setting.
    """
    values = {key: value_of(config, key) for key in SETTINGS if key not in ("data", "logs")}
    for key, text in texts.items():
        values[key] = _value(key, text)
    found = contradiction(values)
    if found is not None:
        raise UsageError(found[1])
    fields = fields_of(values)
    return msgspec.structs.replace(config, **fields)


def changed(config: ClusterConfig, word: str, text: str) -> ClusterConfig:
    """The config of a running cluster with one setting changed, as `set WORD TEXT` asks for.

    Raises UsageError for a word or a value that is none, LauncherError for a change that is not
    safe while the cluster runs: with leases a majority of voters must keep the promise that the
    leader counts on, and each measures it by its own timers (`node/raft/lease.py`).
    """
    key = key_of(word)
    new = overridden(config, {key: text})
    if new.reads == "lease":
        if new.election_timeout_min_s != config.election_timeout_min_s:
            raise LauncherError(
                "with `raft.reads: lease` the timescale stays as it is while the cluster runs: "
                "a lease is as long as the shortest election timeout, which has to be the same on "
                "all nodes; `launcher down`, then `launcher up --timescale`"
            )
        if new.failure_hint and not config.failure_hint:
            raise LauncherError("`raft.reads: lease` turns the failure hint off, so it stays off")
    return new


def key_of(word: str) -> str:
    """The key of cluster.yaml that `set WORD` changes. Raises UsageError."""
    by_key = {key: key for key in CHANGEABLE.values()}
    key = (CHANGEABLE | by_key).get(word.lower())
    if key is not None:
        return key
    can = f"`set` changes {', '.join(CHANGEABLE)}"
    if word.lower().replace("-", "_") in {one.lower() for one in SETTINGS}:
        raise UsageError(f"{word} cannot be changed while the cluster runs; {can}")
    raise UsageError(f"there is no setting {_shown(word)}; {can}")


def text_of(config: ClusterConfig, key: str) -> str:
    """The value of a key, as cluster.yaml would say it."""
    return SETTINGS[key].write(value_of(config, key))


def texts_of(config: ClusterConfig) -> dict[str, str]:
    """All settings but those of the folders, by key; `with_texts` takes them."""
    return {key: text_of(config, key) for key in SETTINGS if key not in _OF_THE_FOLDERS}


def with_texts(config: ClusterConfig, texts: Mapping[str, str]) -> ClusterConfig:
    """The config with the settings of the cluster that runs on its folders.

    Keys that this version does not know, or values that it does not take, are left as they are: the
    cluster may have been started by another version.
    """
    values = {key: value_of(config, key) for key in SETTINGS if key not in ("data", "logs")}
    for key, text in texts.items():
        if key in values and key not in _OF_THE_FOLDERS:
            try:
                values[key] = _value(key, text)
            except UsageError:
                continue
    return msgspec.structs.replace(config, **fields_of(values))


def _value(key: str, text: str) -> Any:
    """Raises UsageError."""
    setting = SETTINGS[key]
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if node is None:
            raise ValueError
        return setting.read(node)
    except (ValueError, yaml.YAMLError):
        raise UsageError(f"{key} is {setting.expected}, not {_shown(text)}") from None


def _shown(text: str) -> str:
    cut = text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "..."
    return repr(printable(cut))
