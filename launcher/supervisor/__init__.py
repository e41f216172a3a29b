"""The process that owns a cluster's processes: it starts them, ends them, and does what is asked.

Begin with `supervisor`, then `nodes` (how node processes start and end), `roster` (who belongs to
the cluster, and who leads), `questions` and `log_questions` (what nodes are asked), `operations`
(what each command does) and `membership` (changes of who votes).

It may import the launcher's folders, control and timeline, and all of `node` that a node process is
started with. It imports nothing of the client or the commands.
"""
