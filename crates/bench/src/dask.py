"""Dask's own local cluster, told what to run line by line.

`throughput N` maps a function that does nothing over N inputs and gathers the results, once with the
workers as processes and once as threads beside the scheduler; it answers with a line of JSON: the seconds
that the faster of the two took, from the submission to the last result.
"""

import json
import sys
import time

import dask
from distributed import Client, LocalCluster


def nothing(_):
    return None


def timed(client, tasks):
    begin = time.perf_counter()
    client.gather(client.map(nothing, range(tasks), pure=False))
    return time.perf_counter() - begin


def throughput(cores, tasks):
    kinds = [
        {"processes": True, "n_workers": cores, "threads_per_worker": 1},
        {"processes": False, "n_workers": 1, "threads_per_worker": cores},
    ]
    seconds = []
    for kind in kinds:
        with LocalCluster(dashboard_address=None, **kind) as cluster, Client(cluster) as client:
            timed(client, 100)
            seconds.append(timed(client, tasks))
    return min(seconds)


def main():
    # What it does beside the tasks, watching itself above all, is left out in its favour.
    dask.config.set(
        {
            "distributed.worker.profile.enabled": False,
            "distributed.diagnostics.nvml": False,
            "distributed.admin.system-monitor.interval": "10s",
            "distributed.scheduler.work-stealing": False,
        }
    )
    print("ready", flush=True)
    for line in sys.stdin:
        _, count = line.split()
        print(json.dumps([throughput(int(sys.argv[1]), int(count))]), flush=True)


if __name__ == "__main__":
    main()
