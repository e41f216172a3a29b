"""Text that is shown: on one line, and nothing in it steers a terminal, whatever it came from."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from node.printable import error_line, escaped, printable, printable_line

ANY_TEXT = st.text(st.characters())  # lone surrogates too


def test_what_cannot_be_printed_is_escaped() -> None:
    assert escaped("a\nb\t\x1b[31m\u202e\U000e0001\udcff\ud800") == (
        "a\\nb\\t\\x1b[31m\\u202e\\U000e0001\\xff\\ud800"
    )
    assert escaped("é 日本\\n") == "é 日本\\n"


def test_characters_may_be_kept() -> None:
    assert escaped("a\n\tb\r", keep="\n\t") == "a\n\tb\\r"


def test_a_path_keeps_its_blanks() -> None:
    assert printable(Path("/a  b\nc\udcff\x1b")) == "/a  b c\\xff\\x1b"


def test_a_line_has_single_blanks_and_a_bound() -> None:
    assert printable_line("  one\n\n two\t\x1b ") == "one two \\x1b"
    assert printable_line("x" * 10, 10) == "x" * 10
    assert printable_line("x" * 11, 10) == "x" * 7 + "..."


def test_an_exception_without_text_is_told_by_its_type() -> None:
    assert error_line(ValueError("bad\nvalue")) == "bad value"
    assert error_line(ValueError("")) == "ValueError"
    assert error_line(ValueError(" \n")) == "ValueError"


@given(text=ANY_TEXT, most=st.integers(3, 40))
def test_whatever_the_text_is_the_result_can_be_printed_and_encoded(text: str, most: int) -> None:
    for shown in (escaped(text), printable(text), printable_line(text), printable_line(text, most)):
        assert shown.isprintable()
        shown.encode()
    assert len(printable_line(text, most)) <= most
    assert escaped(text, keep="\n").replace("\n", "").isprintable()
