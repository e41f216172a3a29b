"""Safety, compared as the nodes report: whatever two reports show that cannot both be. Pure.

Each report is a `wire.Status`. It comes once a second from every node, at once when its role, term
or leader has changed, and within a tenth of a second when a digest was logged. What is compared:

    Election Safety (§5.2)        who leads a term: by each leader's own word, and its followers'
    Leader Completeness (§5.4)    a leader's log reaches as far as was committed in earlier terms
    State Machine Safety (§5.4.3) the running hash of what was applied, at equal indexes; and the
                                  terms of committed entries, which only rise with their indexes
    commit rule (§5.4.2, §6)      `commit_rule.py`: a leader counts entries of its own term only,
                                  and a majority has them, of both halves of a joint configuration
    acknowledgements (§5.3)       `acknowledged.py`: what a node has acknowledged, its log holds
    one vote in each term (§5.2)  a vote that was given, also in the node's next life
    terms and commit indexes      never go back: the commit index in one life, the term in all

What machines answer is compared in `launcher/control/divergence.py`; where that marks a node, it is
a violation here too.

Nothing depends on the order in which reports of different nodes arrive. So two leaders of one term
are found however far apart they were reported. Memory is bounded: what is oldest is forgotten.

Not compared: what clients were told (that takes their history), and entries that no node has
applied. So a violation that no report shows is not found here.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

from launcher.control.divergence import Comparison
from launcher.control.naming import node_names
from launcher.folders.violations import Report, Violation
from launcher.supervisor.acknowledged import Acknowledged
from launcher.supervisor.commit_rule import Speaker, not_counted, not_its_own, said_of_commit
from node import wire
from node.raft.messages import NodeId

MOST_TERMS = 10_000
"""The newest terms of which leaders and committed entries are known."""

MOST_DIGESTS = 4096
"""The highest indexes at which digests are known."""

MOST_VIOLATIONS = 32
"""Further ones are not kept: as a rule they follow from those before."""

Kept: TypeAlias = tuple[int, NodeId | None]
"""A term, and the vote in it, that are durable at a node."""

_T = TypeVar("_T")


class Safety:
    """Everything that was compared, as far as it is remembered.

    violations: what was found, the first of each subject; those on record come first
    """

    def __init__(
        self, kept: Mapping[NodeId, Kept] | None = None, on_record: Iterable[Violation] = ()
    ) -> None:
        """kept: what each node's data is known to hold from before this supervisor started
        on_record: what was found before
        """
        self.violations = list(on_record)
        self._subjects = {one.subject for one in self.violations}
        self._before = dict(kept or {})
        self._nodes: dict[NodeId, _Node] = {}
        self._leaders: _ByTerm[_Leader] = _ByTerm()
        self._commits: _ByTerm[_Commit] = _ByTerm()
        self._entries: _ByTerm[_Entries] = _ByTerm()
        self._digests: dict[int, tuple[str, Report]] = {}
        self._acknowledged = Acknowledged()

    def see(
        self,
        node: NodeId,
        life: int,
        status: wire.Status,
        at: str,
        asked: int = 0,
        machines: Comparison | None = None,
    ) -> list[Violation]:
        """A node's report; what is found broken by it, and was not found before.

        life: the node's start, counted
        at: when it was heard, as in `Report`
        asked: the number of the last question that was put to the nodes before
        machines: which of them differ, this report included
        """
        saying = Speaker(node, life, at)
        found = [
            *self._compare_lives(saying, status),
            *self._compare_leaders(saying, status),
            *self._compare_counting(saying, status),
            *not_counted(saying, status),
            *self._compare_commits(saying, status),
            *self._compare_entries(saying, status),
            *self._compare_digests(saying, status),
            *self._acknowledged.see(saying, status, asked),
        ]
        self._nodes[node] = _Node(life, status, at)
        if machines is not None:
            found += _diverged(saying, machines, self._nodes)
        new = []
        for one in found:
            if one.subject not in self._subjects and len(self.violations) < MOST_VIOLATIONS:
                self._subjects.add(one.subject)
                self.violations.append(one)
                new.append(one)
        return new

    def forget(self, node: NodeId) -> None:
        """The node's data is gone on purpose: it owes nothing any more. What it said stays said."""
        self._nodes.pop(node, None)
        self._before.pop(node, None)
        self._acknowledged.forget(node)

    # -- one node --------------------------------------------------------------------------------

    def _compare_lives(self, saying: Speaker, status: wire.Status) -> Iterator[Violation]:
        """Against what the same node has said before."""
        last = self._nodes.get(saying.node)
        if last is not None and last.life == saying.life:
            yield from _gone_back(saying, status, last)
            return
        if last is not None:
            kept = last.status.kept_term, last.status.kept_vote
            before = Report(saying.node, last.life, last.at, _said_kept(kept))
        elif saying.node in self._before:
            kept = self._before[saying.node]
            before = Report(saying.node, 0, "before", _said_kept(kept))
        else:
            return
        yield from _forgotten(saying, status, kept, before)

    # -- who leads -------------------------------------------------------------------------------

    def _compare_leaders(self, saying: Speaker, status: wire.Status) -> Iterator[Violation]:
        term, leader = status.term, status.leader
        if leader is None or status.role not in ("leader", "follower", "learner"):
            return
        known = self._leaders.get(term)
        leads = leader == saying.node
        last_index = status.last_index if leads else None
        if known is None:
            report = saying(f"n{leader} leads term {term}")
            self._leaders.put(term, _Leader(leader, report, last_index, None))
        elif known.leader != leader:
            yield Violation(
                promise="election safety",
                subject=f"leaders of term {term}",
                found=f"{node_names(sorted({known.leader, leader}))} have both led term {term}",
                reports=[known.report, saying(f"n{leader} leads term {term}")],
            )
            return
        elif leads and (known.last_index is None or status.last_index < known.last_index):
            known.last_index = status.last_index
            known.report = saying(f"n{leader} leads term {term}")
        else:
            return
        if leads:
            yield from self._check_complete(saying, status)

    def _compare_counting(self, saying: Speaker, status: wire.Status) -> Iterator[Violation]:
        """Against what the same leader has said before in its term."""
        known = self._leaders.get(status.term)
        if status.role != "leader" or known is None or known.leader != saying.node:
            return
        if known.commit is None or status.commit_index < known.commit[0]:
            known.commit = (status.commit_index, saying(said_of_commit(status)))
        else:
            yield from not_its_own(saying, status, *known.commit)

    def _check_complete(self, saying: Speaker, status: wire.Status) -> Iterator[Violation]:
        """Against all that is known to be committed in the terms before this leader's."""
        for term in self._commits.terms:
            if term >= status.term:
                return
            commit = self._commits.get(term)
            if commit is not None and commit.index > status.last_index:
                yield _incomplete(
                    status.term, saying(_said_last(status)), status.last_index, commit
                )
                return

    # -- what is committed -----------------------------------------------------------------------

    def _compare_commits(self, saying: Speaker, status: wire.Status) -> Iterator[Violation]:
        """The leaders of later terms must have had all of it, however late this is heard."""
        term, index = status.term, status.commit_index
        known = self._commits.get(term)
        if index == 0 or (known is not None and known.index >= index):
            return
        commit = _Commit(index, saying(f"in term {term}, it knows {index} to be committed"))
        self._commits.put(term, commit)
        for later in reversed(self._leaders.terms):
            if later <= term:
                return
            leader = self._leaders.get(later)
            if leader is not None and leader.last_index is not None and leader.last_index < index:
                yield _incomplete(later, leader.report, leader.last_index, commit)
                return

    def _compare_entries(self, saying: Speaker, status: wire.Status) -> Iterator[Violation]:
        """Of each term the committed entries are known from the lowest index to the highest; no two
        terms overlap, and the later one is behind the earlier."""
        index, term = status.commit_index, status.commit_term
        if index == 0 or term == 0:
            return
        said = _Entry(index, term, saying(f"entry {index}, of term {term}, is committed"))
        other = self._out_of_order(said)
        if other is not None:
            nodes = node_names(sorted({other.report.node, saying.node}))
            same = f"{nodes} have committed entry {index} with the terms {other.term} and {term}"
            yield Violation(
                promise="state machine safety",
                subject=f"committed entries of terms {min(term, other.term)}, "
                f"{max(term, other.term)}",
                found=same
                if other.index == index
                else f"entry {other.index} is committed with term {other.term}, and entry {index} "
                f"with term {term}: no log holds both",
                reports=[other.report, said.report],
            )
            return
        known = self._entries.get(term)
        if known is None:
            self._entries.put(term, _Entries(said, said))
        elif index < known.first.index:
            known.first = said
        elif index > known.last.index:
            known.last = said

    def _out_of_order(self, said: _Entry) -> _Entry | None:
        """An entry that no log holds together with this one. Only the neighbouring terms are looked
        at: those that are known do not overlap."""
        terms = self._entries.terms
        place = bisect_left(terms, said.term)
        earlier = self._entries.get(terms[place - 1]) if place > 0 else None
        if earlier is not None and earlier.last.index >= said.index:
            return earlier.last
        after = place + (said.term in terms[place : place + 1])
        later = self._entries.get(terms[after]) if after < len(terms) else None
        if later is not None and later.first.index <= said.index:
            return later.first
        return None

    # -- what is applied -------------------------------------------------------------------------

    def _compare_digests(self, saying: Speaker, status: wire.Status) -> Iterator[Violation]:
        said = [(index, digest) for index, _, digest in status.digests]
        for index, digest in [*said, (status.applied_index, status.digest)]:
            if not digest:
                continue
            report = saying(f"the hash of the entries up to {index} is {digest}")
            known, before = self._digests.setdefault(index, (digest, report))
            if known != digest:
                nodes = sorted({before.node, saying.node})
                yield Violation(
                    promise="state machine safety",
                    subject=f"entries applied by {node_names(nodes)}",
                    found=f"{node_names(nodes)} have applied different entries up to {index}",
                    reports=[before, report],
                )
                break  # the hash is cumulative: it differs at all later indexes
        while len(self._digests) > MOST_DIGESTS:
            del self._digests[min(self._digests)]


# -- what is remembered --------------------------------------------------------------------------


@dataclass(slots=True)
class _Node:
    """What one node has said last, and when that was heard."""

    life: int
    status: wire.Status
    at: str


@dataclass(slots=True)
class _Leader:
    """Who leads a term.

    last_index, commit: the lowest last index, and the lowest commit index, that the leader has said
        itself; None: it has not yet
    """

    leader: NodeId
    report: Report
    last_index: int | None
    commit: tuple[int, Report] | None


@dataclass(slots=True)
class _Commit:
    """The highest index that any node has known, in some term of its own, to be committed."""

    index: int
    report: Report


@dataclass(slots=True)
class _Entry:
    """A committed entry."""

    index: int
    term: int
    report: Report


@dataclass(slots=True)
class _Entries:
    """The first and the last committed entry that is known of a term."""

    first: _Entry
    last: _Entry


class _ByTerm(Generic[_T]):
    """Something for each term, of the newest terms. terms: sorted"""

    def __init__(self) -> None:
        self.terms: list[int] = []
        self._of: dict[int, _T] = {}

    def get(self, term: int) -> _T | None:
        return self._of.get(term)

    def put(self, term: int, value: _T) -> None:
        if term not in self._of:
            insort(self.terms, term)
            if len(self.terms) > MOST_TERMS:
                oldest = self.terms.pop(0)
                self._of.pop(oldest, None)
                if term == oldest:
                    return
        self._of[term] = value


# -- what is wrong -------------------------------------------------------------------------------


def _gone_back(saying: Speaker, status: wire.Status, last: _Node) -> Iterator[Violation]:
    """Within one life."""
    before, node = last.status, f"n{saying.node}"
    earlier = Report(saying.node, last.life, last.at, _said(before))
    if status.term < before.term:
        yield Violation(
            promise="terms and commit indexes only rise",
            subject=f"term of {node}",
            found=f"{node} has gone back from term {before.term} to {status.term}",
            reports=[earlier, saying(_said(status))],
        )
    if status.commit_index < before.commit_index:
        yield Violation(
            promise="terms and commit indexes only rise",
            subject=f"commit index of {node}",
            found=f"the commit index of {node} has gone back from {before.commit_index} to "
            f"{status.commit_index}",
            reports=[earlier, saying(_said(status))],
        )
    same_term = status.term == before.term
    if same_term and before.voted_for not in (None, status.voted_for):
        yield _voted_again(saying, status, before.voted_for, earlier)


def _forgotten(
    saying: Speaker, status: wire.Status, kept: Kept, before: Report
) -> Iterator[Violation]:
    """Since an earlier life. kept: what was durable in it."""
    term, vote = kept
    if status.term < term:
        yield Violation(
            promise="terms and commit indexes only rise",
            subject=f"term of n{saying.node}",
            found=f"n{saying.node} has started again and gone back from term {term} to "
            f"{status.term}",
            reports=[before, saying(_said(status))],
        )
    elif status.term == term and vote not in (None, status.voted_for):
        yield _voted_again(saying, status, vote, before)


def _voted_again(
    saying: Speaker, status: wire.Status, vote: NodeId | None, before: Report
) -> Violation:
    node = f"n{saying.node}"
    now = "has forgotten it" if status.voted_for is None else f"now for n{status.voted_for}"
    return Violation(
        promise="one vote in each term",
        subject=f"votes of {node}",
        found=f"{node} has voted for n{vote} in term {status.term}, and {now}",
        reports=[before, saying(_said(status))],
    )


def _incomplete(term: int, leads: Report, last_index: int, commit: _Commit) -> Violation:
    return Violation(
        promise="leader completeness",
        subject=f"log of the leader of term {term}",
        found=f"n{leads.node} leads term {term} with a log that ends at {last_index}, and "
        f"{commit.index} was committed in an earlier term",
        reports=[commit.report, leads],
    )


def _diverged(
    saying: Speaker, machines: Comparison, nodes: Mapping[NodeId, _Node]
) -> Iterator[Violation]:
    """Machines that differ: of each kind only the first is a violation of its own, for with each
    report another node may look odd. `ps` shows the mark of each node."""
    for node, mark in machines.diverged.items():
        words = machines.words(mark.kind, mark.up_to)
        reports = []
        for one, value in sorted(words.items()):
            said = f"the hash of its machine's {mark.kind} up to entry {mark.up_to} is {value:08x}"
            last = nodes.get(one)
            speaker = saying if last is None else Speaker(one, last.life, last.at)
            reports.append(Report(one, speaker.life, speaker.at, said))
        first, last_index = mark.after + 1, mark.up_to
        where = f"entry {first}" if first == last_index else f"an entry in {first}..{last_index}"
        does = "answered differently" if mark.kind == "answers" else "come to different states"
        yield Violation(
            promise="machines compute the same",
            subject=f"{mark.kind} of machines",
            found=f"the machines of {node_names(sorted({node, *mark.others}))} have {does} "
            f"by {where}",
            reports=reports,
        )


def _said(status: wire.Status) -> str:
    vote = "nobody" if status.voted_for is None else f"n{status.voted_for}"
    return f"term {status.term}, vote for {vote}, commit index {status.commit_index}"


def _said_last(status: wire.Status) -> str:
    return f"it leads term {status.term}, and its log ends at {status.last_index}"


def _said_kept(kept: Kept) -> str:
    term, vote = kept
    said = "no vote" if vote is None else f"a vote for n{vote}"
    return f"its data holds term {term} and {said}"
