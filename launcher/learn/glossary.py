"""The glossary: its words and their texts, out of the page that the documentation shows too."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import NamedTuple

_SECTION = re.compile(r"(?m)^## ")
_ENTRY = re.compile(r"(?ms)^- \*\*(?P<word>.+?):\*\* (?P<text>.+?)(?=^- |^$|\Z)")
_NAMED = re.compile(r"(?<!\*)\*(?P<name>[^*]+)\*(?!\*)")
_LINK = re.compile(r"\[([^]]+)\]\([^)]*\)")


class Word(NamedTuple):
    """One word of the glossary.

    section: the heading under which it stands
    text: what it means, in one paragraph without any mark of Markdown but back quotes
    names: further words that the text explains; the page has them in italics
    """

    word: str
    section: str
    text: str
    names: tuple[str, ...]


@cache
def words() -> tuple[Word, ...]:
    """All of them, in the order of the page."""
    return tuple(parse(page()))


def page() -> str:
    """The whole page, in Markdown."""
    return (files("launcher.learn") / "glossary.txt").read_text("utf-8")


def parse(markdown: str) -> Iterator[Word]:
    """The words of a page that is written as the glossary is."""
    for section in _SECTION.split(markdown)[1:]:
        title, _, body = section.partition("\n")
        for found in _ENTRY.finditer(body):
            text = " ".join(found["text"].split())
            names = tuple(_NAMED.findall(text))
            plain = _LINK.sub(r"\1", _NAMED.sub(r"\g<name>", text))
            yield Word(found["word"], title.replace("`", ""), plain, names)
