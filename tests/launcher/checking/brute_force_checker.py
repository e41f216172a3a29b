"""A reference for `launcher/checking/checker.py`: every order of a few operations, one by one.

Nothing is shared with the checker but `Operation`: keys are not taken apart, nothing is remembered,
and what a command does to the keys is said here once more.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from launcher.checking.history import Kind, Operation

Keys = dict[bytes, bytes]


def is_linearizable(history: Iterable[Operation], initial: Keys | None = None) -> bool:
    """Whether some order of all that completed, and of some that did not, explains the history."""
    return _goes_on(initial or {}, list(history))


def _goes_on(keys: Keys, left: list[Operation]) -> bool:
    if all(operation.completed_s is None for operation in left):
        return True
    soonest = min(one.completed_s for one in left if one.completed_s is not None)
    for place, operation in enumerate(left):
        if operation.invoked_s <= soonest:
            after = outcome(keys, operation)
            if after is not None and _goes_on(after, left[:place] + left[place + 1 :]):
                return True
    return False


def outcome(keys: Keys, operation: Operation) -> Keys | None:
    """The keys after it, or None if it cannot have gone as it says."""
    after, honest = answered(keys, operation)
    return after if operation.completed_s is None or operation == honest else None


def answered(keys: Keys, operation: Operation) -> tuple[Keys, Operation]:
    """The keys after it, and the operation with what it is told if it is told anything."""
    key, kind, held = operation.key, operation.kind, keys.get(operation.key)
    ok, observed, after = True, None, keys
    if kind is Kind.READ:
        observed = held
    elif kind is Kind.WRITE:
        after = {**keys, key: operation.value or b""}
    elif kind is Kind.DELETE:
        ok = held is not None
        after = {name: value for name, value in keys.items() if name != key}
    elif held == operation.expected:
        after = {**keys, key: operation.value or b""}
    else:
        ok, observed = False, held
    if operation.completed_s is None:
        return after, operation
    return after, replace(operation, ok=ok, observed=observed)
