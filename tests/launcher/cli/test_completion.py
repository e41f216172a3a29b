"""What a shell offers while a command is typed: by click's own classes, and by a real bash."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import click
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from launcher.cli import completion
from launcher.cli.context import Context
from launcher.cli.table import launcher
from launcher.config import load
from launcher.folders import records

ROOT = Path(__file__).resolve().parents[3]
PATIENCE_S = 30.0


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the settings of three nodes, where nothing has been started."""
    (tmp_path / "cluster.yaml").write_text("name: mine\nnodes: 3\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def started(members: list[int], name: str | None = None) -> None:
    """A cluster of these members has its record here."""
    config = load(name=name)
    config.data_dir.mkdir(parents=True)
    begun = records.begin(config)
    records.write(config, msgspec.structs.replace(begun, members=members, last_id=max(members)))


def offered(line: str, shell: str = "bash") -> list[str]:
    """What is offered for the last word of the line; it may be empty."""
    words = line.split(" ")
    environment = {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    if shell == "fish":
        environment["COMP_CWORD"] = words[-1]
    with pytest.MonkeyPatch.context() as patch:
        for key, value in environment.items():
            patch.setenv(key, value)
        said = completion.reply(launcher, f"{shell}_complete", Context()).splitlines()
    if shell == "zsh":
        return said[1::3]
    return [line.partition(",")[2] for line in said]


IDS = ["n1", "n2", "n3"]

LINES = [
    ("launcher ti", ["time-out", "timeline"]),
    (
        "launcher kill ",
        ["leader", "follower", "followers", "minority", "majority", "all", "random"],
    ),
    ("launcher kill n", IDS),
    ("launcher kill leader fo", ["follower", "followers"]),
    ("launcher kill n1,le", ["n1,leader"]),
    ("launcher start ", ["minority", "majority", "all", "random", *IDS]),
    ("launcher transfer ", ["leader", "follower", "random", *IDS]),
    ("launcher recover ", IDS),
    ("launcher read --node ", ["1", "2", "3"]),
    ("launcher timeline --node ", ["0", "1", "2", "3"]),
    ("launcher disk fa", []),
    ("launcher disk n1 fa", ["fail-write", "fail-sync"]),
    ("launcher disk n1 n2 ha", ["hang"]),
    ("launcher disk n1 cy", ["cycle"]),
    ("launcher throttle n1 2", ["20%"]),
    ("launcher throttle n1 n2 o", ["ok"]),
    ("launcher arm le", ["leader"]),
    ("launcher arm before", []),
    ("launcher arm n1 before-s", ["before-sync", "before-save-snapshot", "before-send-snapshot"]),
    ("launcher arm n1 n2 after-vote ki", ["kill"]),
    ("launcher clock bu", []),
    ("launcher clock n1 bu", ["bump"]),
    ("launcher clock n1 leader s", ["strobe"]),
    ("launcher clock n1 bump ", ["200ms", "-200ms"]),
    ("launcher clock n1 strobe 200ms ", ["100ms"]),
    ("launcher clock n1 strobe 200ms 100ms ", []),
    ("launcher clock n1 ok ", []),
    ("launcher clock --w", ["--wall"]),
    ("launcher partition ma", ["majorities-ring"]),
    ("launcher link lea", ["leader>followers"]),
    ("launcher link n1", ["n1-"]),
    ("launcher link all re", ["reorder"]),
    ("launcher link all delay ", ["50ms", "200ms"]),
    ("launcher link all delay 50ms l", ["loss"]),
    ("launcher link all delay 50ms 1", ["10ms"]),
    ("launcher link all loss 5% de", ["delay"]),
    ("launcher link all loss 5% l", []),
    ("launcher link all cut ho", ["hold"]),
    ("launcher link all profile w", ["wifi", "wan3"]),
    ("launcher ps --li", ["--links"]),
    ("launcher up --machine m", ["members", "multicast"]),
    ("launcher up --machine=m", ["members", "multicast"]),
    ("launcher kill -s SIGKI", ["SIGKILL"]),
    ("launcher timeline --level ", ["debug", "info", "warn", "error"]),
    ("launcher timeline --event leader.h", ["leader.heard"]),
    ("launcher explain no-", ["no-op"]),
    ("launcher explain leader.e", ["leader.elected"]),
    ("launcher why ", IDS),
    ("launcher simulate --scenario fig", ["figure7", "figure8"]),
    ("launcher simulate --plant half-is", ["half-is-a-quorum"]),
    ("launcher simulate --plants", ["--plants"]),
    ("launcher story split", ["split_vote"]),
    ("launcher story figure8 --r", ["--real"]),
    ("launcher simulate --faults kill,pow", ["kill,power"]),
    ("launcher completion ", ["bash", "zsh", "fish"]),
    ("launcher ps --w", ["--watch"]),
    ("launcher status --w", ["--watch"]),
    ("launcher -p ", ["mine"]),
    ("launcher kill -p ", ["mine"]),
    ("launcher submit AD", []),
]


@pytest.mark.parametrize(("line", "expected"), LINES)
def test_a_line_has_its_offers(line: str, expected: list[str]) -> None:
    found = offered(line)
    if line == "launcher kill ":
        expected = [*expected, *IDS]
    assert found == expected


@pytest.mark.parametrize("shell", list(completion.SHELLS))
def test_every_shell_gets_the_same_offers(shell: str) -> None:
    assert offered("launcher kill fo", shell) == ["follower", "followers"]
    assert offered("launcher disk n1 fai", shell) == ["fail-write", "fail-sync"]
    assert offered("launcher kill n1,le", shell) == ["n1,leader"]


def test_the_ids_are_those_of_the_members() -> None:
    started([1, 3, 12])
    assert offered("launcher kill n") == ["n1", "n3", "n12"]
    assert offered("launcher watch --node 1") == ["1", "12"]


def test_a_cluster_beside_others_has_its_own_ids_and_its_name_is_offered(folder: Path) -> None:
    started([1, 2, 3, 4, 5], "blue")
    started([1], "red")
    (folder / "data" / "node-1").mkdir()
    assert offered("launcher -p ") == ["mine", "blue", "red"]
    assert offered("launcher -p blue kill n") == ["n1", "n2", "n3", "n4", "n5"]
    assert offered("launcher kill -p red n") == ["n1"]


@pytest.mark.parametrize("line", ["launcher -c clu", "launcher story ./m"])
def test_files_are_left_to_the_shell(line: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COMP_WORDS", line)
        patch.setenv("COMP_CWORD", "2")
        said = completion.reply(launcher, "bash_complete", Context())
    assert said == f"file,{line.split()[-1]}\n"


@pytest.mark.parametrize("text", ["nodes: [", "nodes: many", "\0", "name: " + "x" * 100_000])
def test_settings_that_cannot_be_used_leave_the_words(folder: Path, text: str) -> None:
    (folder / "cluster.yaml").write_text(text)
    assert offered("launcher kill fo") == ["follower", "followers"]
    assert offered("launcher kill n") == []
    assert offered("launcher -p ") == []


def test_a_damaged_record_leaves_what_cluster_yaml_says(folder: Path) -> None:
    (folder / "data").mkdir()
    (folder / "data" / "cluster.json").write_text("{nonsense")
    assert offered("launcher kill n") == IDS


def test_each_parameter_that_names_something_offers_something() -> None:
    """So that a row that is added later does not forget its types."""
    named = {"target", "targets", "node", "fault", "machine", "name", "signal", "level", "event"}
    found = 0
    for row in launcher.all().values():
        context = click.Context(row, info_name=row.name, obj=Context())
        for parameter in row.params:
            if parameter.name in named:
                found += 1
                assert parameter.type.shell_complete(context, parameter, ""), (row.name, parameter)
    assert found > 30


# -- nothing that goes wrong is seen -------------------------------------------------------------


def run(environment: dict[str, str], folder: Path, *, audit: str = "") -> tuple[int, str, str]:
    """The program, run as the script of a shell runs it: its status and what it said."""
    code = f"import os, sys\n{audit}\nfrom launcher.__main__ import main\nsys.exit(main())"
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    return ran.returncode, ran.stdout, ran.stderr


def asked(line: str, at: int, shell: str = "bash") -> dict[str, str]:
    return {
        completion.VARIABLE: f"{shell}_complete",
        "COMP_WORDS": line,
        "COMP_CWORD": str(at),
    }


@pytest.mark.parametrize(
    "environment",
    [
        asked("launcher nonsense ", 2),
        asked("launcher kill --nonsense ", 3),
        asked("launcher 'kill", 1),
        asked("launcher kill l", 2, "tcsh"),
        asked("", 0),
        asked("launcher", -7),
        {completion.VARIABLE: "bash_complete"},
        {**asked("launcher kill l", 2), "COMP_CWORD": "many"},
        {completion.VARIABLE: "1"},
    ],
)
def test_a_line_that_makes_no_sense_has_no_offers(
    environment: dict[str, str], folder: Path
) -> None:
    status, _, err = run(environment, folder)
    assert (status, err) == (0, "")


@given(
    words=st.lists(
        st.sampled_from(
            ["kill", "disk", "-p", "-c", "--", "-", "n1", "up", "bench", "help", "=", "--json"]
        )
        | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8),
        max_size=6,
    ),
    at=st.integers(-2, 8),
    shell=st.sampled_from(["bash", "zsh", "fish"]),
)
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_line_whatever_makes_it_fail(words: list[str], at: int, shell: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COMP_WORDS", " ".join(["launcher", *words]))
        patch.setenv("COMP_CWORD", (words or [""])[-1] if shell == "fish" else str(at))
        patch.setattr(os, "write", lambda *_: 0)
        assert completion.answer(launcher, f"{shell}_complete", Context()) == 0


def test_it_does_not_wait_for_a_file_that_nobody_writes(folder: Path) -> None:
    (folder / "data").mkdir()
    os.mkfifo(folder / "data" / "cluster.json")
    status, out, err = run(asked("launcher kill n", 2), folder)
    assert (status, out, err) == (0, "", "")


def test_it_opens_no_socket_and_starts_no_process(folder: Path) -> None:
    started([1, 2, 3])
    seen = (
        "starts = ('socket.', 'subprocess.', 'os.fork', 'os.exec', 'os.posix_spawn', 'os.system')\n"
        "sys.addaudithook(lambda event, _: event.startswith(starts) and print('SEEN', event))"
    )
    status, out, err = run(asked("launcher kill n", 2), folder, audit=seen)
    assert (status, out, err) == (0, "plain,n1\nplain,n2\nplain,n3\n", "")


# -- the scripts ---------------------------------------------------------------------------------


@pytest.fixture
def programs(tmp_path: Path) -> dict[str, str]:
    """An environment in which the two names of the program are commands."""
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    for name in completion.NAMES:
        script = bin_folder / name
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m launcher "$@"\n')
        script.chmod(0o755)
    path = f"{bin_folder}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}


def shell_says(shell: str, script: str, programs: dict[str, str]) -> list[str]:
    """What a shell prints; skips the test where there is no such shell."""
    found = shutil.which(shell)
    if found is None:
        pytest.skip(f"no {shell} on this machine")
    ran = subprocess.run(
        [found, "-c", script],
        env=programs,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=True,
    )
    return ran.stdout.splitlines()


@pytest.mark.parametrize("name", completion.NAMES)
def test_bash_completes_with_the_printed_script(name: str, programs: dict[str, str]) -> None:
    script = f"""
        eval "$({name} completion bash)"
        complete -p {name}
        COMP_WORDS=({name} kill fol) COMP_CWORD=2
        _launcher_completion {name}
        printf '%s\\n' "${{COMPREPLY[@]}}"
        COMP_WORDS=({name} nonsense "") COMP_CWORD=2
        _launcher_completion {name}
        echo "${{#COMPREPLY[@]}}"
    """
    registered, *offers, none = shell_says("bash", script, programs)
    assert registered.endswith(f"-F _launcher_completion {name}")
    assert offers == ["follower", "followers"]
    assert none == "0"


@pytest.mark.parametrize("name", completion.NAMES)
def test_fish_completes_with_the_printed_script(name: str, programs: dict[str, str]) -> None:
    script = f'{name} completion fish | source; complete -C "{name} kill fol"'
    assert shell_says("fish", script, programs) == ["follower", "followers"]


def test_zsh_reads_the_printed_script(programs: dict[str, str]) -> None:
    script = """
        autoload -Uz compinit && compinit -u -D
        eval "$(launcher completion zsh)"
        print $_comps[launcher] $_comps[leeky-raft]
    """
    assert shell_says("zsh", script, programs) == ["_launcher_completion _launcher_completion"]


def test_an_unknown_shell_is_told_which_there_are(programs: dict[str, str]) -> None:
    script = "launcher completion tcsh 2>&1 || true"
    (said,) = shell_says("bash", script, programs)
    assert "'bash', 'zsh', 'fish'" in said
