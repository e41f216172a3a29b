"""What a launcher tells the supervisor that it starts, and what that says back, once."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from launcher.config import ClusterConfig


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """What a launcher asks for.

    config: of this cluster; its `nodes` and `machine` are those that were asked for
    fresh: begin with empty data
    python_path: where the nodes look for the user's machines
    """

    config: ClusterConfig
    fresh: bool
    python_path: list[Path]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What the supervisor says to whoever started it, once: ready, or why not."""

    ok: bool
    error: str = ""
    exit_status: int = 0
    runtime_dir: str = ""
    healed: list[str] = []
    remarks: list[str] = []


def encode_spec(spec: Spec) -> bytes:
    """For the supervisor's standard input."""
    return msgspec.msgpack.encode(spec, enc_hook=os.fsencode)  # a path need not be text


def decode_spec(data: bytes) -> Spec:
    """The inverse of `encode_spec`. Raises msgspec.DecodeError."""
    return msgspec.msgpack.decode(
        data, type=Spec, dec_hook=lambda kind, value: kind(os.fsdecode(value))
    )
