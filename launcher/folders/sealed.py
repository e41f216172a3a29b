"""Sealed files: small JSON files that decide much, and that say themselves whether they are intact.

    {"format":3,"cluster_id":"...",...,"checksum":"9a3f01c2"}

The checksum is the CRC-32 of all that comes before it. A file that was cut off, or in which a bit
has flipped, is refused; it is never taken for another file that makes sense. A file is replaced
whole: what is read is the old one or the new one, also after a loss of power.
"""

from __future__ import annotations

import os
import re
import zlib
from pathlib import Path
from typing import TypeVar

import msgspec

from launcher.folders import private

_SEAL = re.compile(rb',"checksum":"([0-9a-f]{8})"\}\n?\Z')
_T = TypeVar("_T")


class BrokenSeal(Exception):
    """The bytes are not what was written; the text says why, as the end of a sentence."""


def seal(record: msgspec.Struct) -> bytes:
    """The file's bytes: one line of JSON. The record has a field at least."""
    front = msgspec.json.encode(record)[:-1]
    return front + b',"checksum":"%08x"}\n' % zlib.crc32(front)


def unseal(data: bytes, kind: type[_T]) -> _T:
    """The inverse of `seal`. Raises BrokenSeal."""
    found = _SEAL.search(data)
    if found is None:
        raise BrokenSeal("it has no checksum at its end")
    front = data[: found.start()]
    if b"%08x" % zlib.crc32(front) != found[1]:
        raise BrokenSeal("its checksum is another")
    return decode(front + b"}", kind)


def is_sealed(data: bytes) -> bool:
    """Whether there is a checksum, right or wrong."""
    return _SEAL.search(data) is not None


def decode(data: bytes, kind: type[_T]) -> _T:
    """JSON that need not be sealed. Raises BrokenSeal."""
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BrokenSeal(f"it cannot be understood: {error}") from error


def replace(path: Path, data: bytes, *, durable: bool) -> None:
    """Writes the whole file, or leaves the old one. durable: it survives a loss of power.

    Raises OSError.
    """
    beside = path.with_name(path.name + ".new")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    with os.fdopen(private.open_file(beside, flags), "wb") as file:
        file.write(data)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    beside.replace(path)
    if durable:
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Makes durable which names are in it. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
