"""What `make wheel` builds, and the site that `make docs` builds, as a stranger gets them."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

import launcher

ROOT = Path(__file__).resolve().parents[1]
BUILD_TIMEOUT_S = 900.0
COMMAND_TIMEOUT_S = 120.0

pytestmark = [pytest.mark.soak, pytest.mark.cluster]


def run(*words: str | Path, folder: Path = ROOT, timeout_s: float = BUILD_TIMEOUT_S) -> str:
    """What a program says when it ends well; nothing of this environment's Python reaches it."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    environment.pop("VIRTUAL_ENV", None)
    ran = subprocess.run(
        list(map(str, words)),
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert ran.returncode == 0, f"{words}: {ran.stdout[-4000:]}"
    return ran.stdout


def files_below(*folders: str) -> set[str]:
    """The files of this repository, without what Python and tools leave behind."""
    found = (file for folder in folders for file in (ROOT / folder).rglob("*") if file.is_file())
    names = {file.relative_to(ROOT).as_posix() for file in found}
    return {name for name in names if "__pycache__" not in name and not name.endswith("~")}


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with a new sdist, and the wheel that was built from it."""
    if find_spec("build") is None or find_spec("twine") is None:
        pytest.skip("`make soak` installs what builds the packages")
    folder = tmp_path_factory.mktemp("packages")
    run(sys.executable, "-m", "build", "--outdir", folder, ROOT)
    return folder


def the(packages: Path, pattern: str) -> Path:
    (found,) = packages.glob(pattern)
    return found


def test_the_wheel_has_the_modules_of_the_repository_and_no_others(packages: Path) -> None:
    with zipfile.ZipFile(the(packages, "*.whl")) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert "launcher/simulation/stage/stories/demonstrations/figure7.txt" in names
    assert names == files_below("launcher", "node")


def test_the_sdist_has_what_tests_and_documentation_need(packages: Path) -> None:
    with tarfile.open(the(packages, "*.tar.gz")) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    wanted = files_below("launcher", "node", "tests", "docs", "examples", "bench", ".ci")
    wanted |= {"LICENSE", "README.md", "CHANGELOG.md", "Makefile", "constraints.txt"}
    assert wanted <= names
    assert not [name for name in names if name.startswith(("build/", ".venv", "data/", "logs/"))]


def test_the_packages_pass_the_check_of_an_index(packages: Path) -> None:
    run(sys.executable, "-m", "twine", "check", "--strict", *packages.iterdir())


@pytest.mark.parametrize("pattern", ["*.whl", "*.tar.gz"])
def test_a_package_runs_a_cluster_in_an_empty_environment(
    packages: Path, tmp_path: Path, pattern: str
) -> None:
    run(sys.executable, "-m", "venv", tmp_path / "venv")
    programs, folder = tmp_path / "venv" / "bin", tmp_path / "work"
    folder.mkdir()
    pins = ROOT / "constraints.txt"
    run(programs / "python", "-m", "pip", "install", "-c", pins, the(packages, pattern))

    def leeky(*words: str) -> str:
        return run(programs / "leeky-raft", *words, folder=folder, timeout_s=COMMAND_TIMEOUT_S)

    assert leeky("--version") == f"leeky-raft {launcher.__version__}\n"
    try:
        assert "3 nodes up" in leeky("up", "3", "-d", "--timeout", "60")
        assert leeky("submit", "ADD notes.txt").split() == ["2", "added"]
        assert leeky("ps").count(" up ") == 3
        assert run(programs / "launcher", "read", "LS", folder=folder) == "notes.txt\n"
    finally:
        leeky("down")
    installed = run(programs / "python", "-m", "pip", "list")
    assert "leeky-raft" in installed
    assert "pytest" not in installed


def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    if find_spec("sphinx") is None:
        pytest.skip("`make soak` installs what builds the documentation")
    site = tmp_path / "site"
    options = ("-q", "-W", "--keep-going", "-c", "docs/site", "-d", str(tmp_path / "doctrees"))
    run(sys.executable, "-m", "sphinx", *options, ".", site)
    commands = (site / "docs" / "site" / "commands.html").read_text()
    reference = (site / "docs" / "site" / "reference.html").read_text()
    assert (site / "index.html").is_file()
    assert 'id="launcher-partition"' in commands
    assert all(f"launcher.{name}" in reference for name in launcher.__all__ if name[0] != "_")
