"""Three programs want to be the one that prints. The first crashes, the second resigns, and while
the third leads, the leader of the cluster itself is killed. In no term do two of them print.

    python examples/election.py
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from launcher import Cluster


class Printer:
    """What the leader uses. It obeys no term that is lower than the highest that it has seen."""

    def __init__(self) -> None:
        self.pages: list[tuple[int, str]] = []
        self._one_page_at_a_time = threading.Lock()

    def print_page(self, term: int, name: str) -> None:
        with self._one_page_at_a_time:
            if not self.pages or term >= self.pages[-1][0]:
                self.pages.append((term, name))


class Program:
    """Campaigns ten times within its lease, and prints whenever it leads."""

    def __init__(self, config: Path, name: str, printer: Printer) -> None:
        self.name = name
        self._printer = printer
        self._cluster = Cluster.attach(config)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._ended.is_set():
            answer = self._cluster.submit(f"CAMPAIGN printer {self.name} 2s").text.split()
            if answer[0] == "leads":
                self._printer.print_page(int(answer[1]), self.name)
            self._ended.wait(0.2)

    def crash(self) -> None:
        """Is gone without a word."""
        self._ended.set()
        self._thread.join()

    def resign(self) -> None:
        """Is gone, and says so."""
        self.crash()
        self._cluster.submit(f"RESIGN printer {self.name}")


def until(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(0.01)


def is_candidate(cluster: Cluster, name: str) -> bool:
    return f"{name} " in cluster.read("CANDIDATES printer").text


def run(cluster: Cluster, config: Path) -> None:
    printer = Printer()
    programs = []
    for name in ("ann", "bob", "cid"):
        programs.append(Program(config, name, printer))
        until(partial(is_candidate, cluster, name))
    ann, bob, cid = programs
    until(lambda: bool(printer.pages))
    print("in line:", ", ".join(cluster.read("CANDIDATES printer").text.splitlines()))

    ann.crash()
    begun = time.monotonic()
    until(lambda: printer.pages[-1][1] == "bob")
    print(f"ann crashed; {time.monotonic() - begun:.1f} s later bob printed")

    bob.resign()
    print("bob resigned; leading now:", cluster.read("LEADER printer").text)
    until(lambda: printer.pages[-1][1] == "cid")

    term = printer.pages[-1][0]
    (killed,) = cluster.kill("leader")
    pages = len(printer.pages)
    until(lambda: len(printer.pages) >= pages + 3)
    print(f"n{killed.id}, which led the cluster, was killed; cid prints on in term", end=" ")
    print(printer.pages[-1][0])
    cid.resign()

    order = list(dict.fromkeys(printer.pages))
    print("who printed in which term:", order)
    terms = [term for term, _ in order]
    assert terms == sorted(set(terms)), "a term has one leader, and terms rise"
    assert printer.pages[0][1] == "ann"
    assert printer.pages[-1][1] == "cid"
    assert printer.pages[-1][0] >= term


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        config = Path(folder) / "cluster.yaml"
        config.write_text("name: election-example\n")
        with Cluster(3, machine="election", config=config) as cluster:
            run(cluster, config)
