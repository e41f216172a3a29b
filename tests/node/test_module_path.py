"""Which module a machine's name means, and which folders come before which."""

from __future__ import annotations

import os
import site
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from node import module_path
from node.errors import MachineError
from node.machines.registry import load
from tests.cluster.test_module_path import MACHINE


@pytest.fixture(autouse=True)
def _path_as_it_was(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """The current folder is `here`; `before` comes before it on the path."""
    for name in ("here", "before"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "before"), *sys.path, str(tmp_path / "here")])
    loaded = set(sys.modules)
    yield
    for name in set(sys.modules) - loaded:
        if name.startswith("its_"):
            del sys.modules[name]


def test_a_module_that_is_found_elsewhere_is_refused(tmp_path: Path) -> None:
    (tmp_path / "before" / "its_a.py").write_text(MACHINE)
    load("its_a:Machine")

    (tmp_path / "here" / "its_a.py").write_text(MACHINE)
    with pytest.raises(MachineError) as caught:
        load("its_a:Machine")
    assert str(caught.value) == (
        f"machine its_a:Machine: the module its_a is {tmp_path}/before/its_a.py, which comes "
        f"first, and not {tmp_path}/here/its_a.py: give yours another name"
    )


def test_a_submodule_that_only_the_users_package_has_is_explained(tmp_path: Path) -> None:
    for place in ("before", "here"):
        (tmp_path / place / "its_b").mkdir()
        (tmp_path / place / "its_b" / "__init__.py").touch()
    (tmp_path / "here" / "its_b" / "m.py").write_text(MACHINE)
    with pytest.raises(MachineError, match=r"the module its_b is .*before/its_b/__init__\.py"):
        load("its_b.m:Machine")


def test_a_folder_without_modules_is_nobodys_package(tmp_path: Path) -> None:
    (tmp_path / "before" / "its_c.py").write_text(MACHINE)
    (tmp_path / "here" / "its_c").mkdir()
    load("its_c:Machine")


@pytest.mark.parametrize("name", ["its_d", "its_e.m"])
def test_a_link_to_another_place_is_the_users_own(tmp_path: Path, name: str) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "m.py").write_text(MACHINE)
    os.symlink(tmp_path / "there" / "m.py", tmp_path / "here" / "its_d.py")
    os.symlink(tmp_path / "there", tmp_path / "here" / "its_e")
    load(f"{name}:Machine")


def test_the_users_folders_come_last_and_ours_no_longer_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "path", [module_path.OURS, "/usr/lib/python", "/site"])
    module_path.use(["/here", "/usr/lib/python", module_path.OURS])
    assert sys.path == ["/usr/lib/python", "/site", "/here", module_path.OURS]


def test_where_our_packages_are_installed_they_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site, "getsitepackages", lambda: [module_path.OURS])
    monkeypatch.setattr(sys, "path", ["/usr/lib/python", module_path.OURS])
    module_path.use(["/here"])
    assert sys.path == ["/usr/lib/python", module_path.OURS, "/here"]


def test_the_environment_of_a_process_of_ours(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = str(tmp_path / "other")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([".", "", other, str(tmp_path / "here")]))
    assert module_path.environment()["PYTHONPATH"] == os.pathsep.join([module_path.OURS, other])

    monkeypatch.setattr(site, "getsitepackages", lambda: [module_path.OURS])
    monkeypatch.setenv("PYTHONPATH", ".")
    assert "PYTHONPATH" not in module_path.environment()
