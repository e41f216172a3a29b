"""Two senders talk at once, a subscriber listens at each node, and one to the cluster as a whole;
the leader is killed in the middle and comes back. All hear the same, in the same order, once.

    python examples/multicast.py
"""

from __future__ import annotations

import threading
import time
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from launcher import Cluster

EACH = 200


def send(config: Path, name: str) -> None:
    cluster = Cluster.attach(config)
    for number in range(EACH):
        cluster.submit(f"SEND {name} says {number}")


def listen(config: Path, node: int | None, heard: list[str]) -> None:
    messages = Cluster.attach(config).watch(node=node)
    heard.extend(message.text for message in islice(messages, 2 * EACH))


def run(cluster: Cluster, config: Path) -> None:
    heard: dict[int | None, list[str]] = {None: [], 1: [], 2: [], 3: []}
    threads = [threading.Thread(target=send, args=(config, name)) for name in ("ann", "bob")]
    threads += [
        threading.Thread(target=listen, args=(config, node, what)) for node, what in heard.items()
    ]
    for thread in threads:
        thread.start()

    whole = heard[None]
    while len(whole) < EACH // 2:
        time.sleep(0.01)
    (killed,) = cluster.kill("leader")
    print(f"after {len(whole)} messages the leader, n{killed.id}, is killed")
    while len(whole) < EACH:
        time.sleep(0.01)
    print(f"after {len(whole)} it is started again")
    cluster.start(killed.id)
    for thread in threads:
        thread.join()

    print("in the middle of it:", whole[EACH - 2 : EACH + 2])
    print("messages that each subscriber heard:", [len(what) for what in heard.values()])
    assert all(what == whole for what in heard.values()), "one order for all"
    assert len(set(whole)) == 2 * EACH, "each message once"
    for name in ("ann", "bob"):
        assert [text for text in whole if text.startswith(name)] == [
            f"{name} says {number}" for number in range(EACH)
        ], "and those of one sender as they were sent"
    print("all of them the same, in the same order")


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        config = Path(folder) / "cluster.yaml"
        config.write_text("name: multicast-example\n")
        with Cluster(3, machine="multicast", config=config) as cluster:
            run(cluster, config)
