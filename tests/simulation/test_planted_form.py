"""Each planted bug has a name of its own, changes the product, and is taken out again."""

from __future__ import annotations

import re
import sys
from types import ModuleType
from typing import Any

import pytest

from launcher.errors import LauncherError, UsageError
from launcher.simulation.planted import ALL, BLIND, PLANTED, Planted, holders, named, planted
from launcher.simulation.planted.form import PRODUCT, edited
from node.raft import reads, replication
from node.storage import recovery, wal

LEAST = 34


def product() -> dict[tuple[str, ...], Any]:
    """Every function and class in the product's modules, and all that their classes hold."""
    found: dict[tuple[str, ...], Any] = {}
    for module_name, module in sorted(sys.modules.items()):
        if module_name.partition(".")[0] not in PRODUCT:
            continue
        for name, held in vars(module).items():
            found[module_name, name] = held
            if isinstance(held, type) and held.__module__ == module_name:
                for attribute, inner in vars(held).items():
                    found[module_name, name, attribute] = inner
    return found


@pytest.fixture(scope="module")
def unharmed() -> dict[tuple[str, ...], Any]:
    """The product before anything was planted in this file."""
    return product()


def test_there_are_enough() -> None:
    assert len(PLANTED) >= LEAST


def test_names_are_unique() -> None:
    for names in ([bug.name for bug in ALL], [bug.key for bug in ALL]):
        assert sorted(set(names)) == sorted(names)


def test_keys_are_easy_to_type() -> None:
    for bug in ALL:
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", bug.key), bug.key
        assert len(bug.key) <= 36, bug.key


def test_the_property_that_shows_a_bug_is_expected() -> None:
    for bug in ALL:
        assert (bug.shows == "") == (bug.name in BLIND), bug.key
        assert not bug.shows or bug.shows in bug.expected, bug.key


def test_a_bug_is_found_by_its_key_its_sentence_or_a_part_of_either() -> None:
    bug = named("half-is-a-quorum")
    assert bug.name == "half of the voters make a quorum"
    assert named("half of the voters make a quorum") is bug
    assert named("half-is") is bug
    assert named("Half of the voters") is bug


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("lease", "planted bugs have 'lease' in their names: "),
        ("half-is-quorum", "no planted bug 'half-is-quorum'; did you mean half-is-a-quorum?"),
        ("zzz", "no planted bug 'zzz' (`launcher simulate --plants` lists all)"),
    ],
)
def test_a_word_that_means_no_bug_or_several(word: str, said: str) -> None:
    with pytest.raises(UsageError, match=re.escape(said)):
        named(word)


def test_stories_and_expectations_are_there() -> None:
    for bug in PLANTED:
        assert bug.story.endswith("."), bug.name
        assert bug.expected, bug.name
        assert 1 <= bug.within <= 60, bug.name


@pytest.mark.parametrize("bug", PLANTED, ids=lambda bug: bug.name)
def test_a_bug_comes_and_goes(bug: Planted, unharmed: dict[tuple[str, ...], Any]) -> None:
    original = vars(bug.target)[bug.attribute]

    with planted(bug):
        broken = vars(bug.target)[bug.attribute]
        assert broken is not original
        harmed = product()
        changed = {place for place, held in harmed.items() if unharmed.get(place) is not held}
        assert not any(held is original for held in harmed.values())

    assert changed, "it changes nothing"
    after = product()
    assert after.keys() == unharmed.keys()
    assert [place for place, held in after.items() if unharmed[place] is not held] == []


@pytest.mark.parametrize("bug", PLANTED, ids=lambda bug: bug.name)
def test_a_bug_is_taken_out_after_a_failure(bug: Planted) -> None:
    original = vars(bug.target)[bug.attribute]

    with pytest.raises(ZeroDivisionError), planted(bug):
        raise ZeroDivisionError

    assert vars(bug.target)[bug.attribute] is original


@pytest.mark.parametrize(
    ("target", "attribute", "others"),
    [
        (replication, "broadcast_heartbeat", {reads}),
        (recovery, "may_follow", {wal}),
        (recovery, "recover", {wal}),
    ],
)
def test_whoever_imported_the_function_gets_the_bug_too(
    target: ModuleType, attribute: str, others: set[ModuleType]
) -> None:
    bug = Planted("nothing", "nothing", "", "", target, attribute, lambda original: print, (), 1)

    found = {place for place, _ in holders(bug)}
    with planted(bug):
        held = [vars(place)[attribute] for place in (target, *others)]

    assert {target, *others} <= found
    assert all(one is print for one in held)


def test_an_edit_of_what_is_not_there_fails() -> None:
    with pytest.raises(LauncherError, match="has 0 times 'no such line'"):
        edited(("no such line", "another"))(replication.append)


def test_the_blind_are_bugs_that_there_are() -> None:
    assert {bug.name for bug in ALL} >= BLIND.keys()
