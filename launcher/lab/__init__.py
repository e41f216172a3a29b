"""The lab: load a cluster, break it by a seed, and say whether it kept its promises.

A run has clients that use a cluster, faults that break it meanwhile, and a verdict on what the
clients have seen. Each part can be used alone.

    history      the record of a run's operations: what each client asked for, when, what came of it
    workloads/   what clients do, and how a history is checked; pure
    clients/     processes that run a workload on a running cluster, and record it
"""
