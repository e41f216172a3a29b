"""The fault filter: each fault does what it says, on its own link, as often as it says."""

from __future__ import annotations

import math
import random
from itertools import pairwise

import msgspec
import pytest

from node.faults.links import (
    HELD,
    LOST,
    MOST_DELAY_S,
    MOST_QUEUED_BYTES,
    PASS,
    REORDER_HOLD_S,
    FaultFilter,
    partition,
)
from node.wire import Drop, LinkFault

MESSAGES = 4000

# -- links without faults ------------------------------------------------------------------------


def test_a_link_without_a_fault_passes_by_identity() -> None:
    links = FaultFilter([LinkFault(source=1, target=2, cut=True)], rng=no_randomness())
    assert links.verdict(2, 1) is PASS
    assert links.verdict(1, 3) is PASS
    assert PASS == (0.0,)


def test_a_fault_that_does_nothing_passes_by_identity() -> None:
    links = FaultFilter([LinkFault(source=1, target=2)], rng=no_randomness())
    assert links.verdict(1, 2) is PASS


def test_set_replaces_all_faults() -> None:
    links = FaultFilter([LinkFault(source=1, target=2, cut=True)], rng=no_randomness())
    links.set([LinkFault(source=2, target=1, delay_s=0.5)])
    assert links.verdict(1, 2) is PASS
    assert links.verdict(2, 1) == (0.5,)
    links.set([])
    assert links.verdict(2, 1) is PASS


# -- each fault ----------------------------------------------------------------------------------


def test_a_cut_link_loses_everything_in_its_direction() -> None:
    links = FaultFilter([LinkFault(source=1, target=2, cut=True)], rng=no_randomness())
    assert links.verdict(1, 2) == LOST == ()
    assert links.is_cut(1, 2)
    assert not links.is_cut(2, 1)


def test_a_link_that_loses_everything_is_not_cut() -> None:
    """The news that the other end has died still crosses it."""
    links = FaultFilter([LinkFault(source=1, target=2, loss=1)], rng=no_randomness())
    assert links.verdict(1, 2) == LOST
    assert not links.is_cut(1, 2)


@pytest.mark.parametrize("probability", [0.02, 0.3, 0.9])
def test_loss_happens_as_often_as_it_says(probability: float) -> None:
    verdicts = sample(LinkFault(source=1, target=2, loss=probability))
    assert_share(verdicts.count(LOST), probability)
    assert set(verdicts) == {LOST, (0.0,)}


@pytest.mark.parametrize("probability", [0.02, 0.3, 0.9])
def test_duplication_happens_as_often_as_it_says(probability: float) -> None:
    verdicts = sample(LinkFault(source=1, target=2, duplicate=probability))
    assert_share(verdicts.count((0.0, 0.0)), probability)
    assert set(verdicts) == {(0.0,), (0.0, 0.0)}


def test_a_delay_alone_is_exact_and_needs_no_randomness() -> None:
    fault = LinkFault(source=1, target=2, delay_s=0.25)
    assert FaultFilter([fault], rng=no_randomness()).verdict(1, 2) == (0.25,)


def test_jitter_is_spread_evenly_above_the_delay() -> None:
    verdicts = sample(LinkFault(source=1, target=2, delay_s=1.0, jitter_s=0.5))
    delays = [delay for (delay,) in verdicts]
    assert all(1.0 <= delay <= 1.5 for delay in delays)
    for quarter in range(4):
        low = 1.0 + quarter / 8
        assert_share(sum(low <= delay < low + 1 / 8 for delay in delays), 0.25)


@pytest.mark.parametrize("probability", [0.05, 0.5])
def test_reordering_happens_as_often_as_it_says(probability: float) -> None:
    verdicts = sample(LinkFault(source=1, target=2, reorder=probability))
    held = [delay for (delay,) in verdicts if delay]
    assert_share(len(held), probability)
    assert all(0.5 * REORDER_HOLD_S <= delay <= 1.5 * REORDER_HOLD_S for delay in held)


@pytest.mark.parametrize("probability", [0.2, 1.0])
def test_a_reordered_message_is_overtaken(probability: float) -> None:
    """Sent a millisecond apart; also when every one of them is held back."""
    verdicts = sample(LinkFault(source=1, target=2, reorder=probability))
    arrivals = [0.001 * n + delay for n, (delay,) in enumerate(verdicts)]
    overtaken = sum(later < earlier for earlier, later in pairwise(arrivals))
    assert overtaken > 0.1 * MESSAGES


def test_each_copy_of_a_duplicate_fares_by_itself() -> None:
    verdicts = sample(LinkFault(source=1, target=2, duplicate=1, reorder=0.5))
    kinds = [tuple(bool(delay) for delay in verdict) for verdict in verdicts]
    for kind in [(False, False), (False, True), (True, False), (True, True)]:
        assert_share(kinds.count(kind), 0.25)


# -- several faults ------------------------------------------------------------------------------


def test_faults_on_one_link_combine() -> None:
    faults = [
        LinkFault(source=1, target=2, delay_s=0.1),
        LinkFault(source=1, target=2, delay_s=0.2, duplicate=1),
    ]
    assert FaultFilter(faults, rng=no_randomness()).verdict(1, 2) == pytest.approx((0.3, 0.3))


def test_a_cut_wins_whatever_stands_beside_it() -> None:
    cut = LinkFault(source=1, target=2, cut=True)
    slow = LinkFault(source=1, target=2, delay_s=1, loss=0.5)
    for faults in ([cut, slow], [slow, cut]):
        links = FaultFilter(faults, rng=no_randomness())
        assert links.is_cut(1, 2)
        assert links.verdict(1, 2) == LOST


def test_combined_losses_are_independent() -> None:
    lossy = LinkFault(source=1, target=2, loss=0.5)
    assert_share(sample(lossy, lossy).count(LOST), 0.75)


def test_faults_that_are_impossible_together_are_refused_and_what_was_ordered_stays() -> None:
    """The sum could not be combined again: whoever asked for it later got the error."""
    long = LinkFault(source=1, target=2, delay_s=MOST_DELAY_S)
    links = FaultFilter([long], rng=no_randomness())
    with pytest.raises(ValueError, match="delay_s is a number of seconds, from 0 to 3600"):
        links.set([long, LinkFault(source=1, target=2, delay_s=1.0)])
    assert links.verdict(1, 2) == (MOST_DELAY_S,)


# -- determinism ---------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_verdicts() -> None:
    fault = LinkFault(source=1, target=2, loss=0.2, duplicate=0.2, jitter_s=1, reorder=0.2)
    assert sample(fault, seed=5) == sample(fault, seed=5)
    assert sample(fault, seed=5) != sample(fault, seed=6)


def test_links_without_faults_draw_no_randomness() -> None:
    """So a fault on one link gives the same verdicts whatever the others carry."""
    fault = LinkFault(source=1, target=2, loss=0.5)
    quiet = FaultFilter([fault], rng=random.Random(1))
    busy = FaultFilter([fault], rng=random.Random(1))
    verdicts = []
    for _ in range(100):
        busy.verdict(2, 1)
        verdicts.append(busy.verdict(1, 2))
    assert verdicts == [quiet.verdict(1, 2) for _ in range(100)]


# -- wrong input ---------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["loss", "duplicate", "reorder"])
@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan])
def test_an_impossible_probability_is_refused(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{field} is a probability"):
        FaultFilter([fault_with(field, value)], rng=no_randomness())


@pytest.mark.parametrize("field", ["delay_s", "jitter_s"])
@pytest.mark.parametrize("value", [-0.1, math.inf, math.nan])
def test_an_impossible_delay_is_refused(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{field} is a number of seconds"):
        FaultFilter([fault_with(field, value)], rng=no_randomness())


def test_after_a_refused_set_the_old_faults_stand() -> None:
    links = FaultFilter([LinkFault(source=1, target=2, cut=True)], rng=no_randomness())
    with pytest.raises(ValueError, match="loss"):
        links.set([LinkFault(source=2, target=1, cut=True), fault_with("loss", 2)])
    assert links.is_cut(1, 2)
    assert not links.is_cut(2, 1)


# -- partitions ----------------------------------------------------------------------------------


def test_a_partition_cuts_what_lies_between_groups_and_nothing_else() -> None:
    group_of = {1: "a", 2: "a", 3: "b", 4: "b", 5: "c"}
    links = FaultFilter(partition([[1, 2], {4, 3}, (5,)]), rng=no_randomness())
    for source in group_of:
        for target in group_of:
            assert links.is_cut(source, target) == (group_of[source] != group_of[target])


def test_a_partition_names_each_link_once_and_in_the_same_order_every_time() -> None:
    faults = partition([{3, 1}, {2}])
    assert [(f.source, f.target) for f in faults] == [(1, 2), (3, 2), (2, 1), (2, 3)]
    assert all(f.cut for f in faults)


@pytest.mark.parametrize("groups", [[], [[]], [[1, 2, 3]], [[1], []]])
def test_a_partition_of_one_group_cuts_nothing(groups: list[list[int]]) -> None:
    assert partition(groups) == []


def test_a_node_in_two_groups_is_refused() -> None:
    with pytest.raises(ValueError, match="node 2 is in two groups"):
        partition([[1, 2], [2, 3]])


def test_a_node_that_is_cut_off_stays_so_whatever_is_ordered_of_the_links() -> None:
    slow = LinkFault(source=1, target=2, delay_s=0.5)
    links = FaultFilter([slow], rng=no_randomness())
    links.cut_off(1)
    assert links.verdict(1, 2) == links.verdict(3, 1) == LOST
    assert links.is_cut(2, 1)
    links.set([LinkFault(source=2, target=3, delay_s=0.25)])
    assert links.verdict(1, 2) == LOST
    assert links.verdict(2, 3) == (0.25,)
    assert links.verdict(3, 2) is PASS
    links.cut_off(None)
    assert links.verdict(1, 2) is PASS
    assert links.verdict(2, 3) == (0.25,)


# -- vocabulary ----------------------------------------------------------------------------------


class _NoRandomness(random.Random):
    def random(self) -> float:
        raise AssertionError("nothing here is left to chance")


def no_randomness() -> random.Random:
    return _NoRandomness()


def fault_with(field: str, value: float) -> LinkFault:
    return msgspec.structs.replace(LinkFault(source=1, target=2), **{field: value})


def sample(*faults: LinkFault, seed: int = 1) -> list[tuple[float, ...]]:
    links = FaultFilter(faults, rng=random.Random(seed))
    return [links.verdict(1, 2) for _ in range(MESSAGES)]


def assert_share(count: int, probability: float) -> None:
    """Within five standard deviations; the seed is fixed, so it is never a matter of luck."""
    deviation = math.sqrt(MESSAGES * probability * (1 - probability))
    assert abs(count - MESSAGES * probability) <= 5 * deviation


# -- messages that are lost by their type, and messages that are slow ----------------------------


def test_the_next_messages_of_a_type_are_lost_and_no_others() -> None:
    links = FaultFilter(rng=no_randomness())
    links.drop([Drop(1, 2, "RequestVote", 2), Drop(1, 2, "heartbeat")])
    assert links.awaits(1, 2)
    assert not links.awaits(2, 1)
    assert links.strike(1, 2, ("AppendEntries", "entries")) is None
    assert links.strike(1, 2, ("heartbeat", "AppendEntries")) == "heartbeat"
    assert links.strike(1, 2, ("heartbeat", "AppendEntries")) is None
    assert [links.strike(1, 2, ("RequestVote",)) for _ in range(3)] == [
        "RequestVote", "RequestVote", None,
    ]  # fmt: skip
    assert not links.awaits(1, 2), "nothing more is to be lost there"


def test_what_is_to_be_lost_is_added_or_replaced() -> None:
    links = FaultFilter(rng=no_randomness())
    links.drop([Drop(1, 2, "RequestVote")])
    links.drop([Drop(1, 2, "RequestVote"), Drop(1, 3, "TimeoutNow")], add=True)
    assert [links.strike(1, 2, ("RequestVote",)) is None for _ in range(3)] == [False, False, True]
    links.drop([])
    assert not links.awaits(1, 3)


def test_what_a_cut_loses_is_not_counted() -> None:
    links = FaultFilter([LinkFault(source=1, target=2, cut=True)], rng=no_randomness())
    links.drop([Drop(1, 2, "RequestVote")])
    assert not links.awaits(1, 2)
    links.set([])
    assert links.awaits(1, 2)


def test_where_messages_are_slow_each_takes_that_much_longer() -> None:
    links = FaultFilter([LinkFault(source=1, target=2, delay_s=0.5)], rng=no_randomness())
    links.delay_all(0.25)
    assert links.verdict(1, 2) == (0.75,)
    assert links.verdict(2, 1) == (0.25,)
    links.delay_all(0.0)
    assert links.verdict(2, 1) is PASS
    for impossible in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="longer"):
            links.delay_all(impossible)


# -- rate and hold -------------------------------------------------------------------------------


def test_a_rate_lets_a_message_wait_for_the_bytes_before_it() -> None:
    links = FaultFilter([LinkFault(source=1, target=2, rate=8000)], rng=no_randomness())
    assert links.verdict(1, 2, 1000, 10.0) == pytest.approx((1.0,))
    assert links.verdict(1, 2, 500, 10.0) == pytest.approx((1.5,)), "behind the one before"
    assert links.verdict(1, 2, 500, 11.0) == pytest.approx((1.0,)), "half a second is left of both"
    assert links.verdict(1, 2, 500, 20.0) == pytest.approx((0.5,)), "the link was idle"
    assert links.verdict(2, 1, 10**9, 20.0) is PASS, "the other direction"


def test_a_rate_bounds_the_bytes_of_any_stretch_of_time() -> None:
    fault = LinkFault(source=1, target=2, rate=80_000, delay_s=0.25, duplicate=0.5)
    links, rng = FaultFilter([fault], rng=random.Random(3)), random.Random(4)
    arrivals, now = [], 0.0
    for _ in range(2000):
        now += rng.expovariate(20)
        size = rng.randrange(1, 2000)
        arrivals += [(now + one, size) for one in links.verdict(1, 2, size, now)]
    assert all(at > 0.25 for at, _ in arrivals)
    last = max(at for at, _ in arrivals)
    assert sum(size for _, size in arrivals) <= 10_000 * (last - 0.25) + 1


def test_what_waits_for_a_slow_link_is_bounded_and_the_rest_is_lost() -> None:
    """Otherwise a link that is asked for more than it carries would be late for ever."""
    links = FaultFilter([LinkFault(source=1, target=2, rate=8000)], rng=no_randomness())
    fates = [links.verdict(1, 2, 1 << 18, 0.0) for _ in range(20)]
    crossed = [one for one in fates if one]
    assert len(crossed) == MOST_QUEUED_BYTES // (1 << 18) + 1
    assert fates[len(crossed) :] == [LOST] * (20 - len(crossed))
    big = FaultFilter([LinkFault(source=1, target=2, rate=1e9)], rng=no_randomness())
    assert big.verdict(1, 2, 100 << 20, 0.0) != LOST, "a single message of any size crosses"


def test_what_waits_for_a_rate_counts_no_more_when_the_rate_has_ended() -> None:
    slow = LinkFault(source=1, target=2, rate=8000)
    links = FaultFilter([slow], rng=no_randomness())
    links.verdict(1, 2, 10_000, 0.0)
    links.set([LinkFault(source=1, target=2, rate=8000, loss=0)])
    assert links.verdict(1, 2, 1000, 0.0) == pytest.approx((11.0,)), "still behind it"
    links.set([])
    links.set([slow])
    assert links.verdict(1, 2, 1000, 0.0) == pytest.approx((1.0,))


def test_a_link_that_holds_holds_everything_unless_it_is_cut() -> None:
    hold = LinkFault(source=1, target=2, hold=True, delay_s=1, loss=0.5, rate=8000)
    links = FaultFilter([hold], rng=no_randomness())
    assert links.verdict(1, 2, 100, 0.0) is HELD
    assert links.holds(1, 2)
    assert not links.holds(2, 1)
    assert links.verdict(2, 1) is PASS
    links.set([hold, LinkFault(source=1, target=2, cut=True)])
    assert links.verdict(1, 2) == LOST
    links.set([])
    assert not links.holds(1, 2)


def test_the_lowest_rate_of_several_counts() -> None:
    faults = [LinkFault(source=1, target=2, rate=rate) for rate in (16_000, 0, 8_000)]
    links = FaultFilter(faults, rng=no_randomness())
    assert links.verdict(1, 2, 1000, 0.0) == pytest.approx((1.0,))
    assert links.has_rate(1, 2)
    assert not links.has_rate(2, 1)


@pytest.mark.parametrize("rate", [-1.0, 1.0, 999.0, 1e13, math.nan, math.inf])
def test_a_rate_that_no_link_can_have_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="rate is 0, or a number of bits per second"):
        FaultFilter([LinkFault(source=1, target=2, rate=rate)], rng=no_randomness())
