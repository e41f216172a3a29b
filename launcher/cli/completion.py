"""Completion for bash, zsh and fish, and for the prompt.

`launcher completion SHELL` prints a script, and this module returns what the script asks for.

The script that a shell reads defines a function for both names of the program. When the Tab key is
pressed, the function runs the program again, with the words of the command line and `VARIABLE` in
its environment, and `answer` prints what is offered. Click finds the parameter that is being typed,
and the type of the parameter (`launcher/cli/parameters.py`) says what there is.

The prompt (`launcher/cli/prompt.py`) asks `offers`, which gives the same answers in this process.

A person is in the middle of a line meanwhile. So when something goes wrong, nothing is offered and
nothing is reported, and a shell never waits longer than `PATIENCE_S`.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from dataclasses import replace
from typing import NoReturn

import click
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

from launcher.cli.context import Context

VARIABLE = "_LAUNCHER_COMPLETE"
NAMES = ("launcher", "leeky-raft")
PATIENCE_S = 2.0

_BASH = """\
_launcher_completion() {
    local IFS=$'\\n' response line
    response=$(env COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD="$COMP_CWORD" \\
        %(complete_var)s=bash_complete "$1" 2>/dev/null </dev/null)
    COMPREPLY=()
    while read -r line; do
        case "$line" in
            file,*) compopt -o default 2>/dev/null ;;
            dir,*) compopt -o dirnames 2>/dev/null ;;
            plain,*) COMPREPLY+=("${line#plain,}") ;;
        esac
    done <<< "$response"
}
complete -o nosort -F _launcher_completion %(names)s 2>/dev/null ||
    complete -F _launcher_completion %(names)s
"""

_ZSH = """\
#compdef %(names)s
_launcher_completion() {
    local type key help
    local -a offered
    env COMP_WORDS="${words[*]}" COMP_CWORD=$((CURRENT-1)) \\
        %(complete_var)s=zsh_complete "${words[1]}" 2>/dev/null </dev/null |
    while read -r type && read -r key && read -r help; do
        case "$type" in
            file) _files ;;
            dir) _files -/ ;;
            plain) offered+=("$key") ;;
        esac
    done
    (( $#offered )) && compadd -V launcher -a offered
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _launcher_completion "$@"
else
    compdef _launcher_completion %(names)s
fi
"""

_FISH = """\
function _launcher_completion
    set -l response (env %(complete_var)s=fish_complete COMP_WORDS=(commandline -cp) \\
        COMP_CWORD=(commandline -t) $argv[1] 2>/dev/null </dev/null)
    for line in $response
        set -l parts (string split -m 1 "," -- $line)
        switch $parts[1]
            case dir
                __fish_complete_directories $parts[2]
            case file
                __fish_complete_path $parts[2]
            case plain
                echo $parts[2]
        end
    end
end
for name in %(names)s
    complete --no-files --keep-order --command $name --arguments "(_launcher_completion $name)"
end
"""


class _Bash(BashComplete):
    source_template = _BASH


class _Zsh(ZshComplete):
    source_template = _ZSH


class _Fish(FishComplete):
    source_template = _FISH


SHELLS: dict[str, type[ShellComplete]] = {"bash": _Bash, "zsh": _Zsh, "fish": _Fish}


def script(shell: str) -> str:
    """What a shell reads to complete the program's words. shell: one of `SHELLS`"""
    template = SHELLS[shell].source_template
    return template % {"complete_var": VARIABLE, "names": " ".join(NAMES)}


def answer(table: click.Command, asked: str, context: Context) -> int:
    """Prints what a shell may offer for the command line in the environment; returns 0.

    asked: the value of `VARIABLE`: the shell's name followed by `_complete`
    context: what the commands of the table can reach
    """
    signal.signal(signal.SIGALRM, _give_up)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE_S)
    try:
        said = reply(table, asked, context)
        os.write(1, said.encode("utf-8", "surrogateescape"))
    except Exception:
        return 0  # there is no place to report it
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
    return 0


def reply(table: click.Command, asked: str, context: Context) -> str:
    """What the script of a shell reads. Raises what an impossible command line makes fail."""
    shell, _, _ = asked.partition("_")
    made = SHELLS[shell](table, {"obj": context}, NAMES[0], VARIABLE)
    return "".join(f"{line}\n" for line in made.complete().splitlines())


def offers(table: click.Command, words: Sequence[str], word: str, context: Context) -> list[str]:
    """What can take the place of the word being typed; nothing where that cannot be found out.

    words: the whole words before it
    context: what the commands of the table can reach; it is not changed
    """
    made = ShellComplete(table, {"obj": replace(context)}, NAMES[0], VARIABLE)
    try:
        items = made.get_completions(list(words), word)
    except Exception:
        return []  # as in `answer`
    return [item.value for item in items if item.type == "plain"]


def _give_up(number: int, frame: object) -> NoReturn:
    os._exit(0)  # for example a disk hangs; nothing of this process is worth waiting for
