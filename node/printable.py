"""Text made fit to be shown: on one line, and with nothing in it that steers a terminal. Pure.

A path, a command, an exception's text and an event's value may hold anything: newlines, escape
sequences, letters that turn the direction of writing, bytes that are not UTF-8 (Python keeps those
as lone surrogates, which no file and no socket of ours takes). Three functions show such text:

    escaped         each character that cannot be printed as a backslash escape, white space too
    printable       white space as blanks, and the rest as `escaped`; it keeps the blanks of a path
    printable_line  the same, with one blank for each run of white space, and of bounded length

`error_line` is `printable_line` of what an exception says.
"""

from __future__ import annotations


def escaped(text: str, keep: str = "") -> str:
    """The text, with an escape for each character that is neither printable nor in `keep`."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else _escape(c) for c in text)


def printable(text: object) -> str:
    """The text on one line: white space as blanks, and an escape for what cannot be printed."""
    whole = str(text)
    if whole.isprintable():
        return whole
    return escaped("".join(" " if c.isspace() else c for c in whole))


def printable_line(text: object, most: int | None = None) -> str:
    """The text on one line: a blank for each run of white space, and at most `most` characters.

    Text that is longer ends in `...`.
    """
    whole = str(text)
    if most is None:
        return escaped(" ".join(whole.split()))
    line = escaped(" ".join(whole[: 4 * most].split()))
    return line if len(line) <= most else line[: most - 3] + "..."


def error_line(error: BaseException, most: int | None = None) -> str:
    """What an exception says, on one line; the name of its type, if it says nothing."""
    return printable_line(error, most) or type(error).__name__


def _escape(c: str) -> str:
    if "\udc80" <= c <= "\udcff":  # a byte that is not UTF-8: see os.fsdecode
        return f"\\x{ord(c) - 0xDC00:02x}"
    return ascii(c)[1:-1]
