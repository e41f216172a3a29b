"""One entry of the log: when it was committed, whose acknowledgement that took, and what delayed
it; or why it is not committed, or not on a node."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from launcher.evidence.why import faults
from launcher.evidence.why.cause import Cause, names, node_name, seconds, stated
from launcher.evidence.why.past import Past
from launcher.evidence.why.rules.leadership import ANSWERS, unheard_peer
from launcher.evidence.why.rules.silence import absence, lost_messages, silence
from launcher.evidence.why.things import NEVER, Happening, Message, on
from node.raft.membership import majority

APPENDING = "AppendEntries"


@dataclass
class _Copy:
    """How an entry reached one node, and how the leader learned of it.

    first: the first message with it to that node
    came: the first such message that arrived
    answered: the first answer by which the leader knew that the node's disk has it
    """

    node: int
    first: Message | None = None
    came: Message | None = None
    answered: Message | None = None


def entry(past: Past, index: int) -> Cause:
    """Why an entry was committed when it was; or why it is not committed."""
    proposed = _proposed(past, index)
    if proposed is None:
        return _never_sent(past, index)
    leader, term = proposed.source, proposed.term
    copies = [_copy(past, index, leader, peer, proposed) for peer in _voters(past, leader)]
    voters = len(copies) + 1
    needed = majority(tuple(range(voters))) - 1  # besides the leader's own
    acknowledged = sorted(
        (one for one in copies if one.answered is not None),
        key=lambda one: one.answered.arrived if one.answered else 0,
    )
    if needed and len(acknowledged) < needed:
        known = _known_committed(past, index)
        if known is None:
            return _uncommitted(past, index, proposed, copies, needed, voters)
        return _committed_later(past, index, proposed, known, copies)
    if not needed:
        return Cause(f"entry {index} needed no other node: {node_name(leader)} is the only voter")
    last = acknowledged[needed - 1]
    assert last.answered is not None, "it has acknowledged"
    took_ns = last.answered.arrived_ns - proposed.sent_ns
    said = (
        f"entry {index} was committed {seconds(took_ns)} after {node_name(leader)}, leader of term "
        f"{term}, first sent it: the acknowledgement of {node_name(last.node)} completed a "
        f"majority ({needed + 1} of {voters} voters)"
    )
    causes = [_legs(past, index, proposed, last)]
    causes += _not_before(past, leader, copies, last)
    elected = _elected(past, proposed)
    causes += [stated(elected, is_end=True)] if elected is not None else []
    return Cause(said, last.answered, tuple(causes), is_end=True)


# -- finding it ----------------------------------------------------------------------------------


def _proposed(past: Past, index: int) -> Message | None:
    """The first message with the entry, of the last leader that made an entry of this index.

    A leader also sends what was in its log when it was elected; that it has not made.
    """
    firsts: list[Message] = []
    for on_link in past.sent.values():
        terms: set[int] = set()
        for one in on_link:
            if one.type == APPENDING and one.term not in terms and _has(one, index):
                terms.add(one.term)
                firsts.append(one)
    made = [one for one in firsts if _made_by_its_sender(past, one, index)]
    if made:
        newest = max(one.term for one in made)
        return min((one for one in made if one.term == newest), key=lambda one: one.sent)
    return min(firsts, key=lambda one: one.sent, default=None)


def _made_by_its_sender(past: Past, message: Message, index: int) -> bool:
    elected = _elected(past, message)
    had = elected.number("last_index") if elected is not None else None
    return had is not None and elected is not None and elected.term == message.term and index > had


def _has(message: Message, index: int) -> bool:
    first, last = message.content.first, message.content.last
    return first is not None and last is not None and first <= index <= last


def _copy(past: Past, index: int, leader: int, peer: int, proposed: Message) -> _Copy:
    copy = _Copy(peer)
    for one in past.sent_between(leader, peer, proposed.sent - 1, past.end):
        if _has(one, index):
            copy.first = copy.first or one
            if one.arrived != NEVER and copy.came is None:
                copy.came = one
                break
    for one in past.arrivals_between(peer, leader, proposed.sent, past.end):
        counts = one.type in ANSWERS and not one.content.reject and one.term == one.heard_in
        if counts and (one.content.match or 0) >= index:
            copy.answered = one
            break
    return copy


def _voters(past: Past, leader: int) -> list[int]:
    """The voters besides the leader."""
    adopted = past.last(("configuration.adopted",), past.end)
    voters = adopted.numbers("voters") if adopted is not None else sorted(past.nodes)
    return [one for one in voters if one != leader]


def _known_committed(past: Past, index: int) -> Message | Happening | None:
    """The first sign that somebody knew the entry to be committed."""
    said = past.first(("commit.advanced",), NEVER, lambda one: one.event.commit >= index)
    signs: list[Message] = []
    for on_link in past.sent.values():
        sign = next((one for one in on_link if (one.content.commit or 0) >= index), None)
        if sign is not None:
            signs.append(sign)
    found: list[Message | Happening] = [*signs, *([said] if said is not None else [])]
    return min(found, key=lambda one: one.place, default=None)


def _elected(past: Past, proposed: Message) -> Happening | None:
    return past.last(("leader.elected",), proposed.sent, lambda one: one.node == proposed.source)


def _never_sent(past: Past, index: int) -> Cause:
    last = max(
        (one.content.last or 0 for on_link in past.sent.values() for one in on_link), default=0
    )
    known = _known_committed(past, index)
    if not past.has_messages:
        return Cause(f"nothing is known of entry {index} without messages", is_end=True)
    if known is not None:
        return Cause(
            f"entry {index} was sent before what is recorded begins; it was known to be committed "
            "when that began",
            is_end=True,
        )
    reach = f"the last entry that was sent is {last}" if last else "no entry was sent"
    return Cause(f"no leader has sent an entry {index} in what is recorded: {reach}", is_end=True)


# -- committed -----------------------------------------------------------------------------------


def _legs(past: Past, index: int, proposed: Message, copy: _Copy) -> Cause:
    """Where the time of the acknowledgement that counted went; the longest part first."""
    answered, came = copy.answered, copy.came
    assert answered is not None, "the acknowledgement counted"
    leader, peer = node_name(proposed.source), node_name(copy.node)
    there, back = f"n{proposed.source}>n{copy.node}", f"n{copy.node}>n{proposed.source}"
    if came is None:
        return Cause(f"{peer} had it by a snapshot or before what is recorded", answered)
    replied_ns = answered.sent_ns if answered.sent != NEVER else answered.arrived_ns
    parts = {
        "resent": came.sent_ns - proposed.sent_ns,
        "there": came.arrived_ns - came.sent_ns,
        "disk": replied_ns - came.arrived_ns,
        "back": answered.arrived_ns - replied_ns,
    }
    longest = max(parts, key=lambda part: parts[part])
    spent = seconds(parts[longest])
    match longest:
        case "resent":
            lost = [
                one
                for one in past.sent_between(
                    proposed.source, copy.node, proposed.sent - 1, came.sent
                )
                if _has(one, index) and one.lost
            ]
            because = (lost_messages(past, lost, came.sent),) if lost else ()
            said = (
                f"{spent} of these passed before {leader} sent it to {peer} in a message that "
                "arrived"
            )
            return Cause(said, came, because, is_end=True)
        case "there":
            said = f"for {spent} of these it was under way on the link {there}"
            return Cause(said, came, tuple(slowing(past, came)), is_end=True)
        case "back":
            said = f"for {spent} of these the acknowledgement was under way on the link {back}"
            return Cause(said, answered, tuple(slowing(past, answered)), is_end=True)
    said = f"{spent} of these {peer} took to write it to its disk and to acknowledge it"
    because_disk = tuple(_slow_disk(past, copy.node, came, answered))
    return Cause(said, answered, because_disk, is_end=True)


def slowing(past: Past, message: Message) -> Iterator[Cause]:
    """The fault that made a message late, if one did."""
    fault = faults.by_id(past, message.fault, message.arrived)
    if fault is None:
        kinds = frozenset({"slow-link", "delay", "rate", "hold", "links", "reorder", "flaky"})
        fault = _slow_link(past, message, kinds)
    if fault is not None:
        yield faults.cause(fault)
        return
    stopped = faults.hit(
        past, message.target, frozenset({"pause", "throttle"}), message.sent, message.arrived
    )
    if stopped is not None:
        yield faults.cause(stopped)


def _slow_link(past: Past, message: Message, kinds: frozenset[str]) -> Happening | None:
    link = (message.source, message.target)
    for fault in reversed(past.all(faults.INJECTED, message.arrived)):
        if fault.text("fault") in kinds and (
            link in faults.links_of(fault) or set(link) & set(fault.numbers("targets"))
        ):
            return fault
    return None


def _slow_disk(past: Past, node: int, came: Message, answered: Message) -> Iterator[Cause]:
    waited = past.last(
        ("disk.waited", "disk.recovered"),
        answered.arrived,
        on(node),
        after=came.arrived,
    )
    fault = faults.hit(past, node, faults.DISKS, came.sent, answered.arrived)
    stopped = faults.hit(past, node, frozenset({"pause", "throttle"}), came.sent, answered.arrived)
    if (struck := fault or stopped) is not None:
        yield faults.cause(struck)
    elif waited is not None:
        yield stated(waited, is_end=True)


def _not_before(past: Past, leader: int, copies: list[_Copy], last: _Copy) -> Iterator[Cause]:
    """Why those that might have completed the majority sooner had not acknowledged it."""
    assert last.answered is not None, "it has acknowledged"
    until = last.answered.arrived
    for copy in copies:
        answered = copy.answered
        if copy is last or (answered is not None and answered.arrived < until):
            continue
        yield _lacking(past, leader, copy, until)


def _lacking(past: Past, leader: int, copy: _Copy, until: int) -> Cause:
    peer = node_name(copy.node)
    came = copy.came is not None and copy.came.arrived <= until
    if came and copy.came is not None:
        said = f"{peer} had received it and not acknowledged it yet"
        causes = silence(past, leader, copy.node, copy.came.arrived, until)
        if not causes:
            disk = faults.hit(past, copy.node, faults.DISKS, copy.came.sent, until)
            causes = [faults.cause(disk)] if disk is not None else []
    else:
        said = f"{peer} had not received it"
        since = _last_arrived(past, leader, copy.node, until)
        causes = silence(past, copy.node, leader, since, until)
        causes = causes or unheard_peer(past, leader, copy.node, since, until)
    return Cause(said, copy.first, tuple(causes), is_end=True, place=_or_before(copy.first, until))


def _or_before(message: Message | None, until: int) -> int:
    return message.place if message is not None and message.place < until else until - 1


def _last_arrived(past: Past, source: int, target: int, until: int) -> int:
    last = past.last_arrival(source, target, until)
    return last.arrived if last is not None else NEVER


def _committed_later(
    past: Past, index: int, proposed: Message, known: Message | Happening, copies: list[_Copy]
) -> Cause:
    """Committed, but not by acknowledgements that this leader is on record to have received."""
    who = known.source if isinstance(known, Message) else known.node
    took = seconds(known.when_ns - proposed.sent_ns)
    said = (
        f"entry {index} is committed: {node_name(who)} knew it {took} after "
        f"{node_name(proposed.source)} had first sent it"
    )
    elected = past.last(("leader.elected",), known.place)
    causes = [stated(elected)] if elected is not None and elected.place > proposed.sent else []
    causes += [
        _lacking(past, proposed.source, one, known.place) for one in copies if one.answered is None
    ]
    return Cause(said, known, tuple(causes), is_end=True)


# -- not committed -------------------------------------------------------------------------------


def _uncommitted(
    past: Past, index: int, proposed: Message, copies: list[_Copy], needed: int, voters: int
) -> Cause:
    leader = proposed.source
    until = past.end
    have = [leader, *(one.node for one in copies if one.answered is not None)]
    gone = past.last(
        ("log.truncated",),
        until,
        lambda one: (one.number("first_index") or 0) <= index <= (one.number("last_index") or 0),
        after=proposed.sent,
    )
    causes: list[Cause] = []
    if gone is not None:
        causes.append(stated(gone))
    down = past.last(("leader.stepped_down",), until, on(leader), after=proposed.sent)
    if down is not None and gone is None:
        causes.append(stated(down))
    causes += [_lacking(past, leader, one, until) for one in copies if one.answered is None]
    said = (
        f"entry {index} is not committed: of {node_name(leader)}, leader of term {proposed.term}, "
        f"and its peers only {names(have)} {'is' if len(have) == 1 else 'are'} known to hold it, "
        f"and it takes {needed + 1} of {voters} voters"
    )
    return Cause(said, proposed, tuple(causes), is_end=True)


# -- a node that is behind -----------------------------------------------------------------------


def node_behind(past: Past, node: int) -> Cause:
    """Why a node does not catch up with its leader; or that it does."""
    elected = past.last(("leader.elected",), past.end)
    if elected is None:
        return Cause("no leader was elected in what is recorded", is_end=True)
    leader = elected.node
    if leader == node:
        return Cause(f"{node_name(node)} is the leader itself", elected)
    ends = [
        one.content.last
        for (source, _), on_link in past.sent.items()
        for one in on_link
        if source == leader and one.content.last is not None and one.sent > elected.place
    ]
    answer = past.last_arrival(
        node, leader, past.end, lambda one: one.type in ANSWERS and not one.content.reject
    )
    if not ends:
        absent = absence(past, node, past.end, past.end)
        why = [absent] if absent is not None else silence(past, node, leader, past.end, past.end)
        return Cause(
            f"no entry that the leader {node_name(leader)} has sent since it was elected is "
            f"recorded, so nothing says how far {node_name(node)} is behind",
            elected,
            tuple(why),
            is_end=True,
        )
    last, held = max(ends), (answer.content.match or 0) if answer is not None else 0
    if answer is not None and held >= last:
        return Cause(
            f"{node_name(node)} is not behind: it has acknowledged all entries up to {held}",
            answer,
            is_end=True,
        )
    sent = past.last_sent(leader, node, past.end)
    said = (
        f"{node_name(node)} is behind: the log of the leader {node_name(leader)} reaches entry "
        f"{last}"
    )
    said += (
        f", and it last acknowledged entry {held}"
        if answer is not None
        else (", and it has acknowledged nothing")
    )
    return Cause(said, sent or elected, tuple(_why_behind(past, leader, node, answer)), is_end=True)


def _why_behind(past: Past, leader: int, node: int, answer: Message | None) -> Iterator[Cause]:
    until = past.end
    heard = past.last_arrival(leader, node, until)
    since = heard.arrived if heard is not None else NEVER
    causes = silence(past, node, leader, since, until)
    if not causes:
        causes = unheard_peer(
            past, leader, node, answer.arrived if answer is not None else NEVER, until
        )
    stalled = past.last(("disk.stalled", "disk.recovered"), until, on(node))
    if stalled is not None and stalled.kind == "disk.stalled":
        causes = [stated(stalled)]
    elif not causes and (disk := faults.of_node(past, node, faults.DISKS, until)) is not None:
        causes = [faults.cause(disk)]
    sending = past.last(("snapshot.sending",), until, lambda one: one.number("peer") == node)
    if not causes and sending is not None:
        causes = [stated(sending)]
    yield from causes
