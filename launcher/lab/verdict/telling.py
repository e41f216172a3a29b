"""A verdict as lines for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from launcher.lab.verdict.finding import INVALID, UNKNOWN, VALID, Verdict
from launcher.lab.verdict.situations import SITUATIONS

_WIDTH = 100


def lines(verdict: Verdict) -> Iterator[str]:
    """All of it but the last line, which is `summary`."""
    width = max(len(finding.check) for finding in verdict.findings)
    for finding in verdict.findings:
        head = f"{finding.check:{width}}  {finding.outcome:7}  "
        indent = " " * len(head)
        yield from textwrap.wrap(
            head + finding.reason, _WIDTH, subsequent_indent=indent, break_long_words=False
        )
        if finding.window != [finding.reason]:
            yield from (f"    {line}" for line in finding.window)
    yield ""
    yield f"situations: {len(verdict.reached)} of {len(SITUATIONS)} reached"
    for name in verdict.reached:
        times = verdict.situations[name]
        yield f"    {name:26} {SITUATIONS[name].text}" + (f" ({times} times)" * (times > 1))
    for head, said in (("missing:", verdict.missing), ("remarks:", verdict.remarks)):
        if said:
            yield head
            yield from (f"    {line}" for line in said)


def summary(verdict: Verdict) -> str:
    """The last line: the verdict, and whether it says little."""
    if verdict.outcome == INVALID:
        first = next(one for one in verdict.findings if one.outcome == INVALID)
        return f"invalid: {first.check}: {first.reason}"
    if verdict.outcome == UNKNOWN:
        first = next(one for one in verdict.findings if one.outcome == UNKNOWN)
        return f"unknown: {first.check}: {first.reason}"
    assert verdict.outcome == VALID, "there are three"
    if verdict.required:
        return f"valid, but not reached: {', '.join(verdict.required)} (--require)"
    if verdict.is_weak:
        count = len(verdict.reached)
        reached = "no situation" if not count else f"only {count} of {len(SITUATIONS)} situations"
        return f"valid, and weak: {reached} reached, so it says little; try more time, or --faults"
    return "valid"
