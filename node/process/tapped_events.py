"""The events of a node: into its event log, and what that leaves out into its tap.

An event is in one of the two, never in both: whoever reads both finds it once.
"""

from __future__ import annotations

from node.events import EventLog, HybridClock, Note
from node.tap.segment import last_time
from node.tap.writer import Tap
from node.wire import NodeConfig


class TappedEvents:
    """The `EventSink` port of a running node."""

    def __init__(self, log: EventLog, tap: Tap) -> None:
        self._log = log
        self._tap = tap
        self.close = log.close
        self.set_level = log.set_level

    def emit(
        self, level: str, event: str, term: int, role: str, commit: int, **fields: object
    ) -> None:
        """The port's `emit`."""
        if self._log.writes(level):
            self._log.emit(level, event, term, role, commit, **fields)
        elif self._tap.is_on:
            self._tap.event(level, event, term, role, commit, fields)


def open_events(config: NodeConfig, clock: HybridClock, note: Note) -> tuple[Tap, TappedEvents]:
    """The tap of this life, which is off at first, and its events. note: writes an event"""
    log = EventLog(
        config.event_log,
        config.node_id,
        config.life,
        clock,
        level=config.log_level,
        rotate_bytes=config.log_rotate_bytes,
    )
    if config.tap_folder is not None:
        clock.observe(last_time(config.tap_folder, config.node_id))
    tap = Tap(config.tap_folder, config.node_id, config.life, clock, note)
    return tap, TappedEvents(log, tap)
