"""The house keeps itself tidy: what a reviewer would otherwise have to look for.

Each check is a function from a `House` (the text of files, by path) to the problems that it finds,
one line each. The first test runs every check on this repository. The second runs every check on
small sources that break its rule, and on some that do not, so that no check is blind.

Decisions that a reader may look for:
- An import counts wherever it stands, in a function or under TYPE_CHECKING too, with one
  exception: under `node/raft/`, a name of the standard library may be there for the type checker
  alone (a `random.Random` is handed in, and its type has to be called something).
- A method needs no docstring of its own where a Protocol of the house or a class that its own
  extends says what it does, and a property none where it is a single expression.
- A package's `__init__` may import from its modules, and they from one another; it counts as
  imported only where a name is taken from the package itself.
"""

from __future__ import annotations

import ast
import os
import re
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib import import_module
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import TypeAlias

import pytest

ROOT = Path(__file__).parents[1]
MOST_FUNCTION_LINES = 70
MOST_FILE_LINES = 450

IMPURE = frozenset(
    {
        *("asyncio", "concurrent", "multiprocessing", "queue", "sched", "threading"),
        *("datetime", "time", "random", "secrets", "uuid", "logging"),
        *("fcntl", "io", "mmap", "os", "pathlib", "shutil", "tempfile"),
        *("ctypes", "select", "selectors", "signal", "socket", "subprocess"),
    }
)
IMPURE_CALLS = frozenset({"open", "print", "input", "__import__", "id", "hash"})
PICKLES = frozenset({"pickle", "cPickle", "_pickle", "shelve", "marshal", "dill", "cloudpickle"})
WINGS: dict[str, str] = {
    "node.printable": "",
    "node.quantities": "",
    "launcher.log_table": "",
    "node.errors": "",
    "launcher.errors": "node.errors node.printable",
    "node.events": "",
    "launcher.fault_kinds": "launcher.errors",
    "launcher.settings": "node.events node.quantities",
    "launcher.config_file": "launcher.errors launcher.settings node.printable",
    "launcher.config": "launcher.config_file launcher.errors launcher.settings",
    "launcher.overrides": "launcher.config launcher.errors launcher.settings node.printable",
    "node.raft": "node.errors",
    "node.ports": "node.raft",
    "node.storage": "node.errors node.ports node.raft",
    "launcher.folders": (
        "launcher.config launcher.errors launcher.settings node.errors node.printable "
        "node.quantities node.raft node.storage"
    ),
    "node.wire": "node.errors node.raft node.storage",
    "node.faults": "node.ports node.quantities node.raft node.wire",
    "node.tap": "node.errors node.events node.faults node.raft node.wire",
    "launcher.control": (
        "launcher.config launcher.errors launcher.folders launcher.overrides launcher.settings "
        "node.faults node.quantities node.raft node.wire"
    ),
    "launcher.forked": "launcher.errors",
    "launcher.streams": "launcher.errors",
    "node.module_path": "node.errors",
    "node.machines": "node.errors node.module_path node.printable node.quantities node.wire",
    "launcher.client": (
        "launcher.config launcher.control launcher.errors launcher.folders launcher.forked "
        "launcher.overrides launcher.streams node.errors node.machines node.raft node.wire"
    ),
    "launcher.timeline": (
        "launcher.config launcher.errors node.events node.printable node.quantities"
    ),
    "launcher.evidence": "",
    "launcher.evidence.messages": ("launcher.timeline node.errors node.raft node.tap node.wire"),
    "launcher.evidence.why": "launcher.errors launcher.timeline node.printable node.raft",
    "launcher.learn": "launcher.control launcher.errors launcher.timeline node.raft",
    "node.server": (
        "node.errors node.events node.machines node.ports node.printable node.raft node.storage "
        "node.wire"
    ),
    "node.process": (
        "node.errors node.events node.faults node.machines node.module_path node.printable "
        "node.raft node.server node.storage node.tap node.wire"
    ),
    "launcher.supervisor": (
        "launcher.config launcher.control launcher.errors launcher.folders launcher.overrides "
        "launcher.timeline node.errors node.events node.faults node.machines node.module_path "
        "node.printable node.process node.raft node.storage node.wire"
    ),
    "launcher.supervision": (
        "launcher.config launcher.control launcher.errors launcher.folders launcher.forked "
        "launcher.streams launcher.supervisor node.machines node.module_path"
    ),
    "launcher.life": (
        "launcher.client launcher.config launcher.control launcher.errors launcher.folders "
        "launcher.overrides launcher.supervision launcher.supervisor"
    ),
    "launcher.logs": (
        "launcher.config launcher.control launcher.errors launcher.folders node.errors "
        "node.printable node.raft node.storage node.wire"
    ),
    "launcher.history": "launcher.config launcher.folders launcher.timeline",
    "launcher.injected": "launcher.control launcher.errors node.raft",
    "launcher.breaking": "launcher.control launcher.injected node.raft",
    "launcher.steering": (
        "launcher.client launcher.config launcher.control launcher.errors launcher.folders "
        "launcher.life node.raft node.wire"
    ),
    "launcher.cluster": (
        "launcher.breaking launcher.client launcher.config launcher.control launcher.errors "
        "launcher.folders launcher.forked launcher.history launcher.life launcher.logs "
        "launcher.steering launcher.timeline node.errors node.raft"
    ),
    "launcher.lab.chaos": (
        "launcher.cluster launcher.control launcher.errors launcher.fault_kinds launcher.folders "
        "launcher.settings node.errors node.faults node.machines node.quantities node.raft"
    ),
    "launcher": (
        "launcher.client launcher.cluster launcher.config launcher.control launcher.errors "
        "launcher.folders launcher.injected launcher.lab.chaos launcher.life launcher.logs "
        "launcher.timeline node.errors node.machines node.wire"
    ),
    "launcher.benchmark": (
        "launcher.client launcher.cluster launcher.config launcher.control launcher.errors "
        "launcher.folders node.faults node.machines node.process node.raft node.wire"
    ),
    "launcher.checking": "node.machines",
    "launcher.lab": "",
    "launcher.lab.history": "launcher.errors node.printable",
    "launcher.lab.workloads": (
        "launcher.checking launcher.errors launcher.lab.history node.errors node.machines "
        "node.module_path"
    ),
    "launcher.lab.clients": (
        "launcher.benchmark launcher.client launcher.cluster launcher.config launcher.control "
        "launcher.errors launcher.folders launcher.forked launcher.lab.history "
        "launcher.lab.workloads launcher.streams node.machines node.module_path node.printable "
        "node.process"
    ),
    "launcher.lab.folder": "launcher.config launcher.errors launcher.folders",
    "launcher.lab.verdict": (
        "launcher.checking launcher.errors launcher.lab.chaos launcher.lab.clients "
        "launcher.lab.folder launcher.lab.history launcher.timeline "
        "node.errors node.machines node.printable node.raft node.server node.storage node.wire"
    ),
    "launcher.lab.trial": (
        "launcher launcher.benchmark launcher.cluster launcher.errors launcher.folders "
        "launcher.lab.chaos launcher.lab.clients launcher.lab.folder launcher.lab.history "
        "launcher.lab.verdict launcher.lab.workloads launcher.settings launcher.timeline "
        "node.errors node.machines node.printable node.quantities node.storage"
    ),
    "launcher.simulation": (
        "launcher.checking launcher.client launcher.control launcher.errors "
        "launcher.evidence.why launcher.fault_kinds launcher.folders "
        "launcher.supervisor launcher.timeline node.errors node.events node.faults node.machines "
        "node.quantities node.raft node.server node.storage node.tap node.wire"
    ),
    "launcher.simulation.stage": (
        "launcher.errors launcher.log_table node.errors node.quantities node.raft"
    ),
    "launcher.simulation.planted": (
        "launcher.client launcher.control launcher.errors launcher.folders launcher.simulation "
        "launcher.supervisor node.machines node.raft node.server node.storage"
    ),
    "launcher.real_stories": (
        "launcher.client launcher.cluster launcher.control launcher.errors "
        "launcher.simulation.stage node.raft node.wire"
    ),
    "launcher.lessons": "launcher.cluster launcher.control launcher.errors",
    "launcher.page": (
        "launcher.cluster launcher.control launcher.errors launcher.evidence.messages "
        "launcher.evidence.why launcher.lessons launcher.simulation launcher.simulation.stage "
        "launcher.timeline node.printable node.raft node.tap"
    ),
    "launcher.cli": (
        "launcher launcher.benchmark launcher.client launcher.cluster launcher.config "
        "launcher.control launcher.errors launcher.evidence.messages launcher.evidence.why "
        "launcher.fault_kinds launcher.folders launcher.history launcher.lab.chaos "
        "launcher.lab.clients launcher.lab.folder launcher.lab.history launcher.lab.trial "
        "launcher.lab.verdict launcher.lab.workloads launcher.learn launcher.lessons "
        "launcher.log_table launcher.logs launcher.overrides launcher.page "
        "launcher.real_stories launcher.settings launcher.simulation "
        "launcher.simulation.planted launcher.simulation.stage launcher.streams "
        "launcher.timeline node.errors node.events node.machines node.printable node.process "
        "node.quantities node.raft node.wire"
    ),
    "node": "",
    "launcher.__main__": (
        "launcher.cli launcher.cluster launcher.streams launcher.supervisor node node.module_path"
    ),
}
"""Each wing, a folder or a module at the top, and the wings above it that it may import.

This is the architecture. A new arrow is a decision, and stands here.
"""

TESTS_OF_THEIR_OWN = {
    "tests/cluster", "tests/lab", "tests/mutation", "tests/simulation",
}  # fmt: skip
NOT_OURS = {".git", ".venv", "build", "data", "logs", "__pycache__", ".hypothesis"}

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Import:
    """One imported module, or one name out of it.

    type_only: under TYPE_CHECKING
    """

    module: str
    name: str | None
    line: int
    type_only: bool


@dataclass(frozen=True)
class Module:
    """One Python file."""

    path: str
    source: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.source, self.path)

    @property
    def name(self) -> str:
        """As it is imported: `node.raft` for `node/raft/__init__.py`."""
        return self.path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")

    @property
    def is_product(self) -> bool:
        return self.path.startswith(("node/", "launcher/"))

    @cached_property
    def imports(self) -> list[Import]:
        return list(self._imports(self.tree.body, type_only=False))

    def _imports(self, nodes: Iterable[ast.AST], type_only: bool) -> Iterator[Import]:
        for node in nodes:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield Import(alias.name, None, node.lineno, type_only)
            elif isinstance(node, ast.ImportFrom):
                base = self._absolute(node)
                for alias in node.names:
                    yield Import(base, alias.name, node.lineno, type_only)
            elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                yield from self._imports(node.body, True)
                yield from self._imports(node.orelse, type_only)
            else:
                yield from self._imports(ast.iter_child_nodes(node), type_only)

    def _absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parts = self.path.removesuffix(".py").split("/")[: -node.level]
        return ".".join([*parts, node.module] if node.module else parts)


@dataclass(frozen=True)
class House:
    """The files of a repository: path from its root, with slashes, to text."""

    files: dict[str, str] = field(default_factory=dict)

    @cached_property
    def modules(self) -> list[Module]:
        found = (Module(path, text) for path, text in sorted(self.files.items()))
        return [module for module in found if module.path.endswith(".py")]

    @property
    def product(self) -> list[Module]:
        return [module for module in self.modules if module.is_product]

    @cached_property
    def names(self) -> frozenset[str]:
        return frozenset(module.name for module in self.product)

    def target(self, what: Import) -> str:
        """The module that an import reaches: `from node.raft import log` is `node.raft.log`."""
        whole = f"{what.module}.{what.name}"
        return whole if whole in self.names else what.module


def is_below(module: str, *packages: str) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def classes(module: Module) -> Iterator[ast.ClassDef]:
    return (node for node in ast.walk(module.tree) if isinstance(node, ast.ClassDef))


def functions(module: Module) -> Iterator[Function]:
    for node in ast.walk(module.tree):
        if isinstance(node, Function):
            yield node


def is_protocol(node: ast.ClassDef) -> bool:
    bases = {ast.unparse(base).split("[")[0] for base in node.bases}
    return bool(bases & {"Protocol", "typing.Protocol"})


def inherited(node: ast.ClassDef, ours: dict[str, ast.ClassDef]) -> set[str]:
    """The methods of the classes that this one extends: `ours` by name, a library's dotted."""
    names: set[str] = set()
    for base in node.bases:
        if isinstance(base, ast.Name) and base.id in ours and base.id != node.name:
            names |= inherited(ours[base.id], ours)
            names |= {one.name for one in ours[base.id].body if isinstance(one, Function)}
        elif isinstance(base, ast.Attribute) and isinstance(base.value, ast.Name):
            with suppress(ImportError, AttributeError):
                names.update(dir(getattr(import_module(base.value.id), base.attr)))
    return names


# -- arrows --------------------------------------------------------------------------------------


def node_knows_no_launcher(house: House) -> Iterator[str]:
    for module in house.product:
        for what in module.imports:
            if module.path.startswith("node/") and is_below(what.module, "launcher"):
                yield f"{module.path}:{what.line}: node imports {what.module}"
            if is_below(what.module, "tests", "bench"):
                yield f"{module.path}:{what.line}: the product imports {what.module}"


def raft_is_pure(house: House) -> Iterator[str]:
    for module in house.product:
        if not module.path.startswith("node/raft/"):
            continue
        for what in module.imports:
            root = what.module.partition(".")[0]
            inside = is_below(house.target(what), "node.raft", "node.errors")
            harmless = root in sys.stdlib_module_names and (root not in IMPURE or what.type_only)
            if not inside and not harmless and root != "msgspec":
                yield f"{module.path}:{what.line}: node/raft imports {house.target(what)}"
        for call in ast.walk(module.tree):
            if isinstance(call, ast.Call) and ast.unparse(call.func) in IMPURE_CALLS:
                yield f"{module.path}:{call.lineno}: node/raft calls {ast.unparse(call.func)}()"


@cache
def wing_of(module: str) -> str:
    """The wing that a module belongs to: `launcher.cli` for `launcher.cli.commands.entries`."""
    inner = [wing for wing in WINGS if wing.count(".") > 1 and is_below(module, wing)]
    return inner[0] if inner else ".".join(module.split(".")[:2])


def wings_import_what_the_list_says(house: House) -> Iterator[str]:
    for module in house.product:
        wing = wing_of(module.name)
        allowed = {wing, *WINGS.get(wing, "").split()}
        if wing not in WINGS:
            yield f"{module.path}: {wing} is no wing that the list knows"
        for what in module.imports:
            target = house.target(what)
            if is_below(target, "node", "launcher") and wing_of(target) not in allowed:
                yield f"{module.path}:{what.line}: {wing} imports {target}"


def the_server_touches_only_its_ports(house: House) -> Iterator[str]:
    for module in house.product:
        for what in module.imports:
            root = house.target(what).partition(".")[0]
            if is_below(module.name, "node.server") and root in IMPURE and not what.type_only:
                yield f"{module.path}:{what.line}: the server imports {root}: that is for a port"


def imports_form_no_cycle(house: House) -> Iterator[str]:
    edges = {
        module.name: house.names & {house.target(what) for what in module.imports}
        for module in house.product
    }
    done: set[str] = set()

    def walk(name: str, path: list[str]) -> Iterator[str]:
        if name in path:
            yield "a cycle of imports: " + " -> ".join([*path[path.index(name) :], name])
        elif name not in done:
            for target in sorted(edges[name]):
                yield from walk(target, [*path, name])
            done.add(name)

    for name in sorted(edges):
        yield from walk(name, [])


def nothing_is_pickled(house: House) -> Iterator[str]:
    for module in house.modules:
        for what in module.imports:
            if what.module.partition(".")[0] in PICKLES:
                yield f"{module.path}:{what.line}: imports {what.module}"


# -- names ---------------------------------------------------------------------------------------


def names_say_what_things_are(house: House) -> Iterator[str]:
    for module in house.modules:
        if re.fullmatch(r"(utils?|helpers?|misc|common)\.py", PurePosixPath(module.path).name):
            yield f"{module.path}: says nothing of what is in it"
        for node in classes(module):
            if re.search(r"(Manager|Handler|Helper|Utils?)$", node.name):
                yield f"{module.path}:{node.lineno}: class {node.name}: say what it is"
            if node.name in {"Follower", "Candidate", "Leader"}:
                yield f"{module.path}:{node.lineno}: class {node.name}: a role is an enum's member"


# -- docstrings and sizes ------------------------------------------------------------------------


def names_are_used_once_in_a_wing(house: House) -> Iterator[str]:
    """No two modules and no two public classes of one wing have one name, subfolders included."""
    first: dict[tuple[str, str], str] = {}

    def again(module: Module, line: int, name: str) -> Iterator[str]:
        place = f"{module.path}:{line}"
        known = first.setdefault((wing_of(module.name), name), place)
        if known != place:
            yield f"{place}: {name} is the name of another in this wing too: see {known}"

    for module in house.product:
        if not module.path.endswith("/__init__.py"):
            name = f"module {module.name.rpartition('.')[2]}"
            yield from again(module, 1, name)
        for node in classes(module):
            if not node.name.startswith("_"):
                yield from again(module, node.lineno, f"class {node.name}")


def public_things_have_docstrings(house: House) -> Iterator[str]:
    ours = {node.name: node for module in house.product for node in classes(module)}
    promised = {
        method.name
        for node in ours.values()
        if is_protocol(node)
        for method in node.body
        if isinstance(method, Function)
    }

    def undocumented(
        scope: ast.Module | ast.ClassDef, promised: set[str]
    ) -> Iterator[tuple[int, str]]:
        for node in scope.body:
            if not isinstance(node, ast.ClassDef | Function) or node.name.startswith("_"):
                continue
            if isinstance(node, ast.ClassDef):
                if not ast.get_docstring(node):
                    yield node.lineno, node.name
                if not is_protocol(node):
                    yield from undocumented(node, promised | inherited(node, ours))
            elif not ast.get_docstring(node) and not needs_no_docstring(node, scope, promised):
                yield node.lineno, node.name

    for module in house.product:
        if module.tree.body and not ast.get_docstring(module.tree):
            yield f"{module.path}:1: no docstring"
        for line, name in undocumented(module.tree, promised):
            yield f"{module.path}:{line}: {name} has no docstring"


def needs_no_docstring(
    node: Function, scope: ast.Module | ast.ClassDef, promised: set[str]
) -> bool:
    decorators = {ast.unparse(decorator).rpartition(".")[2] for decorator in node.decorator_list}
    if decorators & {"setter", "overload"}:
        return True
    if decorators & {"property", "cached_property"}:
        return len(node.body) == 1 and isinstance(node.body[0], ast.Return)
    return isinstance(scope, ast.ClassDef) and node.name in promised


def functions_fit_a_screen(house: House) -> Iterator[str]:
    for module in house.product:
        for node in functions(module):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > MOST_FUNCTION_LINES:
                yield f"{module.path}:{node.lineno}: {node.name} has {lines} lines"


def files_are_short(house: House) -> Iterator[str]:
    for module in house.product:
        lines = len(module.source.splitlines())
        if lines > MOST_FILE_LINES:
            yield f"{module.path}: has {lines} lines"


# -- what is counted in one place ----------------------------------------------------------------

COUNTS_MAJORITIES = "node/raft/membership.py"
"""A majority of some nodes says nothing during joint consensus, and learners do not count: whoever
wants to know whether some nodes are a quorum asks the `Configuration` there. The simulated world
counts by itself on purpose (`launcher/simulation/memberships.py: is_quorum`), in another way."""


def majorities_are_counted_in_one_place(house: House) -> Iterator[str]:
    for module in house.modules:
        if not module.is_product or module.path == COUNTS_MAJORITIES:
            continue
        for node in ast.walk(module.tree):
            if not isinstance(node, ast.BinOp):
                continue
            said = ast.unparse(node)
            if re.search(r"// 2 \+ 1$|^1 \+ .*// 2$", said):
                yield f"{module.path}:{node.lineno}: counts a majority: {said}"


# -- what was put off, and what was hidden -------------------------------------------------------


def nothing_is_put_off(house: House) -> Iterator[str]:
    for module in house.modules:
        if module.path == "tests/test_tidy.py":
            continue
        for number, line in enumerate(module.source.splitlines(), 1):
            if found := re.search(r"\b(TODO|FIXME|XXX)\b|#\s*type:\s*ignore", line):
                yield f"{module.path}:{number}: {found[0]}"
        for node in ast.walk(module.tree) if module.is_product else ():
            if isinstance(node, ast.Name) and node.id == "NotImplementedError":
                yield f"{module.path}:{node.lineno}: {node.id}: a stub"


def no_error_is_swallowed(house: House) -> Iterator[str]:
    for module in house.modules:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ExceptHandler):
                swallows = catches_all(node.type) and all(does_nothing(step) for step in node.body)
            elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("suppress"):
                swallows = any(catches_all(argument) for argument in node.args)
            else:
                continue
            if swallows:
                yield f"{module.path}:{node.lineno}: swallows every exception"


def catches_all(caught: ast.expr | None) -> bool:
    if isinstance(caught, ast.Tuple):
        return any(catches_all(one) for one in caught.elts)
    return caught is None or ast.unparse(caught) in {"Exception", "BaseException"}


def does_nothing(step: ast.stmt) -> bool:
    is_constant = isinstance(step, ast.Expr) and isinstance(step.value, ast.Constant)
    return is_constant or isinstance(step, ast.Pass | ast.Continue)


# -- text and folders ----------------------------------------------------------------------------

REGISTRIES = re.compile(r"pypi[.]org|pythonhosted[.]|npmjs[.]|crates[.]io|anaconda[.]org")
MACHINES = re.compile(r"(?<![\w.~/-])/(?:root|work|home|Users|opt)/\w|/tmp/(?:venv|bash_|exp\b)")


def links_lead_somewhere(house: House) -> Iterator[str]:
    for path, text in house.files.items():
        if not path.endswith(".md"):
            continue
        for number, line in enumerate(text.splitlines(), 1):
            for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", line):
                there = os.path.normpath(os.path.join(os.path.dirname(path), target))
                if there not in house.files:
                    yield f"{path}:{number}: there is no {target}"


def text_names_no_machine(house: House) -> Iterator[str]:
    for path, text in house.files.items():
        for number, line in enumerate(text.splitlines(), 1):
            for found in (*REGISTRIES.finditer(line), *MACHINES.finditer(line)):
                yield f"{path}:{number}: {found[0]}: true on one machine only"


def folders_of_tests_mirror_the_product(house: House) -> Iterator[str]:
    folders = {str(parent) for path in house.files for parent in PurePosixPath(path).parents}
    for folder in sorted(folders):
        if folder != "tests" and not folder.startswith("tests/"):
            continue
        modules = [
            path for path in house.files if PurePosixPath(path).parent == PurePosixPath(folder)
        ]
        if any(path.endswith(".py") for path in modules) and f"{folder}/__init__.py" not in modules:
            yield f"{folder}: has no __init__.py, so its tests clash with others of their name"
        if folder == "tests" or any(is_in(folder, own) for own in TESTS_OF_THEIR_OWN):
            continue
        if folder.removeprefix("tests/") not in folders:
            yield f"{folder}: there is no {folder.removeprefix('tests/')} that it could test"


def is_in(folder: str, parent: str) -> bool:
    return folder == parent or folder.startswith(f"{parent}/")


# -- words ---------------------------------------------------------------------------------------

NOT_OUR_WORDS = {
    r"(?<!time\s)(?:goes by|go by|went by)": "uses",
    "so many": "a count: `at most N`, `this many`",
    "(?:the|its|their|a) lead": "leadership",
    "(?:stand|stands|stood|standing) for election|told to stand": "campaigns",
    "who (?:starts|restarts|comes|stands|joins|learns|waits)": "a node that ..., a client that ...",
    "who is (?:new|back|rebuilt|left out|removed)": "a node that ...",
    "answers what": "returns",
    "for want of": "because there is no",
    "ever after": "from then on",
    "at a stretch": "in one turn",
    "look elsewhere|sent about": "is redirected",
}
"""Phrases that a reader has to read twice, as patterns, and what to write instead."""


def words_are_plain(house: House) -> Iterator[str]:
    for path, text in house.files.items():
        is_product = path.endswith(".py") and path.startswith(("node/", "launcher/"))
        if not (is_product or path.endswith((".md", ".yaml"))):
            continue
        read = re.sub(r"(?ms)^```.*?^```", lambda shown: "\n" * shown[0].count("\n"), text)
        for phrases, instead in NOT_OUR_WORDS.items():
            # A phrase may continue in the next line, and after a comment's #.
            pattern = phrases.replace(" ", r"[ #]*[ \n][ #]*")
            for found in re.finditer(rf"\b(?:{pattern})\b", read, re.IGNORECASE):
                line = read.count("\n", 0, found.start()) + 1
                said = " ".join(found[0].replace("#", " ").split())
                yield f"{path}:{line}: {said!r}: write {instead}"


# -- the checks, on this repository --------------------------------------------------------------

Check: TypeAlias = Callable[[House], Iterator[str]]
CHECKS: list[Check] = [
    node_knows_no_launcher,
    raft_is_pure,
    wings_import_what_the_list_says,
    the_server_touches_only_its_ports,
    imports_form_no_cycle,
    nothing_is_pickled,
    names_say_what_things_are,
    names_are_used_once_in_a_wing,
    public_things_have_docstrings,
    functions_fit_a_screen,
    majorities_are_counted_in_one_place,
    files_are_short,
    nothing_is_put_off,
    no_error_is_swallowed,
    text_names_no_machine,
    links_lead_somewhere,
    folders_of_tests_mirror_the_product,
    words_are_plain,
]


@pytest.fixture(scope="module")
def house() -> House:
    """This repository, without what git ignores."""
    files: dict[str, str] = {}
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if not is_not_ours(name)]
        for name in names:
            path = Path(folder, name)
            if path.is_file() and not is_not_ours(name):  # in a worktree, .git is a file
                text = path.read_bytes().decode("utf-8", "replace")
                files[path.relative_to(ROOT).as_posix()] = text
    return House(files)


def is_not_ours(folder: str) -> bool:
    """Whether git ignores it: made by a run or by a tool."""
    return folder in NOT_OURS or folder.endswith(("_cache", ".egg-info"))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_house_is_tidy(check: Check, house: House) -> None:
    assert list(check(house)) == []


def test_the_house_was_found(house: House) -> None:
    """A walk that finds nothing would make every check pass."""
    assert {"node.raft.messages", "node.server.server", "launcher.config"} <= house.names
    assert {"README.md", "Makefile", ".ci/run", "tests/test_tidy.py"} <= house.files.keys()


def test_a_wing_imports_only_wings_above_it_and_no_arrow_is_listed_in_vain(house: House) -> None:
    arrows = {
        (wing_of(module.name), wing_of(house.target(what)))
        for module in house.product
        for what in module.imports
        if is_below(house.target(what), "node", "launcher")
    }
    above: set[str] = set()
    for wing, may_import in WINGS.items():
        assert set(may_import.split()) <= above, wing
        unused = [other for other in may_import.split() if (wing, other) not in arrows]
        assert not unused, f"{wing} imports nothing of {unused}"
        above.add(wing)


def test_every_command_stands_in_the_readme(house: House) -> None:
    rows = import_module("launcher.cli.table").ROWS
    assert len(rows) > 15

    written = house.files["README.md"]
    missing = [name for name in rows if not re.search(rf"launcher {name}\b", written)]

    assert missing == []


def test_the_changelog_has_this_version(house: House) -> None:
    version = import_module("launcher").__version__

    assert re.search(rf"^## {re.escape(version)}\b", house.files["CHANGELOG.md"], re.MULTILINE)


def test_constraints_pin_versions_and_nothing_else(house: House) -> None:
    lines = [line for line in house.files["constraints.txt"].splitlines() if line[:1] != "#"]
    project = tomllib.loads(house.files["pyproject.toml"])["project"]
    wanted = list(chain(project["dependencies"], *project["optional-dependencies"].values()))
    names = {re.split("[^A-Za-z0-9_-]", name)[0].lower().replace("_", "-") for name in wanted}
    pinned = {line.partition("==")[0].lower().replace("_", "-") for line in lines}

    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9.]+", line)] == []
    assert names - pinned == {"leeky-raft"}


# -- the checks, on sources that break them ------------------------------------------------------

LONG = "def long():\n" + "    pass\n" * MOST_FUNCTION_LINES
REACH = "from __future__ import annotations\nfrom typing import TYPE_CHECKING\n"

BROKEN: list[tuple[Check, dict[str, str], str]] = [
    (node_knows_no_launcher, {"node/a.py": "import launcher.config"}, "node/a.py:1: "),
    (node_knows_no_launcher, {"node/a.py": "def f():\n    from launcher import x"}, "node/a.py:2"),
    (node_knows_no_launcher, {"launcher/a.py": "from tests.node import x"}, "imports tests.node"),
    (raft_is_pure, {"node/raft/a.py": "import time"}, "imports time"),
    (raft_is_pure, {"node/raft/a.py": "import os.path"}, "imports os.path"),
    (raft_is_pure, {"node/raft/a.py": "from random import Random"}, "imports random"),
    (raft_is_pure, {"node/raft/a.py": "import psutil"}, "imports psutil"),
    (raft_is_pure, {"node/raft/a.py": "from node import wire", "node/wire.py": ""}, "node.wire"),
    (raft_is_pure, {"node/raft/a.py": "from .. import wire", "node/wire.py": ""}, "node.wire"),
    (raft_is_pure, {"node/raft/a.py": "def f(): print(1)"}, "calls print()"),
    (
        raft_is_pure,
        {"node/raft/a.py": f"{REACH}if TYPE_CHECKING:\n    pass\nelse:\n    import time"},
        "node/raft/a.py:6: node/raft imports time",
    ),
    (
        wings_import_what_the_list_says,
        {"node/storage/a.py": "from node.server.server import Server"},
        "node/storage/a.py:1: node.storage imports node.server.server",
    ),
    (
        wings_import_what_the_list_says,
        {"launcher/folders/a.py": "def f(): from launcher.supervisor import nodes"},
        "launcher/folders/a.py:1: launcher.folders imports launcher.supervisor",
    ),
    (wings_import_what_the_list_says, {"node/new/a.py": ""}, "node.new is no wing"),
    (
        wings_import_what_the_list_says,
        {"launcher/simulation/stage/a.py": "from launcher.simulation.clock import Clock"},
        "launcher.simulation.stage imports launcher.simulation.clock",
    ),
    (
        the_server_touches_only_its_ports,
        {"node/server/a.py": "from time import monotonic"},
        "a port",
    ),
    (
        imports_form_no_cycle,
        {
            "node/a.py": "import node.b",
            "node/b.py": "from node import c",
            "node/c.py": "import node.a",
        },
        "a cycle of imports: node.a -> node.b -> node.c -> node.a",
    ),
    (
        imports_form_no_cycle,
        {"node/raft/__init__.py": "from .a import x", "node/raft/a.py": "from node.raft import y"},
        "node.raft -> node.raft.a -> node.raft",
    ),
    (
        imports_form_no_cycle,
        {"launcher/a.py": "import launcher.b", "launcher/b.py": "import launcher.a"},
        "launcher.a -> launcher.b -> launcher.a",
    ),
    (
        imports_form_no_cycle,
        {"launcher/a.py": "def f(): import launcher.b", "launcher/b.py": "import launcher.a"},
        "launcher.a -> launcher.b -> launcher.a",
    ),
    (nothing_is_pickled, {"tests/a.py": "def f():\n    import pickle as p"}, "tests/a.py:2"),
    (nothing_is_pickled, {"launcher/a.py": "from shelve import open"}, "imports shelve"),
    (names_say_what_things_are, {"node/utils.py": ""}, "node/utils.py"),
    (names_say_what_things_are, {"tests/node/helpers.py": ""}, "helpers.py"),
    (names_say_what_things_are, {"node/a.py": "class LinkManager: ..."}, "class LinkManager"),
    (names_say_what_things_are, {"node/a.py": "class Leader: ..."}, "class Leader"),
    (
        names_are_used_once_in_a_wing,
        {"node/raft/a.py": "class A: ...", "node/raft/b.py": "class B: ...\nclass A: ..."},
        "node/raft/b.py:2: class A is the name of another in this wing too: see node/raft/a.py:1",
    ),
    (
        names_are_used_once_in_a_wing,
        {"launcher/cli/a.py": "", "launcher/cli/commands/a.py": ""},
        "launcher/cli/commands/a.py:1: module a is the name of another",
    ),
    (public_things_have_docstrings, {"node/a.py": "x = 1"}, "node/a.py:1: no docstring"),
    (public_things_have_docstrings, {"node/a.py": '"""."""\nclass A:\n    x: int'}, "2: A has no"),
    (public_things_have_docstrings, {"node/a.py": '"""."""\nasync def f(): ...'}, "2: f has no"),
    (
        public_things_have_docstrings,
        {"node/a.py": '"""."""\nclass A:\n    """."""\n    def close(self): ...'},
        "4: close has no docstring",
    ),
    (
        public_things_have_docstrings,
        {"node/a.py": '"""."""\nclass A:\n """."""\n @property\n def f(self): x = 1; return x'},
        "5: f has no docstring",
    ),
    (
        public_things_have_docstrings,
        {"node/a.py": '"""."""\nclass A(asyncio.Protocol):\n """."""\n def other(self): ...'},
        "4: other has no docstring",
    ),
    (functions_fit_a_screen, {"launcher/a.py": LONG}, "launcher/a.py:1: long has 71 lines"),
    (majorities_are_counted_in_one_place, {"launcher/a.py": "q = len(x)//2 + 1"}, "a.py:1: counts"),
    (files_are_short, {"node/a.py": "x = 1\n" * (MOST_FILE_LINES + 1)}, "has 451 lines"),
    (nothing_is_put_off, {"node/a.py": "x = 1  # TODO: two"}, "node/a.py:1"),
    (nothing_is_put_off, {"tests/a.py": "\nx = f()  # type: ignore[misc]"}, "tests/a.py:2"),
    (nothing_is_put_off, {"node/a.py": "def f():\n    raise NotImplementedError"}, "a stub"),
    (no_error_is_swallowed, {"node/a.py": "try: f()\nexcept Exception: pass"}, "node/a.py:2"),
    (no_error_is_swallowed, {"node/a.py": "try: f()\nexcept: ..."}, "node/a.py:2"),
    (no_error_is_swallowed, {"node/a.py": "try: f()\nexcept (OSError, Exception): pass"}, "a.py:2"),
    (no_error_is_swallowed, {"node/a.py": "with suppress(BaseException): f()"}, "a.py:1"),
    (text_names_no_machine, {"README.md": "from https://py" + "pi.org/simple"}, "README.md:1"),
    (text_names_no_machine, {"docs/a.md": "\nin /ho" + "me/someone/x"}, "docs/a.md:2"),
    (links_lead_somewhere, {"docs/a.md": "\nsee [b](../b.py)", "docs/b.py": ""}, "docs/a.md:2"),
    (text_names_no_machine, {"node/a.py": "'/ro" + "ot/x'"}, "node/a.py:1"),
    (
        folders_of_tests_mirror_the_product,
        {"tests/raft/__init__.py": ""},
        "tests/raft: there is no raft",
    ),
    (
        folders_of_tests_mirror_the_product,
        {"node/a.py": "", "tests/node/test_a.py": ""},
        "tests/node: has no __init__.py",
    ),
    (
        words_are_plain,
        {"README.md": "\nA node goes by its log."},
        "README.md:2: 'goes by': write uses",
    ),
    (
        words_are_plain,
        {"docs/a.md": "It may stand for\nelection."},
        "docs/a.md:1: 'stand for election'",
    ),
    (words_are_plain, {"docs/a.md": "```\nso many\n```\nSo many wait."}, "docs/a.md:4: 'So many'"),
    (words_are_plain, {"cluster.yaml": "a: 1  # after so\n      # many of them"}, "'so many'"),
    (words_are_plain, {"node/a.py": "# Who starts again has no vote."}, "'Who starts'"),
    (words_are_plain, {"launcher/a.py": '"""It takes the lead."""'}, "launcher/a.py:1: 'the lead'"),
    (words_are_plain, {"CONTRIBUTING.md": "for want\n  of time"}, "CONTRIBUTING.md:1: "),
]

FINE: list[tuple[Check, dict[str, str]]] = [
    (node_knows_no_launcher, {"launcher/a.py": "import node.wire, launcher.config"}),
    (node_knows_no_launcher, {"node/a.py": "import launchers"}),
    (raft_is_pure, {"node/raft/a.py": "import bisect, msgspec\nfrom node.errors import RaftError"}),
    (raft_is_pure, {"node/raft/a.py": "from . import b\nfrom .b import x", "node/raft/b.py": ""}),
    (
        raft_is_pure,
        {"node/raft/a.py": f"{REACH}if TYPE_CHECKING:\n    from random import Random"},
    ),
    (raft_is_pure, {"node/process/process.py": "import time"}),
    (
        wings_import_what_the_list_says,
        {"node/server/server.py": "from node.raft.raft import Raft\nfrom node.server import x"},
    ),
    (
        wings_import_what_the_list_says,
        {"launcher/simulation/stage/a.py": "from node.raft import log\nimport launcher.errors, re"},
    ),
    (
        imports_form_no_cycle,
        {"node/raft/__init__.py": "from .a import x", "node/raft/a.py": "import node.raft.b",
         "node/raft/b.py": ""},
    ),
    (names_say_what_things_are, {"node/a.py": "class LeaderElection: ..."}),
    (
        names_are_used_once_in_a_wing,
        {"node/raft/a.py": "class A: ...\nclass _B: ...", "node/raft/b.py": "class _B: ...",
         "node/server/a.py": "class A: ...", "node/raft/__init__.py": "",
         "launcher/simulation/a.py": "", "launcher/simulation/stage/a.py": "",
         "tests/node/raft/a.py": "class A: ..."},
    ),
    (public_things_have_docstrings, {"node/__init__.py": ""}),
    (public_things_have_docstrings, {"node/a.py": '"""."""\ndef _f():\n    def g(): ...'}),
    (
        public_things_have_docstrings,
        {"node/ports.py": '"""."""\nclass P(Protocol):\n    """."""\n    def close(self): ...',
         "node/a.py": '"""."""\nclass A:\n    """."""\n    def close(self): ...'},
    ),
    (
        public_things_have_docstrings,
        {"node/a.py": '"""."""\nclass A:\n """."""\n @property\n def f(self): return 1'},
    ),
    (
        public_things_have_docstrings,
        {
            "node/a.py": '"""."""\nclass A(B):\n """."""\n def eof_received(self): ...',
            "node/b.py": '"""."""\nclass B(asyncio.Protocol):\n """."""',
        },
    ),
    (functions_fit_a_screen, {"launcher/a.py": LONG[: -len("    pass\n")]}),
    (majorities_are_counted_in_one_place, {"node/raft/membership.py": "q = len(x) // 2 + 1"}),
    (majorities_are_counted_in_one_place, {"launcher/a.py": "spared = (len(x) - 1) // 2"}),
    (files_are_short, {"node/a.py": "x = 1\n" * MOST_FILE_LINES}),
    (no_error_is_swallowed, {"node/a.py": "try: f()\nexcept OSError: pass"}),
    (no_error_is_swallowed, {"node/a.py": "try: f()\nexcept Exception: tell()"}),
    (text_names_no_machine, {"README.md": "find /usr/share; cd ~/work/x; see lib/home/x, /tmp/x"}),
    (folders_of_tests_mirror_the_product, {"node/a.py": "", "tests/node/__init__.py": ""}),
    (folders_of_tests_mirror_the_product, {"tests/cluster/deep/__init__.py": ""}),
    (words_are_plain, {"README.md": "the leader goes byte by byte, as time goes by; who leads?"}),
    (words_are_plain, {"docs/a.md": "```\n1,000 so many\n```", "tests/a.py": "# so many"}),
]  # fmt: skip


@pytest.mark.parametrize(("check", "files", "expected"), BROKEN)
def test_a_broken_house_is_found_out(check: Check, files: dict[str, str], expected: str) -> None:
    problems = list(check(House(files)))

    assert len(problems) == 1
    assert expected in problems[0]


@pytest.mark.parametrize(("check", "files"), FINE)
def test_a_fine_house_is_left_alone(check: Check, files: dict[str, str]) -> None:
    assert list(check(House(files))) == []


def test_every_check_has_been_seen_to_fail() -> None:
    assert {check for check, _, _ in BROKEN} == set(CHECKS)
