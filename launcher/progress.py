"""A progress bar for entries that stream in, on a terminal, on standard error."""

from __future__ import annotations

import os
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import click

from launcher.client import Submitted

REDRAW_S = 0.05


@contextmanager
def counting(
    done: Iterator[Submitted], source: IO[bytes], *, quiet: bool
) -> Iterator[Iterator[Submitted]]:
    """`done` as it was, with a bar that counts it.

    When `source` is a file, its size says how far along we are; a pipe has no length. When what is
    yielded goes to the same terminal (`quiet`), the bar's line is cleared before each line.
    """
    size = _size(source)
    nothing = (item for item in list[str]())  # a generator: of no known length
    with click.progressbar(
        nothing,  # counted here, not by the bar: what it would iterate over is what we yield
        length=size,
        label="submitting",
        file=sys.stderr,
        item_show_func=lambda item: None if item is None else f"{item} entries",
        update_min_steps=1,
    ) as bar:

        def count() -> Iterator[Submitted]:
            entries, steps, drawn, drawn_at = 0, 0, False, 0.0
            for one in done:
                entries += 1
                steps += 1 if size is None else len(one.entry) + 1
                if drawn and quiet:
                    click.echo("\r\x1b[K", err=True, nl=False)
                yield one
                drawn = time.monotonic() - drawn_at >= REDRAW_S
                if drawn:
                    bar.update(steps, str(entries))
                    steps, drawn_at = 0, time.monotonic()
            bar.update(steps, str(entries))

        yield count()


def _size(source: IO[bytes]) -> int | None:
    try:
        status = os.fstat(source.fileno())
    except OSError:
        return None
    return status.st_size or None if stat.S_ISREG(status.st_mode) else None
