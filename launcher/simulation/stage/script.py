"""A small language for stories, played on real cores: for tests, and for readers of the paper.

`docs/STORIES.md` explains each word for a reader, with an example.

Each line of a script is a command, a comment (`#`) or empty. The *transcript* of a script repeats
its lines, and writes below each what the line caused, on lines that begin with a bar. A script may
have such lines: they are ignored. So a transcript is a script too, and playing it gives the same
transcript.

`quietly` before a command hides what it caused. Commands that set the stage, before anything else:

    start N [named A B ..] [failure_hint on] [lease on] [members S,S] [BOUND n ..]
                                            BOUND: a field of `Limits`, in bytes or messages;
                                            members: the first members, if these are not all.
                                            Servers are 1..N, written S1..SN; a second `start`
                                            begins a new cluster
    log S 1 1 4                             the terms of the entries that S starts with
    term S 7                                the term in which S starts

What a server does:

    time-out S [early]                      S has an election timeout; early: only on its own clock,
                                            no time passes for the others
    elect S                                 time-out, then settle; S must win
    propose S x [y z]                       the leader S appends one batch of commands
    read S [here]                           a linearizable read from the leader S; here: S serves it
                                            even if it follows. Reads are numbered 1, 2, ..
    transfer S [to S]                       the leader S is asked to hand over
    reconfigure S to S,S                    the leader S is asked to make these the voters
    snapshot S [bytes]                      S takes a snapshot of all that it has applied. It is
                                            durable at once, and sent in chunks of 100 bytes
    persist [S] [once]                      the disk writes all that waits, or only the oldest write
    crash S, restart S                      what was not persisted is lost
    forget S                                the disk of S, which is down, is emptied
    hint S died [at S,S]                    the others are told, over links that are not cut

What happens in between:

    deliver [one|last] [KIND] [from S] [to S]   messages in flight; without words, all of them
    drop .., duplicate .., delay ..         the same words; a duplicate is a second copy, in flight;
                                            a delayed message waits for `release`
    release                                 all delayed messages are in flight again
    settle [S,S]                            deliver and persist until nothing is left to do;
                                            with servers, only among these
    cut S|S,S, cut S->S                     cut links both ways between the sides, or one way
    heal [S|S, S->S]                        mend all links, or some
    elapse 200ms [S,S]                      time passes: timers fire, nothing is delivered;
                                            with servers, time passes only for them
    run 2s                                  time passes, and everything settles in between

Expectations (`all` and `S,S` name several servers):

    expect leader S[,S], expect no leader   the leader of the newest term is S, or one of these
    expect role|term|commit|vote S ..       of one server or many
    expect log|disk S 1 1 4                 the terms of the entries in memory, or on disk, after
                                            the last snapshot
    expect snapshot S 5@2                   the newest snapshot on disk, or `none`
    expect voters|outgoing|learners S S,S   of the configuration that S uses, or `none`
    expect applied S x y                    the commands that S has applied since it started
    expect next|match S S 4                 the leader's next_index or match_index for a server
    expect read 1 at 3, expect read 1 unanswered
    expect refused NotLeader|Busy|ImpossibleTransfer    how the last `propose`, `read`, `transfer`
                                            or `reconfigure` was refused
    expect event S NAME, expect no event S NAME     since S started
    expect in-flight 2 [KIND] [from S] [to S]   the number of messages
    expect agreement                        all running servers have the same log, beyond snapshots
    show                                    every server's term, vote and log, as in Figure 7

KIND is RequestVote, RequestVoteReply, AppendEntries, AppendEntriesReply, TimeoutNow,
InstallSnapshot, InstallSnapshotReply, ReadIndex, ReadIndexReply, or a special case of these:
PreVote, PreVoteReply, Heartbeat. After every step the invariants of `node/raft/invariants.py` are
checked. A broken one fails the script.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass

from launcher.errors import LauncherError, UsageError
from launcher.simulation.stage.commands import COMMANDS, SETTING
from launcher.simulation.stage.play import Play
from launcher.simulation.stage.words import Unmet, Words, Wrong, unknown

MARGIN = "  | "
"""What the lines begin with that show what a command caused."""

COMMENT, EXPECTATION, TABLE, COMMAND = "comment", "expectation", "show", "command"


class ScenarioFailed(LauncherError):
    """An expectation is not met, or a command is impossible now, or an invariant is broken.

    line: the number of the line
    words: the line, without comments
    found: what was found
    """

    def __init__(self, line: int, words: Words, found: str) -> None:
        super().__init__(f"line {line}: {' '.join(words)}: {found}")
        self.line = line
        self.words = words
        self.found = found

    def __reduce__(self) -> tuple[object, ...]:
        return ScenarioFailed, (self.line, self.words, self.found), self.__dict__

    @property
    def wanted(self) -> str:
        """What was expected, and what was found."""
        if self.words[0] == "expect":
            return f"expected: {' '.join(self.words[1:])}; found: {self.found}"
        return f"cannot {' '.join(self.words)}: {self.found}"


@dataclass(frozen=True)
class Step:
    """One line of a script that has been played.

    line: its number, from 1
    text: the line
    told: what it caused
    kind: COMMENT (also an empty line), EXPECTATION, TABLE (`show`), or COMMAND
    is_quiet: a `quietly` before it has hidden what it caused
    is_over: it has been played; otherwise it begins now, and the same step follows with what it
        has caused. On real processes that takes a while
    """

    line: int
    text: str
    told: tuple[str, ...]
    kind: str
    is_quiet: bool = False
    is_over: bool = True

    @property
    def lines(self) -> list[str]:
        """Its lines in the transcript."""
        return [self.text, *(f"{MARGIN}{told}".rstrip() for told in self.told)]


def run_script(text: str, *, seed: int = 1) -> Iterator[str]:
    """Yields the transcript, line by line. The same text and seed give the same transcript.

    Raises UsageError for an invalid line, and ScenarioFailed for an expectation that is not met or
    an invariant that is broken, after it has yielded the lines before.

    seed: of the election timeouts
    """
    for step in play_steps(text, seed=seed):
        yield from step.lines


def play_steps(text: str, *, seed: int = 1, play: Play | None = None) -> Generator[Step]:
    """As `run_script`, but yields one `Step` for each line of the script.

    play: the state of the script, for one who looks at its servers; by default one of its own
    """
    play = Play(seed) if play is None else play
    for at, line in enumerate(text.splitlines(), 1):
        if is_transcript(line):
            continue
        words = words_of(line)
        if not words:
            yield Step(at, line.rstrip(), (), COMMENT)
            continue
        failure = _perform(play, words)
        yield Step(at, line.rstrip(), tuple(play.told), kind_of(words), words[0] == "quietly")
        play.told.clear()
        if isinstance(failure, Wrong):
            raise UsageError(f"line {at}: {failure}") from failure
        if failure is not None:
            raise ScenarioFailed(at, words, str(failure)) from failure


def is_transcript(line: str) -> bool:
    """Whether a line shows what an earlier one caused, so that it is not played."""
    return line.lstrip().startswith(MARGIN.strip())


def words_of(line: str) -> Words:
    """The words of a line, without a comment."""
    return re.sub(r"(^|\s)#.*", "", line).split()


def kind_of(words: Words) -> str:
    """What kind of step a line is. words: at least one"""
    return {"expect": EXPECTATION, "show": TABLE}.get(words[0], COMMAND)


def _perform(play: Play, words: Words) -> Exception | None:
    """Executes one line. Returns why that failed, or None."""
    quietly = words[0] == "quietly" and len(words) > 1
    name, *rest = words[1:] if quietly else words
    if name not in COMMANDS:
        return unknown("command", name, COMMANDS)
    usage, command = COMMANDS[name]
    if play.network is None and name != "start":
        return Wrong("a script begins with: start N")
    play.moved = play.moved or name not in SETTING
    try:
        command(play, rest)
    except Wrong as error:
        return Wrong(f"{name}: {error}; write: {usage}")
    except Unmet as error:
        return error
    except AssertionError as error:
        broken = Unmet(f"an invariant is broken: {error}")
        broken.__cause__ = error
        return broken
    if quietly:
        play.told.clear()
    return None
