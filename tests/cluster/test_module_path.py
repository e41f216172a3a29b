"""Files in the user's folder that are called like modules of the library, or of ours."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.cluster.lab import PATIENCE_S, ROOT, Done, Lab

pytestmark = pytest.mark.cluster

TRAP = "import os\nwith open({mark!r}, 'a') as file:\n    file.write(__name__ + '\\n')\nx = 1 / 0\n"
OURS = {"node", "tests", "bench", "examples"}
OTHERS = {"click", "msgspec", "psutil", "yaml", "prompt_toolkit", "tabulate"}
MACHINE = """\
class Machine:
    def __init__(self):
        self.count = 0

    def apply(self, index, command):
        self.count += 1
        return b"%d" % self.count

    def query(self, request):
        return b"%d" % self.count

    def snapshot(self):
        yield b"%d" % self.count

    def restore(self, chunks):
        self.count = int(b"".join(chunks))
"""
SCRIPT = """\
import sys
from launcher.__main__ import main
if __name__ == "__main__":
    sys.exit(main())
"""


def loaded_by_python(lab: Lab, environment: dict[str, str]) -> set[str]:
    """What `python -m` has loaded before the first line of the package: no program can help it."""
    package = lab.folder / "probe" / "probe"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("import sys\nprint(*sys.modules)\n")
    (package / "__main__.py").touch()
    said = subprocess.run(
        [sys.executable, "-m", "probe"],
        cwd=package.parent,
        env=lab.environment(environment),
        capture_output=True,
        text=True,
        check=True,
    )
    return set(said.stdout.split())


def run(lab: Lab, start: list[str], words: str, environment: dict[str, str]) -> Done:
    said = subprocess.run(
        [*start, *words.split(" ")],
        cwd=lab.folder,
        env=lab.environment(environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S * 2,
        check=False,
    )
    lab.remember()
    assert said.returncode == 0, f"{words}: {said.stderr}"
    return Done(said.returncode, said.stdout, said.stderr)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("start", ["-m", "script"])
@pytest.mark.parametrize("python_path", [[], ["."], [""]], ids=["", "with PYTHONPATH=.", "empty"])
def test_no_file_of_the_user_s_takes_the_place_of_a_module(
    lab: Lab, start: str, python_path: list[str]
) -> None:
    script = lab.folder / "bin" / "launcher-script"
    script.parent.mkdir()
    script.write_text(SCRIPT)
    command = [sys.executable, *(["-m", "launcher"] if start == "-m" else [str(script)])]
    environment = {"PYTHONPATH": os.pathsep.join([str(ROOT), *python_path])}
    names = {name for name in sys.stdlib_module_names if find_spec(name)} | OURS | OTHERS
    mark = lab.folder / "imported"
    for name in names - loaded_by_python(lab, environment):
        (lab.folder / f"{name}.py").write_text(TRAP.format(mark=str(mark)))
    (lab.folder / "mine.py").write_text(MACHINE)

    run(lab, command, "up 3 -d --machine mine:Machine", environment)
    for words in (
        "wait --leader",
        "submit a b",
        "snapshot all",
        "restart n1",
        "kill n2",
        "start n2",
        "ps",
        "timeline",
        "config",
        "simulate --seeds 1..2 --time 1s --workers 2",
    ):
        run(lab, command, words, environment)
    assert run(lab, command, "read x", environment).lines == ["2"]
    run(lab, command, "down", environment)
    said = (lab.folder / "logs" / "supervisor.stderr").read_text()
    assert "Traceback" not in said
    assert not mark.exists(), mark.read_text()


@pytest.mark.parametrize("folder_too", [False, True])
def test_a_machine_in_a_package_called_tests(lab: Lab, folder_too: bool) -> None:
    """We have one, too. The check passed, and then every node failed."""
    package = lab.folder / "tests"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "mine.py").write_text(MACHINE)
    env = {"PYTHONPATH": os.pathsep.join([str(ROOT), *([str(lab.folder)] * folder_too)])}
    lab.launcher("up", "3", "-d", "--machine", "tests.mine:Machine", stdin="", env=env, check=True)
    assert lab.launcher("submit", "a", check=True).out.endswith("\t1\n")


def test_a_machine_whose_module_is_another_is_refused_before_anything_starts(lab: Lab) -> None:
    for module, name in (("random", "random"), ("time", "time"), ("email/mine", "email.mine")):
        file = lab.folder / f"{module}.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text(MACHINE)
        done = lab.launcher("up", "3", "-d", "--machine", f"{name}:Machine", stdin="")
        top = name.partition(".")[0]
        assert done.status == 2
        assert done.err.startswith(f"launcher: machine {name}:Machine: the module {top} is ")
        assert done.err.endswith(
            f", which comes first, and not {file}: give yours another name\n"
        ), done.err
    assert not (lab.folder / "data").exists()


def test_a_folder_that_was_removed_stops_no_command(lab: Lab, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    said = subprocess.run(
        ["sh", "-c", 'cd "$0" && rmdir "$0" && exec "$@"', str(gone), *lab.command("--version")],
        env=lab.environment(None),
        capture_output=True,
        check=False,
    )
    assert (said.returncode, said.stderr) == (0, b"")
