"""Docstrings of this project, which are plain text, as reStructuredText.

A paragraph is text; or a list of names, each with a colon and what it means, and continued on lines
that are indented; or, when all of it is indented, an example. Text between backticks is code. No
other character has a meaning.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby

_ITEM = re.compile(r"[A-Za-z_][\w.]*(?:, [A-Za-z_][\w.]*)*: ")
_CODE = re.compile(r"`([^`]+)`")
_MARKUP = re.compile(r"([\\*_|<>])")


def as_rst(lines: Sequence[str]) -> list[str]:
    """The lines of a docstring, translated."""
    translated: list[str] = []
    for blank, group in groupby(lines, key=lambda line: not line.strip()):
        if blank:
            continue
        paragraph = list(group)
        translated += [*_paragraph(paragraph), ""]
    return translated


def _paragraph(lines: list[str]) -> Iterator[str]:
    if all(line.startswith("  ") for line in lines):
        yield from ("::", "", *(f"    {line}" for line in lines))
        return
    in_list = False
    for line in lines:
        item = _ITEM.match(line)
        if item:
            if not in_list:
                yield ""
            in_list = True
            yield f"* {_inline(item[0][:-2], code=True)}: {_inline(line[item.end() :])}"
        elif in_list and line.startswith(" "):
            yield f"  {_inline(line.strip())}"
        else:
            if in_list:
                yield ""
            in_list = False
            yield _inline(line.strip())


def _inline(text: str, *, code: bool = False) -> str:
    """code: all of it is"""
    if code:
        return ", ".join(f"``{name}``" for name in text.split(", "))
    parts = _CODE.split(text)  # text and code in turn
    parts[::2] = [_MARKUP.sub(r"\\\1", part) for part in parts[::2]]
    parts[1::2] = [f"``{part}``" for part in parts[1::2]]
    return "".join(parts)
