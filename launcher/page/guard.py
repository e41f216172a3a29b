"""Who may ask the page's server for anything: a pure ASGI layer around it.

The server is for one user of this machine, and a browser runs other sites' code beside it. So:

- only an address of this machine is listened to, and a request names it (`Host`): a site that has
  its own name point here (DNS rebinding) is refused;
- a request that a browser sends for another site says so (`Origin`, `Sec-Fetch-Site`), and is
  refused;
- everything but the page's own static files needs the token, in a header, where no log, no history
  and no referrer has it. A page of another site cannot set that header.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, TypeAlias

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

TOKEN_HEADER = b"x-leeky-token"
WHERE = (
    "the token is missing or wrong: open the whole address that `launcher page` (or `up --page`) "
    "has printed, with what stands after the #"
)

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' "
    "data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)


class Guard:
    """Refuses what the module says, and adds the headers that keep a browser strict.

    hosts: the values of `Host` that are meant, such as 127.0.0.1:7350
    is_open: whether a path needs no token
    """

    def __init__(
        self, app: App, *, token: str, hosts: Iterable[str], is_open: Callable[[str], bool]
    ) -> None:
        self._app = app
        self._token = token.encode()
        self._hosts = frozenset(host.encode() for host in hosts)
        self._origins = frozenset(b"http://" + host for host in self._hosts)
        self._is_open = is_open

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        refused = self._refusal(scope)
        if refused is not None:
            await _answer(send, *refused)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *HEADERS]
            await send(message)

        await self._app(scope, receive, with_headers)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        if headers.get(b"host") not in self._hosts:
            return 421, "this server answers to its own address only"
        origin = headers.get(b"origin")
        site = headers.get(b"sec-fetch-site", b"none")
        if (origin is not None and origin not in self._origins) or site == b"cross-site":
            return 403, "a page of another site asks for this, and is refused"
        if self._is_open(scope["path"]):
            return None
        given = headers.get(TOKEN_HEADER, b"")
        if not given:
            kind, _, credentials = headers.get(b"authorization", b"").partition(b" ")
            given = credentials.strip() if kind.lower() == b"bearer" else b""
        if not hmac.compare_digest(given, self._token):
            return 401, WHERE
        return None


async def _answer(send: Send, status: int, text: str) -> None:
    body = json.dumps({"error": text}).encode()
    headers = [(b"content-type", b"application/json"), *HEADERS]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
