"""The words that make sense on real processes, and whether a story uses only these."""

from __future__ import annotations

from collections.abc import Iterator

from launcher.errors import UsageError
from launcher.simulation.stage.library import REAL, Story
from launcher.simulation.stage.script import is_transcript, words_of
from launcher.simulation.stage.words import Words

REAL_COMMANDS: dict[str, str] = {
    "start": "start N [named A B ..] [failure_hint on]",
    "elect": "elect S",
    "propose": "propose S x [y z]",
    "transfer": "transfer S [to S]",
    "snapshot": "snapshot S",
    "crash": "crash S",
    "restart": "restart S",
    "cut": "cut S|S,S or cut S->S",
    "heal": "heal [S|S, S->S]",
    "expect": "expect WHAT ..",
    "show": "show",
}
"""Of each command, by name: how it is written."""

REAL_EXPECTATIONS: dict[str, str] = {
    "leader": "leader S[,S]",
    "no leader": "no leader",
    "role": "role S follower",
    "applied": "applied S x y",
    "answered": "answered",
    "unanswered": "unanswered",
    "agreement": "agreement",
}
"""Of each expectation, by name: how it is written. `answered` and `unanswered`, about the last
`propose`, are words for real processes only: on simulated cores there is no client."""


def check(text: str) -> None:
    """Raises UsageError for the first word that has no meaning on real processes."""
    lines = list(_lines(text))
    if not lines:
        raise UsageError("nothing to play")
    for at, words in lines:
        problem = _problem(words)
        if problem:
            raise UsageError(
                f"line {at}: `{problem}` cannot be played on real processes; these words can: "
                f"{', '.join(REAL_COMMANDS)}; expect {', '.join(REAL_EXPECTATIONS)}. A story may "
                f"have a part of its own for them, behind a line `{REAL}`"
            )


def can_be_played(story: Story) -> bool:
    """Whether `--real` plays it."""
    try:
        check(story.on_real_processes)
    except UsageError:
        return False
    return True


def _lines(text: str) -> Iterator[tuple[int, Words]]:
    """Each line that is played, with its number."""
    for at, line in enumerate(text.splitlines(), 1):
        if not is_transcript(line) and (words := words_of(line)):
            yield at, words


def _problem(words: Words) -> str:
    """The part of a line that has no meaning on real processes, or nothing."""
    if words[0] == "quietly" and len(words) > 1:
        words = words[1:]
    name, *rest = words
    if name not in REAL_COMMANDS:
        return name
    if name == "expect":
        what = " ".join(rest[:2]) if rest[:1] == ["no"] else "".join(rest[:1])
        return "" if what in REAL_EXPECTATIONS else f"expect {what}"
    if name == "start":
        size = int(rest[0]) if rest and rest[0].isdecimal() else 0
        options = rest[size + 2 :] if rest[1:2] == ["named"] else rest[1:]
        unfit = [option for option in options[::2] if option != "failure_hint"]
        return f"start .. {unfit[0]}" if unfit else ""
    if name == "snapshot" and len(rest) > 1:
        return f"snapshot S {rest[1]}"
    return ""
