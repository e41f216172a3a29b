"""What a run of a workload is asked to do, and what its processes tell each other.

launcher --stdin----> crew      the spec as one line, then a command a line: go, stop, close
launcher <--report--- crew      `Said`, a line of JSON each; the clients write here too
launcher --lifeline-- crew      nothing; its end says that the launcher has gone
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec

from launcher.config import ClusterConfig
from launcher.errors import LauncherError, UsageError
from launcher.lab.workloads.loading import Options, check_options

FORMAT = 1
PLAN_FILE = "workload.json"

MOST_CLIENTS = 200
MOST_RATE = 100_000.0
MOST_TIME_S = 7 * 86_400.0
LEAST_TIME_S = 0.1


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What clients are to do.

    workload, options: which workload (`launcher/lab/workloads/loading.py`)
    clients: how many; every second one asks its reads of a certain node (`pinned_to`)
    rate: operations a second, of all clients together
    time_s: for how long, in seconds
    seed: of all random choices of the clients
    timeout_s: how long a client waits for an answer before the outcome counts as unknown
    """

    workload: str = "kv"
    options: Options = Options()
    clients: int = 8
    rate: float = 200.0
    time_s: float = 60.0
    seed: int = 0
    timeout_s: float = 2.0


def check_plan(plan: Plan) -> None:
    """Raises UsageError for a plan that makes no sense. Loads nothing of a user's."""
    check_options(plan.workload, plan.options)
    if not 1 <= plan.clients <= MOST_CLIENTS:
        raise UsageError(f"--clients {plan.clients}: from 1 to {MOST_CLIENTS}")
    if not 0 < plan.rate <= MOST_RATE:
        raise UsageError(
            f"--rate {plan.rate:g}: operations a second, above 0, at most {MOST_RATE:g}"
        )
    if not LEAST_TIME_S <= plan.time_s <= MOST_TIME_S:
        raise UsageError(f"--time: from 100ms to 7d, not {plan.time_s:g} s")
    if not 0 < plan.timeout_s < float("inf"):
        raise UsageError(f"a timeout is a number of seconds above 0, not {plan.timeout_s:g}")


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """`workload.json`, beside a run's history: what is needed to check it later.

    machine: that the clients used
    begun: when they began, in nanoseconds; 0 before
    """

    format: int = FORMAT
    machine: str
    plan: Plan
    begun: int = 0


def keep_plan(folder: Path, kept: Kept) -> None:
    """Writes the file. Raises OSError."""
    path = folder / PLAN_FILE
    data = msgspec.json.format(msgspec.json.encode(kept), indent=1) + b"\n"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)


def kept_plan(folder: Path) -> Kept:
    """What a run was asked to do. Raises LauncherError."""
    path = folder / PLAN_FILE
    try:
        data = path.read_bytes()
        known = msgspec.json.decode(data, type=dict[str, Any]).get("format")
        if isinstance(known, int) and known > FORMAT:
            raise LauncherError(
                f"{path} has format {known}, by a newer leeky-raft; this one reads formats up to "
                f"{FORMAT}: use the leeky-raft that wrote it"
            )
        return msgspec.json.decode(data, type=Kept)
    except OSError as error:
        raise LauncherError(f"{path} cannot be read: {error.strerror}") from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise LauncherError(f"{path} is damaged: {error}") from error


class CrewSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What the crew is told.

    config: of the cluster that runs, with the settings in force
    runtime_dir: where its sockets are
    folder: of the run
    python_path: where a user's modules are found
    offset_ns: what the monotonic clock lacks to the time since the epoch
    """

    config: ClusterConfig
    runtime_dir: Path
    folder: Path
    plan: Plan
    python_path: list[Path]
    offset_ns: int


class JudgeSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What the process that checks a history is told."""

    workload: str
    options: Options
    folder: Path
    python_path: list[Path]


def encode_spec(spec: CrewSpec | JudgeSpec) -> bytes:
    """For a standard input: its length, then it; a path need not be text."""
    data = msgspec.msgpack.encode(spec, enc_hook=os.fsencode)
    return b"%d\n%b" % (len(data), data)


def _path(kind: type, value: Any) -> Any:
    return kind(os.fsdecode(value))


def decode_crew_spec(data: bytes) -> CrewSpec:
    """The inverse, without the length."""
    return msgspec.msgpack.decode(data, type=CrewSpec, dec_hook=_path)


def decode_judge_spec(data: bytes) -> JudgeSpec:
    """The same."""
    return msgspec.msgpack.decode(data, type=JudgeSpec, dec_hook=_path)


class Said(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of a report.

    what: `loaded` (with the machine that the workload needs), `opened`, `did` (a client's latest
        operations), `ended` (all clients have), `closed`, `failed`
    ok, fail, info: how many operations ended so
    buckets: how many took how long: see `bucket_of`
    error, exit_status: why it failed, and the exit status of that
    """

    what: str
    machine: str = ""
    client: int = 0
    ok: int = 0
    fail: int = 0
    info: int = 0
    buckets: dict[int, int] = {}
    error: str = ""
    exit_status: int = 1


PER_DOUBLING = 8
"""Buckets for latencies: this many for each doubling, so a latency is known to a tenth."""


def bucket_of(latency_ns: int) -> int:
    """The bucket of a latency."""
    from math import log2

    return int(PER_DOUBLING * log2(max(1, latency_ns)))


def latency_ms(bucket: int) -> float:
    """The middle of a bucket, in milliseconds."""
    return float(2 ** ((bucket + 0.5) / PER_DOUBLING)) / 1e6


def pinned_to(client: int, nodes: list[int]) -> int | None:
    """The node that answers a client's reads, linearizable and stale; None: free to choose.

    Clients 2, 4, 6, ... have one each, in turn.
    """
    return nodes[(client // 2 - 1) % len(nodes)] if nodes and client % 2 == 0 else None
