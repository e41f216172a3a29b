"""What `top` prints: a row for each link, and the sums."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tabulate import tabulate

from launcher.control.naming import link_name, node_names
from launcher.evidence.messages.rates import Rates
from node.raft.messages import NodeId

_TITLES = ["link", "messages/s", "KiB/s", "entries/s", "lost/s"]
_KIBIBYTE = 1 << 10


def rates_table(rates: Rates, off: Sequence[NodeId], missed: Mapping[NodeId, int]) -> str:
    """off: the nodes that record nothing
    missed: how many files of a node were not read in time
    """
    rows = [
        [
            link_name((one.source, one.target)),
            *(_number(n) for n in (one.messages, one.bytes / _KIBIBYTE, one.entries, one.lost)),
        ]
        for one in rates.links
    ]
    sums = [
        sum(one.messages for one in rates.links),
        sum(one.bytes for one in rates.links) / _KIBIBYTE,
        sum(one.entries for one in rates.links),
        sum(one.lost for one in rates.links),
    ]
    if len(rows) > 1:
        rows.append(["all links", *map(_number, sums)])
    align = ("left", *["right"] * 4)
    table = tabulate(rows, _TITLES, tablefmt="plain", disable_numparse=True, colalign=align)
    lines = [table] if rows else ["no message was sent"]
    lines.append(f"elections/s: {_number(rates.elections)}")
    if off:
        nothing = "records nothing" if len(off) == 1 else "record nothing"
        lines.append(f"{node_names(off)} {nothing}: `launcher tap ring` turns that on")
    for node, count in sorted(missed.items()):
        were = "1 file of its messages was" if count == 1 else f"{count} files of its messages were"
        lines.append(f"n{node}: {were} overwritten before top read it: too low a number was shown")
    return "\n".join(lines)


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 10 or value == 0 else f"{value:.1f}"
