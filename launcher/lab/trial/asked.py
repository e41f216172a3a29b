"""What a user asks a test for, checked; and the command that asks for it again."""

from __future__ import annotations

from typing import Any

import msgspec

from launcher.errors import UsageError
from launcher.lab.chaos import schedule
from launcher.lab.chaos.kinds import KINDS
from launcher.lab.chaos.schedule import Schedule
from launcher.lab.clients import Plan, check_plan
from launcher.lab.trial.circumstances import circumstances
from launcher.lab.workloads import Options, names
from launcher.lab.workloads.loading import is_shipped
from launcher.settings import MAX_NODES
from node.quantities import write_duration

LEAST_NODES = 3
"""Fewer nodes survive no fault, so none would be allowed."""

CALM_S = 1.0
"""For how long the clients work before the first fault, and after the last one."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A test.

    time_s: for how long faults begin, in seconds
    faults: as `--faults` has it; None: all
    nodes: None: the seed decides
    """

    seed: int
    time_s: float = 60.0
    faults: str | None = None
    interval_s: float = schedule.DEFAULT_INTERVAL_S
    number: int = 1
    exclude: tuple[str, ...] = ()
    beyond_quorum: bool = False
    nodes: int | None = None
    machine: str | None = None
    workload: str | None = None
    clients: int = 8
    rate: float = 200.0
    keys: int = 10
    mix: str | None = None

    @property
    def the_workload(self) -> str:
        """Its name: by default that of the machine. Raises UsageError."""
        if self.workload is not None:
            return self.workload
        machine = self.machine or "kv"
        if machine not in names():
            raise UsageError(
                f"--machine {machine}: no workload for it comes along (there are "
                f"{', '.join(names())}): write one, and name it: --workload package.module:Class"
            )
        return machine

    @property
    def the_machine(self) -> str:
        """By default the one that a shipped workload is called after. Raises UsageError."""
        if self.machine is not None:
            return self.machine
        if self.workload is None or self.workload in names():
            return self.workload or "kv"
        raise UsageError(
            f"--workload {self.workload}: name the machine that it is for, too: "
            "--machine package.module:Class, or --machine kv"
        )

    def settings(self) -> dict[str, str]:
        """The settings of the cluster, by key of cluster.yaml."""
        return circumstances(self.seed, self.nodes) | {"machine": self.the_machine}

    def plan(self) -> Plan:
        """What the clients do. Raises UsageError."""
        self.settings()  # its machine must be known, too
        plan = Plan(
            workload=self.the_workload,
            options=Options(mix=self.mix or "", keys=self.keys),
            clients=self.clients,
            rate=self.rate,
            time_s=self.time_s + 2 * CALM_S,
            seed=self.seed,
        )
        check_plan(plan)
        if is_shipped(plan.workload) and plan.workload != self.the_machine:
            raise UsageError(
                f"--workload {plan.workload} is for the machine {plan.workload}, not for "
                f"{self.the_machine}: leave --machine out, or name a workload of your own for it"
            )
        if self.mix is not None and not self.mix.strip():
            raise UsageError("--mix: write F=N,F=N, such as read=40,write=60")
        return plan

    def schedule(self) -> Schedule:
        """The faults. Raises UsageError when there would be none."""
        if self.nodes is not None and not LEAST_NODES <= self.nodes <= MAX_NODES:
            raise UsageError(
                f"--nodes {self.nodes}: from {LEAST_NODES} to {MAX_NODES}; "
                "a cluster of fewer survives no fault, so none would be allowed"
            )
        made = schedule.make(
            self.seed,
            tuple(KINDS) if self.faults is None else _kinds(self.faults),
            self.time_s,
            interval_s=self.interval_s,
            number=self.number,
            exclude=self.exclude,
        )
        if not made.faults:
            raise UsageError(
                f"no fault begins within {write_duration(self.time_s)}: make --time longer, or "
                "--interval shorter"
            )
        schedule.check_allowed(made, beyond_quorum=self.beyond_quorum)
        self._check_exclude()
        return made

    def _check_exclude(self) -> None:
        """Raises UsageError when all nodes that the cluster begins with are left out by their
        ids."""
        nodes = int(circumstances(self.seed, self.nodes)["nodes"])
        ids = {word.removeprefix("n") for word in self.exclude}
        if ids >= {str(node) for node in range(1, nodes + 1)}:
            raise UsageError(
                f"--exclude {','.join(self.exclude)}: all {nodes} nodes are left out, so no fault "
                "is allowed, and nothing is tested"
            )

    def described(self) -> dict[str, Any]:
        """All of it, with what is filled in, by option: for run.json."""
        settings = self.settings()
        return {
            "time": write_duration(self.time_s),
            "nodes": int(settings["nodes"]),
            "machine": self.the_machine,
            "workload": self.the_workload,
            "faults": self.faults or "all",
            "interval": write_duration(self.interval_s),
            "clients": self.clients,
            "rate": self.rate,
            "beyond_quorum": self.beyond_quorum,
        }

    def command(self) -> str:
        """The command that asks for the same."""
        default = Asked(seed=self.seed)
        words = ["launcher", "test", "--seed", str(self.seed), "--time"]
        words.append(write_duration(self.time_s))
        words += ["--faults", self.faults or "all"]
        if self.interval_s != default.interval_s:
            words += ["--interval", write_duration(self.interval_s)]
        for option in ("number", "nodes", "machine", "workload", "clients", "keys", "mix"):
            value = getattr(self, option)
            if value != getattr(default, option):
                words += [f"--{option}", str(value)]
        if self.rate != default.rate:
            words += ["--rate", f"{self.rate:g}"]
        for target in self.exclude:
            words += ["--exclude", target]
        return " ".join([*words, *(["--beyond-quorum"] if self.beyond_quorum else [])])


def _kinds(text: str) -> tuple[str, ...]:
    if text.strip() == "none":
        raise UsageError(
            "--faults none: without any fault nothing is tested; to load a cluster without "
            "faults: `launcher up`, then `launcher workload`"
        )
    return schedule.parse_kinds(text)
