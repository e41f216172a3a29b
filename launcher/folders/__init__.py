"""The folders of a cluster: what is on record there, whose they are, and who runs on them.

`lock` says who runs on a data folder and keeps others out, `supervisor_file` where its supervisor
is to be found, and `healing` cleans up after one that died. `ownership` decides what belongs to
which data folder; `records`, `sealed` and `lives` hold what is written down about the cluster and
its nodes; `recovery` and `emptying` remove data; `private` keeps other users out; `runtime` and
`runtime_files` are the folder of the sockets, and `process_identity` tells a process from a later
one of the same number.

It may import the launcher's config and errors, and what a node's data looks like (`node.storage`,
`node.raft`).
"""
