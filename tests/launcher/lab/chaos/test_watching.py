"""Whether the budget was kept, by samples that were made by hand; and how samples are taken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from launcher.control.status import FROZEN_FOR_SAFETY, ClusterStatus
from launcher.errors import NotRunning
from launcher.lab.chaos.record import steady_clock
from launcher.lab.chaos.watching import (
    Broken,
    Sample,
    SampledNode,
    Sampler,
    broken,
    read,
    sample_of,
)
from tests.launcher.fake_cluster import until
from tests.launcher.lab.chaos.test_budget import status, up


def sample(t: int = 1, **fields: Any) -> Sample:
    nodes = [SampledNode(n, "up") for n in (1, 2, 3)]
    return Sample(**{"t": t, "leader": 1, "voters": [1, 2, 3], "nodes": nodes, **fields})


def nodes(**changed: Any) -> list[SampledNode]:
    """n1 is well; n2 is paused; n3 is as told."""
    return [SampledNode(1, "up"), SampledNode(2, "paused"), SampledNode(3, **changed)]


def test_no_sample_is_broken_in_which_a_majority_works() -> None:
    assert broken([]) is None
    assert broken([sample(), sample(2, nodes=nodes(state="up"))]) is None


@pytest.mark.parametrize(
    ("third", "why"),
    [
        ({"state": "down"}, "n2, n3 are out"),
        ({"state": "failed"}, "n2, n3 are out"),
        ({"state": "up", "throttle": 0.1}, "n2, n3 are out"),
        ({"state": "up", "disk": "full-disk"}, "n2, n3 are out"),
        ({"state": "up", "points": "cut off at the point before-sync"}, "n2, n3 are out"),
    ],
)
def test_the_first_moment_without_a_majority_is_found(third: dict[str, Any], why: str) -> None:
    found = broken([sample(1), sample(2, nodes=nodes(**third)), sample(3, nodes=[])])
    assert found == Broken(2, why)


def test_links_count_and_so_do_both_halves() -> None:
    cut = [(1, 2, "cut"), (2, 3, "delay 1s"), (3, 1, "loss 90%")]
    assert broken([sample(links=cut)]) == Broken(1, "n1>n2, n2>n3, n3>n1 are cut")
    assert broken([sample(links=[(1, 2, "cut"), (2, 3, "delay 5ms")])]) is None
    joint = sample(
        voters=[1, 2, 3], outgoing=[3, 4, 5], nodes=[SampledNode(n, "up") for n in (1, 2, 3)]
    )
    assert broken([joint]) == Broken(1, "n4, n5 are out, the membership is changing")


def test_a_frozen_cluster_is_broken() -> None:
    assert broken([sample(frozen=True)]) is not None


def test_a_sample_that_tells_nothing_breaks_nothing() -> None:
    assert (
        broken([Sample(t=1, error="the supervisor is gone"), sample(voters=[], nodes=[])]) is None
    )


def test_a_status_is_kept_with_all_that_is_judged() -> None:
    found = status(up(1), up(2, state="paused"), up(3, disk="hang-disk"), frozen=False)
    assert broken([sample_of(found, 5)]) == Broken(5, "n2, n3 are out")


def test_samples_are_taken_until_it_is_stopped_and_can_be_read(tmp_path: Path) -> None:
    asked = 0

    def ask() -> ClusterStatus:
        nonlocal asked
        asked += 1
        if asked == 2:
            raise NotRunning("no cluster is running here")
        return status(up(1), up(2, state="paused"), up(3, state="up" if asked < 4 else "down"))

    sampler = Sampler(ask, steady_clock(), tmp_path / "samples.jsonl")
    sampler.start()
    until(lambda: asked >= 6, "six samples")
    sampler.stop()

    taken = read(tmp_path / "samples.jsonl")
    assert len(taken) == sampler.taken >= 5
    assert taken[1].error == "no cluster is running here"
    assert [one.t for one in taken] == sorted(one.t for one in taken)
    assert broken(taken) == sampler.found == Broken(taken[3].t, "n2, n3 are out")


def test_a_torn_last_line_is_left_out_and_other_damage_is_an_error(tmp_path: Path) -> None:
    whole = msgspec.json.encode(sample()) + b"\n"
    file = tmp_path / "samples.jsonl"
    file.write_bytes(whole + whole + whole[:20])
    assert len(read(file)) == 2
    file.write_bytes(whole + whole[:20] + b"\n" + whole)
    with pytest.raises(msgspec.MsgspecError):
        read(file)


def test_nodes_that_are_frozen_since_safety_is_violated_are_not_chaos_s_doing() -> None:
    frozen = msgspec.structs.replace(
        status(*(up(n, state="paused") for n in (1, 2, 3))),
        frozen=True,
        frozen_because=FROZEN_FOR_SAFETY,
    )

    assert broken([sample_of(frozen, 1)]) is None
    assert broken([sample_of(msgspec.structs.replace(frozen, frozen_because=""), 1)]) is not None
