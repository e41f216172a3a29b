"""The page's modules, run by Node.js without a browser."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

import launcher.page

STATIC = Path(launcher.page.__file__).parent / "static"

needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed")


def static_copy(folder: Path) -> Path:
    """The modules in a folder where Node.js takes them for modules."""
    modules = folder / "static"
    if not modules.exists():
        shutil.copytree(STATIC, modules)
        (modules / "package.json").write_text('{"type": "module"}')
    return modules


def evaluated(folder: Path, expression: str, **values: object) -> Any:
    """The value of an expression. It may name all that the pure modules export, and `values`."""
    modules = static_copy(folder)
    pure = ("fold.js", "health.js", "commands.js", "words.js", "rates.js", "history.js")
    lines = [
        f"import * as m{i} from {json.dumps(str(modules / name))};" for i, name in enumerate(pure)
    ]
    named = (
        "{" + ", ".join(f"...m{i}" for i in range(len(pure))) + f", ...{json.dumps(values)}" + "}"
    )
    lines += [
        f"const all = {named};",
        f"const run = new Function(...Object.keys(all), {json.dumps('return ' + expression)});",
        "console.log(JSON.stringify(run(...Object.values(all))));",
    ]
    script = folder / "evaluate.mjs"
    script.write_text("\n".join(lines))
    said = subprocess.run(["node", str(script)], capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    return json.loads(said.stdout)
