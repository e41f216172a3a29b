"""The mutator itself: which changes it makes, and that a test which fails kills a mutant."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutation.__main__ import FOLDERS, KNOWN, known
from tests.mutation.edits import edits, mutants_of, mutated, sample
from tests.mutation.judging import ROOT, fitting_tests


def changed(source: str) -> list[str]:
    """What becomes of a source, once for each edit."""
    results = []
    for position, _ in enumerate(edits(ast.parse(source))):
        tree = ast.parse(source)
        list(edits(tree))[position].apply()
        results.append(ast.unparse(ast.fix_missing_locations(tree)))
    return results


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a < b", ["a <= b", "a >= b"]),
        ("a is None", ["a is not None"]),
        ("a and b", ["a or b", "b", "a"]),
        ("not a", ["a"]),
        ("a + b", ["a - b"]),
        ("f(3)", ["pass", "f(4)", "f(2)"]),
        ("a = True", ["a = False"]),
        ("a = min(b, c)", ["a = max(b, c)"]),
        ("a.b = c", ["pass"]),
        ("a += b", ["pass"]),
        ("if a:\n    b", ["if not a:\n    b"]),
        ("while a:\n    break", []),
        ("for a in b:\n    if c < d:\n        continue", None),
        ("assert a < 1", []),
        ("a: int = b", []),
        ("'text'", []),
    ],
)
def test_each_kind_of_edit(source: str, expected: list[str] | None) -> None:
    if expected is None:
        assert "for a in b:\n    pass" in changed(source), "a guard goes as a whole"
    else:
        assert changed(source) == expected


def test_a_returned_value_is_lost() -> None:
    assert "def f():\n    return None" in changed("def f():\n    return a")


def test_keys_name_the_function_and_no_line_and_differ() -> None:
    source = "class A:\n    def f(self):\n        self.a = 1\n        self.a = 1\n"
    keys = [mutant.key for mutant in mutants_of("a.py", source)]
    assert keys[0] == "a.py: A.f: self.a = 1 => pass"
    assert len(set(keys)) == len(keys)
    assert [mutant.key for mutant in mutants_of("a.py", f"# before\n\n{source}")] == keys


def test_the_code_of_a_mutant_has_one_edit() -> None:
    source = "a = 1 + 1"
    values = []
    for mutant in mutants_of("a.py", source):
        names: dict[str, object] = {}
        exec(mutated("a.py", source, mutant.position), names)
        values.append(names["a"])
    assert values == [0, 3, 1, 3, 1]


def test_a_sample_depends_on_the_seed_and_grows_at_its_end() -> None:
    mutants = mutants_of("a.py", "a = b < c\nd = e and f")
    assert sample(mutants, 1, 3) == sample(mutants[::-1], 1, 5)[:3]
    assert sample(mutants, 1, 5) != sample(mutants, 2, 5)


def test_all_sources_can_be_mutated_and_have_tests() -> None:
    for folder in FOLDERS:
        for file in sorted((ROOT / folder).glob("*.py")):
            path = f"{folder}/{file.name}"
            source = file.read_text("utf-8")
            for mutant in mutants_of(path, source)[-1:]:
                assert mutated(path, source, mutant.position)
                assert fitting_tests(path)


def test_what_is_known_has_reasons_and_still_is_a_mutant() -> None:
    reasons = known(KNOWN.read_text("utf-8"))
    assert all(reasons.values()), reasons
    for key in reasons:
        path = key.partition(":")[0]
        mutants = mutants_of(path, (ROOT / path).read_text("utf-8"))
        assert key in {mutant.key for mutant in mutants}, key


JUDGE = """
from tests.mutation import judging
judging.MOST_CPU_S = 2
for body in ("return 1", "return 2", "while True: pass"):
    code = compile(f"def f():\\n    {body}\\n", "mutable.py", "exec")
    print(judging.judge("mutable.py", code, ["test_mutable.py"])[0])
"""


def test_a_mutant_is_judged_by_its_tests(tmp_path: Path) -> None:
    """In a process without threads, since it forks."""
    (tmp_path / "mutable.py").write_text("def f(): return 1\n")
    test = "from mutable import f\ndef test_f(): assert f() == 1\n"
    (tmp_path / "test_mutable.py").write_text(test)
    path = f"{ROOT}{os.pathsep}{tmp_path}"
    said = subprocess.run(
        [sys.executable, "-c", JUDGE],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert said.splitlines() == ["survived", "killed", "timed out"]
