"""Checks a run's history, in a process of its own: the check may be a user's code, or take long.

python -P -m launcher.lab.clients.judging REPORT LIFELINE
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import msgspec

from launcher.errors import LauncherError, UsageError
from launcher.lab import history
from launcher.lab.clients.children import LabProcess
from launcher.lab.clients.plan import JudgeSpec, Said, decode_judge_spec, encode_spec, kept_plan
from launcher.lab.clients.running import failure
from launcher.lab.clients.users_code import LOAD_LIMIT_S, Called, TooSlow, limited
from launcher.lab.workloads.loading import Options, load
from launcher.lab.workloads.protocol import Judgement, unknown
from node import module_path
from node.process import signals

JUDGING = "launcher.lab.clients.judging"
CHECK_LIMIT_S = 120.0
GRACE_S = 30.0
"""For reading the history, and for a check that lets no signal through."""


def judge(
    folder: Path | str,
    workload: str | None = None,
    options: Options | None = None,
    *,
    limit_s: float = CHECK_LIMIT_S,
) -> Judgement:
    """What the workload's own check says of a run's history. Blocks.

    folder: of the run
    workload, options: by default those that the run was made with (`workload.json`)
    limit_s: a check that takes longer comes to unknown

    Raises LauncherError when the history is damaged or the check itself fails, UsageError when the
    workload cannot be loaded.
    """
    folder = Path(folder)
    if workload is None:
        kept = kept_plan(folder)
        workload, options = kept.plan.workload, kept.plan.options
    spec = JudgeSpec(
        workload=workload,
        options=options or Options(),
        folder=folder.resolve(),
        python_path=[Path(path) for path in module_path.users()],
    )
    data = b"%d %b" % (int(limit_s * 1000), encode_spec(spec))
    with LabProcess(JUDGING, data) as process:
        try:
            line = process.line(limit_s + LOAD_LIMIT_S + GRACE_S)
        except EOFError:
            how = process.how_it_ended()
            raise LauncherError(f"the process that checks the history ended {how}") from None
    if line is None:
        return unknown(f"the check takes longer than {limit_s:g} s, and cannot be interrupted")
    if line.startswith(b"!"):
        raise failure(msgspec.json.decode(line[1:], type=Said))
    return msgspec.json.decode(line, type=Judgement)


def _judged(spec: JudgeSpec, limit_s: float) -> Judgement:
    try:
        with limited(f"workload {spec.workload}: importing it", LOAD_LIMIT_S):
            workload = load(spec.workload, spec.options)
    except TooSlow as error:
        raise UsageError(str(error)) from None
    operations = history.read(spec.folder).operations
    try:
        return Called(spec.workload, workload, 1).check(operations, limit_s)
    except TooSlow as error:
        return unknown(str(error))


def main(arguments: list[str]) -> int:
    """The program. Returns the exit status."""
    signals.begin()
    report, lifeline = map(int, arguments)
    threading.Thread(target=lambda: os.read(lifeline, 1) or os._exit(1), daemon=True).start()
    # The launcher keeps our standard input open: what comes is as long as it says.
    head = sys.stdin.buffer.readline().split()
    limit_s, length = int(head[0]) / 1000, int(head[1])
    spec = decode_judge_spec(sys.stdin.buffer.read(length))
    module_path.use([os.fspath(path) for path in spec.python_path])
    try:
        said = msgspec.json.encode(_judged(spec, limit_s))
    except LauncherError as error:
        failed = Said(what="failed", error=str(error), exit_status=error.exit_status)
        said = b"!" + msgspec.json.encode(failed)
    except (TypeError, ValueError, RecursionError) as error:
        text = f"workload {spec.workload}: its judgement cannot be written down: {error}"
        said = b"!" + msgspec.json.encode(Said(what="failed", error=text))
    with os.fdopen(report, "wb") as file:
        file.write(said + b"\n")
    return 0


if __name__ == "__main__":
    os._exit(main(sys.argv[1:]))
