"""How fast `launcher/checking/checker.py` is, and how much memory it takes, for its stated size.

    python -m bench.checker [--operations N]

Each history is made and checked in a process of its own, whose highest memory (the history in it,
as it would be in use) is what the kernel says. The yardstick that is run beside it, in the same
process, is a plain replay: the same operations, in the order in which they took effect, on a dict.

    busy        50 clients, each always with an operation open, on one of 20 keys: 2.5 for each key
    planted     the same with one stale read near the end: to be found, and its window made small
    deletes     the same as busy, a sixth of the operations being deletes
    few values  the same as busy, with 10 values, written again and again
    simulated   many small histories: 6,000 operations by 10 clients on 8 keys, little overlap
"""

from __future__ import annotations

import argparse
import heapq
import math
import multiprocessing
import resource
import sys
import time
from multiprocessing.connection import Connection
from random import Random

import msgspec

from launcher.checking.checker import Validity, check, explain
from launcher.checking.history import Kind, Operation

BOUND_S = 60.0
BOUND_BYTES = 1_000_000_000
INDETERMINATE = 0.1

Keys = dict[bytes, bytes]


class Shape(msgspec.Struct, frozen=True):
    """A history to be made. `idle_s`: how long a client pauses; an operation takes about 1 s."""

    name: str
    operations: int
    clients: int = 50
    keys: int = 20
    idle_s: float = 0.0
    deletes: float = 0.0
    values: int = 0
    stale: bool = False
    seed: int = 1


class Figures(msgspec.Struct, frozen=True):
    """What came out."""

    validity: Validity
    explanation: str
    check_s: float
    replay_s: float
    peak_bytes: int


def make(shape: Shape) -> list[Operation]:
    """A linearizable history, in the order in which its operations took effect.

    A client whose operation is indeterminate goes on under a new number; the operation may take
    effect at any time, now and then much later, or never.
    """
    random = Random(shape.seed)
    pending: list[tuple[float, int, float, float | None, int]] = []
    client = 0
    for slot in range(shape.clients):
        client, now = slot, random.random()
        for number in range(shape.operations // shape.clients):
            took_s = random.expovariate(1.0)
            completed: float | None = now + took_s
            at = now + took_s * random.random()
            if random.random() < INDETERMINATE:
                completed = None
                at = random.choice([at, at, now + random.expovariate(0.05), math.inf])
                client += shape.clients
            heapq.heappush(pending, (at, slot * shape.operations + number, now, completed, client))
            now += took_s + (random.expovariate(1 / shape.idle_s) if shape.idle_s else 0.0)
    keys: Keys = {}
    history = []
    while pending:
        at, number, invoked, completed, client = heapq.heappop(pending)
        key = b"key-%d" % random.randrange(shape.keys)
        operation = _ask(shape, random, keys, key, number)
        operation = msgspec.structs.replace(
            operation, client=client, invoked_s=invoked, completed_s=completed
        )
        history.append(operation if at == math.inf else apply(keys, operation))
    return history


def _ask(shape: Shape, random: Random, keys: Keys, key: bytes, number: int) -> Operation:
    value = b"%d" % (random.randrange(shape.values) if shape.values else number)
    dice = random.random()
    if dice < shape.deletes:
        return Operation(0, Kind.DELETE, key, 0.0, None)
    dice = random.random()
    if dice < 0.5:
        return Operation(0, Kind.READ, key, 0.0, None)
    if dice < 0.8:
        return Operation(0, Kind.WRITE, key, 0.0, None, value=value)
    expected = keys.get(key, b"nothing") if random.random() < 0.7 else b"something else"
    return Operation(0, Kind.CAS, key, 0.0, None, value=value, expected=expected)


def apply(keys: Keys, operation: Operation) -> Operation:
    """Let it take effect, and write down what it observed."""
    held = keys.get(operation.key)
    ok, observed = True, None
    if operation.kind is Kind.WRITE and operation.value is not None:
        keys[operation.key] = operation.value
    elif operation.kind is Kind.DELETE:
        ok = keys.pop(operation.key, None) is not None
    elif operation.kind is Kind.CAS and operation.value is not None:
        ok = held is not None and held == operation.expected
        if ok:
            keys[operation.key] = operation.value
        observed = None if ok else held
    else:
        observed = held
    if operation.completed_s is None:
        return operation
    return msgspec.structs.replace(operation, ok=ok, observed=observed)


def plant_stale_read(history: list[Operation]) -> None:
    """Let one of the last reads see what its key held a hundred operations of the key before."""
    for place in range(len(history) * 95 // 100, len(history)):
        read = history[place]
        if read.kind is not Kind.READ or read.completed_s is None:
            continue
        seen = [
            one.observed
            for one in history[:place]
            if one.kind is Kind.READ and one.key == read.key and one.completed_s is not None
        ]
        if seen[-50] not in seen[-1:]:
            history[place] = msgspec.structs.replace(read, observed=seen[-50])
            return


def measure(shape: Shape, answer: Connection) -> None:
    """Make the history, check it, replay it, and send the figures."""
    history = make(shape)
    if shape.stale:
        plant_stale_read(history)
    started = time.perf_counter()
    keys: Keys = {}
    for operation in history:
        apply(keys, operation)
    replayed = time.perf_counter()
    in_order = sorted(history, key=lambda operation: operation.invoked_s)
    begun = time.perf_counter()
    verdict = check(in_order, timeout_s=BOUND_S)
    check_s = time.perf_counter() - begun
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    answer.send_bytes(
        msgspec.msgpack.encode(
            Figures(verdict.validity, explain(verdict), check_s, replayed - started, peak)
        )
    )


def run(shape: Shape) -> Figures:
    """The figures of one history, taken in a fresh process."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=measure, args=(shape, theirs))
    process.start()
    theirs.close()
    figures = msgspec.msgpack.decode(ours.recv_bytes(), type=Figures)
    process.join()
    return figures


def main() -> None:
    """Print a line for each kind of history."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--operations", type=int, default=100_000)
    count = parser.parse_args().operations
    shapes = [
        Shape("busy", count),
        Shape("planted", count, stale=True),
        Shape("deletes", count, deletes=1 / 6),
        Shape("few values", count, values=10),
        Shape("simulated", 6_000, clients=10, keys=8, idle_s=9.0),
    ]
    print(
        f"{'':12}{'verdict':>9}{'ops':>9}{'s':>8}{'us/op':>8}{'of 60 s':>9}"
        f"{'MB':>7}{'of 1 GB':>9}{'x replay':>10}"
    )
    for shape in shapes:
        figures = run(shape)
        print(
            f"{shape.name:12}{figures.validity.value:>9}{shape.operations:>9}"
            f"{figures.check_s:>8.2f}{figures.check_s / shape.operations * 1e6:>8.1f}"
            f"{figures.check_s / BOUND_S:>9.3f}{figures.peak_bytes / 1e6:>7.0f}"
            f"{figures.peak_bytes / BOUND_BYTES:>9.3f}{figures.check_s / figures.replay_s:>10.1f}",
            flush=True,
        )
        if figures.validity is not Validity.VALID:
            print("\n".join(f"    {line}" for line in figures.explanation.splitlines()))


if __name__ == "__main__":
    main()
