"""A refusal is never taken for a value: whoever asks it for its value gets it as an exception."""

from __future__ import annotations

import pytest

from launcher.client.answers import ReadAnswer, Submitted
from node.errors import CommandError

TAKEN: list[Submitted | ReadAnswer] = [
    Submitted(b"SET a 1", True, b"ok \xff", None, 2, 1, 1, 0.5),
    ReadAnswer(b"GET a", True, b"ok \xff", None, 2, 1, 1, 0.5),
]
REFUSED: list[Submitted | ReadAnswer] = [
    Submitted(b"CAS a 2 3", False, b"CAS failed: a is 1", "CAS failed: a is 1", 2, 1, 1, 0.5),
    ReadAnswer(b"GET b", False, b"no key b", "no key b", 2, 1, 1, 0.5),
]


@pytest.mark.parametrize("answer", TAKEN, ids=lambda answer: type(answer).__name__)
def test_an_answer_gives_its_value(answer: Submitted | ReadAnswer) -> None:
    assert answer.result == answer.raw == b"ok \xff"
    assert answer.text == "ok \udcff"


@pytest.mark.parametrize("answer", REFUSED, ids=lambda answer: type(answer).__name__)
@pytest.mark.parametrize("value", ["result", "text"])
def test_a_refusal_has_no_value(answer: Submitted | ReadAnswer, value: str) -> None:
    with pytest.raises(CommandError) as caught:
        getattr(answer, value)

    assert str(caught.value) == answer.error == answer.raw.decode()
