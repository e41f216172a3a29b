"""Tokens that fence: the check that the workloads `lock` and `election` share. Pure.

A lock's token and an election's term do the same: whoever is granted a name gets a number that is
higher than all before, and what the holder uses must refuse a number that is lower than the highest
it has seen. So an answer that names a holder is a *claim*: this owner holds that name with this
token. The claims of all clients must fit together:

    a token belongs to one owner, of one name
    the tokens of a name rise: in the log, and as clients see them. A claim with a lower token than
    one that was known before would let a former holder in, where a fenced resource is
    a token that was given back is not in force any more
    an owner has no more tokens than it has asked for

How long a lease lasts is not checked: that depends on clocks, and so no safety rests on it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence

import msgspec

from launcher.lab.history import Done
from launcher.lab.workloads.protocol import Judgement, invalid, valid


class Claim(msgspec.Struct, frozen=True):
    """An answer that says who holds a name.

    source: the operation
    ends: the owner has given it back
    stale: it may be old, so nothing is known of when
    """

    source: Done
    name: str
    owner: str
    token: int
    ends: bool = False
    stale: bool = False


class Ask(msgspec.Struct, frozen=True):
    """An operation that may give its owner one new token of a name."""

    source: Done
    name: str
    owner: str


def judge(claims: Sequence[Claim], asks: Sequence[Ask]) -> Judgement:
    """Whether the claims fit together.

    asks: those that the machine did not refuse
    """
    broken = _two_owners(claims) or _unasked(claims, asks)
    by_name: dict[str, list[Claim]] = {}
    for claim in claims:
        if not claim.stale:
            by_name.setdefault(claim.name, []).append(claim)
    for sure in by_name.values():
        broken = broken or _falls_in_the_log(sure) or _falls_in_time(sure)
    return broken or valid("tokens rise, and each has one owner")


def _two_owners(claims: Iterable[Claim]) -> Judgement | None:
    owners: dict[int, Claim] = {}
    for one in claims:
        first = owners.setdefault(one.token, one)
        if (first.name, first.owner) != (one.name, one.owner):
            said = (
                f"token {one.token} belongs to {first.owner} ({first.name}) and to {one.owner} "
                f"({one.name})"
            )
            return invalid(said, [first.source, one.source])
    return None


def _unasked(claims: Sequence[Claim], asks: Iterable[Ask]) -> Judgement | None:
    """The first claim of an owner that had not asked as often as it was given a token."""
    asked: dict[tuple[str, str], list[Done]] = {}
    for ask in sorted(asks, key=lambda ask: ask.source.invoked):
        asked.setdefault((ask.name, ask.owner), []).append(ask.source)
    tokens: dict[tuple[str, str], dict[int, Done]] = {}
    for one in sorted(claims, key=_end):
        given = tokens.setdefault((one.name, one.owner), {})
        if one.token in given:
            continue
        given[one.token] = one.source
        own = asked.get((one.name, one.owner), [])
        begun = bisect_right(own, _end(one), key=lambda ask: ask.invoked)
        if len(given) > begun:
            times = f"{begun} time{'s' * (begun != 1)}"
            said = f"{one.owner} has {len(given)} tokens of {one.name}, and asked {times}"
            return invalid(said, [*own[:begun][-2:], *list(given.values())[-2:]])
    return None


def _falls_in_the_log(claims: Iterable[Claim]) -> Judgement | None:
    """Two claims of one name, the later one in the log with the lower token."""
    before: Claim | None = None
    placed = [(one.source.index, one) for one in claims if one.source.index is not None]
    for _, one in sorted(placed, key=lambda pair: pair[0]):
        if before is not None and one.token < before.token:
            return _falls(before, one)
        again = before is not None and before.ends and one.token == before.token
        if before is not None and again and one.source.index != before.source.index:
            return _falls(before, one)
        before = one
    return None


def _falls_in_time(claims: Sequence[Claim]) -> Judgement | None:
    """Two claims of one name, one completed before the other began, and with the higher token."""
    ended = sorted(claims, key=_end)
    highest: Claim | None = None
    place = 0
    for one in sorted(claims, key=lambda claim: claim.source.invoked):
        while place < len(ended) and _end(ended[place]) < one.source.invoked:
            if highest is None or _rank(ended[place]) > _rank(highest):
                highest = ended[place]
            place += 1
        if highest is not None and one.token < highest.token + highest.ends:
            return _falls(highest, one)
    return None


def _falls(before: Claim, one: Claim) -> Judgement:
    if one.token == before.token:
        said = f"token {one.token} of {one.name} was given back, and is in force again"
    else:
        said = f"{one.name}: token {one.token} came after token {before.token}"
    return invalid(said, [before.source, one.source])


def _end(claim: Claim) -> int:
    assert claim.source.completed is not None, "only an answer is a claim"
    return claim.source.completed


def _rank(claim: Claim) -> tuple[int, bool]:
    return claim.token, claim.ends
