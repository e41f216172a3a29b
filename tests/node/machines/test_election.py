"""Offices: who leads, who is next, and when."""

from __future__ import annotations

import pytest

from node.errors import CommandError
from node.machines.election import Election
from tests.refused import refused_command

SECOND = 1_000_000


def test_the_first_candidate_leads_and_the_others_stand_in_line() -> None:
    election = Election()
    assert election.apply(1, b"CAMPAIGN boss ann 5s") == b"leads 1"
    assert election.apply(2, b"CAMPAIGN boss bob 5s") == b"waits 1 ann 1"
    assert election.apply(3, b"CAMPAIGN boss cid 5s") == b"waits 2 ann 1"
    assert election.query(b"LEADER boss") == b"ann 1 5s"
    assert election.query(b"CANDIDATES boss") == b"ann 5s\nbob 5s\ncid 5s"


def test_who_campaigns_again_keeps_its_place() -> None:
    election = elected(b"ann", b"bob", b"cid")
    election.advance(2 * SECOND)
    assert election.apply(4, b"CAMPAIGN boss bob 5s") == b"waits 1 ann 1"
    assert election.apply(5, b"CAMPAIGN boss ann 5s") == b"leads 1"
    assert election.query(b"CANDIDATES boss") == b"ann 5s\nbob 5s\ncid 3s"


def test_the_next_in_line_takes_over_when_the_leaders_time_ends() -> None:
    election = elected(b"ann", b"bob", b"cid")
    election.advance(2 * SECOND)
    election.apply(4, b"CAMPAIGN boss cid 5s")
    election.apply(5, b"CAMPAIGN boss bob 5s")
    election.advance(5 * SECOND)
    assert election.query(b"LEADER boss") == b"bob 2 2s"
    assert election.apply(6, b"CAMPAIGN boss ann 5s") == b"waits 2 bob 2"


def test_the_next_in_line_takes_over_when_the_leader_resigns() -> None:
    election = elected(b"ann", b"bob", b"cid")
    assert election.apply(4, b"RESIGN boss ann") == b"resigned"
    assert election.query(b"LEADER boss") == b"bob 2 5s"
    assert election.apply(5, b"RESIGN boss cid") == b"resigned"
    assert election.query(b"LEADER boss") == b"bob 2 5s", "one in line has gone, no new term"
    assert election.apply(6, b"RESIGN boss bob") == b"resigned"
    assert refused_command(election, b"LEADER boss") == "nobody leads boss"
    assert election.deadline_us() is None


def test_nobody_leads_whose_own_time_has_ended_too() -> None:
    """Nor is there a term for it: all that have ended are out before anyone takes over."""
    election = Election()
    election.apply(1, b"CAMPAIGN boss ann 1s")
    election.apply(2, b"CAMPAIGN boss bob 2s")
    election.apply(3, b"CAMPAIGN boss cid 5s")
    election.advance(3 * SECOND)
    assert election.query(b"LEADER boss") == b"cid 2 2s"
    election.advance(9 * SECOND)
    assert election.query(b"OFFICES") == b""


def test_terms_rise_over_all_offices() -> None:
    election = Election()
    assert election.apply(1, b"CAMPAIGN a ann 1s") == b"leads 1"
    assert election.apply(2, b"CAMPAIGN b ann 2s") == b"leads 2"
    election.advance(SECOND)
    assert election.apply(3, b"CAMPAIGN a ann 1s") == b"leads 3"
    assert election.query(b"OFFICES") == b"a ann 3 1s\nb ann 2 1s"


def test_several_leaders_may_fall_at_once() -> None:
    election = Election()
    for index, office in enumerate([b"b", b"a"]):
        election.apply(index, b"CAMPAIGN %s ann 1s" % office)
        election.apply(index, b"CAMPAIGN %s bob 5s" % office)
    election.advance(SECOND)
    assert election.query(b"OFFICES") == b"a bob 3 4s\nb bob 4 4s"


@pytest.mark.parametrize("grant", [b"ann 2", b"bob 1", b"bob 2"])
def test_only_the_leader_renews_and_only_in_its_term(grant: bytes) -> None:
    election = elected(b"ann", b"bob")
    said = "ann leads boss in term 1: campaign anew"
    assert refused_command(election, b"RENEW boss %s 5s" % grant) == said
    election.advance(SECOND)
    assert election.apply(9, b"RENEW boss ann 1 7s") == b"1"
    assert election.query(b"LEADER boss") == b"ann 1 7s"


def test_a_leader_that_fell_and_leads_again_is_not_mistaken_for_its_former_self() -> None:
    election = elected(b"ann")
    election.advance(5 * SECOND)
    assert refused_command(election, b"RENEW boss ann 1 5s") == "nobody leads boss: campaign anew"
    assert election.apply(2, b"CAMPAIGN boss ann 5s") == b"leads 2"
    assert "in term 2" in refused_command(election, b"RENEW boss ann 1 5s")


@pytest.mark.parametrize("command", [b"RESIGN boss bob", b"RESIGN other ann"])
def test_who_is_no_candidate_cannot_resign(command: bytes) -> None:
    assert "is no candidate for" in refused_command(elected(b"ann"), command)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (b"CAMPAIGN boss ann", "write CAMPAIGN office candidate ttl"),
        (b"CAMPAIGN boss ann soon", "a ttl is written"),
        (b"RENEW boss ann one 5s", "a term is a number, not one"),
        (b"OFFICES all", "OFFICES stands alone"),
        (b"VOTE ann", "the election machine has CAMPAIGN office candidate ttl"),
    ],
)
def test_what_makes_no_sense_is_answered_with_how_to_write_it(command: bytes, said: str) -> None:
    assert said in refused_command(elected(b"ann"), command)


def test_nobody_is_a_candidate_for_an_unknown_office() -> None:
    assert Election().query(b"CANDIDATES boss") == b""


@pytest.mark.parametrize("command", [b"CAMPAIGN a b 1s", b"renew a b 1 1s", b"RESIGN a b"])
def test_a_query_changes_nothing(command: bytes) -> None:
    with pytest.raises(CommandError, match="submit it as an entry"):
        Election().query(command)


def elected(*candidates: bytes) -> Election:
    election = Election()
    for index, candidate in enumerate(candidates, 1):
        election.apply(index, b"CAMPAIGN boss %s 5s" % candidate)
    return election
