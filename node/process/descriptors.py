"""How many files a process may have open (RLIMIT_NOFILE), and what is kept for its own use.

Clients must not use up what a process needs for itself: with no descriptor left it can open no
segment, take no snapshot and let no peer in. So a node lets in fewer clients than its limit has
room for, and both a node and the supervisor accept a few connections at a time, so that they can
turn away what is too much before there is a lot of it.
"""

from __future__ import annotations

import os
import resource
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio  # the launcher uses this module, too, and needs no loop

OWN_OF_NODE = 106
"""What a node needs at most for itself: 20 files, two for each of 30 peers, and as many connections
as it accepts at once, before it has looked at them."""

LEAST_CLIENTS = 8

ACCEPTED_AT_ONCE = 16
_WAITING = 1024
"""The most connections that wait to be accepted."""


def allow(count: int) -> int:
    """Has the operating system let this process open `count` files, if it will.

    Returns how many it may open now: that many, or fewer, or more if it was more already.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < count:
        most = count if hard == resource.RLIM_INFINITY else min(count, hard)
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
            soft = most
    return count if soft == resource.RLIM_INFINITY else soft


def room_for_clients(wanted: int) -> int:
    """How many clients a node may let in, of those that are wanted."""
    return max(min(wanted, allow(wanted + OWN_OF_NODE) - OWN_OF_NODE), LEAST_CLIENTS)


def let_many_wait(server: asyncio.Server) -> None:
    """Of a server with the backlog `ACCEPTED_AT_ONCE`.

    asyncio takes that number for two things: how many it accepts in a turn of the loop, and how
    many the kernel lets wait. The kernel's may be large.
    """
    for listening in server.sockets:
        with socket.socket(fileno=os.dup(listening.fileno())) as same:
            same.listen(_WAITING)
