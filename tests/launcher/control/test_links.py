"""LINKS and the words of `link`: what they mean, what they say, and what is refused."""

from __future__ import annotations

import msgspec
import pytest

from launcher.control.links import (
    PARTS,
    PROFILES,
    LinkChange,
    apply,
    check_change,
    describe,
    ended_by,
    mentions,
    pairs,
    parse_change,
    split_links,
)
from launcher.errors import UsageError
from launcher.simulation.faults.schedule import FAULTS
from node.faults.links import check, nothing
from node.wire import LinkFault

NOTHING = nothing(1, 2)


def after(*commands: str) -> LinkFault:
    """What n1>n2 does after these commands."""
    fault = NOTHING
    for command in commands:
        fault = apply(parse_change(command.split()), fault)
    check(fault)
    return fault


# -- which links ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("1>2", ("1", "2", False)),
        (" n1 > n2 ", ("n1", "n2", False)),
        ("1-2", ("1", "2", True)),
        ("leader>followers", ("leader", "followers", False)),
        ("1,2-random", ("1,2", "random", True)),
        ("ALL", ("all", "all", False)),
    ],
)
def test_links_are_two_ends_and_what_joins_them(text: str, ends: tuple[str, str, bool]) -> None:
    assert split_links(text) == ends


@pytest.mark.parametrize("text", ["", "1", "1>", ">2", "1>2>3", "1-2-3", "1>2-3", "1->2", "leader"])
def test_what_names_no_links_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="names no links: write '1>2'"):
        split_links(text)


def test_pairs_are_all_directions_that_are_meant() -> None:
    assert pairs([1], [2], False) == [(1, 2)]
    assert pairs([1], [2], True) == [(1, 2), (2, 1)]
    assert pairs([1, 2], [1, 2], False) == [(1, 2), (2, 1)]
    assert pairs([1, 2], [2, 3], True) == [(1, 2), (1, 3), (2, 1), (2, 3), (3, 1), (3, 2)]
    with pytest.raises(UsageError, match="not to itself"):
        pairs([1], [1], True)


# -- words ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ("delay 50ms", {"delay_s": 0.05}),
        ("delay 50ms 10ms", {"delay_s": 0.04, "jitter_s": 0.02}),
        ("DELAY 1s 1s", {"delay_s": 0.0, "jitter_s": 2.0}),
        ("loss 5%", {"loss": 0.05}),
        ("loss 100%", {"loss": 1.0}),
        ("duplicate 1%", {"duplicate": 0.01}),
        ("reorder 2.5%", {"reorder": 0.025}),
        ("rate 1mbit", {"rate": 1e6}),
        ("rate 1.5kbit", {"rate": 1500}),
        ("rate 2gbit", {"rate": 2e9}),
        ("cut", {"cut": True}),
        ("hold", {"hold": True}),
        ("profile 3g", {"delay_s": 0.125, "rate": 750_000, "loss": 0.015}),
        ("loss 5% delay 50ms cut", {"loss": 0.05, "delay_s": 0.05, "cut": True}),
    ],
)
def test_words_are_netem_s(words: str, fault: dict[str, object]) -> None:
    expected = {**msgspec.structs.asdict(NOTHING), **fault}
    assert msgspec.structs.asdict(after(words)) == pytest.approx(expected)


def test_a_command_changes_only_what_it_names() -> None:
    assert describe(after("delay 50ms 10ms", "loss 5%")) == "delay 50ms 10ms, loss 5%"
    assert describe(after("delay 50ms 10ms", "delay 20ms")) == "delay 20ms"
    assert describe(after("delay 50ms loss 5%", "loss 0%")) == "delay 50ms"
    assert describe(after("cut", "hold rate 750kbit")) == "cut, hold, rate 750kbit"
    assert describe(after("profile dsl", "cut")) == "cut, delay 20ms, loss 0.5%, rate 8mbit"
    assert describe(after("profile dsl", "profile satellite")) == "delay 10ms, loss 2.5%"


@pytest.mark.parametrize(
    "words", ["delay 0ms", "loss 0%", "duplicate 0%", "reorder 0%", "delay 0s 0s loss 0%", "ok"]
)
def test_zero_is_exactly_nothing(words: str) -> None:
    assert after(words) == NOTHING
    assert after("delay 50ms", "loss 5%", "duplicate 5%", "reorder 5%", "ok") == NOTHING


@pytest.mark.parametrize("part", PARTS)
def test_each_word_ends_alone_and_has_a_name_in_the_simulated_world(part: str) -> None:
    everything = "cut hold delay 5ms loss 5% duplicate 5% reorder 5% rate 5mbit"
    ends = msgspec.convert({"ends": [part]}, LinkChange)
    left = describe(apply(ends, after(everything)))
    assert part not in left
    assert len(left.split(", ")) == len(PARTS) - 1
    assert {FAULTS[name].text for name in PARTS.values()}


def test_a_change_says_what_it_begins_and_what_it_ends() -> None:
    change = parse_change(["delay", "50ms", "loss", "0%"])
    assert list(mentions(change)) == [("delay 50ms", "slow-link", frozenset({"delay"}))]
    assert ended_by(change) == {"delay", "loss"}
    (profile,) = mentions(parse_change(["profile wan3"]))
    assert profile == ("profile wan3", "slow-link", frozenset({"delay", "loss", "rate"}))
    assert not list(mentions(parse_change(["ok"])))
    assert ended_by(parse_change(["ok"])) == set(PARTS)


def test_wan3_puts_the_nodes_into_three_regions_in_turn() -> None:
    change = parse_change(["profile", "wan3"])

    def delay_s(source: int, target: int) -> float:
        assert apply(change, nothing(source, target)) == apply(change, nothing(target, source)) or (
            apply(change, nothing(source, target)).delay_s
            == apply(change, nothing(target, source)).delay_s
        )
        return apply(change, nothing(source, target)).delay_s

    assert [delay_s(1, 2), delay_s(1, 3), delay_s(2, 3)] == [0.033, 0.032, 0.073]
    assert delay_s(1, 4) == delay_s(2, 5) == 0.0
    assert delay_s(4, 5) == 0.033
    assert describe(apply(change, after("loss 5% rate 1mbit"))) == "delay 33ms"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("", "what shall the links do"),
        ("slow", "a link cannot do 'slow': write delay 50ms"),
        ("delay 50ms 10ms 5ms", "a link cannot do '5ms'"),
        ("delay", "delay takes a value: delay 50ms"),
        ("delay 50", "delay takes a duration with a unit"),
        ("delay -5ms", "delay takes a duration with a unit"),
        ("delay 10ms 20ms", "the second duration of delay is at most the first one"),
        ("delay 2h", "delay takes at most 1h"),
        ("loss 150%", "loss takes a percentage from 0% to 100%"),
        ("loss 5", "loss takes a percentage from 0% to 100%, not '5'"),
        ("loss nan%", "loss takes a percentage"),
        ("loss -1%", "loss takes a percentage"),
        ("duplicate cut", "duplicate takes a value: duplicate 1%"),
        ("rate 0", "rate takes bits per second .* not '0'; ok ends it"),
        ("rate 0mbit", "rate takes bits per second .* not 0bit"),
        ("rate 1mb", "rate takes bits per second"),
        ("rate 100bit", "rate takes bits per second"),
        ("rate 99999gbit", "rate takes bits per second"),
        ("profile", "profile takes a name: there are 3g, dsl"),
        ("profile 6g", "no profile is called '6g': there are 3g"),
        ("profile 3g loss 2%", "a profile says delay, loss and rate"),
        ("loss 2% loss 3%", "loss is there twice"),
        ("cut ok", "ok ends everything, and stands alone"),
        ("cut " * 30, "what shall the links do"),
    ],
)
def test_what_no_link_can_do_is_refused_in_one_line(words: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        parse_change(words.split())
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "change",
    [
        LinkChange(delay=(-1.0, 0.0)),
        LinkChange(delay=(float("nan"), 0.0)),
        LinkChange(delay=(1.0, 2.0)),
        LinkChange(loss=1.5),
        LinkChange(reorder=float("nan")),
        LinkChange(rate=0.0),
        LinkChange(rate=float("nan")),
        LinkChange(profile="6g"),
    ],
)
def test_a_change_that_did_not_come_from_words_is_checked_too(change: LinkChange) -> None:
    with pytest.raises(UsageError):
        check_change(change)


def test_every_profile_is_a_fault_that_links_can_have() -> None:
    for name in PROFILES:
        assert after(f"profile {name}") != NOTHING
