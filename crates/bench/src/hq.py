"""HyperQueue's own local cluster, told what to run line by line.

`throughput N` runs one job of N tasks, `latency N` runs N jobs of one task, one after the other.
Each answers with a line of JSON: the seconds from the submission to the news of the end.
"""

import json
import sys
import tempfile
import time

from hyperqueue import Job, LocalCluster
from hyperqueue.cluster import WorkerConfig


def job(tasks):
    made = Job()
    for _ in range(tasks):
        made.program(["/bin/true"], stdout=None, stderr=None)
    return made


class NotYet(Exception):
    pass


def look(jobs):
    if not all(job["completed"] for job in jobs.values()):
        raise NotYet


def timed(client, made):
    """The package's own wait looks once a second; this one looks every millisecond."""
    begin = time.perf_counter()
    submitted = client.submit(made)
    while True:
        try:
            client.connection.wait_for_jobs([submitted.id], look)
            return time.perf_counter() - begin
        except Exception as error:
            if not isinstance(error, NotYet) and "NotYet" not in str(error):
                raise
            time.sleep(0.001)


def main():
    with tempfile.TemporaryDirectory() as folder, LocalCluster(server_dir=folder) as cluster:
        cluster.start_worker(WorkerConfig(cores=int(sys.argv[1])))
        client = cluster.client()
        timed(client, job(1))
        print("ready", flush=True)
        for line in sys.stdin:
            what, count = line.split()
            if what == "throughput":
                seconds = [timed(client, job(int(count)))]
            else:
                seconds = [timed(client, job(1)) for _ in range(int(count))]
            print(json.dumps(seconds), flush=True)


main()
