"""The workload `lock`: clients take locks from each other; the tokens are checked (`fencing.py`).

acquire, renew, release    of one of `keys` locks; a client renews and releases what it holds
holder, stale              who holds a lock; linearizable, or as any node knows
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from launcher.lab.history import Done
from launcher.lab.workloads import fencing
from launcher.lab.workloads.fencing import Ask, Claim
from launcher.lab.workloads.mix import Mix
from launcher.lab.workloads.protocol import Judgement, Operation

TTL = "500ms"
"""Short, so that locks change hands also when nobody gives them back."""


class LockLoad:
    """What each client believes to hold."""

    machine = "lock"
    MIX: ClassVar[Mapping[str, int]] = {
        "acquire": 45, "renew": 15, "release": 15, "holder": 20, "stale": 5,
    }  # fmt: skip

    def __init__(self, mix: Mix, keys: int, tag: str = "") -> None:
        self._mix = mix
        self._names = [f"{tag}l{number}" for number in range(keys)]
        self._held: dict[int, dict[str, int]] = {}

    def next(self, client: int, number: int, rng: random.Random, last: Done | None) -> Operation:
        """The next operation: see `Workload`."""
        held = self._held.setdefault(client, {})
        if last is not None:
            _note(held, last)
        f = self._mix.draw(rng)
        name = rng.choice(self._names)
        owner = f"c{client}"
        if f in ("holder", "stale"):
            value = {"name": name}
            if f == "stale":
                return Operation(f=f, how="stale", command=f"HOLDER {name}", value=value)
            return Operation(f=f, how="read", command=f"HOLDER {name}", value=value)
        if f == "acquire" or not held:
            command = f"ACQUIRE {name} {owner} {TTL}"
            return Operation(f="acquire", command=command, value={"name": name, "owner": owner})
        name = rng.choice(list(held))
        token = held[name]
        ttl = f" {TTL}" if f == "renew" else ""
        command = f"{f.upper()} {name} {owner} {token}{ttl}"
        return Operation(f=f, command=command, value={"name": name, "owner": owner, "token": token})

    def check(self, history: Sequence[Done]) -> Judgement:
        """Whether tokens rise, and each has one owner: see `fencing.py`."""
        asks = [
            Ask(one, one.value["name"], one.value["owner"])
            for one in history
            if one.f == "acquire" and one.outcome != "fail"
        ]
        return fencing.judge(list(_claims(history)), asks)


def _note(held: dict[str, int], last: Done) -> None:
    name = last.value["name"]
    if last.f == "acquire" and last.outcome == "ok":
        held[name] = int(last.result or 0)
    elif last.f == "release" or (last.f == "renew" and last.outcome == "fail"):
        held.pop(name, None)


def _claims(history: Sequence[Done]) -> Iterator[Claim]:
    for one in history:
        if one.outcome != "ok" or one.result is None:
            continue
        name = one.value["name"]
        if one.f in ("holder", "stale"):
            owner, token, _ = one.result.split(" ")
            yield Claim(one, name, owner, int(token), stale=one.f == "stale")
        elif one.f == "release":
            yield Claim(one, name, one.value["owner"], one.value["token"], ends=True)
        else:
            yield Claim(one, name, one.value["owner"], int(one.result))
