"""The workload `election`: clients campaign for offices; the terms are checked (`fencing.py`).

campaign, renew, resign    for one of `keys` offices; a client renews where it leads
leader, stale              who leads in an office; linearizable, or as any node knows
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
"""Short, so that leaders change also when none resigns."""


class ElectionLoad:
    """Where each client leads, and in which term, as far as it knows."""

    machine = "election"
    MIX: ClassVar[Mapping[str, int]] = {
        "campaign": 45, "renew": 15, "resign": 15, "leader": 20, "stale": 5,
    }  # fmt: skip

    def __init__(self, mix: Mix, keys: int, tag: str = "") -> None:
        self._mix = mix
        self._names = [f"{tag}o{number}" for number in range(keys)]
        self._leads: dict[int, dict[str, int]] = {}

    def next(self, client: int, number: int, rng: random.Random, last: Done | None) -> Operation:
        """The next operation: see `Workload`."""
        leads = self._leads.setdefault(client, {})
        if last is not None:
            _note(leads, last)
        f = self._mix.draw(rng)
        name = rng.choice(self._names)
        who = f"c{client}"
        if f in ("leader", "stale"):
            value = {"name": name}
            if f == "stale":
                return Operation(f=f, how="stale", command=f"LEADER {name}", value=value)
            return Operation(f=f, how="read", command=f"LEADER {name}", value=value)
        asked = {"name": name, "owner": who}
        if f == "resign":
            name = rng.choice(list(leads) or [name])
            asked["name"] = name
            return Operation(f=f, command=f"RESIGN {name} {who}", value=asked)
        if f == "campaign" or not leads:
            return Operation(f="campaign", command=f"CAMPAIGN {name} {who} {TTL}", value=asked)
        name = rng.choice(list(leads))
        command = f"RENEW {name} {who} {leads[name]} {TTL}"
        return Operation(f="renew", command=command, value={"name": name, "owner": who})

    def check(self, history: Sequence[Done]) -> Judgement:
        """Whether terms rise, and each has one leader: see `fencing.py`."""
        asks = [
            Ask(one, one.value["name"], one.value["owner"])
            for one in history
            if one.f == "campaign" and one.outcome != "fail"
        ]
        return fencing.judge(list(_claims(history)), asks)


def _note(leads: dict[str, int], last: Done) -> None:
    name = last.value["name"]
    if last.f == "campaign" and last.outcome == "ok":
        words = (last.result or "").split(" ")
        if words[0] == "leads":
            leads[name] = int(words[1])
        else:
            leads.pop(name, None)
    elif last.f == "resign" or (last.f == "renew" and last.outcome == "fail"):
        leads.pop(name, None)


def _claims(history: Sequence[Done]) -> Iterator[Claim]:
    """Who leads where, in which term, as answers say: `leads 7`, `waits 1 c3 7`, `c3 7 0.4s`."""
    for one in history:
        if one.outcome != "ok" or one.result is None or one.f == "resign":
            continue
        name, words = one.value["name"], one.result.split(" ")
        if one.f in ("leader", "stale"):
            yield Claim(one, name, words[0], int(words[1]), stale=one.f == "stale")
        elif words[0] == "waits":
            yield Claim(one, name, words[2], int(words[3]))
        else:
            yield Claim(one, name, one.value["owner"], int(words[-1]))
