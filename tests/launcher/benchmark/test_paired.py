"""What is measured with something on and off, in turn, and how that is shown."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from launcher.benchmark import paired
from launcher.benchmark.figures import Figures
from launcher.benchmark.load import Effort, Shape
from launcher.benchmark.page import Served, reading
from launcher.benchmark.paired import Paired, measure_pairs, table
from launcher.errors import LauncherError


def figures(cpu_s_per_1000: float) -> Figures:
    return Figures(
        throughput=1000.0, p50_ms=1.0, p99_ms=2.0, p999_ms=3.0, cpu_s_per_1000=cpu_s_per_1000
    )


def test_the_order_changes_from_round_to_round(monkeypatch: pytest.MonkeyPatch) -> None:
    is_on = False
    measured: list[bool] = []

    @contextlib.contextmanager
    def switched_on() -> Iterator[None]:
        nonlocal is_on
        is_on = True
        yield
        is_on = False

    def measure(*_: object) -> Figures:
        measured.append(is_on)
        return figures(2.0 if is_on else 1.0)

    monkeypatch.setattr(paired, "measure_ours", measure)
    turns: list[None] = []
    cluster: Any = None

    rounds = measure_pairs(
        cluster, Shape(), Effort(rounds=3), switched_on, done=lambda: turns.append(None)
    )

    warm_up, *rest = measured
    assert not warm_up
    assert rest == [False, True, True, False, False, True]
    assert [(on.cpu_s_per_1000, off.cpu_s_per_1000) for on, off in rounds] == [(2.0, 1.0)] * 3
    assert len(turns) == 6


def test_the_table_says_what_it_costs_and_how_far_the_rounds_are_apart() -> None:
    rounds = [(figures(on), figures(1.0)) for on in (1.10, 0.98, 1.04, 1.06)]
    shown = table(
        Paired(
            names=("full", "off"), shape=Shape(), goal_percent=3.0, rounds=rounds,
            remarks=[("besides", "a remark")],
        )
    )  # fmt: skip

    by_name = {str(row[0]): list(row[1:]) for row in shown.rows}
    assert list(by_name) == ["off", "full", "full / off", "more CPU", "besides"]
    assert by_name["more CPU"] == ["+5.0 % (-2.0 to +10.0; below 3?)"]
    assert by_name["besides"] == ["a remark"]
    assert "4 rounds in pairs" in shown.title


@pytest.mark.parametrize(("answer", "said"), [
    (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", "HTTP/1.1 503 Service Unavailable"),
    (b"", "it closed the connection"),
])  # fmt: skip
def test_a_reader_that_the_page_refuses_is_told_of(answer: bytes, said: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def refuse() -> None:
            reader, _ = server.accept()
            with reader:
                reader.recv(1 << 16)
                reader.sendall(answer)

        refusing = threading.Thread(target=refuse)
        refusing.start()
        page = Served(0, "127.0.0.1", server.getsockname()[1], "token")
        with pytest.raises(LauncherError, match=f"refused a reader: {said}"), reading(page, 1):
            pass
        refusing.join()
