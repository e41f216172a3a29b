"""Bugs in sessions, at both ends: commands that take effect twice, answers that are another's."""

from __future__ import annotations

from launcher.client.session import Session
from launcher.simulation.planted.form import Planted, edited
from launcher.simulation.planted.properties import (
    CRASH,
    EXACTLY_ONCE,
    LINEARIZABILITY,
    LIVENESS,
    STATE_MACHINE_SAFETY,
)
from node.machines import answers
from node.machines.sessions import Sessions
from node.server import settings
from node.server.applying import Applying

FORKED = (EXACTLY_ONCE, LINEARIZABILITY, STATE_MACHINE_SAFETY)
"""Nodes differ in whose session they know: one applies what another does not."""

BUGS = [
    Planted(
        key="retry-applied-again",
        name="a command that is sent again is applied again",
        pitfall="Raft itself 11",
        shows=EXACTLY_ONCE,
        story="The machine is handed every command that comes. The answer was lost, the client "
        "sends the command again, and it takes effect twice.",
        target=Sessions,
        attribute="apply",
        plant=edited(("if first == session.next:", "if first <= session.next:")),
        expected=(EXACTLY_ONCE,),
        within=10,
    ),
    Planted(
        key="session-by-first-request",
        name="a session is recognised by its connection's first request",
        pitfall="Raft itself 11",
        shows=EXACTLY_ONCE,
        story="A request that begins with number 1 begins a new session, and the existing one is "
        "forgotten. So the first commands of a session are applied each time that they are "
        "sent.",
        target=Sessions,
        attribute="apply",
        plant=edited(("if session is None:", "if session is None or first == 1:")),
        expected=(EXACTLY_ONCE,),
        within=10,
    ),
    Planted(
        key="answer-forgotten-early",
        name="an answer is forgotten when the next request comes, not when it is acknowledged",
        pitfall="Raft itself 11",
        shows=EXACTLY_ONCE,
        story="The client sends a command again. The cluster knows that it was applied, and no "
        "longer knows the answer.",
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
        key="gap-not-noticed",
        name="a gap in a session's numbers is not noticed",
        pitfall="Raft itself 11",
        shows=EXACTLY_ONCE,
        story="A request is lost and the next one is applied. The lost one comes later, and is "
        "taken for one that was applied already.",
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
        key="retry-answered-with-own-place",
        name="a retry is answered with the place of the retry",
        pitfall="Raft itself 11",
        shows=EXACTLY_ONCE,
        story="The first answer is given again, with the index of the duplicate.",
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
        key="refusal-answered-as-success",
        name="a refused command is answered as if it had been taken",
        pitfall="",
        shows=LINEARIZABILITY,
        story="The refusals of the machine are among the results, and clients are not told which "
        "they are.",
        target=answers,
        attribute="_apply_each",
        plant=edited(("            errors.append(len(results))\n", "")),
        expected=(LINEARIZABILITY, EXACTLY_ONCE),
        within=10,
    ),
    Planted(
        key="retry-under-new-number",
        name="a client sends what is unanswered again under new numbers",
        pitfall="Raft itself 11",
        shows=EXACTLY_ONCE,
        story="For the cluster the retry is a new command, and it takes effect beside the first.",
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
        key="session-per-connection",
        name="a client begins a new session whenever it connects anew",
        pitfall="Raft itself 11",
        shows=EXACTLY_ONCE,
        story="For the cluster the retry comes from an unknown client, so the command is applied "
        "twice.",
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
        key="answers-never-acknowledged",
        name="a client never acknowledges an answer",
        pitfall="",
        shows=LIVENESS,
        story="The lowest unanswered number stays 1, so the cluster keeps every answer for ever.",
        target=Session,
        attribute="_drop",
        plant=edited(("    self.lowest_unanswered += count\n", "")),
        expected=(EXACTLY_ONCE, LIVENESS, CRASH),
        within=60,
    ),
    Planted(
        key="session-ends-by-own-clock",
        name="a session ends by the node's own clock",
        pitfall="Raft itself 11",
        shows=LINEARIZABILITY,
        story="Each node measures with its own clock, and no two clocks run alike. One node still "
        "knows the session and applies its next command, and another does not.",
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
        key="session-timeout-per-life",
        name="each life of a node has another timeout for sessions",
        pitfall="Raft itself 11",
        shows=CRASH,
        story="The timeout in the configuration changes between two starts. A node that has "
        "started since then forgets sessions earlier than the others.",
        target=settings,
        attribute="sessions_of",
        plant=edited(
            ("round(config.session_timeout_s", "round(config.session_timeout_s / config.life")
        ),
        expected=(*FORKED, CRASH),
        within=60,
    ),
    Planted(
        key="ended-session-is-new",
        name="a session that has ended is taken for a new one",
        pitfall="Raft itself 11",
        shows=EXACTLY_ONCE,
        story="The cluster has forgotten the session. The retry of its first command begins it "
        "anew, and is applied twice.",
        target=Sessions,
        attribute="apply",
        plant=edited((" or _begun_after(request.client_id) < self._floor", "")),
        expected=(EXACTLY_ONCE, LINEARIZABILITY),
        within=60,
    ),
    Planted(
        key="snapshot-without-session-order",
        name="the snapshot forgets which session has been idle longest",
        pitfall="Raft itself 11, Found in the field 6",
        shows=EXACTLY_ONCE,
        story="A node that starts from the snapshot has the sessions in the order of their ids, "
        "and ends another one than the other nodes do.",
        target=Sessions,
        attribute="snapshot",
        plant=edited(("in self._sessions.items()", "in sorted(self._sessions.items())")),
        expected=FORKED,
        within=60,
    ),
    Planted(
        key="snapshot-without-session-times",
        name="the snapshot forgets when each session was last used",
        pitfall="Raft itself 11, Found in the field 6",
        shows=EXACTLY_ONCE,
        story="A node that starts from the snapshot believes that all sessions have been idle for "
        "ever, and ends them.",
        target=Sessions,
        attribute="snapshot",
        plant=edited(("used = session.used_us, session.used_index", "used = 0, 0")),
        expected=FORKED,
        within=60,
    ),
]
