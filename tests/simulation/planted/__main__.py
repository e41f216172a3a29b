"""Prints the table of planted bugs for the docs: `python -m tests.simulation.planted`.

Every bug is searched for from seed 1 on, as many at a time as there are cores.
"""

from __future__ import annotations

import os

from launcher.simulation.runner import local_workers
from tests.simulation.planted import PLANTED
from tests.simulation.planted.table import HEAD, row


def main() -> None:
    """Prints each row as soon as it and those before it are known."""
    print(*HEAD, sep="\n", flush=True)
    with local_workers(os.cpu_count() or 1) as executor:
        search = map if executor is None else executor.map
        for line in search(row, range(len(PLANTED))):
            print(line, flush=True)


if __name__ == "__main__":
    main()
