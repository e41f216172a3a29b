"""Settings in place of those of cluster.yaml: what may be said, what it means, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.config import ClusterConfig, parse, render
from launcher.errors import LauncherError, UsageError
from launcher.life import paced
from launcher.overrides import (
    AS_IN_THE_PAPER,
    CHANGEABLE,
    changed,
    key_of,
    overridden,
    text_of,
    texts_of,
    with_texts,
)


def parsed(text: str = "") -> ClusterConfig:
    return parse(text.encode(), source=None, directory=Path("/somewhere"))


def test_a_timescale_multiplies_the_timers_that_cluster_yaml_says() -> None:
    config = overridden(parsed("raft: {heartbeat_interval: 50ms}"), {"timescale": "20"})
    assert config.heartbeat_interval_s == 1.0
    assert (config.election_timeout_min_s, config.election_timeout_max_s) == (10.0, 20.0)
    again = overridden(config, {"timescale": "1"})
    assert again == parsed("raft: {heartbeat_interval: 50ms}")


def test_as_in_the_paper_an_election_takes_seconds() -> None:
    config = paced(parsed(), None, as_in_the_paper=True)
    assert config.heartbeat_interval_s == 1.0
    assert (config.election_timeout_min_s, config.election_timeout_max_s) == (5.0, 10.0)
    assert config.message_delay_s == pytest.approx(0.3)
    assert not config.failure_hint
    assert not config.pre_vote
    assert config.log_level == "debug"


def test_the_command_line_beats_the_file_and_a_timescale_beats_as_in_the_paper() -> None:
    file = parsed("timescale: 3\nraft: {pre_vote: on}")
    assert paced(file, None, as_in_the_paper=False) is file
    assert paced(file, 5, as_in_the_paper=False).timescale == 5
    assert paced(file, "4", as_in_the_paper=True).timescale == 4
    assert not paced(file, "4", as_in_the_paper=True).pre_vote


@pytest.mark.parametrize(
    "text",
    ["0", "-1", "nan", ".nan", "inf", "1e9", "101", "", "on", "[1]", "{", "1 2", "\n", "x" * 99],
)
def test_a_timescale_that_is_none_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        overridden(parsed(), {"timescale": text})
    said = str(caught.value)
    assert said.startswith("timescale is a number from 0.01 to 100, not ")
    assert said.isprintable()
    assert len(said) < 150


def test_settings_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(UsageError, match="their product must be at least 1ms"):
        overridden(parsed("raft: {heartbeat_interval: 2ms}"), {"timescale": "0.1"})
    with pytest.raises(UsageError, match="a message may take 1/4 of the shortest election"):
        changed(parsed(), "message-delay", "126ms")
    assert changed(parsed(), "message-delay", "125ms").message_delay_s == 0.125


@pytest.mark.parametrize(
    ("word", "text", "field", "value"),
    [
        ("timescale", "2.5", "timescale", 2.5),
        ("Log-Level", "debug", "log_level", "debug"),
        ("log.level", "warn", "log_level", "warn"),
        ("pre-vote", "off", "pre_vote", False),
        ("failure-hint", "no", "failure_hint", False),
        ("raft.failure_hint", "off", "failure_hint", False),
    ],
)
def test_what_set_can_change(word: str, text: str, field: str, value: object) -> None:
    assert getattr(changed(parsed(), word, text), field) == value


def test_set_says_what_it_can_change_and_what_not_while_nodes_run() -> None:
    with pytest.raises(UsageError, match="there is no setting 'colour'; `set` changes timescale"):
        key_of("colour")
    with pytest.raises(UsageError, match="nodes cannot be changed while the cluster runs"):
        key_of("nodes")
    with pytest.raises(UsageError, match=r"log\.level is debug, info, warn or error, not 'loud'"):
        changed(parsed(), "log-level", "loud")
    assert all(key_of(word) == key for word, key in CHANGEABLE.items())


def test_with_leases_the_timescale_stays() -> None:
    """A lease is as long as the shortest election timeout, which voters must measure alike."""
    leases = parsed("raft: {reads: lease}")
    with pytest.raises(LauncherError, match="stays as it is while the cluster runs") as caught:
        changed(leases, "timescale", "2")
    assert not isinstance(caught.value, UsageError)
    off = changed(leases, "failure-hint", "off")
    with pytest.raises(LauncherError, match="turns the failure hint off"):
        changed(off, "failure-hint", "on")
    assert not changed(leases, "pre-vote", "off").pre_vote
    assert changed(leases, "timescale", "1") == leases


@given(st.floats(0.05, 100).map(lambda x: round(x, 3)), st.booleans())
def test_texts_carry_all_settings_but_those_of_the_folders(timescale: float, paper: bool) -> None:
    config = paced(parsed(), timescale, as_in_the_paper=paper)
    elsewhere = parse(b"name: other\nnodes: 3", source=None, directory=Path("/elsewhere"))
    there = with_texts(elsewhere, texts_of(config))
    assert (there.name, there.nodes, there.data_dir) == ("other", 3, Path("/elsewhere/data"))
    assert texts_of(there) == texts_of(config)


def test_texts_of_another_version_do_no_harm() -> None:
    assert with_texts(parsed(), {"raft.novelty": "1", "timescale": "many"}) == parsed()
    assert with_texts(parsed(), {}) == parsed()


def test_clients_wait_longer_where_timers_are_slow_and_not_shorter_where_they_are_fast() -> None:
    assert parsed().answer_timeout_s == 10.0
    assert parsed("timescale: 20").answer_timeout_s == 200.0
    assert parsed("timescale: 20").patience == 20.0
    assert parsed("timescale: 0.1").answer_timeout_s == 10.0


def test_config_says_what_the_timescale_makes_of_a_duration() -> None:
    text = render(paced(parsed(), None, as_in_the_paper=True), is_running=True)
    assert "in the cluster that runs" in text.splitlines()[0]
    assert "  heartbeat_interval: 100ms  # with the timescale: 1s\n" in text
    assert "  message_delay: 30ms  # with the timescale: 300ms\n" in text
    assert "  timeout: 10s  # with the timescale: 100s\n" in text
    assert "  timeout: 1h\n" in text, "sessions are not of that kind"
    assert "#" not in render(parsed()).partition("\n")[2]


def test_the_settings_of_the_paper_are_keys_of_cluster_yaml() -> None:
    assert all(text_of(overridden(parsed(), {k: v}), k) == v for k, v in AS_IN_THE_PAPER.items())
