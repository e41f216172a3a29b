"""cluster.yaml as a file: finding it, reading it into YAML's nodes, and what a refusal shows of it.

The file is never turned into Python objects at large. It is composed into YAML's own nodes, which
know their line, and only known keys are followed into them. So a tag constructs nothing, an alias
is never expanded, and every refusal is one line: file, line, the key's path, what was found, and
what is allowed. What the keys mean stands in `launcher/config.py`.
"""

from __future__ import annotations

import difflib
import os
import stat
from pathlib import Path

import msgspec
import yaml

from launcher.errors import ConfigError
from launcher.settings import BOOL, FLOAT, INT, MAP, NULL, SECTIONS, SETTINGS, STR
from node.printable import printable_line

FILE_NAME = "cluster.yaml"
MAX_FILE_BYTES = 64 << 10
"""No sensible cluster.yaml is longer; it bounds what a hostile one can cost."""


class ConfigFile(msgspec.Struct, frozen=True):
    """The file as it is named in messages."""

    shown: str

    def error(self, line: int | None, key: str, problem: str) -> ConfigError:
        """A refusal in one line: where, at which key, and what is wrong."""
        place = self.shown if line is None else f"{self.shown}:{line}"
        return ConfigError(": ".join(part for part in (place, key, problem) if part))


def find_file(directory: Path) -> Path | None:
    """The file in the folder or in the nearest parent that has one; None: none has."""
    for folder in (directory, *directory.parents):
        if os.path.lexists(folder / FILE_NAME):
            return folder / FILE_NAME
    return None


def read_file(source: Path) -> bytes:
    """What is in the file. Raises ConfigError when it cannot be read, or is too long."""
    file = ConfigFile(shown_path(source))
    try:
        if not stat.S_ISREG(source.stat().st_mode):
            what = "a folder" if source.is_dir() else "no regular file"
            raise file.error(None, "", f"this is {what}; name the YAML file itself with -c")
        with source.open("rb") as opened:
            data = opened.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        hint = "name another with -c, or leave -c out"
        raise file.error(None, "", f"no such config file; {hint}") from None
    except OSError as error:
        raise file.error(None, "", f"cannot be read: {error.strerror or error}") from None
    if len(data) > MAX_FILE_BYTES:
        raise file.error(None, "", f"longer than {MAX_FILE_BYTES >> 10}KiB: not a cluster.yaml")
    return data


def compose(data: bytes, file: ConfigFile) -> yaml.Node | None:
    """The root node, or None for a file without any. Raises ConfigError."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        found = f"the byte 0x{data[error.start]:02x}"
        raise file.error(line, "", f"found {found}, expected UTF-8; save it as UTF-8") from None
    loader = None
    try:
        loader = yaml.SafeLoader(text)
        root: yaml.Node | None = loader.get_single_node()
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        found = quoted(text[error.position])
        raise file.error(line, "", f"found {found}, which YAML does not allow") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = printable_line(error.problem or error.context or "it does not parse")
        if "'\\t'" in problem:
            problem += "; indent with spaces, not tabs"
        raise file.error(mark.line + 1 if mark else None, "", f"not YAML: {problem}") from None
    except RecursionError:
        raise file.error(None, "", "nested too deeply; three levels are enough") from None
    except (ValueError, OverflowError):
        # The scanner lets int() and chr() raise: a huge %YAML version, "\UFFFFFFFF".
        line = loader.line + 1 if loader else 1
        raise file.error(line, "", "not YAML: found a number that is out of range") from None
    return root


def collect(
    node: yaml.Node,
    section: str,
    line: int,
    nodes: dict[str, yaml.Node],
    lines: dict[str, int],
    file: ConfigFile,
) -> None:
    """Gathers the nodes of known keys in `section`, by path, and the line of every key.

    Raises ConfigError for a key that is unknown, or stands there twice.
    """
    if isinstance(node, yaml.ScalarNode) and node.tag == NULL:
        return  # a section whose every key is commented out
    allowed = ", ".join(SECTIONS[section])
    if not isinstance(node, yaml.MappingNode) or node.tag != MAP:
        raise file.error(line, section, f"found {in_words(node)}, expected keys: {allowed}")
    for key_node, value in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            problem = f"found {in_words(key_node)} as a key, expected one of: {allowed}"
            raise file.error(line, section, problem)
        if key_node.value not in SECTIONS[section]:
            raise file.error(line, "", _unknown_key(str(key_node.value), section))
        key = _path(section, key_node.value)
        if key in lines:
            problem = f"found twice, first in line {lines[key]}; keep one of them"
            raise file.error(line, key, problem)
        lines[key] = line
        if key in SETTINGS:
            nodes[key] = value
        else:
            collect(value, key, line, nodes, lines, file)


def _path(section: str, key: str) -> str:
    return f"{section}.{key}" if section else key


def _unknown_key(key: str, section: str) -> str:
    """Says what was probably meant: a key of this section, or one of that name elsewhere."""
    unknown = f"unknown key {_path(section, quoted(key)[1:-1])}"
    if _path(section, key) in SETTINGS:
        return f"{unknown}; write its parts on lines of their own, each indented below the other"
    siblings = {_path(section, child): child for child in SECTIONS[section]}
    anywhere = {path: path.rpartition(".")[2] for path in (*SETTINGS, *SECTIONS) if path}
    for leaves in (siblings, anywhere):
        near = difflib.get_close_matches(key[:64], leaves.values(), 1)
        if near:
            meant = next(path for path, leaf in leaves.items() if leaf == near[0])
            return f"{unknown}; did you mean {meant}?"
    return f"{unknown}; expected one of: {', '.join(SECTIONS[section])}"


# -- what a message shows ------------------------------------------------------------------------


def in_words(node: yaml.Node) -> str:
    """A node in a few words, never followed into."""
    if not isinstance(node, yaml.ScalarNode):
        kind = "a mapping" if isinstance(node, yaml.MappingNode) else "a list"
        return kind if node.tag.startswith("tag:yaml.org,2002:") else f"{kind} with a tag"
    if node.tag == NULL:
        return "nothing"
    shown = quoted(node.value)
    if node.tag == STR:
        return shown
    if node.tag in (BOOL, FLOAT, INT):
        return shown[1:-1]
    return f"{shown} with the tag {quoted(node.tag)}"


def quoted(text: object) -> str:
    """The text in quotes, on one line, and not too long."""
    whole = str(text)
    return repr(whole if len(whole) <= 200 else whole[:60] + "...")


def shown_path(source: Path | None) -> str:
    """The file's path, relative when it is below the current folder."""
    if source is None:
        return "the built-in defaults"
    try:
        shown = os.path.relpath(source)
    except OSError:  # the current folder has been removed
        shown = ".."
    return printable_line(str(source) if shown.startswith("..") else shown)
