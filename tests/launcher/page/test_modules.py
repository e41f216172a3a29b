"""The static files: they can be joined into one script, and fetch nothing from elsewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from launcher.page import modules


def test_all_modules_can_be_joined_into_one_script() -> None:
    script = modules.joined()
    assert "export " not in re.sub(r"//.*", "", script)
    assert script.index("function fold(") < script.index("class Page ")
    for name in modules.served():
        if name.endswith(".js"):
            assert f"// {name}\n" in script, f"nothing imports {name}"


def test_nothing_is_fetched_from_elsewhere() -> None:
    for path in modules.STATIC.iterdir():
        found = set(re.findall(r"https?://[^\s\"'`)]+", path.read_text()))
        assert found <= {"http://www.w3.org/2000/svg"}, path.name


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ('import { a as b } from "./other.js";\n', "gives what it imports"),
        ('import * as all from "./other.js";\n', "cannot be joined"),
        ("export default 1;\n", "cannot be joined"),
        ('import { same } from "./other.js";\nfunction same() {}\n', "both name something same"),
    ],
)
def test_what_cannot_be_joined_is_refused(
    source: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "main.js").write_text(source)
    (tmp_path / "other.js").write_text("export function same() {}\n")
    monkeypatch.setattr(modules, "STATIC", tmp_path)
    with pytest.raises(ValueError, match=why):
        modules.joined()


def test_modules_that_import_each_other_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "main.js").write_text('import { other } from "./other.js";\n')
    (tmp_path / "other.js").write_text('import { main } from "./main.js";\n')
    monkeypatch.setattr(modules, "STATIC", tmp_path)
    with pytest.raises(ValueError, match=r"each other: main\.js > other\.js > main\.js"):
        modules.joined()
