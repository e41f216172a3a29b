"""No command touches what belongs to another data folder, whatever was copied, moved or killed.

The files, hard links and locks are real, and so is the product's code: `Claim`, `lock`,
`ownership`, `runtime_files` and `Cluster.down`. Only the table of processes is invented. A
supervisor is a claim that the test holds, and it is killed by closing its descriptors. A pid is
given again as soon as it is free, and the file system does the same with inodes.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from launcher.cluster import Cluster
from launcher.config import ClusterConfig, parse
from launcher.errors import LauncherError, NotRunning
from launcher.folders import healing, lock, process_identity, runtime_files, supervisor_file
from launcher.folders.ownership import CutOff, Running
from launcher.folders.process_identity import ProcessRecord
from launcher.folders.runtime import RuntimeFolder
from launcher.supervisor.claim import Claim

NODES = (1, 2)
LOWEST_PID = (1 << 22) + 1
PROJECTS = st.sampled_from(["p", "q"])
OTHER = {"p": "q", "q": "p"}
DAMAGED = st.sampled_from(["supervisor.json", "owner.json", "processes.json"])


class Data:
    """One data folder, the same one wherever it is moved to."""


@dataclass(eq=False)
class Life:
    """One supervisor and its nodes.

    is_killed: it has ended without cleaning up
    has_folder: the test has not removed its runtime folder
    """

    data: Data
    claim: Claim
    runtime: RuntimeFolder
    supervisor: ProcessRecord
    nodes: list[ProcessRecord]
    is_killed: bool = False
    has_folder: bool = True

    @property
    def lock_file(self) -> str:
        """Where the lock file that it holds is now, as the system says it."""
        return os.readlink(f"/proc/self/fd/{cast(Any, self.claim)._held._lock}")

    def has_locked(self, file: Path) -> bool:
        """This is the lock file that it holds, or that of its logs, by whatever name."""
        held = (cast(Any, self.claim)._held._lock, cast(Any, self.claim)._logs)
        return file.exists() and any(lock.is_file(fd, file) for fd in held)

    @property
    def is_intact(self) -> bool:
        """Its runtime folder says whose it is and which are its nodes."""
        seen = runtime_files.look(self.runtime.path)
        return (
            seen is not None
            and seen.owner is not None
            and list(runtime_files.listed_in(seen).values()) == self.nodes
        )


class World:
    """The processes, the data folders, and who has started what."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.tmp = home / "tmp"
        self.tmp.mkdir()
        self.table: dict[int, str] = {}
        self.starts = 0
        self.at: dict[str, Data] = {}
        self.lives: list[Life] = []
        self.acting: Data | None = None
        self.me: ProcessRecord | None = None

    # -- processes ---------------------------------------------------------------------------------

    def spawn(self) -> ProcessRecord:
        """A process with the lowest pid that is free, all of them above any that Linux gives."""
        pid = next(pid for pid in itertools.count(LOWEST_PID) if pid not in self.table)
        self.starts += 1
        self.table[pid] = f"start {self.starts}"
        return ProcessRecord(pid, self.table[pid])

    def is_alive(self, process: ProcessRecord) -> bool:
        return self.table.get(process.pid) == process.start

    def end(self, process: ProcessRecord) -> None:
        if self.is_alive(process):
            del self.table[process.pid]

    def find(self, process: ProcessRecord) -> Any:
        """What the product gets for a `psutil.Process`."""
        if not self.is_alive(process):
            return None
        opened = [
            SimpleNamespace(path=life.lock_file)
            for life in self.lives
            if life.supervisor == process
        ]
        return SimpleNamespace(open_files=lambda: opened)

    def on_signal(self, process: ProcessRecord, number: int) -> bool:
        """In the place of `ProcessRecord.send_signal`."""
        if not self.is_alive(process):
            return False
        assert number == signal.SIGKILL
        life = next(life for life in self.lives if process in life.nodes)
        assert life.is_killed, "the node of a living supervisor was killed"
        assert self.may_clean_up(life), "the node of another data folder was killed"
        self.end(process)
        return True

    def may_clean_up(self, life: Life) -> bool:
        """What is left of a data folder that is no more is anybody's who gets its inode."""
        return life.data is self.acting or life.data not in self.at.values()

    # -- clusters ----------------------------------------------------------------------------------

    def config(self, project: str) -> ClusterConfig:
        yaml = f"nodes: {len(NODES)}\n".encode()
        return parse(yaml, source=None, directory=self.home / project)

    def living(self, data: Data | None) -> Life | None:
        return next((one for one in self.lives if one.data is data and not one.is_killed), None)

    def start(self, project: str, *, fresh: bool) -> None:
        """What a supervisor does when it starts. Raises LauncherError."""
        me = self.me = self.spawn()
        runtime = RuntimeFolder.make()
        try:
            claim = Claim.take(self.config(project), runtime, fresh=fresh)
        except BaseException:
            runtime.remove()
            self.end(me)
            raise
        nodes = [self.spawn() for _ in NODES]
        claim.record(dict(zip(NODES, nodes, strict=True)))
        self.lives.append(Life(self.at[project], claim, runtime, me, nodes))

    def release(self, life: Life) -> None:
        """A supervisor ends in good order."""
        life.claim.release()
        for process in (life.supervisor, *life.nodes):
            self.end(process)
        self.lives.remove(life)

    def sigkill(self, life: Life, outliving: int) -> None:
        """The kernel closes what the supervisor had open; some of its nodes live on."""
        cast(Any, life.claim)._let_go()
        os.close(cast(Any, life.runtime)._descriptor)
        life.is_killed = True
        for process in (life.supervisor, *life.nodes[outliving:]):
            self.end(process)

    def on_end(self, config: ClusterConfig, found: Running | CutOff) -> list[str]:
        """In the place of `ending.end`, which signals a process."""
        life = next((one for one in self.lives if one.supervisor == found.process), None)
        assert life is not None, "a process would be signalled that is no supervisor"
        assert life.data is self.acting, "the cluster of another data folder would be ended"
        self.release(life)
        return []


class Whose(RuleBasedStateMachine):
    """Projects are started, killed, copied, moved, linked and restored, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.copies: list[Path] = []
        self.folder = tempfile.TemporaryDirectory()
        self.world = world = World(Path(self.folder.name))
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(ProcessRecord, "of", lambda _: world.me)
        self.patch.setattr(ProcessRecord, "find", lambda process: world.find(process))
        self.patch.setattr(
            ProcessRecord, "send_signal", lambda process, number: world.on_signal(process, number)
        )
        for asks in (healing, process_identity):
            self.patch.setattr(asks, "start_of", world.table.get)
        for module in ("runtime", "runtime_files"):
            self.patch.setattr(f"launcher.folders.{module}.parent", lambda: world.tmp)
        self.patch.setattr(lock, "_LOCK_PATIENCE_S", 0.0)
        self.patch.setattr(lock, "_RENEWAL_PATIENCE_S", 0.0)
        self.patch.setattr(healing, "_ENDING_PATIENCE_S", 0.0)
        self.patch.setattr(lock, "_POLL_S", 0.0)
        self.patch.setattr(healing, "_POLL_S", 0.0)
        self.patch.setattr("launcher.supervisor.ending.end", world.on_end)

    def teardown(self) -> None:
        for life in self.world.lives:
            if not life.is_killed:
                self.world.sigkill(life, 0)
        self.patch.undo()
        self.folder.cleanup()

    # -- commands ----------------------------------------------------------------------------------

    @initialize(can_lock_folders=st.booleans())
    def one_runs(self, can_lock_folders: bool) -> None:
        """On a network file system folders cannot be locked, and less is known."""
        self.can_lock_folders = can_lock_folders
        if not can_lock_folders:
            self.patch.setattr(lock, "_lock_folder", lambda _: True)
        self.up("p", fresh=False)

    @rule(project=PROJECTS, fresh=st.booleans())
    def up(self, project: str, fresh: bool) -> None:
        world = self.world
        world.config(project).data_dir.mkdir(parents=True, exist_ok=True)
        data = world.acting = world.at.setdefault(project, Data())
        life = world.living(data)
        if self.is_lost(life, project):
            return
        refused = life is not None or self.is_linked(project) or self.is_held_by_another(project)
        left = self.left_by(data)
        said = None
        try:
            world.start(project, fresh=fresh)
        except LauncherError as error:
            said = str(error)
        assert (said is not None) is refused, said
        if said is None:
            self.is_clean(left)
        else:
            assert "\n" not in said

    @rule(project=PROJECTS, volumes=st.booleans())
    def down(self, project: str, volumes: bool) -> None:
        world = self.world
        data = world.acting = world.at.get(project)
        config = world.config(project)
        life, left = world.living(data), self.left_by(data)
        if self.is_lost(life, project):
            return
        try:
            Cluster(config=config).down(volumes=volumes)
        except NotRunning:
            assert not self.has_its_lock(life, project)
        except LauncherError:
            assert self.is_held_by_another(project) or life is not None
            assert not (self.has_its_lock(life, project) and cast(Life, life).is_intact)
            return
        else:
            assert life is None or life not in world.lives
        if not self.is_held_by_another(project) and config.cluster_file.exists():
            self.is_clean(left)
        if not config.data_dir.exists():
            world.at.pop(project, None)

    @rule(project=PROJECTS)
    def ps(self, project: str) -> None:
        world = self.world
        data = world.acting = world.at.get(project)
        life = world.living(data)
        try:
            found = lock.running(world.config(project))
        except NotRunning:
            is_reachable = life is not None and life.is_intact
            assert self.is_held_by_another(project) or (
                self.is_linked(project) and not is_reachable
            )
        except LauncherError:
            assert self.is_held_by_another(project) or (life is not None and not life.is_intact)
        else:
            is_running = self.has_its_lock(life, project)
            said = None if life is None else Running(life.supervisor, life.runtime.path)
            assert found == (said if is_running else None)

    @rule(project=PROJECTS)
    def a_supervisor_looks_after_its_folder(self, project: str) -> None:
        """What it does several times a second."""
        world = self.world
        data = world.acting = world.at.get(project)
        for life in [one for one in world.lives if not one.is_killed]:
            if not life.claim.holds:
                with pytest.raises(OSError, match=r"its data folder|its lock"):
                    life.claim.next_life(1)  # into a folder that may be another's by now
                world.release(life)
            elif not self.has_its_lock(life, self.project_of(life)):
                raise AssertionError("its lock was removed, and it does not know")
            elif life.data is data:
                life.claim.save()
                named = supervisor_file.read_supervisor(world.config(project))
                assert named is not None
                assert named.process == life.supervisor

    # -- what users and machines do ----------------------------------------------------------------

    @precondition(lambda self: self.world.lives)
    @rule(project=PROJECTS, outliving=st.integers(0, len(NODES)))
    def a_supervisor_is_killed(self, project: str, outliving: int) -> None:
        life = self.world.living(self.world.at.get(project))
        if life is not None:
            self.world.sigkill(life, outliving)

    @rule()
    def the_machine_is_started_anew(self) -> None:
        for life in self.world.lives:
            if not life.is_killed:
                self.world.sigkill(life, 0)
        self.world.table.clear()

    @precondition(lambda self: self.world.at)
    @rule(project=PROJECTS)
    def cp(self, project: str) -> None:
        """Also on top of what is there, and runs."""
        old, new = project, OTHER[project]
        if old in self.world.at:
            with suppress(shutil.Error):  # of two hard links to one file
                shutil.copytree(self.path(old), self.path(new), dirs_exist_ok=True)
            self.world.at.setdefault(new, Data())

    @precondition(lambda self: len(self.world.at) == 1)
    @rule()
    def cp_with_hard_links(self) -> None:
        (old,) = self.world.at
        shutil.rmtree(self.path(OTHER[old]), ignore_errors=True)
        shutil.copytree(self.path(old), self.path(OTHER[old]), copy_function=os.link)
        self.world.at[OTHER[old]] = Data()

    @precondition(lambda self: len(self.world.at) == 1)
    @rule()
    def mv(self) -> None:
        (old,) = self.world.at
        shutil.rmtree(self.path(OTHER[old]), ignore_errors=True)
        self.path(old).rename(self.path(OTHER[old]))
        self.world.at[OTHER[old]] = self.world.at.pop(old)

    @precondition(lambda self: self.world.at)
    @rule(project=PROJECTS)
    def rm(self, project: str) -> None:
        if self.path(project).exists():
            shutil.rmtree(self.path(project))
            self.world.at.pop(project, None)

    @precondition(lambda self: self.world.lives)
    @rule(project=PROJECTS)
    def rm_lock(self, project: str) -> None:
        self.world.config(project).supervisor_lock.unlink(missing_ok=True)

    @precondition(lambda self: self.world.lives)
    @rule(project=PROJECTS)
    def the_temporary_folder_is_cleaned(self, project: str) -> None:
        for life in self.world.lives:
            if life.data is self.world.at.get(project):
                shutil.rmtree(life.runtime.path, ignore_errors=True)
                life.has_folder = False

    @precondition(lambda self: self.world.lives)
    @rule(project=PROJECTS)
    def cp_runtime_folder(self, project: str) -> None:
        for life in self.world.lives:
            if life.data is self.world.at.get(project) and life.runtime.path.exists():
                copy = self.world.tmp / f"leeky-copy-{len(self.copies)}"
                shutil.copytree(life.runtime.path, copy)
                self.copies.append(copy)

    @precondition(lambda self: self.world.lives)
    @rule(project=PROJECTS, name=DAMAGED, data=st.data())
    def a_bit_flips(self, project: str, name: str, data: st.DataObject) -> None:
        folders = [self.world.config(project).data_dir]
        of_project = self.world.at.get(project)
        folders += [one.runtime.path for one in self.world.lives if one.data is of_project]
        for folder in folders:
            with suppress(OSError):
                said = bytearray((folder / name).read_bytes())
                bit = data.draw(st.integers(0, 8 * len(said) - 1))
                said[bit // 8] ^= 1 << bit % 8
                (folder / name).write_bytes(said)

    # -- what holds --------------------------------------------------------------------------------

    @invariant()
    def nothing_of_others_was_removed(self) -> None:
        world = self.world
        for life in list(world.lives):
            if life.has_folder and not life.runtime.path.exists():
                assert life.is_killed, "the runtime folder of a living supervisor was removed"
                assert world.may_clean_up(life), "another data folder's runtime folder was removed"
                world.lives.remove(life)
        assert all(copy.exists() for copy in self.copies)

    @invariant()
    def nothing_of_others_was_ended(self) -> None:
        for life in self.world.lives:
            if not life.is_killed:
                assert all(map(self.world.is_alive, (life.supervisor, *life.nodes)))

    @invariant()
    def no_two_clusters_run_on_one_lock(self) -> None:
        living = [one for one in self.world.lives if not one.is_killed]
        locks = [os.fstat(cast(Any, one.claim)._held._lock) for one in living]
        assert len({(lock.st_dev, lock.st_ino) for lock in locks}) == len(living)
        assert len({one.data for one in living}) == len(living)

    # -- what is true ------------------------------------------------------------------------------

    def path(self, project: str) -> Path:
        return self.world.home / project

    def is_linked(self, project: str) -> bool:
        file = self.world.config(project).supervisor_lock
        return file.exists() and file.stat().st_nlink > 1

    def project_of(self, life: Life) -> str:
        return next((name for name, data in self.world.at.items() if data is life.data), "nowhere")

    def has_its_lock(self, life: Life | None, project: str) -> bool:
        """Also after the project was moved; not when the lock file was removed."""
        return life is not None and life.has_locked(self.world.config(project).supervisor_lock)

    def is_known(self, life: Life, project: str) -> bool:
        return self.has_its_lock(life, project) or life.is_intact

    def is_lost(self, life: Life | None, project: str) -> bool:
        """Nothing tells of a life any more: its lock and its runtime folder were both removed, and
        folders cannot be locked. Whoever does that gets what he asks for."""
        return life is not None and not (self.can_lock_folders or self.is_known(life, project))

    def is_held_by_another(self, project: str) -> bool:
        """Its data or its logs, by a supervisor of another data folder, through a hard link."""
        config, data = self.world.config(project), self.world.at.get(project)
        others = [one for one in self.world.lives if not one.is_killed and one.data is not data]
        files = (config.supervisor_lock, config.log_dir / "timeline.lock")
        return any(life.has_locked(file) for life in others for file in files)

    def left_by(self, data: Data | None) -> list[Life]:
        """The dead supervisors of this data folder of which everything can be found."""
        return [
            one for one in self.world.lives if one.data is data and one.is_killed and one.is_intact
        ]

    def is_clean(self, left: list[Life]) -> None:
        for life in left:
            assert not life.runtime.path.exists()
            assert not any(map(self.world.is_alive, life.nodes))


Whose.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestWhose = Whose.TestCase
