"""The changes that make a mutant of a source file, and what makes the sample."""

from __future__ import annotations

import ast
import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from types import CodeType


@dataclass(frozen=True)
class Edit:
    """One change that can be made to a syntax tree.

    where: the class and function, `Log.append`
    apply: makes the change, in the tree that the edit was found in
    """

    where: str
    line: int
    before: str
    after: str
    apply: Callable[[], None]


@dataclass(frozen=True)
class Mutant:
    """position: of its edit, among all of its file"""

    path: str
    position: int
    line: int
    key: str


COMPARISONS: dict[type[ast.cmpop], list[type[ast.cmpop]]] = {
    ast.Lt: [ast.LtE, ast.GtE],
    ast.LtE: [ast.Lt, ast.Gt],
    ast.Gt: [ast.GtE, ast.LtE],
    ast.GtE: [ast.Gt, ast.Lt],
    ast.Eq: [ast.NotEq],
    ast.NotEq: [ast.Eq],
    ast.Is: [ast.IsNot],
    ast.IsNot: [ast.Is],
    ast.In: [ast.NotIn],
    ast.NotIn: [ast.In],
}
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {ast.Add: ast.Sub, ast.Sub: ast.Add}
SWAPPED = {"min": "max", "max": "min", "any": "all", "all": "any"}
NO_BEHAVIOUR = {"annotation", "returns", "decorator_list", "bases", "keywords"}
"""Fields of definitions that are passed over, and so are assertions: they say what holds anyway."""


def edits(tree: ast.Module) -> Iterator[Edit]:
    """All changes that can be made to `tree`, always in the same order."""
    return _edits_within(tree, "")


def _edits_within(parent: ast.AST, where: str) -> Iterator[Edit]:
    passed_over = NO_BEHAVIOUR if isinstance(parent, ast.stmt | ast.arg) else ()
    for name, value in ast.iter_fields(parent):
        if name in passed_over:
            continue
        places: list[tuple[object, Callable[[ast.AST], None]]]
        if isinstance(value, list):
            places = [(child, partial(value.__setitem__, at)) for at, child in enumerate(value)]
        else:
            places = [(value, partial(setattr, parent, name))]
        for child, put in places:
            if not isinstance(child, ast.AST) or isinstance(child, ast.Assert):
                continue
            inside = where
            if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                inside = f"{where}.{child.name}".lstrip(".")
            for other in _others(child):
                ast.copy_location(other, child)
                line = getattr(child, "lineno", 0)
                yield Edit(where, line, _text(child), _text(other), partial(put, other))
            yield from _edits_within(child, inside)


def _text(node: ast.AST) -> str:
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= 90 else text[:87] + "..."


def _others(node: ast.AST) -> Iterator[ast.AST]:
    """What may stand in the place of `node`."""
    match node:
        case ast.Compare(left, ops, comparators):
            for at, op in enumerate(ops):
                for kind in COMPARISONS[type(op)]:
                    yield ast.Compare(left, [*ops[:at], kind(), *ops[at + 1 :]], comparators)
        case ast.BoolOp(op, values):
            yield ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values)
            for at in range(len(values)):
                rest = values[:at] + values[at + 1 :]
                yield rest[0] if len(rest) == 1 else ast.BoolOp(op, rest)
        case ast.UnaryOp(ast.Not(), operand):
            yield operand
        case ast.BinOp(left, op, right) if type(op) in OPERATORS:
            yield ast.BinOp(left, OPERATORS[type(op)](), right)
        case ast.Constant(bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(int(value)):
            yield from (ast.Constant(value + 1), ast.Constant(value - 1))
        case ast.Call(ast.Name(name), arguments, keywords) if name in SWAPPED:
            yield ast.Call(ast.Name(SWAPPED[name], ast.Load()), arguments, keywords)
        case ast.If(
            body=[*_, ast.Return() | ast.Continue() | ast.Break() | ast.Raise()], orelse=[]
        ):
            yield ast.Pass()
        case ast.If(test, body, orelse) if isinstance(test, ast.Attribute | ast.Call | ast.Name):
            yield ast.If(ast.UnaryOp(ast.Not(), test), body, orelse)
        case ast.Return(value) if value is not None and not isinstance(value, ast.Constant):
            yield ast.Return(ast.Constant(None))
        case ast.Expr(ast.Call()) | ast.AugAssign() | ast.Delete() | ast.Raise() | ast.Continue():
            yield ast.Pass()
        case ast.Assign(targets) if not any(isinstance(one, ast.Name) for one in targets):
            yield ast.Pass()


def mutants_of(path: str, source: str) -> list[Mutant]:
    """All mutants of a file. Keys name no line, so that they outlive changes elsewhere in it."""
    found: list[Mutant] = []
    seen: Counter[str] = Counter()
    for position, edit in enumerate(edits(ast.parse(source))):
        key = f"{path}: {edit.where or 'module'}: {edit.before} => {edit.after}"
        seen[key] += 1
        key += f" #{seen[key]}" if seen[key] > 1 else ""
        found.append(Mutant(path, position, edit.line, key))
    return found


def mutated(path: str, source: str, position: int) -> CodeType:
    """The code of a file with one of its edits made."""
    tree = ast.parse(source, path)
    for number, edit in enumerate(edits(tree)):
        if number == position:
            edit.apply()
            return compile(ast.fix_missing_locations(tree), path, "exec")
    raise IndexError(position)


def sample(mutants: Sequence[Mutant], seed: int, count: int) -> list[Mutant]:
    """`count` of them, in an order that depends on nothing but the seed and their own keys."""

    def rank(mutant: Mutant) -> bytes:
        return hashlib.sha256(f"{seed} {mutant.key}".encode()).digest()

    return sorted(mutants, key=rank)[:count]
