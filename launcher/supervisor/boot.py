"""The first milliseconds of the supervisor's process: `python -m launcher _supervise`.

Whoever starts it passes two pipes and the nodes' entry point:

    _supervise REPORT LIFELINE ENTRY

    stdin       the spec: a `launcher.control.spec.Spec`, encoded
    REPORT      here we write one line of JSON: a `launcher.control.spec.Report`, ready or why not
    LIFELINE    end-of-file on it: whoever started us is gone, so take the cluster down;
                a byte on it: we have been let go of, go on alone

The forkserver is started before the supervisor's own modules are imported, so that the nodes'
modules are loaded on another core meanwhile. Everything temporary, the forkserver's socket
included, is in one short folder that only we can enter (`launcher/folders/runtime.py`). We hold its
lock from its first moment on; whose it is is written there when the data folder is ours."""

from __future__ import annotations

import os
import sys

from launcher.folders.runtime import RuntimeFolder
from node.process import signals

_MALLOC = {"MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str(64 << 20)}
"""For glibc, elsewhere nobody reads it. By default a buffer for a frame is asked of the system each
time and given back, and every page of it is cleared again: a twentieth of what a node does. (32 MiB
is the most that glibc takes; who sets either also sets how large a buffer is before it is so.)"""


def supervise(arguments: list[str]) -> int:
    """Runs a cluster until it is taken down. Returns the exit status."""
    import signal
    import tempfile
    from multiprocessing import forkserver

    signals.begin()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    report, lifeline = int(arguments[0]), int(arguments[1])
    entry = arguments[2]
    os.umask(0o077)  # nothing that the cluster's processes make is for anybody else
    folder = RuntimeFolder.make()
    try:
        tempfile.tempdir = str(folder.path)
        os.environ.update(_MALLOC | dict(os.environ))
        forkserver.set_forkserver_preload(["launcher.supervisor.entry", entry.partition(":")[0]])
        forkserver.ensure_running()

        from launcher.supervisor import supervisor

        status = supervisor.run(sys.stdin.buffer.read(), report, lifeline, folder, entry)
    except SystemExit as ended:  # a signal, before there was anything to take down
        status = int(ended.code or 0)
    finally:
        folder.remove()
    # Nothing is left to be waited for: not a thread that starts a node in a forkserver that hangs.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
