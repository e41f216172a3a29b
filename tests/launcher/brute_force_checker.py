"""What `launcher/checker.py` is held to: every order of a few operations, tried one by one.

Nothing is shared with the checker but `Operation`: keys are not taken apart, nothing is remembered,
and what a command does to the keys is said here once more.
"""

from __future__ import annotations

from collections.abc import Iterable

from launcher.checker import Kind, Operation

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
    key, held = operation.key, keys.get(operation.key)
    applies = {
        Kind.READ: True,
        Kind.WRITE: True,
        Kind.DELETE: held is not None,
        Kind.CAS: held is not None and held == operation.expected,
    }[operation.kind]
    if operation.completed_s is not None:
        if operation.kind is Kind.READ and operation.observed != held:
            return None
        if operation.kind is not Kind.READ and operation.ok is not applies:
            return None
        if operation.kind is Kind.CAS and not operation.ok and operation.observed != held:
            return None
    if operation.kind is Kind.READ or not applies:
        return keys
    if operation.kind is Kind.DELETE:
        return {name: value for name, value in keys.items() if name != key}
    assert operation.value is not None
    return {**keys, key: operation.value}
