"""The running hash of what a server has applied.

Every node cuts the log into the same batches, so nodes that have applied the same log have the same
hash at each end of a batch.
"""

from __future__ import annotations

import hashlib
import zlib

from node.raft.messages import Batch

DIGEST_BYTES = 8


def running_digest(before: bytes, batch: Batch) -> bytes:
    """The hash after this batch. before: the hash after the batch in front of it; empty at first"""
    said = b"%d %d %d %d %d %d " % (
        batch.first_index, batch.term, int(batch.kind), batch.count, batch.time_us,
        zlib.crc32(batch.data),
    )  # fmt: skip
    return hashlib.blake2b(before + said, digest_size=DIGEST_BYTES).digest()
