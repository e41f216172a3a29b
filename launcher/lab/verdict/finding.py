"""What one check has found, and the verdict on a run."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import msgspec

Outcome: TypeAlias = Literal["valid", "invalid", "unknown"]

VALID: Final = "valid"
INVALID: Final = "invalid"
UNKNOWN: Final = "unknown"

EXIT_STATUS: dict[Outcome, int] = {VALID: 0, INVALID: 1, UNKNOWN: 5}

FORMAT: Final = 1
"""The format of verdict.json."""

FEW_SITUATIONS: Final = 3
"""A run that has reached fewer is weak: it says little about a system that passes it."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What one check says.

    check: its name
    reason: one line: what was checked, or what is wrong, or why nobody can tell
    window: for `invalid`: what shows it, a line each, as few as there can be
    """

    check: str
    outcome: Outcome
    reason: str = ""
    window: list[str] = []


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What verdict.json says.

    run: the name of the run's folder
    situations: how often each was reached
    missing: of what the run should have left, what is not there, a line each
    remarks: what a reader should know besides, a line each
    required: situations that the user has required and that were not reached
    """

    format: int
    run: str
    seed: int
    outcome: Outcome
    findings: list[Finding]
    situations: dict[str, int]
    operations: dict[str, int]
    missing: list[str] = []
    remarks: list[str] = []
    required: list[str] = []

    @property
    def reached(self) -> list[str]:
        """The situations that were reached."""
        return [name for name, count in self.situations.items() if count]

    @property
    def is_weak(self) -> bool:
        """Whether so little happened that it says little."""
        return len(self.reached) < FEW_SITUATIONS

    @property
    def exit_status(self) -> int:
        """That of `launcher check`: 1 too when a required situation was not reached."""
        status = EXIT_STATUS[self.outcome]
        return 1 if not status and self.required else status


def overall(findings: list[Finding]) -> Outcome:
    """The verdict of several checks."""
    outcomes = {finding.outcome for finding in findings}
    return INVALID if INVALID in outcomes else UNKNOWN if UNKNOWN in outcomes else VALID
