"""A small language for scenarios, played on real cores: what the tests and the students read.

A script is lines. Each is a command, a comment (`#`) or empty. Its *transcript* is the script with
what each line caused beneath it, on lines that begin with a bar. A script's own such lines are
ignored, so a transcript is a script too, and playing it gives itself again.

`quietly` before a command hides what it caused. Setting the stage, before anything has happened:

    start N [named A B ..] [failure_hint on] [lease on] [members S,S] [BOUND n ..]
                                            BOUND: a field of `Limits`, in bytes or messages;
                                            members: with whom the cluster begins, if not with all.
                                            Servers are 1..N, written S1..SN; a second `start`
                                            begins another story
    log S 1 1 4                             the terms of the entries that S starts with
    term S 7                                the term in which S starts

What a server does:

    time-out S [early]                      it has heard no leader for long enough; early: only its
                                            own clock says so, no time passes for the others
    elect S                                 time-out, then settle; it must win
    propose S x [y z]                       one batch of commands
    read S [here]                           a linearizable read, of the leader; here: S answers it,
                                            whoever leads. They are numbered 1, 2, ..
    transfer S [to S]                       it leads, and is asked to hand over
    reconfigure S to S,S                    it leads, and is asked to make these the voters
    snapshot S [bytes]                      it takes one of all that it has applied, which is
                                            durable at once; it is sent in chunks of 100 bytes
    persist [S] [once]                      its disk writes all that waits, or only the oldest write
    crash S, restart S                      what was not persisted is lost
    forget S                                it is down, and all that its disk holds is removed
    hint S died [at S,S]                    the others are told, over links that are not cut

What happens in between:

    deliver [one|last] [KIND] [from S] [to S]   what is in flight now; without words, all of it
    drop .., duplicate .., delay ..         the same words; a duplicate is a second copy, in flight;
                                            what is delayed is out of reach until `release`
    release                                 all that was delayed is in flight again
    settle [S,S]                            deliver and persist until nothing is left to do;
                                            with servers, only among these
    cut S|S,S, cut S->S                     both ways between the sides, or one way
    heal [S|S, S->S]                        all links, or some
    elapse 200ms [S,S]                      time passes: timers fire, nothing is delivered;
                                            with servers, only they see it pass
    run 2s                                  time passes, and everything settles in between

What must be so (`all` and `S,S` name many servers):

    expect leader S, expect no leader
    expect role|term|commit|vote S ..       of one server or many
    expect log|disk S 1 1 4                 the terms in its memory, or on its disk: what stands
                                            behind a snapshot
    expect snapshot S 5@2                   the newest on its disk, or `none`
    expect voters|outgoing|learners S S,S   the configuration that it goes by, or `none`
    expect applied S x y                    the commands that it has applied since it started
    expect next|match S S 4                 what a leader believes of another server
    expect read 1 at 3, expect read 1 unanswered
    expect refused NotLeader|Busy|ImpossibleTransfer    what the last `propose`, `read`,
                                            `transfer` or `reconfigure` was told
    expect event S NAME, expect no event S NAME     since it started
    expect in-flight 2 [KIND] [from S] [to S]
    expect agreement                        all that run have the same log, as far as it is there
    show                                    every server's term, vote and log, as in Figure 7

KIND is RequestVote, RequestVoteReply, AppendEntries, AppendEntriesReply, TimeoutNow,
InstallSnapshot, InstallSnapshotReply, ReadIndex, ReadIndexReply, or a use: PreVote, PreVoteReply,
Heartbeat. After every step the invariants of `node/raft/invariants.py` are
checked; one that is broken fails the script.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.resources import files

from launcher.errors import LauncherError, UsageError
from launcher.simulation.stage.commands import COMMANDS, SETTING
from launcher.simulation.stage.play import Play
from launcher.simulation.stage.words import Unmet, Words, Wrong

MARGIN = "  | "
"""Begins the lines that tell what a command caused."""


class ScenarioFailed(LauncherError):
    """Something is not as the script expects: the line, and what was found."""


def run_script(text: str, *, seed: int = 1) -> Iterator[str]:
    """The transcript, line by line; the same for the same text and seed (of the timeouts drawn).

    Raises UsageError for a line that makes no sense, and ScenarioFailed for an expectation that is
    not met or an invariant that is broken, after having yielded what went before.
    """
    play = Play(seed)
    for at, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith(MARGIN.strip()):
            continue
        yield line.rstrip()
        words = re.sub(r"(^|\s)#.*", "", line).split()
        if not words:
            continue
        failure = _perform(play, words)
        yield from (f"{MARGIN}{told}".rstrip() for told in play.told)
        play.told.clear()
        if isinstance(failure, Wrong):
            raise UsageError(f"line {at}: {failure}") from failure
        if failure is not None:
            raise ScenarioFailed(f"line {at}: {' '.join(words)}: {failure}") from failure


def scenarios() -> list[str]:
    """The names of the scenarios that come with the launcher."""
    folder = files("launcher.simulation.stage") / "scenarios"
    found = (entry.name for entry in folder.iterdir())
    return sorted(name.removesuffix(".txt") for name in found if name.endswith(".txt"))


def scenario(name: str) -> str:
    """The script of one of `scenarios`. Raises UsageError where there is none of that name."""
    if name not in scenarios():
        raise UsageError(f"no scenario {name!r}; there are {', '.join(scenarios())}")
    return (files("launcher.simulation.stage") / "scenarios" / f"{name}.txt").read_text("utf-8")


def _perform(play: Play, words: Words) -> Exception | None:
    """Obeys one line; the reason why it could not."""
    quietly = words[0] == "quietly" and len(words) > 1
    name, *rest = words[1:] if quietly else words
    if name not in COMMANDS:
        return Wrong(f"no command {name!r}; there are {', '.join(COMMANDS)}")
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
