"""In one line, how a cluster's timers and messages differ from the default ones."""

from __future__ import annotations

from launcher.config import ClusterConfig
from node.quantities import write_duration


def pace(config: ClusterConfig) -> str:
    """What `ps` says below its table; empty for a cluster at the default pace."""
    said = []
    if config.timescale != 1:
        least, most = config.election_timeout_min_s, config.election_timeout_max_s
        said.append(
            f"timescale {config.timescale:g}: election timeouts "
            f"{write_duration(least)} to {write_duration(most)}"
        )
    if config.message_delay_s:
        said.append(f"messages take {write_duration(config.message_delay_s)}")
    if not config.pre_vote:
        said.append("no pre-votes")
    if not config.failure_hint and config.reads != "lease":
        said.append("no failure hint")
    return "; ".join(said)
