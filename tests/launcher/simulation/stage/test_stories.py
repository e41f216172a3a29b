"""The stories that come with the launcher, and the language in which they are written.

Each file in `launcher/simulation/stage/stories/` is a transcript: a script in the language that
`launcher/simulation/stage/script.py` documents, with what happened beneath each line, after a bar.
Playing it must give it again, byte for byte.

A new story is a file with the script alone, in the folder of its topic. To have the transcripts
written, or written anew after a change that is meant to change them:

    REWRITE_STORIES=1 python -m pytest tests/launcher/simulation/stage/test_stories.py

and then read the difference against the paper: a wrong transcript is worse than none.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from launcher.errors import UsageError
from launcher.simulation.stage import library, script
from launcher.simulation.stage.commands import COMMANDS
from launcher.simulation.stage.expectations import EXPECTATIONS
from launcher.simulation.stage.library import Story
from launcher.simulation.stage.play import KINDS
from launcher.simulation.stage.script import ScenarioFailed, run_script
from node.raft import replication
from node.raft.state import RaftState

STORIES = library.stories()
FOLDER = Path(library.__file__).parent / "stories"
each_story = pytest.mark.parametrize("story", STORIES, ids=lambda story: story.label)


def play(text: str, seed: int = 1) -> str:
    return "".join(f"{line}\n" for line in run_script(text, seed=seed))


@each_story
def test_a_story_gives_its_transcript(story: Story) -> None:
    transcript = play(story.on_cores)
    if os.environ.get("REWRITE_STORIES"):
        real = story.text[story.text.index(library.REAL) :] if story.has_real_part else ""
        (FOLDER / story.topic / f"{story.label}.txt").write_text(transcript + real, "utf-8")
    else:
        assert transcript.rstrip("\n") == story.on_cores.rstrip("\n")


def commands(text: str) -> list[str]:
    """The lines of a script that do something."""
    return [line for line in text.splitlines() if re.match(r"\w", line)]


@each_story
def test_a_story_says_what_it_shows_and_expects_something(story: Story) -> None:
    assert re.fullmatch(r"[A-Z].{20,90}\.", story.title), story.title
    assert story.text.isascii()
    assert any(line.startswith("expect") for line in commands(story.on_cores))


def test_all_files_are_in_the_list_and_no_name_comes_twice() -> None:
    assert sorted(library.names()) == sorted(path.stem for path in FOLDER.glob("*/*.txt"))
    assert len(set(library.names())) == len(STORIES) >= 75
    assert {path.name for path in FOLDER.iterdir()} == library.TOPICS.keys()


def test_every_word_of_the_language_is_spoken_and_told() -> None:
    """Some story uses each command, expectation and kind; the module's docstring has them all."""
    spoken = "\n".join(line for story in STORIES for line in commands(story.on_cores))
    words = [*COMMANDS, *(f"expect {what}" for what in EXPECTATIONS), *KINDS]
    unused = {word for word in words if not re.search(rf"\b{word}\b", spoken)}
    assert unused == set()
    told = str(script.__doc__)
    for word in [*COMMANDS, *KINDS, *(" ".join(EXPECTATIONS).split())]:
        assert re.search(rf"\b{word}\b", told), word


@pytest.mark.parametrize("topic", ["demonstrations"])
def test_a_demonstration_comes_the_same_with_other_timeouts(topic: str) -> None:
    for story in STORIES:
        if story.topic == topic:
            assert play(story.on_cores) == play(story.on_cores)
            for seed in (2, 3):
                assert commands(play(story.on_cores, seed)) == commands(story.on_cores)


def test_the_seed_draws_the_timeouts() -> None:
    text = "start 3\nrun 2s"
    assert len({play(text, seed) for seed in range(5)}) == 5
    assert play(text, 3) == play(text, 3)


WRONG = [
    ("elect 1", "line 1: a script begins with: start N"),
    ("start 0", "line 1: start: N is 1..25; write: start N"),
    ("start many", "'many' is not a number"),
    ("start 2 named a a", "2 servers need 2 names"),
    ("start 2 named a 2", "'2' is no name"),
    ("start 3 max_speed 3", "BOUND is max_append_bytes, "),
    ("start 3 failure_hint", "failure_hint has no value"),
    ("start 3\n\nfly 1", "line 3: no command 'fly'; there are start, log, "),
    ("start 3\nelct 1", "line 2: no command 'elct'; did you mean elect? There are start, log, "),
    ("start 3\nexpect trem 1 1", "no expectation 'trem'; did you mean term? There are leader, "),
    ("start 3\nelect 4", "line 2: elect: no server '4'; there are S1, S2, S3; write: elect S"),
    ("start 3\nelect", "line 2: elect: there is a word missing"),
    ("start 3\nelect 1 2", "cannot make sense of '2'"),
    ("start 3\nlog 1 2 1", "terms are 1 or more, and never decrease along a log"),
    ("start 3\nelect 1\nlog 1 1", "log: it must come before the servers do anything"),
    ("start 3\nlog 1 3\nterm 1 2", "the log has entries of a later term"),
    ("start 3\npropose 1", "the commands are missing"),
    ("start 3\ncrash 1\ncrash 1", "line 3: crash: S1 is down"),
    ("start 3\nrestart 1", "S1 is up; crash it first"),
    ("start 3\nhint 1 died", "S1 is up; crash it first"),
    ("start 3\ncut 1", "'1' names no link; write: cut S|S,S or cut S->S"),
    ("start 3\ntime-out 1\ndeliver Vote", "cannot make sense of 'Vote'; KIND is RequestVote, "),
    ("start 3\nrun fast", "'fast' is not a duration: write 150ms, 2s, 10m or 1h30m"),
    ("start 3\nrun 61s", "61s is too long: at most 60s at a time"),
    ("start 3\nexpect luck", "no expectation 'luck'; there are leader, no leader, "),
    ("start 3\nexpect role 1 boss", "no role 'boss'; there are follower, candidate, leader, "),
    ("start 3\nexpect term 1", "there is a word missing, in: expect term S 2"),
    ("start 3 members 1,4", "start: no server '4'; there are S1, S2, S3"),
    ("start 3 lease maybe", "no option lease maybe; BOUND is "),
    ("start 3\nreconfigure 1", "the new voters are missing; write: reconfigure S to S,S"),
    ("start 3\nreconfigure 1 to none", "there must be at least one voter"),
    ("start 3\nread 1 there", "cannot make sense of 'there'; write: read S [here]"),
    ("start 3\nsnapshot 1 0", "a snapshot has at least one byte; write: snapshot S [bytes]"),
    ("start 3\nforget 1", "S1 is up; crash it first; write: forget S"),
    ("start 3\nexpect snapshot 1 2", "'2' is no snapshot such as 5@2"),
]


@pytest.mark.parametrize(("text", "problem"), WRONG)
def test_a_line_that_makes_no_sense_says_what_does(text: str, problem: str) -> None:
    with pytest.raises(UsageError, match=re.escape(problem)) as wrong:
        play(text)
    assert re.match(r"line \d+: [^\n]+$", str(wrong.value))


UNMET = [
    ("start 3\nexpect leader 1", "line 2: expect leader 1: there is no leader"),
    ("start 3\nelect 1\nexpect leader 2", "the leader of term 1 is S1, not S2"),
    ("start 3\nelect 1\nexpect no leader", "S1 leads"),
    ("start 3\nexpect term all 4", "the term of S1 is '0', not '4'"),
    ("start 3\nlog 2 1 1\nexpect log 2 1 2", "the log of S2 is '1 1', not '1 2'"),
    ("start 3\nlog 2 1 1\nexpect log 2", "the log of S2 is '1 1', not ''"),
    ("start 3\nlog 2 1 1\nexpect agreement", "S1 and S2 have different logs"),
    ("start 3\nexpect vote 1 2", "the vote of S1 is 'none', not 'S2'"),
    ("start 3\nexpect match 1 2 0", "S1 does not lead S2"),
    ("start 3\nelect 1\nexpect next 1 2 9", "next_index for S2 is 2, not 9"),
    ("start 3\nexpect read 1 at 3", "0 reads have been asked for"),
    ("start 1\nelect 1\nread 1\nexpect read 1 unanswered", "the answer to read 1 is 1, not None"),
    ("start 3\nexpect refused Busy", "the last refusal is None, not Busy"),
    ("start 3\nexpect event 1 vote.granted", "it has not happened"),
    ("start 3\nelect 1\nexpect no event 2 vote.granted", "it has happened"),
    ("start 3\nexpect in-flight 1", "the number in flight is 0, not 1"),
    ("start 3\ndeliver", "no such message is in flight, but none"),
    ("start 3\nelect 1\npropose 1 x\ndrop to 1", "but S1 -> S2 AppendEntries; S1 -> S3 Append"),
    ("start 3\npersist", "nothing waits to be written"),
    ("start 3\nrelease", "nothing is delayed"),
    ("start 3\nelect 1\ntime-out 1", "it leads, so it has no election timeout"),
    ("start 3\ncut 1|2,3\nelect 1", "line 3: elect 1: there is no leader"),
    ("start 3\nsnapshot 1", "it has applied nothing since the last snapshot"),
    (
        "start 1\nelect 1\nsnapshot 1\nexpect snapshot 1 2@1",
        "the snapshot of S1 is '1@1', not '2@1'",
    ),
    ("start 3\nexpect voters 1 1,2", "voters of S1 is 'S1,S2,S3', not 'S1,S2'"),
    ("start 3\nexpect learners 1 2", "learners of S1 is 'none', not 'S2'"),
    ("start 3\nexpect outgoing all 2", "outgoing of S1 is 'none', not 'S2'"),
]


@pytest.mark.parametrize(("text", "found"), UNMET)
def test_an_expectation_that_is_not_met_says_what_was_found(text: str, found: str) -> None:
    with pytest.raises(ScenarioFailed, match=re.escape(found)) as failed:
        play(text)
    assert re.match(r"line \d+: [^\n]+$", str(failed.value))


def test_what_went_before_a_failure_is_told() -> None:
    told: list[str] = []
    script = "start 1\ntime-out 1\nsettle\nexpect leader 1\nexpect term 1 2\nshow"
    with pytest.raises(ScenarioFailed):
        told.extend(run_script(script))
    assert told[0] == "start 1"
    assert told[-3:] == ["expect leader 1", "  | ok", "expect term 1 2"]


def count_alone(raft: RaftState) -> None:
    """`replication.advance_commit` without the rule of §5.4.2, and without the leader's disk."""
    matches = sorted([raft.log.last_index, *(p.match_index for p in raft.progress.values())])
    raft.commit_index = max(raft.commit_index, matches[len(matches) // 2])


def test_a_broken_invariant_fails_the_script(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figure 8, without the rule: somebody's committed entry is overwritten, and it is noticed."""
    monkeypatch.setattr(replication, "advance_commit", count_alone)
    text = re.sub(r"expect.*\n", "", library.find("figure8").text)
    with pytest.raises(ScenarioFailed, match=r"line \d+: .*an invariant is broken: "):
        play(text)


# -- finding a story -----------------------------------------------------------------------------


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(UsageError, match="no story 'splitvote'; did you mean split_vote"):
        library.find("splitvote")
    with pytest.raises(UsageError, match="no story 'zzz'; a file of your own is written"):
        library.find("zzz")


def test_a_file_of_the_user_is_a_story(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.txt").write_text("# Mine.\nstart 1\n")
    Path("mine").write_text("start 2\n")
    Path("windows.txt").write_bytes(b"\xef\xbb\xbf# Mine.\r\nstart 1\r\n")

    assert library.find("mine.txt").title == "Mine."
    assert library.find("./mine.txt").text == "# Mine.\nstart 1\n"
    assert library.find("mine").title == ""
    assert library.find("windows.txt").title == "Mine."
    assert play(library.find("windows.txt").on_cores) == "# Mine.\nstart 1\n"


def test_a_name_of_ours_comes_before_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("figure8").write_text("start 1\n")

    assert library.find("figure8").topic == "demonstrations"
    assert library.find("./figure8").topic == ""


@pytest.mark.parametrize(
    ("name", "data", "problem"),
    [
        ("gone.txt", None, "cannot read the story gone.txt: No such file or directory"),
        ("./folder", None, "cannot read the story folder: Is a directory"),
        ("odd.txt", b"start 3\n\xff", "odd.txt is no story: it is not text in UTF-8"),
        ("long.txt", b"#" * 1_000_001, "long.txt is no story: it has more than 1000000 bytes"),
    ],
)
def test_a_file_that_is_no_story(
    name: str, data: bytes | None, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    if data is not None:
        Path(name).write_bytes(data)
    with pytest.raises(UsageError, match=re.escape(problem)):
        library.find(name)


def test_the_part_for_real_processes_keeps_its_line_numbers() -> None:
    story = Story("s", "", f"# S.\nstart 3\n{library.REAL}\nstart 5\n")

    assert story.on_cores == "# S.\nstart 3"
    assert story.on_real_processes == "\n\n\nstart 5"
    assert story.has_real_part
