"""The workload `kv`: reads, writes and compare-and-set on a few keys, checked for linearizability.

By default every value is written once, by one operation, so a value tells who wrote it; an entry
that takes effect twice brings an old value back, and the check sees it. With a few different
values, writes of the same value meet, and the check has more to search. A key is of this run alone
(`tag`), so that what an earlier run has left in the machine is no matter.

    read    linearizable; asked of the leader, or of a certain node
    stale   any node's own state. It promises little: the value was written, and the write had begun
            before the read ended; or the key was absent. That alone is checked
    write   a new value
    cas     from the value that this client saw last to a new one

All but `stale` is handed to `launcher/checking/`, key by key.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import ClassVar

from launcher.checking import checker
from launcher.checking.checker import Validity
from launcher.checking.history import CAS, READ, WRITE, Kind
from launcher.checking.history import Operation as Checked
from launcher.lab.history import Done
from launcher.lab.workloads.mix import Mix
from launcher.lab.workloads.protocol import How, Judgement, Operation, invalid, unknown, valid

MOST_STEPS = 20_000_000
"""The search for an order is given up after this many steps: a minute or so."""

_KINDS: dict[str, Kind] = {"read": READ, "write": WRITE, "cas": CAS}


class KeyValueLoad:
    """The keys, and what each client saw last of each."""

    machine = "kv"
    MIX: ClassVar[Mapping[str, int]] = {"read": 40, "stale": 5, "write": 40, "cas": 15}

    def __init__(self, mix: Mix, keys: int, tag: str = "", *, values: int = 0) -> None:
        """values: how many different ones are written; 0: each is written once"""
        self._mix = mix
        self._values = values
        self._keys = [f"{tag}k{number}" for number in range(keys)]
        self._seen: dict[tuple[int, str], str] = {}

    def next(self, client: int, number: int, rng: random.Random, last: Done | None) -> Operation:
        """The next operation: see `Workload`."""
        if last is not None and last.f != "stale":
            self._note(client, last)
        f = self._mix.draw(rng)
        key = rng.choice(self._keys)
        if f in ("read", "stale"):
            how: How = "stale" if f == "stale" else "read"
            return Operation(f=f, how=how, command=f"GET {key}", value={"key": key})
        value = f"v{rng.randrange(self._values)}" if self._values else f"{client}.{number}"
        expected = self._seen.get((client, key))
        if f == "write" or expected is None:
            command = f"SET {key} {value}"
            return Operation(f="write", command=command, value={"key": key, "value": value})
        asked = {"key": key, "expected": expected, "value": value}
        return Operation(f="cas", command=f"CAS {key} {expected} {value}", value=asked)

    def closing(self, number: int, last: Done | None) -> Operation | None:
        """Reads every key once."""
        if number >= len(self._keys):
            return None
        key = self._keys[number]
        return Operation(f="read", how="read", command=f"GET {key}", value={"key": key})

    def check(self, history: Sequence[Done]) -> Judgement:
        """Linearizability of each key, and what stale reads promise."""
        nonsense = next((one for one in history if _misread(one)), None)
        if nonsense is not None:
            return invalid(f"the machine's answer makes no sense: {_answer(nonsense)}", [nonsense])
        stale = _check_stale(history)
        if stale is not None:
            return stale
        return _check_order(history)

    def _note(self, client: int, last: Done) -> None:
        key = last.value["key"]
        if last.outcome == "ok":
            value = last.result if last.f == "read" else last.value["value"]
        else:
            value = _held(last) if last.outcome == "fail" else None
        if value is not None:
            self._seen[client, key] = value


def _held(one: Done) -> str | None:
    """What a refusal says that the key held; None when there was no such key."""
    _, found, value = one.error.partition(f"CAS failed: {one.value['key']} is ")
    return value if found else None


def _answer(one: Done) -> str:
    return f"{one.f} of {one.value['key']}: {one.result if one.outcome == 'ok' else one.error!r}"


def _misread(one: Done) -> bool:
    """An answer that the machine kv does not give."""
    if one.outcome == "info":
        return False
    if one.outcome == "ok":
        return one.f in ("write", "cas") and one.result != "ok"
    absent = one.error == f"no key {one.value['key']}"
    if one.f == "cas":
        return not absent and _held(one) is None
    return not absent or one.f == "write"


def _check_stale(history: Sequence[Done]) -> Judgement | None:
    """The first stale read of a value that nobody had begun to write when it ended."""
    written: dict[tuple[str, str | None], Done] = {}
    for one in history:
        if one.f in ("write", "cas") and one.outcome != "fail":
            written.setdefault((one.value["key"], one.value["value"]), one)  # the first of them
    for one in history:
        if one.f != "stale" or one.outcome != "ok" or one.completed is None:
            continue
        key = one.value["key"]
        write = written.get((key, one.result))
        if write is None:
            return invalid(f"a stale read of {key} saw {one.result!r}: nobody wrote it", [one])
        if write.invoked > one.completed:
            said = f"a stale read of {key} saw {one.result!r} before its write had begun"
            return invalid(said, [one, write])
    return None


def _check_order(history: Sequence[Done]) -> Judgement:
    began = history[0].invoked if history else 0
    checked: list[Checked] = []
    source: dict[int, Done] = {}
    for one in history:
        if one.f in _KINDS:
            checked.append(_checked(one, began))
            source[id(checked[-1])] = one
    verdict = checker.check(checked, max_steps=MOST_STEPS)
    if verdict.validity is Validity.VALID:
        return valid("linearizable, each key by itself")
    if verdict.validity is Validity.UNKNOWN:
        return unknown(verdict.reason)
    window = [source[id(one)] for one in verdict.window]
    named = {*verdict.initial, *(one.observed for one in verdict.window)}
    written = [
        source[id(one)] for one in checked if one.key == verdict.key and one.value in named - {None}
    ]
    shown = {id(one): one for one in [*written, *window]}.values()
    said = f"not linearizable: {verdict.reason}"
    return invalid(said, sorted(shown, key=lambda one: one.invoked))


def _checked(one: Done, began: int) -> Checked:
    """In the checker's words; seconds since the history began."""
    kind, asked = _KINDS[one.f], one.value
    ok = one.outcome == "ok"
    observed = None
    if one.outcome != "info":
        observed = one.result if ok and kind is READ else _held(one) if kind is CAS else None
    return Checked(
        client=one.process,
        kind=kind,
        key=_bytes(asked["key"]),
        invoked_s=(one.invoked - began) / 1e9,
        completed_s=None if one.completed is None else (one.completed - began) / 1e9,
        ok=ok or kind is READ,
        value=_bytes(asked["value"]) if kind is not READ else None,
        expected=_bytes(asked["expected"]) if kind is CAS else None,
        observed=None if observed is None else _bytes(observed),
    )


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")
