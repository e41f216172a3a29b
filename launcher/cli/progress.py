"""Progress bars, on a terminal, on standard error."""

from __future__ import annotations

import os
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

import click

from launcher.client.answers import Submitted

REDRAW_S = 0.05


class Bar(Protocol):
    """A bar that is told how far along its owner is."""

    def update(self, n_steps: int, current_item: str, /) -> None:
        """Adds finished steps, and sets the text behind the bar."""
        ...


def progress_bar(label: str, length: int | None) -> AbstractContextManager[Bar]:
    """A bar that counts nothing by itself. Without a length it only shows that things go on."""
    nothing = (item for item in list[str]())  # a generator: of no known length
    return click.progressbar(
        nothing,
        length=length,
        label=label,
        file=sys.stderr,
        item_show_func=lambda item: item,
        update_min_steps=1,
    )


@contextmanager
def counting(
    done: Iterator[Submitted], source: int, *, quiet: bool
) -> Iterator[Iterator[Submitted]]:
    """`done` as it was, with a bar that counts it.

    When `source`, a descriptor, is a file, its size says how far along we are; a pipe has no
    length. When what is yielded goes to the same terminal (`quiet`), the bar's line is cleared
    before each line.
    """
    size = _size(source)
    with progress_bar("submitting", size) as bar:

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
                    bar.update(steps, f"{entries} entries")
                    steps, drawn_at = 0, time.monotonic()
            bar.update(steps, f"{entries} entries")

        yield count()


def _size(source: int) -> int | None:
    try:
        status = os.fstat(source)
    except OSError:
        return None
    return status.st_size or None if stat.S_ISREG(status.st_mode) else None
