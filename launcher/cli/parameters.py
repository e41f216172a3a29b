"""The kinds of words that commands take, and what a shell offers for each of them.

A row of the table of commands gives its parameters one of these types, and the completion of bash,
zsh and fish (`launcher/cli/completion.py`) asks the type. A type changes nothing of a word: whether
it makes sense is decided where it is used.

What is offered comes from files alone: cluster.yaml, cluster.json and the names of folders. No
socket is opened, so a cluster that hangs, or is down, keeps nobody waiting.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

import click
from click.shell_completion import CompletionItem

from node.errors import LeekyError

if TYPE_CHECKING:
    from launcher.config import ClusterConfig

Words: TypeAlias = Callable[[click.Context], Iterable[str]]


class Word(click.types.StringParamType):
    """A word of a kind of which a shell can offer a few.

    words: those that are offered, in this order; asked only when a shell completes
    listed: several of them may stand in one word, with commas between them
    """

    def __init__(self, words: Words, *, listed: bool = False) -> None:
        self._words = words
        self._listed = listed

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem[Any]]:
        """The words that begin like the one on the command line, or like the last of its list."""
        before, comma, last = incomplete.rpartition(",") if self._listed else ("", "", incomplete)
        words = [word for word in self._words(ctx) if word.startswith(last)]
        return [CompletionItem(f"{before}{comma}{word}") for word in words]


class Targets(Word):
    """The words that say which nodes a command means."""

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem[Any]]:
        """As a `Word` does; and what may come after the targets.

        Any number of words may be targets. So where another argument follows them (`disk TARGET...
        FAULT`), the next word may be that argument as soon as there is one target.
        """
        items = super().shell_complete(ctx, param, incomplete)
        arguments = [one for one in ctx.command.params if isinstance(one, click.Argument)]
        for one in arguments[arguments.index(param) + 1 :] if param in arguments else ():
            if isinstance(ctx.params.get(str(one.name)), str):
                items += one.type.shell_complete(ctx, one, incomplete)
        return items


class Story(Word):
    """The name of a story, or a file of the user's own."""

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem[Any]]:
        """The names; and the shell's own files where none begins so."""
        items = super().shell_complete(ctx, param, incomplete)
        return items or [CompletionItem(incomplete, type="file")]


class ClockWords(Word):
    """The words of `clock`: targets, then what their clocks are to do."""

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem[Any]]:
        """Targets, and after the first the words for a clock too; after such a word, examples of
        what belongs to it."""
        from launcher.control.clocks import CLOCK_WORDS, EXAMPLES, split_words

        targets, fault = split_words(ctx.params.get(str(param.name)) or ())
        if fault:
            wanted = EXAMPLES[fault[0].lower()][len(fault) - 1 : len(fault)]
            offered = [word for words in wanted for word in words]
            return [CompletionItem(word) for word in offered if word.startswith(incomplete)]
        items = TARGETS.shell_complete(ctx, param, incomplete)
        words = CLOCK_WORDS if targets else ()
        return items + [CompletionItem(word) for word in words if word.startswith(incomplete)]


class LinkWords(Word):
    """The words of `link` after LINKS."""

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem[Any]]:
        """What may follow the last word, if it takes something, and the words themselves."""
        from launcher.control.links import EXAMPLES, LINK_WORDS

        before = [str(word).lower() for word in ctx.params.get(str(param.name)) or ()]
        place = next((at for at, word in enumerate(reversed(before)) if word in LINK_WORDS), None)
        wanted = EXAMPLES.get(before[-1 - place], ()) if place is not None else ()
        offered = [word for words in wanted[place : (place or 0) + 1] for word in words]
        if not offered or place:  # the first value has to be there
            offered += [word for word in LINK_WORDS if word not in before]
        return [CompletionItem(word) for word in offered if word.startswith(incomplete)]


class NodeNumber(click.types.IntParamType):
    """The id of a node, as a number."""

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem[Any]]:
        """The ids of the members."""
        return _beginning(_members(ctx), incomplete)


class ProcessNumber(click.IntRange):
    """The id of a node, as a number, or 0 for the supervisor."""

    def __init__(self) -> None:
        super().__init__(min=0)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem[Any]]:
        """0, and the ids of the members."""
        return _beginning([0, *_members(ctx)], incomplete)


def _beginning(numbers: Iterable[int], incomplete: str) -> list[CompletionItem[Any]]:
    return [CompletionItem(text) for text in map(str, numbers) if text.startswith(incomplete)]


# -- what is offered -----------------------------------------------------------------------------
#
# Start-up time: every command loads this module, and only completion calls these functions. So they
# import what they need themselves.


def _config(ctx: click.Context) -> ClusterConfig | None:
    """The config that the words so far ask for; None when it cannot be used."""
    try:
        config: ClusterConfig = ctx.obj.load_config()  # of `launcher.cli.context.Context`
    except (LeekyError, OSError):
        return None
    return config


def _members(ctx: click.Context) -> list[int]:
    """The ids of the nodes of the cluster that the words so far mean; none when it is not known.

    A cluster that was never started will have the nodes that cluster.yaml says.
    """
    from launcher.folders import records

    config = _config(ctx)
    if config is None:
        return []
    try:
        record = records.read(config)
    except (LeekyError, OSError):
        record = None
    return list(range(1, config.nodes + 1)) if record is None else record.members


def _ids(ctx: click.Context) -> Iterable[str]:
    return [f"n{node}" for node in _members(ctx)]


def _targets(ctx: click.Context) -> Iterable[str]:
    from launcher.control.targets import words_for

    return [*words_for(ctx.info_name or ""), *_ids(ctx)]


def _links(ctx: click.Context) -> Iterable[str]:
    return ["all", "leader>followers", "followers>leader", *(f"{one}-" for one in _ids(ctx))]


def _partitions(ctx: click.Context) -> Iterable[str]:
    from launcher.control.partitions import SHAPES

    return SHAPES


def _disk_faults(ctx: click.Context) -> Iterable[str]:
    from launcher.control.disks import FAULT_WORDS

    return FAULT_WORDS


def _shares(ctx: click.Context) -> Iterable[str]:
    from launcher.control.throttles import SHARE_WORDS

    return SHARE_WORDS


def _arm_words(ctx: click.Context) -> Iterable[str]:
    """Targets; behind one also points, and behind a point actions."""
    from launcher.control.points import ACTION_WORDS, POINT_NAMES

    before: tuple[str, ...] = ctx.params.get("words") or ()
    if before and before[-1].lower() in POINT_NAMES:
        return ACTION_WORDS
    return [*_targets(ctx), *(POINT_NAMES if before else ())]


def _cluster_names(ctx: click.Context) -> Iterable[str]:
    """That of cluster.yaml, and those that have a data folder below its own."""
    from launcher.settings import is_cluster_name

    config = _config(ctx)
    if config is None:
        return []
    found = {file.parent.name for file in config.data_dir.glob("*/cluster.json")}
    return [config.name, *sorted(name for name in found - {config.name} if is_cluster_name(name))]


def _machines(ctx: click.Context) -> Iterable[str]:
    from node.machines.registry import names

    return names()


def _workloads(ctx: click.Context) -> Iterable[str]:
    from launcher.lab.workloads.loading import names

    return names()


def _situations(ctx: click.Context) -> Iterable[str]:
    from launcher.lab.verdict.situations import SITUATIONS

    return SITUATIONS


def _runs(ctx: click.Context) -> Iterable[str]:
    from launcher.lab import folder

    config = _config(ctx)
    found = [] if config is None else folder.all_runs(folder.root_of(config))
    return [folder.LATEST] * bool(found) + [run.path.name for run in reversed(found)]


def _signals(ctx: click.Context) -> Iterable[str]:
    return sorted(one.name for one in signal.valid_signals() if isinstance(one, signal.Signals))


def _levels(ctx: click.Context) -> Iterable[str]:
    from node.events import LEVELS

    return LEVELS


def _events(ctx: click.Context) -> Iterable[str]:
    from launcher.timeline.sentences import EVENT_NAMES

    return EVENT_NAMES


def _settings(ctx: click.Context) -> Iterable[str]:
    from launcher.overrides import CHANGEABLE

    return CHANGEABLE


def _values(ctx: click.Context) -> Iterable[str]:
    """Of the setting before it, where there are few."""
    key = str(ctx.params.get("key", ""))
    if key.endswith("level"):
        return _levels(ctx)
    return ["on", "off"] if key.endswith(("vote", "hint")) else []


def _tap_modes(ctx: click.Context) -> Iterable[str]:
    from launcher.control.taps import MODES

    return MODES


def _message_types(ctx: click.Context) -> Iterable[str]:
    from node.wire import MESSAGE_TYPES

    return MESSAGE_TYPES


def _simulated_faults(ctx: click.Context) -> Iterable[str]:
    from launcher.fault_kinds import GROUPS, TEXTS

    return [*GROUPS, *TEXTS]


def _chaos_faults(ctx: click.Context) -> Iterable[str]:
    from launcher.lab.chaos.kinds import ALL_GROUPS, KINDS

    return [*(name for name in ALL_GROUPS if name != "none"), *KINDS]


def _stories(ctx: click.Context) -> Iterable[str]:
    from launcher.simulation.stage.library import names

    return names()


def _planted_bugs(ctx: click.Context) -> Iterable[str]:
    from launcher.simulation.planted import ALL

    return [bug.key for bug in ALL]


def _topics(ctx: click.Context) -> Iterable[str]:
    from launcher.learn.topics import names

    return names()


TARGETS = Targets(_targets, listed=True)
TARGET = Word(_targets)
NODE = Word(_ids)
NODE_NUMBER = NodeNumber()
PROCESS_NUMBER = ProcessNumber()
DISK_FAULT = Word(_disk_faults)
SHARE = Word(_shares)
ARM_WORD = Word(_arm_words)
CLOCK_WORDS = ClockWords(_targets)
LINKS = Word(_links)
LINK_WORDS = LinkWords(lambda ctx: ())
PARTITION = Word(_partitions)
CLUSTER_NAME = Word(_cluster_names)
MACHINE = Word(_machines)
WORKLOAD = Word(_workloads)
SITUATION = Word(_situations)
RUN = Word(_runs)
SIGNAL = Word(_signals)
LEVEL = Word(_levels)
EVENT = Word(_events, listed=True)
SETTING = Word(_settings)
VALUE = Word(_values)
TAP_MODE = Word(_tap_modes)
MESSAGE_TYPE = Word(_message_types)
SIMULATED_FAULTS = Word(_simulated_faults, listed=True)
CHAOS_FAULTS = Word(_chaos_faults, listed=True)
PLANTED_BUG = Word(_planted_bugs)
STORY = Story(_stories)
TOPIC = Word(_topics)
