"""The page's server: who is let in, what is said, and many readers at once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="the extra `page` is not installed")
httpx = pytest.importorskip("httpx", reason="httpx is not installed")

from launcher.control.status import ClusterStatus, NodeStatus  # noqa: E402
from launcher.errors import NotRunning  # noqa: E402
from launcher.page import causes, recorded  # noqa: E402
from launcher.page.app import MOST_BODY, MOST_STREAMS, Answer, PageApp, _stream, is_open  # noqa: E402
from launcher.page.feed import Feed  # noqa: E402
from launcher.page.guard import TOKEN_HEADER, Guard  # noqa: E402
from launcher.page.recorded import Recorded  # noqa: E402
from launcher.simulation.runner import run_seed  # noqa: E402
from launcher.simulation.situation import Options  # noqa: E402
from launcher.simulation.trace import Trace  # noqa: E402
from node.raft.membership import stable  # noqa: E402
from tests.launcher.page.test_feed import LATER, add  # noqa: E402
from tests.launcher.page.test_recorded import HOSTILE, line  # noqa: E402

HOST = "127.0.0.1:7350"
TOKEN = "a-token"
STATUS = ClusterStatus(
    cluster="lab", supervisor_pid=1, leader=1, term=3, membership=stable((1,)),
    nodes=[NodeStatus(id=1, state="up", role="leader", leader=1, term=3, commit_index=7)],
)  # fmt: skip


def ask(app: PageApp, path: str, *, method: str = "GET", token: str = TOKEN, **more: Any) -> Any:
    """One request through the guard; the response."""
    headers = {"host": HOST, **more.pop("headers", {})}
    if token:
        headers[TOKEN_HEADER.decode()] = token

    async def run() -> Any:
        guarded = Guard(app.asgi(), token=TOKEN, hosts=[HOST], is_open=is_open)
        transport = httpx.ASGITransport(app=guarded)
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{HOST}") as client:
            return await client.request(method, path, headers=headers, **more)

    return asyncio.run(run())


def recorded_app() -> PageApp:
    return PageApp("a run", recorded=Recorded("a run", [{"event": "node.ready"}], "half of it"))


class Said:
    """Runs commands by remembering them."""

    def __init__(self) -> None:
        self.lines: list[list[str]] = []

    def __call__(self, words: Sequence[str]) -> Answer:
        self.lines.append(list(words))
        if words[0] == "kill":
            return Answer(3, "", "no cluster is running")
        return Answer(0, "done", "")


def test_the_page_itself_needs_no_token_and_everything_else_does() -> None:
    app = recorded_app()
    assert ask(app, "/", token="").status_code == 200
    assert ask(app, "/static/fold.js", token="").status_code == 200
    for path in ("/run", "/events", "/status", "/metrics", "/nothing"):
        for token in ("", "wrong", "a-toke", "a-tokenn"):
            response = ask(app, path, token=token)
            assert response.status_code == 401, path
            assert "`launcher page`" in response.json()["error"]
    assert ask(app, "/run").json() == [{"event": "node.ready"}]
    bearer = ask(app, "/run", token="", headers={"authorization": f"Bearer {TOKEN}"})
    assert bearer.status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example:7350"}, 421),
        ({"host": "127.0.0.1"}, 421),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://127.0.0.1:9999"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"origin": f"http://{HOST}", "sec-fetch-site": "same-origin"}, 200),
    ],
)
def test_other_hosts_names_and_other_origins_are_refused(
    headers: dict[str, str], status: int
) -> None:
    app = recorded_app()
    assert ask(app, "/run", headers=headers).status_code == status
    assert ask(app, "/", headers=headers).status_code == status


def test_every_answer_keeps_the_browser_strict() -> None:
    for path, token in (("/", ""), ("/run", ""), ("/run", TOKEN), ("/static/main.js", "")):
        headers = ask(recorded_app(), path, token=token).headers
        assert headers["referrer-policy"] == "no-referrer"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize("name", ["../app.py", "..%2fapp.py", "page.html", "nothing.js", "fold"])
def test_only_the_static_files_are_handed_out(name: str) -> None:
    assert ask(recorded_app(), f"/static/{name}").status_code == 404


def test_a_hostile_title_is_no_markup() -> None:
    text = ask(PageApp(HOSTILE, recorded=Recorded(HOSTILE, [])), "/", token="").text
    assert "<script>alert" not in text


def test_a_command_is_run_and_its_line_and_answer_are_said() -> None:
    said = Said()
    app = PageApp("lab", run=said)
    response = ask(app, "/do", method="POST", json={"words": ["submit", "--", "SET a 'b'"]})
    assert response.status_code == 200
    assert response.json() == {
        "line": "launcher submit -- 'SET a '\"'\"'b'\"'\"''",
        "status": 0, "output": "done", "error": "",
    }  # fmt: skip
    failed = ask(app, "/do", method="POST", json={"words": ["kill", "2"]})
    assert failed.status_code == 422
    assert failed.json()["error"] == "no cluster is running"
    assert said.lines == [["submit", "--", "SET a 'b'"], ["kill", "2"]]


def test_what_the_page_may_not_run_is_not_run() -> None:
    said = Said()
    app = PageApp("lab", run=said)
    assert ask(app, "/do", method="POST", json={"words": ["down", "-v"]}).status_code == 400
    assert ask(app, "/do").status_code == 405
    assert ask(app, "/do", method="POST", token="", json={"words": ["heal"]}).status_code == 401
    assert said.lines == []


def test_a_request_that_is_too_long_is_refused() -> None:
    said = Said()
    app = PageApp("lab", run=said)
    head, tail = b'{"words": ["submit", "', b'"]}'
    longest = head + b"x" * (MOST_BODY - len(head + tail)) + tail
    for body, too_long in ((longest, False), (longest + b" ", True)):
        answer = ask(app, "/do", method="POST", content=body)
        assert (answer.status_code == 413) == too_long


def test_a_recorded_run_says_that_nothing_can_be_done_to_it() -> None:
    response = ask(recorded_app(), "/do", method="POST", json={"words": ["kill", "2"]})
    assert response.status_code == 409
    assert response.json()["error"] == "nothing can be done to what was recorded"


def test_the_status_and_the_metrics() -> None:
    app = PageApp("lab", status=lambda: STATUS)
    assert ask(app, "/status").json()["term"] == 3
    text = ask(app, "/metrics").text
    assert 'leeky_raft_server_is_leader{node="n1"} 1\n' in text
    assert 'leeky_raft_server_proposals_committed_total{node="n1"} 7\n' in text

    def gone() -> ClusterStatus:
        raise NotRunning("no cluster is running")

    response = ask(PageApp("lab", status=gone), "/status")
    assert response.status_code == 503
    assert response.json()["error"] == "no cluster is running"


def test_the_causes_of_an_event_are_a_tree(tmp_path: Path) -> None:
    trace = tmp_path / "trace.jsonl"
    with trace.open("w") as opened:
        run_seed(Options(time_s=3.0), 5, Trace(opened.write))
    found = recorded.read(trace)
    app = PageApp("a run", recorded=found)
    elected = next(event for event in found.events if event["event"] == "leader.elected")
    response = ask(app, f"/why?of=n{elected['node']}:{elected['t']}")
    assert response.status_code == 200
    assert "became leader" in response.json()["said"]
    assert response.json()["because"]
    for nonsense in ("", "n1:7", "x", "n1:1>n2", "<script>"):
        refused = ask(app, "/why", params={"of": nonsense})
        assert refused.status_code == 404
        assert "\n" not in refused.json()["error"]
    assert found.source is not None
    assert next(iter(causes.beforehand(found))) == f"n{elected['node']}:{elected['t']}"


# -- the stream ------------------------------------------------------------------------------------


def frames(data: bytes) -> list[tuple[str, str, Any]]:
    """Kind, id and data of each frame."""
    found = []
    for part in data.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in part.split("\n") if ": " in line)
        if "data" in fields:
            found.append((fields["event"], fields.get("id", ""), json.loads(fields["data"])))
    return found


async def read(feed: Feed, last_id: str = "") -> list[tuple[str, str, Any]]:
    """What one reader gets until there is nothing new."""
    stream = _stream(feed, last_id)
    data = b""
    for _ in range(1000):
        try:
            data += await asyncio.wait_for(anext(stream), 0.5)
        except TimeoutError:
            break
    await stream.aclose()
    return frames(data)


def events_of(got: list[tuple[str, str, Any]]) -> list[str]:
    return [event["t"] for kind, _, data in got if kind == "events" for event in data]


def test_a_reader_that_comes_back_goes_on_where_it_was(tmp_path: Path) -> None:
    add(tmp_path, *(line(i, "node.ready") for i in range(1, 251)))
    feed = Feed(tmp_path)
    feed.poll(LATER)
    first = asyncio.run(read(feed))
    assert events_of(first) == [str(t) for t in range(1, 251)]
    ids = [name for kind, name, _ in first if kind == "events"]
    assert ids == ["100.1", "200.1", "250.1"]
    assert events_of(asyncio.run(read(feed, ids[1]))) == [str(t) for t in range(201, 251)]
    assert feed.readers == 0
    feed.stop()


def test_fifty_readers_get_everything_and_one_that_never_reads_holds_up_nobody(
    tmp_path: Path,
) -> None:
    add(tmp_path, *(line(i, "node.ready") for i in range(1, 101)))
    feed = Feed(tmp_path)
    feed.poll(LATER)

    async def run() -> list[list[tuple[str, str, Any]]]:
        silent = _stream(feed, "")
        await anext(silent)  # and never again
        got = await asyncio.gather(*(read(feed) for _ in range(50)))
        assert feed.readers == 1
        await silent.aclose()
        return got

    everything = [str(t) for t in range(1, 101)]
    assert all(events_of(got) == everything for got in asyncio.run(run()))
    assert feed.readers == 0
    feed.stop()


def test_one_page_too_many_is_told_so(tmp_path: Path) -> None:
    feed = Feed(tmp_path)
    app = PageApp("lab", feed=feed)

    async def run() -> None:
        streams = [_stream(feed, "") for _ in range(MOST_STREAMS)]
        for stream in streams:
            await anext(stream)
        refused = await asyncio.to_thread(ask, app, "/events")
        assert refused.status_code == 503
        assert refused.json()["error"] == f"{MOST_STREAMS} pages are open, which is the most"
        for stream in streams:
            await stream.aclose()

    asyncio.run(run())
    assert feed.readers == 0
    feed.stop()


def test_a_hostile_entry_stays_within_its_frame(tmp_path: Path) -> None:
    add(tmp_path, line(1, "machine.failed", reason=f"{HOSTILE}\n\nevent: gone\ndata: {{}}\n\n"))
    feed = Feed(tmp_path)
    feed.poll(LATER)
    got = asyncio.run(read(feed))
    assert [kind for kind, _, _ in got] == ["hello", "events"]
    feed.stop()


def test_that_the_cluster_is_gone_is_said(tmp_path: Path) -> None:
    feed = Feed(tmp_path)
    feed.gone = "no cluster is running"
    got = asyncio.run(read(feed))
    assert ("gone", "", {"why": "no cluster is running"}) in got
    feed.stop()
