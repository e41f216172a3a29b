"""Runs seeds with a bug planted, in whichever process."""

from __future__ import annotations

from launcher.simulation.planted import named, planted
from launcher.simulation.runner import run_seeds
from launcher.simulation.situation import Options
from launcher.simulation.world import Outcome


def run_planted_seeds(key: str, options: Options, first: int, last: int) -> list[Outcome]:
    """As `runner.py: run_seeds`, with this bug in the product.

    A piece of work for a worker process, where nothing is planted yet.
    """
    with planted(named(key)):
        return run_seeds(options, first, last)
