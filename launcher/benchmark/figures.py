"""What comes out of a benchmark, as numbers: percentiles, medians of rounds, ratios, goals (pure).

Two things that are compared run in turn, round after round, because a machine that others use too
is not the same from one minute to the next. A round gives one ratio; what is shown is the median of
the rounds' ratios, which is not the ratio of the medians.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

import msgspec


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What one round measured, or the median of several.

    throughput: answers a second
    p50_ms, p99_ms, p999_ms: from the moment in which the client had the entry until it had the
        answer, in milliseconds
    cpu_s_per_1000: seconds of a core that all processes used, the client's too, for 1000 answers
    written_per_byte: bytes that went to the disks of all nodes, for each byte of an entry; None
        where the system does not count them
    memory_bytes: of the servers together; pages that several share are divided among them
    """

    throughput: float
    p50_ms: float
    p99_ms: float
    p999_ms: float
    cpu_s_per_1000: float | None = None
    written_per_byte: float | None = None
    memory_bytes: float | None = None


FIELDS = Figures.__struct_fields__


class Goal(msgspec.Struct, frozen=True, kw_only=True):
    """What a ratio should be: `least` or `most` of what it is compared with.

    figure: the field of `Figures` that it is about
    """

    figure: str
    least: float | None = None
    most: float | None = None

    def reached(self, ratio: float) -> bool:
        """Whether a ratio is as good as that."""
        return (self.least is None or ratio >= self.least) and (
            self.most is None or ratio <= self.most
        )

    def __str__(self) -> str:
        return f"at least {self.least:g}" if self.least is not None else f"at most {self.most:g}"


def percentile(ordered: Sequence[float], share: float) -> float:
    """The least of the values that at least `share` of them do not exceed (nearest rank).

    ordered: rising, and not empty
    share: above 0, at most 1
    """
    assert ordered, "a percentile of nothing"
    assert 0 < share <= 1, f"{share} is no share"
    # In binary 0.07 * 100 is a little more than 7, and that little must not make it 8.
    rank = math.ceil(round(len(ordered) * share, 6))
    return ordered[rank - 1]


def median(rounds: Sequence[Figures]) -> Figures:
    """Of each figure the median of the rounds; None where a round has none."""
    middle = {name: _median([getattr(one, name) for one in rounds]) for name in FIELDS}
    return msgspec.convert(middle, Figures)


def ratios(rounds: Sequence[tuple[Figures, Figures]]) -> dict[str, float | None]:
    """Of each figure the median of the rounds' ratios, the first of a round over its second."""
    return {
        name: _median([_ratio(getattr(one, name), getattr(other, name)) for one, other in rounds])
        for name in FIELDS
    }


def _ratio(one: float | None, other: float | None) -> float | None:
    return None if one is None or not other else one / other


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if len(known) == len(values) else None
