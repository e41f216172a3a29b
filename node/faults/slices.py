"""A throttled process: it runs for a share of each 100 ms, and is stopped for the rest. Pure.

`Slices` says how long the next slice lasts, from how long the last one did last. A SIGSTOP that is
late has given the process too much time, so that it is stopped for longer. A SIGCONT that is late
has given it too little, so that it runs for longer. Both are bounded, so that after a long delay a
node is not stopped for seconds, nor runs for seconds.

The share is of time. A process whose threads work at the same moment may use more of the cores in
it; a node hardly does, because Python runs one thread at a time.
"""

from __future__ import annotations

PERIOD_S = 0.1
"""How long a slice of running and a slice of being stopped last together."""

_MOST_DEBT_PERIODS = 3
_MOST_CREDIT_PERIODS = 2
"""What a late signal can come to, in periods."""


class Slices:
    """The lengths of the slices, in seconds, for a share between 0 and 1. Raises ValueError.

    The balance is the running time that is due to the process, less what it had. It is full when
    one slice of running may begin, and 0 when the slice is over.
    """

    def __init__(self, share: float) -> None:
        if not 0 < share < 1:
            raise ValueError(f"a share of a core is between 0 and 1, not {share}")
        self._share = share
        self._full_s = share * (1 - share) * PERIOD_S
        self._balance_s = 0.0

    def stop_after(self, ran_s: float) -> float:
        """It has run this long; returns for how long it is to be stopped now."""
        debt_s = -_MOST_DEBT_PERIODS * self._full_s
        self._balance_s = max(self._balance_s - (1 - self._share) * ran_s, debt_s)
        return max(self._full_s - self._balance_s, 0.0) / self._share

    def run_after(self, stopped_s: float) -> float:
        """It was stopped this long; returns for how long it may run now."""
        credit_s = _MOST_CREDIT_PERIODS * self._full_s
        self._balance_s = min(self._balance_s + self._share * stopped_s, credit_s)
        return max(self._balance_s, 0.0) / (1 - self._share)
