"""Text of which a message is made, in one line, whatever bytes or letters it came with. Pure."""

from __future__ import annotations


def plain(text: object) -> str:
    """The text in one line: white space as spaces, and what cannot be shown as a backslash says it.

    A path may hold a newline, and bytes that are not UTF-8; Python keeps those as lone surrogates,
    which no file and no socket of ours takes.
    """
    whole = str(text)
    return whole if whole.isprintable() else "".join(map(_shown, whole))


def _shown(letter: str) -> str:
    if letter.isprintable():
        return letter
    if letter.isspace():
        return " "
    if "\udc80" <= letter <= "\udcff":  # see os.fsdecode
        return f"\\x{ord(letter) - 0xDC00:02x}"
    return ascii(letter)[1:-1]
