"""Bugs in sessions, at both ends: commands that take effect twice, answers that are another's."""

from __future__ import annotations

from launcher.client.session import Session
from node.machines import answers
from node.machines.sessions import Sessions
from node.server import settings
from node.server.applying import Applying
from tests.simulation.planted.form import Planted, edited
from tests.simulation.planted.properties import (
    CRASH,
    EXACTLY_ONCE,
    LINEARIZABILITY,
    LIVENESS,
    STATE_MACHINE_SAFETY,
)

FORKED = (EXACTLY_ONCE, LINEARIZABILITY, STATE_MACHINE_SAFETY)
"""Nodes differ in whose session they know: one applies what another does not."""

BUGS = [
    Planted(
        name="a command that is sent again is applied again",
        pitfall="Raft itself 11",
        story="The machine is handed whatever comes; the answer was lost, the client retries, and "
        "the command takes effect twice.",
        target=Sessions,
        attribute="apply",
        plant=edited(("if first == session.next:", "if first <= session.next:")),
        expected=(EXACTLY_ONCE,),
        within=10,
    ),
    Planted(
        name="a session is told by its connection's first request",
        pitfall="Raft itself 11",
        story="A request that begins with 1 begins a session, and the one there was is forgotten: "
        "a session's first commands are applied once for each time that they are sent.",
        target=Sessions,
        attribute="apply",
        plant=edited(("if session is None:", "if session is None or first == 1:")),
        expected=(EXACTLY_ONCE,),
        within=10,
    ),
    Planted(
        name="an answer is forgotten when the next request comes, not when it is acknowledged",
        pitfall="Raft itself 11",
        story="A retry finds that its command was applied, and nobody knows the answer any more.",
        target=Sessions,
        attribute="apply",
        plant=edited(
            (
                (
                    "if request.lowest_unanswered > session.lowest:\n"
                    "        self.kept_bytes -= session.forget_below(request.lowest_unanswered)"
                ),
                "if True:\n        session.forget_below(first + len(request.commands))",
            )
        ),
        expected=(EXACTLY_ONCE,),
        within=10,
    ),
    Planted(
        name="a gap in a session's numbers is not noticed",
        pitfall="Raft itself 11",
        story="A request was lost and the next one is applied: the lost one comes later, and is "
        "taken for what was applied already.",
        target=Sessions,
        attribute="apply",
        plant=edited(
            (
                "        return OutOfOrder(first, session.next)\n",
                (
                    "        session.next = first\n"
                    "        session.lowest = first\n"
                    "        session.runs.clear()\n"
                ),
            )
        ),
        expected=(EXACTLY_ONCE, LINEARIZABILITY, CRASH),
        within=60,
    ),
    Planted(
        name="a retry is answered with the place of the retry",
        pitfall="Raft itself 11",
        story="The first answer is given again with the index where the duplicate stands.",
        target=Sessions,
        attribute="_answer_again",
        plant=edited(
            (
                "answers += session.answered(kept_from, known_end)",
                (
                    "answers += [\n"
                    "            Answers(run.first_sequence, first_index, 0, run.results, [])\n"
                    "            for run in session.answered(kept_from, known_end)\n"
                    "        ]"
                ),
            )
        ),
        expected=(EXACTLY_ONCE,),
        within=10,
    ),
    Planted(
        name="a refused command is answered as if it had been taken",
        pitfall="",
        story="The machine's refusals are among the results, and nobody is told which they are.",
        target=answers,
        attribute="_apply_each",
        plant=edited(("            errors.append(len(results))\n", "")),
        expected=(LINEARIZABILITY, EXACTLY_ONCE),
        within=10,
    ),
    Planted(
        name="a client sends what is unanswered again under new numbers",
        pitfall="Raft itself 11",
        story="The retry is a new command to the cluster, and takes effect beside the first.",
        target=Session,
        attribute="frames",
        plant=edited(
            (
                "chunk.sends += 1\n",
                (
                    "chunk.sends += 1\n"
                    "        if chunk.sends > 1 and stop - start == 1:\n"
                    "            chunk.first_sequence = self._next_sequence\n"
                    "            self._next_sequence += len(chunk.commands)\n"
                ),
            )
        ),
        expected=(EXACTLY_ONCE, LINEARIZABILITY, LIVENESS),
        within=10,
    ),
    Planted(
        name="a client begins a new session whenever it connects anew",
        pitfall="Raft itself 11",
        story="The retry comes from somebody whom the cluster does not know: applied twice.",
        target=Session,
        attribute="frames",
        plant=edited(
            (
                "chunk.sends += 1\n",
                (
                    "chunk.sends += 1\n"
                    "        if chunk.sends > 1:\n"
                    "            self.client_id = self._new_client_id()\n"
                    "            self._next_sequence -= chunk.first_sequence - 1\n"
                    "            chunk.first_sequence = self.lowest_unanswered = 1\n"
                ),
            )
        ),
        expected=(EXACTLY_ONCE,),
        within=10,
    ),
    Planted(
        name="a client never acknowledges an answer",
        pitfall="",
        story="The lowest unanswered number stays 1, so the cluster keeps every answer for ever.",
        target=Session,
        attribute="_drop",
        plant=edited(("    self.lowest_unanswered += count\n", "")),
        expected=(EXACTLY_ONCE, LIVENESS, CRASH),
        within=60,
    ),
    Planted(
        name="a session ends by the node's own clock",
        pitfall="Raft itself 11",
        story="Each node measures with a clock of its own, and no two run alike: one still knows "
        "the session and applies its next command, and another does not.",
        target=Applying,
        attribute="_apply",
        plant=edited(
            (
                "self.sessions.advance(batch.time_us)",
                "self.sessions.advance(batch.time_us * (10 + self._config.node_id) // 10)",
            )
        ),
        expected=FORKED,
        within=60,
    ),
    Planted(
        name="a session ends as each life of a node is told anew",
        pitfall="Raft itself 11",
        story="The timeout is changed in the config between two starts: who has started since "
        "forgets earlier than who has not.",
        target=settings,
        attribute="sessions_of",
        plant=edited(
            ("round(config.session_timeout_s", "round(config.session_timeout_s / config.life")
        ),
        expected=(*FORKED, CRASH),
        within=60,
    ),
    Planted(
        name="a session that has ended is taken for a new one",
        pitfall="Raft itself 11",
        story="The retry of a session's first command comes when the session is forgotten, begins "
        "it anew, and is applied twice.",
        target=Sessions,
        attribute="apply",
        plant=edited((" or _begun_after(request.client_id) < self._floor", "")),
        expected=(EXACTLY_ONCE, LINEARIZABILITY),
        within=60,
    ),
    Planted(
        name="the snapshot forgets which session has been idle longest",
        pitfall="Raft itself 11, Found in the field 6",
        story="Who starts from it has the sessions in the order of their ids, and lets go of "
        "another one than the others do.",
        target=Sessions,
        attribute="snapshot",
        plant=edited(("in self._sessions.items()", "in sorted(self._sessions.items())")),
        expected=FORKED,
        within=60,
    ),
    Planted(
        name="the snapshot forgets when each session was last used",
        pitfall="Raft itself 11, Found in the field 6",
        story="Who starts from it takes all sessions for idle since ever, and forgets them.",
        target=Sessions,
        attribute="snapshot",
        plant=edited(("used = session.used_us, session.used_index", "used = 0, 0")),
        expected=FORKED,
        within=60,
    ),
]
