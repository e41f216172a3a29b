"""Every event that is emitted has a sentence, and every sentence is of an event that is emitted."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from launcher.timeline.templates import SENTENCES

ROOT = Path(__file__).resolve().parents[3]
SOURCES = [
    path
    for folder in ("node", "launcher")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if path.name not in ("templates.py", "fault_sentences.py")
]
EMITS = {"emit", "_emit", "note", "_note", "tell", "_tell", "happened"}
"""The functions and methods that are handed an event's name."""

EVENT = re.compile(r"[a-z_]+\.[a-z_]+")


def strings(tree: ast.AST) -> set[str]:
    found = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    return {text for text in found if isinstance(text, str) and EVENT.fullmatch(text)}


def emitted(tree: ast.AST) -> set[str]:
    """What stands as it is among the first two arguments of a call that emits."""
    names: set[str] = set()
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and called(call) in EMITS:
            first = [one.value for one in call.args[:2] if isinstance(one, ast.Constant)]
            names |= {one for one in first if isinstance(one, str) and EVENT.fullmatch(one)}
    return names


def called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def test_every_event_that_is_emitted_has_a_sentence() -> None:
    found = set().union(*(emitted(ast.parse(path.read_text())) for path in SOURCES))
    assert len(found) > 40, "the scan has not gone blind"
    assert sorted(found - SENTENCES.keys()) == []


def test_every_sentence_is_of_an_event_that_is_emitted() -> None:
    named = set().union(*(strings(ast.parse(path.read_text())) for path in SOURCES))
    assert sorted(SENTENCES.keys() - named) == []
