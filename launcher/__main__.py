"""`python -m launcher`, and the `launcher` script: argv to the command table.

`_supervise` is how a launcher starts the supervisor's process. It is answered before anything else
is imported, since every millisecond of it is a millisecond until there is a leader. With
`_LAUNCHER_COMPLETE` in the environment, a shell asks what it can offer for the words typed so far
(`launcher/cli/completion.py`).
"""

import os
import sys

TYPE_CHECKING = False  # nothing that Python has not loaded is imported before the path is right
if TYPE_CHECKING:
    from launcher.cluster import Cluster


def main() -> int:
    """Runs one command and returns its exit status."""
    _leave_out_users_modules()
    if sys.argv[1:2] == ["_supervise"]:
        from launcher.supervisor.boot import supervise

        return supervise(sys.argv[2:])

    from launcher import streams

    streams.open_closed()
    from node import module_path

    module_path.protect_children()
    if asked := os.environ.get("_LAUNCHER_COMPLETE"):
        from launcher.cli.completion import answer
        from launcher.cli.context import Context
        from launcher.cli.table import launcher

        return answer(launcher, asked, Context())

    from launcher.cli.shell import main as run

    return run(sys.argv[1:], _open_prompt)


def _leave_out_users_modules() -> None:
    """No command finds a module in the current folder, also where PYTHONPATH names it, or in the
    folder of the script that runs this. For a user's machine the nodes look there, after all else
    (`node/module_path.py`).

    What is beside this package is ours, whatever else is called `node`.
    """
    ours = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    left_out = {os.path.dirname(sys.argv[0])}
    try:
        left_out.add(os.getcwd())
        sys.path[:] = [path for path in sys.path if os.path.abspath(path) not in left_out]
    except FileNotFoundError:  # the current folder was removed
        sys.path[:] = [path for path in sys.path if os.path.isabs(path)]
    sys.path.insert(0, ours)
    import node  # noqa: F401

    del sys.path[0]
    if ours in left_out:
        sys.path.append(ours)


def _open_prompt(cluster: "Cluster") -> int:
    """Runs the lines that a user types, or those of a pipe, which need no terminal to be set up."""
    if sys.stdin.isatty():
        from launcher.cli.prompt import run

        return run(cluster)

    from launcher.cli.repl import run_script

    return run_script(cluster)


if __name__ == "__main__":
    sys.exit(main())
