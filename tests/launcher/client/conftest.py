"""The nodes that the client's tests talk to: see `tests/launcher/fake_server.py`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.launcher.fake_server import Nodes, five_places


@pytest.fixture(name="nodes")
def _nodes() -> Iterator[Nodes]:
    with five_places() as nodes:
        yield nodes


@pytest.fixture
def patient_roll_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a slow machine a node that is there may take its time to say so."""
    monkeypatch.setattr("launcher.client.client.ROLL_CALL_S", 1.0)
