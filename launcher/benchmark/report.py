"""What a benchmark leaves behind: a table on the screen; JSON and plots in a folder.

The folder is `data/bench/`, unless `--out` says otherwise. A benchmark called NAME keeps
`NAME.json`, with the machine that it ran on and when, and plots `NAME*.png`; the next run replaces
them. Plots need matplotlib, which comes with the extra `bench`; without it, `draw` says so.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import psutil

NO_PLOTS = "no plots: matplotlib is not installed (pip install 'leeky-raft[bench]')"
GIBIBYTE = 1 << 30


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Where a benchmark ran."""

    cores: int
    memory_bytes: int
    system: str
    python: str

    def __str__(self) -> str:
        cores = "1 core" if self.cores == 1 else f"{self.cores} cores"
        memory = round(self.memory_bytes / GIBIBYTE)
        return f"{cores}, {memory} GiB of memory, {self.system}, Python {self.python}"


def this_machine() -> Machine:
    """The machine that this runs on."""
    return Machine(
        cores=os.cpu_count() or 1,
        memory_bytes=psutil.virtual_memory().total,
        system=platform.system(),
        python=platform.python_version(),
    )


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """Rows under headers, ready to be shown; a cell that is None was not measured: a dash."""

    title: str
    headers: Sequence[str]
    rows: Sequence[Sequence[str | None]]

    def __str__(self) -> str:
        from tabulate import tabulate

        rows = [["-" if cell is None else cell for cell in row] for row in self.rows]
        align = ["left", *["right"] * (len(self.headers) - 1)]
        body = tabulate(
            rows, self.headers, tablefmt="simple", disable_numparse=True, colalign=align
        )
        return f"{self.title}\n\n{body}\n"


def number(value: float | None) -> str | None:
    """A number with three digits that count, and commas: 72,100, 3.14, 0.0123."""
    if value is None:
        return None
    if value == 0:
        return "0"
    if abs(value) >= 999.5:
        return f"{float(f'{value:.3g}'):,.0f}"
    return f"{value:#.3g}".rstrip(".")


def keep(folder: Path, name: str, results: object) -> Path:
    """Writes `NAME.json` and returns where it is.

    results: whatever msgspec turns into JSON
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.json"
    whole = {
        "benchmark": name,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": this_machine(),
        "results": results,
    }
    file.write_text(json.dumps(msgspec.to_builtins(whole, str_keys=True), indent=1) + "\n")
    return file


def draw(folder: Path, name: str, onto: Callable[[Any], None]) -> Path | None:
    """Draws `NAME.png` and returns where it is; None, and draws nothing, without matplotlib.

    onto: is given an empty matplotlib Figure, and draws on it
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    figure = Figure(figsize=(8, 5), layout="constrained")
    onto(figure)
    file = folder / f"{name}.png"
    figure.savefig(file, dpi=120)
    return file
