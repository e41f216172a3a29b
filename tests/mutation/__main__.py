"""Runs a sample of the mutants, and prints what became of them.

Results so far are in `build/mutants.jsonl`. A run that is stopped goes on from there. A mutant
whose source file has changed is judged anew; with `--again` survivors are too, after a test has
been written.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
from collections import Counter

import msgspec

from tests.mutation.edits import Mutant, mutants_of, mutated, sample
from tests.mutation.judging import ROOT, fitting_tests, judge, warm_up

FOLDERS = ("node/raft", "node/storage", "node/server")
KNOWN = ROOT / "tests" / "mutants_known.txt"
RESULTS = ROOT / "build" / "mutants.jsonl"
KILLED, SURVIVED, TIMED_OUT = "killed", "survived", "timed out"


class Verdict(msgspec.Struct, frozen=True):
    """source: a checksum of the file that was mutated; by: the test that failed"""

    key: str
    source: str
    outcome: str
    by: str = ""
    took_s: float = 0.0


def main() -> int:
    options = _options()
    sources = {
        str(file.relative_to(ROOT)): file.read_text("utf-8")
        for folder in FOLDERS
        for file in sorted((ROOT / folder).glob("*.py"))
        if options.only in str(file.relative_to(ROOT))
    }
    mutants = [one for path, source in sources.items() for one in mutants_of(path, source)]
    chosen = sample(mutants, options.seed, options.sample)
    print(f"{len(chosen)} of {len(mutants)} mutants, seed {options.seed}", flush=True)
    verdicts = _before(sources, again=options.again)
    warm_up()
    ends = time.monotonic() + options.minutes * 60
    intact: set[str] = set()
    for mutant in chosen:
        if mutant.key in verdicts:
            continue
        if time.monotonic() > ends:
            print("the time is over; the next run goes on from here")
            break
        tests = fitting_tests(mutant.path)
        folder = mutant.path.rpartition("/")[0]
        if folder not in intact and (without := judge(mutant.path, None, tests))[0] != SURVIVED:
            print(f"without any mutant, {without[0]}: {without[1]}", file=sys.stderr)
            return 2
        intact.add(folder)
        verdict = _judge(mutant, sources[mutant.path], tests)
        verdicts[mutant.key] = verdict
        print(
            f"{verdict.outcome:9} {verdict.took_s:4.0f} s  {mutant.key}  {verdict.by}", flush=True
        )
    return _table([one for one in chosen if one.key in verdicts], verdicts)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make mutants ARGS=")
    parser.add_argument("--sample", type=int, default=400, help="how many mutants (400)")
    parser.add_argument("--seed", type=int, default=1, help="which ones (1)")
    parser.add_argument("--minutes", type=float, default=60, help="begin none after that (60)")
    parser.add_argument("--only", default="", help="of files whose path has this in it")
    parser.add_argument("--again", action="store_true", help="judge survivors anew")
    return parser.parse_args()


def _judge(mutant: Mutant, source: str, tests: list[str]) -> Verdict:
    began = time.monotonic()
    code = mutated(mutant.path, source, mutant.position)
    outcome, by = judge(mutant.path, code, tests)
    took_s = round(time.monotonic() - began, 1)
    verdict = Verdict(mutant.key, checksum(source), outcome, by, took_s)
    RESULTS.parent.mkdir(exist_ok=True)
    with RESULTS.open("ab") as file:
        file.write(msgspec.json.encode(verdict) + b"\n")
    return verdict


def checksum(source: str) -> str:
    """Of a source file: results hold as long as it is the same."""
    return hashlib.sha256(source.encode()).hexdigest()[:16]


def known(text: str) -> dict[str, str]:
    """Of each key in `mutants_known.txt`, the reason, which stands indented below it."""
    reasons: dict[str, str] = {}
    key = ""
    for line in text.splitlines():
        if line.startswith("#") or not line.strip():
            continue
        if not line.startswith(" "):
            key = line
            reasons[key] = ""
        elif key:
            reasons[key] = f"{reasons[key]} {line.strip()}".strip()
    return reasons


def _before(sources: dict[str, str], *, again: bool) -> dict[str, Verdict]:
    """What was found before, of files that are as they were then."""
    lines = RESULTS.read_bytes().splitlines() if RESULTS.exists() else []
    verdicts = [msgspec.json.decode(line, type=Verdict) for line in lines]
    sums = {path: checksum(source) for path, source in sources.items()}
    return {
        one.key: one
        for one in verdicts
        if sums.get(one.key.split(":")[0]) == one.source and not (again and one.outcome == SURVIVED)
    }


def _table(judged: list[Mutant], verdicts: dict[str, Verdict]) -> int:
    """Prints what became of them. Returns the exit status."""
    reasons = known(KNOWN.read_text("utf-8"))
    counts: Counter[tuple[str, str]] = Counter()
    survivors: list[Mutant] = []
    for mutant in judged:
        outcome = verdicts[mutant.key].outcome
        if outcome == SURVIVED:
            outcome = "known" if mutant.key in reasons else SURVIVED
            survivors += [mutant] if outcome == SURVIVED else []
        counts[mutant.path.rpartition("/")[0], outcome] += 1
    columns = (KILLED, TIMED_OUT, "known", SURVIVED)
    print(f"\n{'':14}" + "".join(f"{column:>11}" for column in columns))
    for folder in (*FOLDERS, "all"):
        of = [sum(n for (at, what), n in counts.items() if what == column and folder in (at, "all"))
              for column in columns]  # fmt: skip
        print(f"{folder:14}" + "".join(f"{count:11}" for count in of))
    for mutant in sorted(survivors, key=lambda one: (one.path, one.line)):
        print(f"survived: {mutant.path}:{mutant.line}: {mutant.key.partition(': ')[2]}")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
