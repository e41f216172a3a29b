"""The lab: a cluster under load and under faults, and a verdict on what it did.

    folder      a run's folder: what is kept of a run, and for how long
    history     the record of a run's operations
    workloads/  what clients ask for, and what they must see (pure)
    clients/    processes that run a workload on a cluster
    chaos/      which faults come when, by seed (pure), and what injects them
    verdict/    judges a run by its folder alone
    trial/      `launcher test`: a cluster of its own, a workload, faults, and the verdict

`launcher workload` and `launcher chaos` act on a cluster that runs. `launcher test` starts one of
its own, within a run's folder, and takes it down. `launcher check` reads a run's folder.
"""
