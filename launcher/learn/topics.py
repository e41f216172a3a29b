"""What `launcher explain` knows: the words of the glossary, columns of `ps`, names of events, exit
statuses."""

from __future__ import annotations

import difflib
import re
from fnmatch import fnmatch
from functools import cache

from launcher.errors import UsageError
from launcher.learn.glossary import Word, words
from launcher.timeline.sentences import EVENT_NAMES, pattern
from launcher.timeline.templates import SENTENCES

EXIT_STATUSES = ("0", "1", "2", "3", "4", "129", "130", "143")
_MOST_NEAR = 3

ABOUT: dict[str, tuple[str, ...]] = {
    "applied.digest": ("digest",),
    "change.*": ("configuration",),
    "commit.advanced": ("commit",),
    "configuration.adopted": ("configuration", "joint configuration"),
    "election.started": ("election", "pre vote"),
    "fault.*": ("partition", "link"),
    "leader.elected": ("leader", "no op"),
    "leader.heard": ("follower",),
    "leader.stepped_down": ("step down",),
    "link.*": ("link",),
    "log.truncated": ("up to date", "commit"),
    "machine.*": ("machine",),
    "node.diverged": ("diverged",),
    "node.renewed": ("rebuild",),
    "node.started": ("life",),
    "prevote.*": ("pre vote",),
    "*vote.denied": ("refused vote",),
    "safety.violated": ("digest",),
    "snapshot.*": ("snapshot",),
    "supervisor.*": ("supervisor",),
    "term.advanced": ("term",),
    "transfer.*": ("leadership transfer",),
    "vote.granted": ("vote",),
}
"""The words of the glossary that explain an event, by a pattern of the event's name."""


def explain(asked: str) -> list[str]:
    """What there is to say about a topic, a paragraph each. Raises UsageError if it is unknown."""
    topic = _key(asked)
    found = _glossary().get(topic, ())
    if topic in EXIT_STATUSES:
        found = _glossary()["exit status"]
    paragraphs = [_paragraph(word) for word in found]
    event = next((name for name in EVENT_NAMES if _key(name) == topic), None)
    if event is not None:
        paragraphs += _event(event)
    if not paragraphs:
        raise UsageError(f"no topic {asked!r}{_hint(topic)}")
    return paragraphs


def listed() -> dict[str, list[str]]:
    """All topics by section, for the list of them."""
    found: dict[str, list[str]] = {}
    for word in words():
        found.setdefault(word.section, []).append(_shown(word.word))
    return {**found, "Exit statuses": list(EXIT_STATUSES), "Events": list(EVENT_NAMES)}


def names() -> list[str]:
    """Every topic as one word, for completion: `failure-hint`, `leader.elected`."""
    found = {_shown(name) for word in words() for name in (word.word, *word.names)}
    return sorted({name.replace(" ", "-") for name in found} | {*EXIT_STATUSES, *EVENT_NAMES})


@cache
def _glossary() -> dict[str, tuple[Word, ...]]:
    """The words by the keys that lead to them; a word of its own comes before one that names it."""
    found: dict[str, tuple[Word, ...]] = {}
    for word in words():
        found[_key(word.word)] = (*found.get(_key(word.word), ()), word)
    for word in words():
        for name in word.names:
            found.setdefault(_key(name), (word,))
    return found


def _key(text: str) -> str:
    """Case, hyphens, underscores and the plural make no difference."""
    key = " ".join(re.split(r"[\s_-]+", text.strip().lower()))
    key = "no op" if key in ("noop", "no operation") else key
    return key[:-1] if key.endswith("s") and not key.endswith(("ss", "us")) else key


def _shown(word: str) -> str:
    return word.lower()


def _paragraph(word: Word) -> str:
    column = " (a column of ps)" if word.section.startswith("The columns") else ""
    return f"{word.word}{column}: {word.text}"


def _event(name: str) -> list[str]:
    """An event of the timeline: how it reads, and the words of the glossary that it is about."""
    said = dict.fromkeys(pattern(template) for template in SENTENCES[name])
    longest = [one for one in said if not any(o != one and o.startswith(one) for o in said)]
    reads = " / ".join(longest)
    about = [word for key, keys in ABOUT.items() if fnmatch(name, key) for word in keys]
    found = [word for key in dict.fromkeys(about) for word in _glossary()[key][:1]]
    return [f"{name}: an event of the timeline. It reads: {reads}", *map(_paragraph, found)]


def _hint(topic: str) -> str:
    keys = [*_glossary(), *EVENT_NAMES, *EXIT_STATUSES]
    near = difflib.get_close_matches(topic, keys, _MOST_NEAR, 0.6)
    near += [key for key in keys if topic and topic in key and key not in near][:_MOST_NEAR]
    if near:
        return f"; did you mean {' or '.join(near[:_MOST_NEAR])}?"
    return ": `launcher explain` lists the topics"
