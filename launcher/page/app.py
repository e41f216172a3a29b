"""The page's server: its routes.

    /                the page itself, and /static/... its modules: open to who knows the port
    /run             all events of something recorded
    /events          a live cluster's events as they come (server-sent events)
    /why?of=n4:T     the causes of an event, as a tree
    /lesson          a lesson, and by POST its next command: {"step": 3}
    /do              one command of the table, by POST: {"words": ["kill", "2"]}
    /status          the cluster's status, as JSON
    /metrics         the same for Prometheus

The stream's ids are `clock.node`. A reader that comes back sends the last one (`Last-Event-ID`) and
goes on after it. What is live only, the status, has no id.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import (
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Route

from launcher.control.status import ClusterStatus
from launcher.errors import LauncherError
from launcher.page import causes, doing, file, metrics, modules
from launcher.page.feed import Feed
from launcher.page.recorded import Recorded, Source
from launcher.page.teaching import Teaching
from node.printable import error_line

MOST_STREAMS = 64
MOST_BODY = 2 << 20
BEAT_S = 10.0
"""So often a stream that has nothing to say says so, so that a lost connection is noticed."""

TAKE_S = 0.05


class Answer(msgspec.Struct, frozen=True):
    """What a command said: its exit status, its output, and its one-line error or empty."""

    status: int
    output: str
    error: str


Run = Callable[[Sequence[str]], Answer]
"""Runs one command of the table. Blocks."""


def is_open(path: str) -> bool:
    """Whether a path needs no token: nothing of a cluster is there."""
    return path == "/" or path.startswith("/static/")


class PageApp:
    """The routes. Either `recorded`, or a live cluster: its `feed`, `run` and `status`."""

    def __init__(
        self,
        title: str,
        *,
        recorded: Recorded | None = None,
        feed: Feed | None = None,
        run: Run | None = None,
        source: Source | None = None,
        teaching: Teaching | None = None,
        status: Callable[[], ClusterStatus] | None = None,
    ) -> None:
        self._title = title
        self._recorded = recorded
        self._feed = feed
        self._run = run
        self._teaching = teaching
        self._source = recorded.source if recorded is not None else source
        self._status = status
        self._turn = asyncio.Lock()
        self._explaining = asyncio.Lock()

    def asgi(self) -> Starlette:
        """The application, without its guard."""
        return Starlette(
            routes=[
                Route("/", self._page),
                Route("/static/{name}", self._static),
                Route("/run", self._all),
                Route("/events", self._events),
                Route("/why", self._why),
                Route("/lesson", self._lesson),
                Route("/lesson", self._go_on, methods=["POST"]),
                Route("/do", self._do, methods=["POST"]),
                Route("/status", self._say_status),
                Route("/metrics", self._metrics),
            ]
        )

    async def _page(self, request: Request) -> Response:
        said = file.about(
            self._title,
            live=self._feed is not None,
            left_out=self._recorded.left_out if self._recorded else "",
            lesson=self._teaching is not None,
            source="/events" if self._feed is not None else "/run",
        )
        return HTMLResponse(
            file.frame(
                said,
                head='<link rel="stylesheet" href="/static/page.css">',
                data="",
                script='<script type="module" src="/static/main.js"></script>',
            )
        )

    async def _static(self, request: Request) -> Response:
        name = request.path_params["name"]
        suffix = name[name.rfind(".") :]
        if name not in modules.served():
            return JSONResponse({"error": f"there is no file {name}"}, 404)
        return Response(modules.text(name), media_type=modules.TYPES[suffix])

    async def _all(self, request: Request) -> Response:
        if self._recorded is None:
            return JSONResponse({"error": "a live cluster has a stream: /events"}, 404)
        return Response(json.dumps(self._recorded.events), media_type="application/json")

    async def _lesson(self, request: Request) -> Response:
        if self._teaching is None:
            return JSONResponse({"error": "no lesson is played: `launcher lesson 1 --page`"}, 404)
        return JSONResponse(self._teaching.parts())

    async def _go_on(self, request: Request) -> Response:
        if self._teaching is None:
            return await self._lesson(request)
        try:
            step = doing.parse_step((await request.body())[:200])
            async with self._turn:
                return JSONResponse(await run_in_threadpool(self._teaching.perform, step))
        except doing.Refused as error:
            return JSONResponse({"error": str(error)}, 400)
        except LauncherError as error:
            return JSONResponse({"error": str(error)}, 422)

    async def _why(self, request: Request) -> Response:
        if self._source is None:
            return JSONResponse({"error": "there is nothing to explain it by"}, 404)
        what = request.query_params.get("of", "")
        try:
            async with self._explaining:  # reads the whole run: one after the other
                found = await run_in_threadpool(causes.causes, self._source, what)
        except (LauncherError, OSError) as error:
            return JSONResponse({"error": error_line(error)}, 404)
        return JSONResponse(found)

    # -- live --------------------------------------------------------------------------------------

    async def _events(self, request: Request) -> Response:
        if self._feed is None:
            return JSONResponse({"error": "this is recorded: /run has all of it"}, 404)
        if self._feed.readers >= MOST_STREAMS:
            return JSONResponse({"error": f"{MOST_STREAMS} pages are open, which is the most"}, 503)
        last = request.headers.get("last-event-id", "")
        return StreamingResponse(_stream(self._feed, last), media_type="text/event-stream")

    async def _do(self, request: Request) -> Response:
        if self._run is None:
            return JSONResponse({"error": "nothing can be done to what was recorded"}, 409)
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > MOST_BODY:
                return JSONResponse({"error": f"more than {MOST_BODY} bytes"}, 413)
        try:
            words = doing.parse(bytes(body))
        except doing.Refused as error:
            return JSONResponse({"error": str(error)}, 400)
        if words[0] in doing.LONG:
            answer = await run_in_threadpool(self._run, words)
        else:
            async with self._turn:  # a command prints, and two must not print into each other
                answer = await run_in_threadpool(self._run, words)
        code = 200 if answer.status == 0 else 422
        line = doing.command_line(words)
        return JSONResponse({"line": line, **msgspec.structs.asdict(answer)}, code)

    async def _say_status(self, request: Request) -> Response:
        found = await self._ask()
        if isinstance(found, Response):
            return found
        return Response(msgspec.json.encode(found), media_type="application/json")

    async def _metrics(self, request: Request) -> Response:
        found = await self._ask()
        if isinstance(found, Response):
            return found
        return PlainTextResponse(metrics.exposition(found), media_type=metrics.MEDIA_TYPE)

    async def _ask(self) -> ClusterStatus | Response:
        if self._status is None:
            return JSONResponse({"error": "no cluster runs behind a recorded run"}, 404)
        try:
            return await run_in_threadpool(self._status)
        except LauncherError as error:
            return JSONResponse({"error": str(error)}, 503)


async def _stream(feed: Feed, last_id: str) -> AsyncGenerator[bytes, None]:
    """The frames of one reader. A slow one holds up nobody: it is served from what is kept."""
    feed.readers += 1
    try:
        number = feed.after(last_id)
        known = last_id == "" or number > 0
        yield _frame("hello", {"begun_ns": str(feed.begun_ns), "known": known})
        seen: dict[str, Any] | None = None
        gone = ""
        quiet_s = 0.0
        while True:
            number, events, lost = feed.take(number)
            if lost and last_id:
                yield _frame("reset", {"why": "what came between is no longer kept"})
            last_id = last_id or "-"
            for start in range(0, len(events), 100):
                part = events[start : start + 100]
                yield _frame("events", [record for _, record in part], part[-1][0])
            if feed.latest is not None and feed.latest is not seen:
                seen = feed.latest
                yield _frame("status", seen)
            if feed.gone != gone:
                gone = feed.gone
                yield _frame("gone", {"why": gone})
            quiet_s = 0.0 if events else quiet_s + TAKE_S
            if quiet_s >= BEAT_S:
                quiet_s = 0.0
                yield b": nothing new\n\n"
            if len(events) < 500:
                await asyncio.sleep(TAKE_S)
    finally:
        feed.readers -= 1


def _frame(kind: str, data: object, name: str = "") -> bytes:
    text = json.dumps(data, separators=(",", ":"))
    named = f"id: {name}\n" if name else ""
    return f"event: {kind}\n{named}data: {text}\n\n".encode()
