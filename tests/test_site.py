"""How docstrings, which are plain text, become pages of the site."""

from __future__ import annotations

import importlib.util
from pathlib import Path

FILE = Path(__file__).resolve().parents[1] / "docs" / "site" / "docstrings.py"


def translated(text: str) -> str:
    spec = importlib.util.spec_from_file_location("docstrings", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return "\n".join(module.as_rst(text.splitlines())).strip()


def test_text_stays_text() -> None:
    assert translated("One line.\n\nAnother\nparagraph.") == "One line.\n\nAnother\nparagraph."


def test_what_stands_between_backticks_is_code_and_nothing_else_has_a_meaning() -> None:
    said = translated("The `a_b*` of *this* or_ |that|.")
    assert said == "The ``a_b*`` of \\*this\\* or\\_ \\|that\\|."


def test_names_with_a_colon_are_a_list_and_may_go_on_below() -> None:
    said = translated("name: what it is called,\n    in words\nfirst, last: both of them")
    assert said == "* ``name``: what it is called,\n  in words\n* ``first``, ``last``: both of them"


def test_what_is_indented_is_an_example() -> None:
    assert translated("So:\n\n    a = *b*\n") == "So:\n\n::\n\n        a = *b*"
