"""The table of sentences: what each event says in words.

Each event that is emitted anywhere has a row here, and each row is of an event that is emitted: a
test compares the two (`tests/launcher/timeline/test_sentences.py`).
"""

from __future__ import annotations

from launcher.timeline.fault_sentences import FAULT_SENTENCES

_UNSAID = "{pre_vote:unsaid}{for_term:unsaid}{reason:unsaid}{count:times}"
_LOG_BEHIND = (
    ": the log of {candidate:node} is behind; it ends with entry {candidate_index} of term "
    "{candidate_term}, and that of {node:node} with entry {last_index} of term {last_term}"
    + _UNSAID
)
"""What refusals of votes have in common."""

SENTENCES: dict[str, tuple[str, ...]] = {
    "node.started": ("{node:node} started: its process is number {life} of this node",),
    "node.recovered": (
        "{node:node} read its log from disk; it ends with entry {last_index} of term {last_term}",
        "{node:node} read its log from disk",
    ),
    "snapshot.begun": ("{node:node} begins to write a snapshot of its state after entry {index}",),
    "snapshot.taken": (
        "{node:node} has written a snapshot of its state after entry {index}: {bytes} bytes",
    ),
    "log.not_prepared": (
        "{node:node} could not prepare the next file of its log, and will try again: {reason}",
    ),
    "snapshot.failed": ("{node:node} could not write a snapshot: {reason}",),
    "snapshot.sending": (
        (
            "{node:node} sends {peer:node} its snapshot, because the entries up to {index} that "
            "{peer:node} lacks are no longer in its log ({bytes} bytes)"
        ),
    ),
    "snapshot.sent": ("{node:node} has sent {peer:node} all of its snapshot, of entry {index}",),
    "snapshot.resumed": (
        "{node:node} resumes sending {peer:node} its snapshot, of entry {index}, at byte {offset}",
    ),
    "snapshot.installed": (
        (
            "{node:node} replaced its state and its log by a snapshot of entry {index}, which the "
            "leader sent ({bytes} bytes)"
        ),
    ),
    "snapshot.rejected": ("{node:node} refused the snapshot that {peer:node} sent: {reason}",),
    "snapshot.damaged": (
        "{node:node} does not use its snapshot {file}, which is damaged: {reason}",
    ),
    "snapshot.not_canonical": (
        (
            "the machine {machine} wrote other bytes after restoring its snapshot of entry "
            "{index}: its restore loses something, or equal states give different bytes; so the "
            "states of the nodes are not compared"
        ),
    ),
    "machine.failed": ("{node:node} stops, because its machine failed: {reason}",),
    "machine.slow": ("the machine of {node:node} is slow ({count} times): {reason}",),
    "machine.other_code": (
        "{target:node} runs other code for the machine {machine} than the other nodes",
    ),
    "query.failed": ("{count} queries failed at {node:node}; the last: {reason}",),
    "node.diverged": (
        (
            "{odd:true}{target:node} DIVERGED from {others:nodes} in the entries {first_index} to "
            "{last_index}: {kind}"
        ),
        (
            "{odd:false}{target:node} and {others:nodes} DIFFER in the entries {first_index} to "
            "{last_index}: {kind}"
        ),
    ),
    "divergence.ended": ("{target:node} no longer differs from the other nodes",),
    "node.ready": (
        "{node:node} is ready to take part, and runs the machine {machine}",
        "{node:node} is ready to take part",
    ),
    "node.stopped": ("{node:node} stopped: {reason}", "{node:node} stopped"),
    "node.failed": ("{target:node} failed: {reason}", "{node:node} failed: {reason}"),
    "log.torn_tail_dropped": (
        "{node:node} removed a half-written record from the end of its log: {reason}",
        "{node:node} removed a half-written record from the end of its log",
    ),
    "log.truncated": (
        (
            "{node:node} removed its entries {first_index} to {last_index}, which were never "
            "committed: the leader's log has other entries there"
        ),
        "{node:node} removed entries that were never committed and that the leader does not have",
    ),
    "log.lost": (
        "the event log {file} has {lines} broken lines, which were skipped",
        "{node:node} could not write {lines} lines of its event log",
    ),
    "setting.changed": ("{setting} is changed from {before} to {after} on all nodes",),
    "settings.adopted": ("{node:node} works with the changed settings",),
    "election.timed_out": ("{node:node} was told that its election timer has fired",),
    "drop.asked": (
        "on {links:links} the next {count} of type {type} are to be lost",
        "on {links:links} the next {type} is to be lost",
    ),
    "message.dropped": ("{type} from {from:node} to {to:node} was lost, as `drop` has asked",),
    "election.started": (
        (
            "{pre_vote:true}{node:node} asks again whether it would be elected in term {for_term} "
            "(attempt {attempt}). {lost_pre_vote:last}{yes:yes}{no:no}{silent:silent}; it takes "
            "{needs} of {of} votes, and its own is one{reason:unsaid}{silent_s:unsaid}"
        ),
        (
            "{pre_vote:true}{node:node} asks again whether it would be elected in term {for_term} "
            "(attempt {attempt}). {lost_pre_vote:last}{yes:yes}{no:no}{silent:silent}"
            "{reason:unsaid}{silent_s:unsaid}"
        ),
        (
            "{pre_vote:true}{node:node} asks whether it would be elected in term {for_term}: it "
            "has heard no leader for {silent_s} s{reason:unsaid}"
        ),
        "{pre_vote:true}{node:node} asks whether it would be elected in term {for_term}: {reason}",
        "{pre_vote:true}{node:node} asks whether it would be elected in term {for_term}",
        "{pre_vote:true}{node:node} asks whether it would be elected",
        (
            "{pre_vote:false}{node:node} asks for votes in term {for_term}: with {promised:others} "
            "it would have a majority"
        ),
        (
            "{pre_vote:false}{node:node} asks for votes in term {for_term}: its own is a majority"
            "{promised:only}"
        ),
        (
            "{pre_vote:false}{node:node} asks for votes in term {for_term} (attempt {attempt}). "
            "{lost_pre_vote:last}{yes:yes}{no:no}{silent:silent}; it takes {needs} of {of} votes, "
            "and its own is one{reason:unsaid}{silent_s:unsaid}"
        ),
        (
            "{pre_vote:false}{node:node} asks for votes in term {for_term} (attempt {attempt}). "
            "{lost_pre_vote:last}{yes:yes}{no:no}{silent:silent}{reason:unsaid}{silent_s:unsaid}"
        ),
        (
            "{pre_vote:false}{node:node} asks for votes in term {for_term}: it has heard no leader "
            "for {silent_s} s{reason:unsaid}"
        ),
        "{pre_vote:false}{node:node} asks for votes in term {for_term}: {reason}",
        "{pre_vote:false}{node:node} asks for votes in term {for_term}",
        "{node:node} asks for votes in term {term}",
    ),
    "prevote.granted": (
        "{node:node} would vote for {candidate:node} in term {for_term}",
        "{node:node} would vote for {candidate:node}",
    ),
    "prevote.denied": (
        "{node:node} would not vote for {candidate:node}" + _LOG_BEHIND,
        "{node:node} would not vote for {candidate:node} in term {for_term}: it is in term {term} "
        "already, so {candidate:node} must ask for a later one" + _UNSAID,
        "{node:node} would not vote for {candidate:node}",
    ),
    "vote.granted": ("{node:node} voted for {candidate:node} in term {term}",),
    "vote.denied": (
        "{ignored:true}{node:node} ignored {candidate:node}, which asks for its vote in term "
        "{for_term}: {leader:heard}" + _UNSAID,
        "{pre_vote:true}{node:node} would not vote for {candidate:node}: {leader:heard}" + _UNSAID,
        "{pre_vote:true}{node:node} would not vote for {candidate:node} in term {for_term}: "
        "{reason}" + _UNSAID,
        "{node:node} refused {candidate:node} its vote" + _LOG_BEHIND,
        "{node:node} refused {candidate:node} its vote: it has voted for {voted_for:self} in term "
        "{term}" + _UNSAID,
        "{node:node} refused {candidate:node} its vote: {leader:heard}" + _UNSAID,
        "{node:node} refused {candidate:node} its vote in term {for_term}: {reason}" + _UNSAID,
        "{node:node} refused {candidate:node} its vote: {reason}",
        "{node:node} refused {candidate:node} its vote",
    ),
    "configuration.adopted": (
        (
            "{node:node}: the membership changes; until that is done a majority of the old voters "
            "{outgoing:nodes} and one of the new voters {voters:nodes} is needed{learners:none}"
        ),
        (
            "{node:node}: the membership changes; until that is done a majority of the old voters "
            "{outgoing:nodes} and one of the new voters {voters:nodes} is needed; {learners:nodes} "
            "learn the log"
        ),
        (
            "{node:node}: the voters are {voters:nodes}, and {learners:nodes} learn the log"
            "{outgoing:none}"
        ),
        "{node:node}: the voters are {voters:nodes}{outgoing:none}{learners:none}",
    ),
    "node.renewed": (
        "the data of {target:node} was removed; it will get the log again from the other nodes",
    ),
    "change.begun": ("the membership change begins: {kind} {targets:nodes}",),
    "change.resumed": (
        "the membership change that was interrupted continues: {kind} {targets:nodes}",
    ),
    "change.given_up": ("the membership change is cancelled: {kind} {targets:nodes}",),
    "change.undone": ("the membership change is undone: {kind} {targets:nodes}, because {reason}",),
    "change.done": ("the membership change is done: {kind} {targets:nodes}",),
    "leader.elected": (
        "{node:node} became leader of term {term} with votes from {votes:others}",
        "{node:node} became leader of term {term}",
    ),
    "leader.stepped_down": (
        (
            "{node:node} stepped down: in the last {in_s} s it has heard only {heard:nodes}, so "
            "{has} of {of} voters with itself, and a leader needs {needs}{reason:unsaid}"
        ),
        (
            "{node:node} stepped down: in the last {in_s} s it has heard no other node, and a "
            "leader needs {needs} of {of} voters, itself included"
            "{heard:none}{has:unsaid}{reason:unsaid}"
        ),
        "{node:node} stepped down: {by:node} has told it that {reason}",
        "{node:node} stepped down: {reason}{heard:unsaid}{in_s:unsaid}",
        "{node:node} stepped down: {reason}",
        "{node:node} stepped down",
    ),
    "transfer.started": ("{node:node} begins to hand leadership over to {target:node}",),
    "transfer.received": ("{leader:node}, the leader, has asked {node:node} to become leader",),
    "transfer.done": ("{node:node} has handed leadership over to {target:node}",),
    "transfer.aborted": (
        "{node:node} could not hand leadership over to {target:node}: {reason}",
        "{node:node} could not hand leadership over",
    ),
    "disk.stalled": (
        "the disk of {node:node} hangs: a write has taken {for_s} s so far",
        "the disk of {node:node} hangs",
    ),
    "disk.recovered": ("the disk of {node:node} no longer hangs",),
    "leader.heard": (
        "{node:node} follows {leader:node}, the leader of term {term}{attempts:attempts}",
    ),
    "term.advanced": (
        "{node:node} moved from term {previous} to term {term}: {by:node} has told it of that term",
        "{node:node} moved from term {previous} to term {term}",
        "{node:node} moved to term {term}",
    ),
    "commit.advanced": ("{node:node} knows that all entries up to {commit} are committed",),
    "frame.skipped": (
        "{node:node} skipped {count} invalid messages of other nodes; the last: {reason}",
        "{node:node} skipped invalid messages of other nodes",
    ),
    "sockets.renewed": ("the supervisor's sockets were removed; it has made new ones in {folder}",),
    "sockets.missing": (
        "the supervisor's sockets were removed, and it cannot make new ones: {reason}",
    ),
    "socket.failed": (
        "the socket of {node:node} for clients was removed, and it cannot make a new one: {reason}",
    ),
    "link.renewed": ("the link between {targets:nodes} was broken; it was replaced by a new one",),
    "link.opened": ("{node:node} has a link to {peer:node}",),
    "link.closed": (
        "{node:node} lost its link to {peer:node}: {reason}",
        "{node:node} lost its link to {peer:node}",
    ),
    "message.sent": (
        "{node:node} sends {to:node}: {said}",
        "{node:node} sends {to:node} {type}",
    ),
    "message.received": (
        "{node:node} receives from {from:node}: {said}",
        "{node:node} receives {type} from {from:node}",
    ),
    "message.lost": (
        "{type} from {from:node} to {to:node} is lost at {node:node}: {why}",
        "a message from {from:node} to {to:node} is lost at {node:node}: {why}",
    ),
    "message.held": ("{type} from {node:node} to {to:node} is held",),
    "message.delayed": ("{type} from {node:node} to {to:node} leaves {delay_s} s later",),
    "message.duplicated": ("{type} from {node:node} to {to:node} is sent twice",),
    "entries.proposed": ("{node:node} appends entries to its log, as the leader",),
    "timer.fired": ("the {which} timer of {node:node} has fired",),
    "disk.waited": ("{node:node} has waited {seconds} s for its disk: {what}",),
    "command.received": ("{node:node} is told by the supervisor: {what}",),
    "tap.ordered": ("{targets:nodes} are to record their messages: {mode}",),
    "page.runs": ("on the page somebody runs {line}",),
    "tap.missed": (
        "{segments} files of {node:node}'s messages were overwritten before they were read",
    ),
    "tap.failed": ("{node:node} does not record its messages any more: {reason}",),
    "applied.digest": (
        "{node:node} has applied all entries up to {index}; their hash is {digest}",
    ),
    "client.dropped": ("{node:node} closed the connection of a client: {reason}",),
    "entries.skipped": (
        (
            "{node:node} SKIPPED the entries {first_index} to {last_index}: they are no valid "
            "requests: "
            "{reason}"
        ),
    ),
    "client.refused": (
        "{node:node} refused {count} requests of clients; the last: {reason}",
        "{node:node} refused a client: {reason}",
        "{node:node} refused a client",
    ),
    "supervisor.started": ("the supervisor of {nodes} nodes started", "the supervisor started"),
    "supervisor.stopping": ("the cluster is being stopped: {reason}",),
    "supervisor.stopped": ("the cluster is stopped: {reason}",),
    "timeline.lagging": ("the timeline lacks the last events, and will have them later: {reason}",),
    "record.damaged": ("{what}",),
    "record.failed": ("the supervisor could not write its record of the nodes: {reason}",),
    "cluster.healed": ("cleaned up after an earlier run: {what}",),
    "node.spawned": ("{target:node} was started, as process {pid}", "{target:node} was started"),
    "node.exited": (
        "{target:node} exited with status {status}: {reason}",
        "{target:node} exited with status {status}",
        "{target:node} ended: {reason}",
    ),
    "restart.scheduled": ("{target:node} will be restarted in {in_s} s",),
    "faults.stopped": ("from here on there are no more faults",),
    "transfer.asked": (
        "the leader {leader:node} is asked to hand leadership over to {target:node}",
    ),
    "leader.killed": (
        "{leader:node} leads, and is killed; {hasty:node} asks for votes all the time",
    ),
    "disk.hung": ("{leader:node} leads, and its disk hangs from here on",),
    "leader.deafened": ("{leader:node} leads, and hears nobody from here on",),
    "follower.deafened": ("{follower:node} does not hear the leader from here on",),
    "trace.begun": ("the trace of a simulated run begins, in format {format}",),
    "property.broken": ("{property} IS BROKEN: {belief}",),
    "state.changed": ("the state of {node:node} has changed",),
    "world.changed": ("links, processes or disks have changed",),
    "safety.violated": (
        "SAFETY IS VIOLATED ({promise}): {found}",
        "STATE MACHINE SAFETY IS BROKEN: {nodes:nodes} applied different entries up to {index}",
        "STATE MACHINE SAFETY IS BROKEN at entry {index}",
    ),
    **FAULT_SENTENCES,
}
"""What happened, in words; of several the first whose fields the event has. After the colon stands
how a field is said; `true` and `false` say nothing and only choose."""
