"""A lesson, and how it is written.

    # Lesson 3: An election          the first line: number and title
                                     then one line that says what it shows, and prose
    > **Predict.** Who will lead?    a question to answer before going on
        $ launcher kill leader       indented by four: a command
        ! a new leader               and what holds after it (`claims.py`)
    ## Questions                     at the end, each followed by its answer
    **Why?** ...
    *Answer.* ...

Each command must end with exit status 0, unless `! exit status N` stands below it. The first
command of every lesson starts the cluster. Prose is Markdown.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import TypeAlias

_TITLE = re.compile(r"# Lesson (\d+): (.+)")


@dataclass
class Prose:
    """A paragraph, or another block of text, as Markdown. predict: a question to the reader."""

    text: str
    predict: bool = False


@dataclass
class Command:
    """A command line, and what is claimed to hold after it."""

    line: str
    claims: list[str] = field(default_factory=list)

    @property
    def words(self) -> list[str]:
        """The arguments of the launcher."""
        return shlex.split(self.line)[1:]


@dataclass
class Question:
    """A question at the end of a lesson."""

    question: str
    answer: str


Step: TypeAlias = Prose | Command


@dataclass
class Lesson:
    """shows: the one line that lists of lessons have."""

    number: int
    title: str
    shows: str
    steps: list[Step]
    questions: list[Question]

    @property
    def commands(self) -> list[Command]:
        """What it types, in order."""
        return [step for step in self.steps if isinstance(step, Command)]


class Malformed(ValueError):
    """A lesson's text breaks the rules of its form."""


def parse(text: str) -> Lesson:
    """Raises Malformed, with the line that breaks a rule."""
    first, _, rest = text.partition("\n")
    title = _TITLE.fullmatch(first)
    if title is None:
        raise Malformed(f"the first line is `# Lesson N: TITLE`, not {first!r}")
    body, _, tail = rest.partition("\n## Questions\n")
    blocks = list(_blocks(body))
    if not blocks or blocks[0][0].startswith(("    ", ">")):
        raise Malformed("after the title, one line says what the lesson shows")
    steps: list[Step] = []
    for block in blocks[1:]:
        if block[0].startswith("    "):
            steps += _commands(block)
        else:
            steps.append(Prose("\n".join(block), block[0].startswith("> **Predict.**")))
    questions = list(_questions(list(_blocks(tail))))
    return Lesson(int(title[1]), title[2], " ".join(blocks[0]), steps, questions)


def _blocks(text: str) -> Iterator[list[str]]:
    """Paragraphs: lines up to the next empty one."""
    block: list[str] = []
    for line in [*text.splitlines(), ""]:
        if line.strip():
            block.append(line.rstrip())
        elif block:
            yield block
            block = []


def _commands(block: Sequence[str]) -> list[Command]:
    commands: list[Command] = []
    for line in block:
        mark, _, said = line.strip().partition(" ")
        if mark == "$" and said.startswith("launcher "):
            commands.append(Command(said))
        elif mark == "!" and said and commands:
            commands[-1].claims.append(said)
        else:
            raise Malformed(f"neither `$ launcher ...` nor a claim below one: {line.strip()!r}")
    return commands


def _questions(blocks: Sequence[Sequence[str]]) -> Iterator[Question]:
    pairs = iter(blocks)
    for asked in pairs:
        answer = next(pairs, None)
        if not asked[0].startswith("**") or answer is None or not answer[0].startswith("*Answer.*"):
            raise Malformed(f"a question in bold and its answer are expected: {asked[0]!r}")
        yield Question("\n".join(asked), "\n".join(answer))


@cache
def lessons() -> dict[int, Lesson]:
    """All lessons of this package, by their numbers."""
    texts = files("launcher.lessons") / "texts"
    pages = (text for text in texts.iterdir() if text.name.endswith(".md"))
    found = [parse(page.read_text("utf-8")) for page in pages]
    return {one.number: one for one in sorted(found, key=lambda one: one.number)}
