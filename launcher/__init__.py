"""The launcher: runs a Raft cluster of real processes on this machine, and breaks it on command.

    from launcher import Cluster

    with Cluster(5, machine="kv") as cluster:
        cluster.submit("SET a 1")
        cluster.kill("leader")
        print(cluster.read("GET a").text)

These names are the public API; `docs/API.md` has a paragraph on each. A name is loaded when it is
first used: the supervisor and the node processes import this module too, and need almost nothing of
what it names.
"""

# This imports nothing, for `python -m launcher` and PYTHONPATH put the current folder in front of
# the standard library, and a file there may be called like one of its modules: see `__main__.py`.
TYPE_CHECKING = False  # what type checkers take for true

if TYPE_CHECKING:
    from launcher.client.answers import ReadAnswer, Submitted
    from launcher.client.client import Client
    from launcher.client.here import NotCommitted
    from launcher.client.session import SessionLost
    from launcher.client.subscriber import Message
    from launcher.client.unanswered import NoAnswer
    from launcher.cluster import Cluster
    from launcher.config import ClusterConfig
    from launcher.control.points import PointRow
    from launcher.control.status import Chosen, ClusterStatus, HandedOver, NodeStatus
    from launcher.control.steering import SettingChange, Unconfirmed
    from launcher.control.taps import TapOfNode
    from launcher.errors import ConfigError, LauncherError, NotRunning, TimedOut, UsageError
    from launcher.folders.recovery import Outlook
    from launcher.injected import Injected
    from launcher.lab.chaos.running import Chaos
    from launcher.life import DownReport
    from launcher.logs import ClusterLog
    from launcher.timeline.events import Event
    from launcher.timeline.filter import Filter
    from node.errors import CommandError
    from node.machines.protocol import Machine
    from node.wire import Drop, LinkFault

__version__ = "0.1.0"

_HOMES = {
    "Chaos": "launcher.lab.chaos.running",
    "Chosen": "launcher.control.status",
    "Client": "launcher.client.client",
    "Cluster": "launcher.cluster",
    "ClusterConfig": "launcher.config",
    "ClusterLog": "launcher.logs",
    "ClusterStatus": "launcher.control.status",
    "CommandError": "node.errors",
    "ConfigError": "launcher.errors",
    "DownReport": "launcher.life",
    "Drop": "node.wire",
    "Event": "launcher.timeline.events",
    "Filter": "launcher.timeline.filter",
    "HandedOver": "launcher.control.status",
    "Injected": "launcher.injected",
    "LauncherError": "launcher.errors",
    "LinkFault": "node.wire",
    "Machine": "node.machines.protocol",
    "Message": "launcher.client.subscriber",
    "NoAnswer": "launcher.client.unanswered",
    "NodeStatus": "launcher.control.status",
    "NotCommitted": "launcher.client.here",
    "NotRunning": "launcher.errors",
    "Outlook": "launcher.folders.recovery",
    "PointRow": "launcher.control.points",
    "ReadAnswer": "launcher.client.answers",
    "SessionLost": "launcher.client.session",
    "SettingChange": "launcher.control.steering",
    "Submitted": "launcher.client.answers",
    "TapOfNode": "launcher.control.taps",
    "TimedOut": "launcher.errors",
    "Unconfirmed": "launcher.control.steering",
    "UsageError": "launcher.errors",
}

__all__ = [
    "Chaos",
    "Chosen",
    "Client",
    "Cluster",
    "ClusterConfig",
    "ClusterLog",
    "ClusterStatus",
    "CommandError",
    "ConfigError",
    "DownReport",
    "Drop",
    "Event",
    "Filter",
    "HandedOver",
    "Injected",
    "LauncherError",
    "LinkFault",
    "Machine",
    "Message",
    "NoAnswer",
    "NodeStatus",
    "NotCommitted",
    "NotRunning",
    "Outlook",
    "PointRow",
    "ReadAnswer",
    "SessionLost",
    "SettingChange",
    "Submitted",
    "TapOfNode",
    "TimedOut",
    "Unconfirmed",
    "UsageError",
    "__version__",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
