"""THROTTLE: what an operator may write of a node's share of a core, and what is said of it."""

from __future__ import annotations

import msgspec
import pytest

from launcher.cli.status_table import shown
from launcher.control.requests import SetThrottles, check
from launcher.control.status import FROZEN, ClusterStatus, NodeStatus
from launcher.control.throttles import describe, parse_share, write_share
from launcher.errors import UsageError


@pytest.mark.parametrize(
    ("text", "share"),
    [("20%", 0.2), (" 1% ", 0.01), ("99%", 0.99), ("2.5%", 0.025), ("ok", None), ("OK", None)],
)
def test_what_a_share_is_called(text: str, share: float | None) -> None:
    assert parse_share(text) == share
    if share is not None:
        assert parse_share(write_share(share)) == share


@pytest.mark.parametrize(
    "text", ["", "0%", "0.5%", "100%", "250%", "-20%", "20", "0.2", "half", "%", "nan%", "inf%"]
)
def test_what_is_no_share_is_refused_with_what_is_one(text: str) -> None:
    with pytest.raises(UsageError, match="from 1% to 99%, such as 20%, or ok"):
        parse_share(text)


@pytest.mark.parametrize("share", [0.0, 1.0, -1.0, 1e308, float("nan")])
def test_a_request_is_checked_too(share: float) -> None:
    with pytest.raises(UsageError, match=r"a share from 0\.01 to 0\.99"):
        check(SetThrottles(["1"], share))


def test_ps_says_who_is_throttled_and_that_all_is_frozen() -> None:
    nodes = [NodeStatus(id=1, state="up", throttle=0.2), NodeStatus(id=2, state="up")]
    status = ClusterStatus(cluster="c", supervisor_pid=1, leader=None, term=1, nodes=nodes)
    lines = shown(status, colour=False, width=None).splitlines()
    assert lines[1].endswith("throttled to 20%")
    assert describe(0.025) == "throttled to 2.5%"
    frozen = msgspec.structs.replace(status, frozen=True, frozen_because=FROZEN)
    for options in ({"narrow": True}, {"raft": True}, {}):
        first, *rest = shown(frozen, colour=False, width=None, **options).splitlines()
        assert first == FROZEN
        assert rest == shown(status, colour=False, width=None, **options).splitlines()
