"""Real clients for a cluster: processes that run a workload, and a process that checks it.

    plan         what a run is asked to do, and what its processes tell each other
    running      runs a workload on a running cluster (the launcher's side)
    crew         the process that loads the workload and forks the clients
    performing   one client's operations: recorded, sent, recorded again
    pace         when operations are due; pure
    users_code   calls a workload that may raise, hang or return nonsense
    children     a process of the lab: started, listened to, ended for certain
    judging      has the workload's check judge the history
    summary      counts, rates and latencies of a history; pure

The launcher itself never loads a user's workload.
"""

from launcher.lab.clients.judging import judge
from launcher.lab.clients.plan import Plan, check_plan, kept_plan
from launcher.lab.clients.running import Ran, Tally, machine_of, run
from launcher.lab.clients.summary import Summary, summarise

__all__ = [
    "Plan",
    "Ran",
    "Summary",
    "Tally",
    "check_plan",
    "judge",
    "kept_plan",
    "machine_of",
    "run",
    "summarise",
]
