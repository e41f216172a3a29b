"""Whatever is ordered of links, one order after the other, can be told to nodes and shown."""

from __future__ import annotations

from contextlib import suppress
from random import Random

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from launcher.control.links import LinkChange, mentions
from launcher.control.naming import Link
from launcher.control.requests import ChangeLinks, Request, SetLinks, check
from launcher.errors import UsageError
from launcher.supervisor.link_layers import NO_FAULTS, LinkLayers, link_statuses
from node import wire
from node.faults.links import MOST_DELAY_S, FaultFilter
from node.wire import LinkFault

NODES = (1, 2, 3)
ids = st.sampled_from(NODES) | st.sampled_from([0, -1, 10**9, 10**9 + 1, 10**30])
seconds = st.sampled_from([0.0, 0.1, MOST_DELAY_S / 2, float(MOST_DELAY_S), -1.0, 1e308])
shares = st.sampled_from([0.0, 0.3, 1.0, 1.1, -0.1])
rates = st.sampled_from([0.0, 1e3, 1e12, 1e308, -1.0])
changes = st.builds(
    LinkChange,
    delay=st.none() | st.tuples(seconds, seconds),
    loss=st.none() | shares,
    rate=st.none() | rates,
    cut=st.booleans(),
    hold=st.booleans(),
    profile=st.sampled_from(["", "", "wan3", "4g"]),
    ok=st.sampled_from([False, False, True]),
    ends=st.lists(st.sampled_from(["delay", "cut", "rate"]), max_size=2),
)
faults = st.builds(
    LinkFault,
    source=ids,
    target=ids,
    delay_s=seconds,
    jitter_s=seconds,
    loss=shares,
    rate=rates,
    cut=st.booleans(),
)
requests = st.one_of(
    st.builds(
        ChangeLinks,
        links=st.just(""),
        change=changes,
        pairs=st.lists(st.tuples(ids, ids), min_size=1, max_size=3),
    ),
    st.builds(SetLinks, st.lists(faults, max_size=3)),
)


def carried_out(layers: LinkLayers, request: Request) -> LinkLayers:
    """As the supervisor does it, once the request is checked."""
    match request:
        case ChangeLinks(_, change, pairs):
            began = {part: n for n, (_, _, parts) in enumerate(mentions(change)) for part in parts}
            links: list[Link] = pairs
            return layers.changed(links, change, began)
        case SetLinks(asked):
            return layers.replaced(asked, 7)
    raise AssertionError(request)


@given(st.lists(requests, max_size=4))
def test_what_was_allowed_can_be_told_and_shown(orders: list[Request]) -> None:
    """An order that could not be made every later command fail until the cluster was taken down."""
    layers = NO_FAULTS
    for request in orders:
        with suppress(UsageError):
            check(request)
            layers = carried_out(layers, request)
        _, order = wire.decode_to_node(wire.encode(1, layers.order))
        assert isinstance(order, wire.SetFaults)
        FaultFilter(order.faults, rng=Random(1))
        assert len(msgspec.json.encode(link_statuses(order.faults, NODES))) < 10_000
