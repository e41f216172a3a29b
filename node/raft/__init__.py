"""The Raft protocol: how servers that may crash agree on one log.

A cluster is a few servers, three or five as a rule. Clients give it commands, and every server is
to run the same commands in the same order, so that all hold the same state. Servers crash and come
back with what is on their disks; messages are lost, delayed, doubled and reordered; a part of the
network is cut off from the rest. While a majority of the servers is up and connected, the cluster
answers, and it never takes back what it has answered.

What follows cites "In Search of an Understandable Consensus Algorithm" (Ongaro and Ousterhout, the
extended version) by section, and Ongaro's thesis where that is said.

How it works
============

*One leader at a time* (§5.1, §5.2). Time is divided into terms, numbered from 1. A term begins with
an election, and has one leader or none. A server is a follower until it has heard no leader for an
election timeout, which is drawn at random; then it asks the others for their votes, and leads with
those of a majority. Each server votes once a term, and two majorities share a server, so no term
has two leaders. Every message bears its sender's term: whoever sees a later one enters it and
follows. Before a server begins a term it asks whether it would be elected, the pre-vote (thesis
§9.6), and a server that hears a leader says no (thesis §4.2.3): a server that was cut off cannot
depose a leader that the others hear.

*One log* (§5.3). The leader alone takes commands. It appends them to its log and sends each
follower what that lacks, with the index and term of the entry before. A follower that does not hold
this entry refuses, and the leader goes back until the logs agree; from there on it overwrites what
is different in the follower's log. So two logs that agree on an entry agree on all before it.

*Commitment* (§5.3, §5.4). An entry is committed once a majority holds it on disk. From then on it
is in the log of every leader to come: a server does not vote for a candidate whose log is behind
its own, and one of any majority of voters holds the entry (§5.4.1). A leader commits an entry of an
earlier term only together with one of its own, because an older entry that a majority holds may
still be overwritten (§5.4.2, Figure 8); so a new leader begins with an entry that does nothing.
Committed entries are applied to the state machine in order.

*The rest.* A log that has grown long is cut behind a snapshot of the state, which a follower that
is far behind is sent in its place (§7). Servers join and leave while the cluster works: for a while
a majority of the old ones and one of the new ones is needed for everything (§6). Reads need no
entry: the leader proves with one round of heartbeats that it still leads (§8, thesis §6.4), or with
a lease if clocks are trusted (thesis §6.4.1). A leader can name its successor (thesis §3.10).

Which module does what
======================

Each imports only from those above it, and none does anything to the outside: no clock, no disk, no
network, no randomness of its own.

    messages.py         the RPCs (Figure 2), and what a log is made of: batches of entries
    log.py              the log above the snapshot, and where two logs agree (§5.3)
    membership.py       who votes, and what a majority is, also of two sets at once (§5.2, §6)
    settings.py         timeouts, and bounds on memory and messages
    progress.py         what a leader believes of a peer: probe, replicate, snapshot (§5.3)
    ready.py            what the caller is told to do, and in which order
    streaks.py          what repeats in elections, counted for the event log
    state.py            one server's state: Figure 2's variables, timers, messages to be sent
    lease.py            reads without a round (thesis §6.4.1)
    roles.py            follower, pre-candidate, candidate, leader: all transitions (Figure 4)
    election.py         timeouts, votes and pre-votes (§5.2, §5.4.1, thesis §9.6)
    reconfiguration.py  membership changes, by joint consensus (§6, thesis §4)
    snapshot.py         cutting the log, and sending what was cut off (§7)
    replication.py      AppendEntries, its replies, and what is committed (§5.3, §5.4.2)
    reads.py            linearizable reads by leader and followers (§8, thesis §6.4)
    transfer.py         a leader hands over (thesis §3.10)
    stall.py            a leader whose disk hangs gives way
    pace.py             other timers while the server runs, and an election by command
    sanity.py           messages that no correct peer sends
    raft.py             the door: one server, and every call that there is
    invariants.py       what must hold after every step, for tests and the simulated world

How things flow
===============

`raft.py: Raft` has one method for each thing that can happen. Each changes the state and queues
messages; then the caller takes `Raft.ready()` and does what it says (`ready.py`).

*A message arrives*: `Raft.step`. `sanity.check` refuses what makes no sense. A later term is
entered, as a follower; a request of an earlier term is refused with the current one, and a reply of
an earlier term is dropped. What is left is of this term, and goes to the module of its kind. An
AppendEntries, say, makes this server follow its sender and restarts the election timer; then
`replication.on_append_entries` compares logs, takes what is missing, raises the commit index as far
as the message vouches, and queues the reply to be sent when the entries are on disk.

*Time passes*: `Raft.elapse`, at the moment that `Raft.deadline` names. A follower or candidate
whose election timeout is over campaigns (`election.on_election_timeout`). A leader that has not
heard a majority for the longest election timeout steps down; any other sends the heartbeats that
are due. They begin a new *round*, and replies to it prove that the leader still led when it began.

*A client proposes*: `Raft.propose`, at the leader. `replication.append` puts the commands into the
log as one batch. The next `ready()` sends the batch to every peer that is in mode REPLICATE, and
hands it out to be written to this server's own disk, at the same time.

*A write is finished*: `Raft.persisted`. Only now does a leader count itself for the entries, or a
candidate its own vote. At a follower the replies that waited for the write are sent; at the leader
they reach `replication.on_append_entries_reply`, which raises the peer's `match_index` and commits
what a majority holds. The next `ready()` hands the committed batches out to be applied, and the
next message to each follower tells it of the commit.

*A client reads*: `Raft.read`. The next `ready()` begins a round; when a majority has replied,
another `ready()` names the read, and the index that must be applied before it is served.

What is kept
============

Nothing leaves a server that a crash could take back: a message which tells of a term, a vote or an
entry waits until that is on disk. And at every moment, on every server:

- the term only rises, and within a term a vote once cast stays;
- base of the log <= last applied <= commit index <= end of the log; the first three never fall;
- on disk <= handed out to be written <= end of the log;
- no entry at or below the commit index is ever replaced, and a leader replaces none at all;
- a leader's commit index moves only to an entry of its own term;
- match_index < next_index <= one past the end of the log, for each peer;
- what is in flight to a peer, and the uncommitted tail, are within their limits.

Across all servers the five properties of Figure 3 hold: Election Safety, Leader Append-Only, Log
Matching, Leader Completeness, State Machine Safety. `invariants.py` checks all of this, and the
simulated world does so after every step (docs/SIMULATION.md).

What this core does not do
==========================

- It defends against crashes and a bad network, not against servers that lie. `sanity.py` skips
  messages that make no sense, so that a bug elsewhere does not end this server; no more.
- It stores, sends and applies nothing, and knows no time: the caller does
  (`node/server/server.py`).
- It does not know what a command means, and does not notice one that is proposed twice: sessions
  belong to the state machine (`node/machines/sessions.py`).
- A follower does not forward proposals: it names the leader, and the client goes there. Nor does
  the core gather proposals into batches: one call is one batch.
- Nobody is a member for good without a vote: a learner votes as soon as it has caught up. There are
  no witnesses, which vote and keep no log, and no priorities among candidates.
- Entries come from the leader, and snapshots too, one chunk at a time for each peer; followers do
  not help each other.
- Heartbeats never rest, however idle the cluster is; and one instance is one log: several logs on
  the same servers would not share heartbeats.
"""
