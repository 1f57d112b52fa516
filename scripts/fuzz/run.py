"""Asks a real pool's REST API whatever its own document allows and forbids.

usage: run.py HIVEMIND CALLS      (scripts/fuzz-rest.sh runs this)

A pool with a worker that runs modules; a user who has tasks, a node, a project and a key; the operator. schemathesis asks as
the user, as the operator and as a stranger, by what config.toml says. Equal seeds ask the same as long as the document is the
same. Fails on an answer of 5xx, on one that the document does not know, and on fewer calls than were wanted.
"""

import collections
import contextlib
import json
import os
import pathlib
import re
import secrets
import string
import subprocess
import sys
import tempfile
import time
import tomllib
import urllib.error
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
READY_SECONDS = 240
TASK_SECONDS = 480
RUN_SECONDS = 1800
# The command's exit code where the pool does not answer soon enough.
UNREACHABLE = 9
# Of all calls; with more of them the run says little.
MOST_BUSY = 0.02


def poll(what, seconds, probe):
    """The first true answer of `probe`; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        answer = probe()
        if answer:
            return answer
        time.sleep(0.05)
    raise SystemExit(f"fuzz: {what}: not within {seconds} s")


class Server:
    """A server of the command `hivemind` with its own data folder."""

    def __init__(self, hivemind, folder, name, *args, **environment):
        self.data, self.out, self.log = folder / name, folder / f"{name}.out", folder / f"{name}.log"
        with open(self.out, "wb") as out, open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [hivemind, "--data", str(self.data), *args],
                stdin=subprocess.DEVNULL, stdout=out, stderr=log, env={**os.environ, **environment})

    def ready(self):
        if self.process.poll() is not None:
            raise SystemExit(f"fuzz: {self.data.name} ended with {self.process.returncode}:\n{self.log.read_text()[-4000:]}")
        return re.search(r"^ready .*$", self.out.read_text(), re.MULTILINE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Caller:
    """Somebody with a token."""

    def __init__(self, hivemind, folder, pool, grpc, name, password, *how):
        home = folder / f"home-{name}"
        (folder / f"{name}.password").write_text(password)
        command = [
            hivemind, "--data", str(home), "--server", grpc, "--ca", str(pool.data / "ca.pem"), *how, name,
            "--password-file", str(folder / f"{name}.password")]
        done = lambda: subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=False).returncode != UNREACHABLE
        poll(f"{name} is logged in", READY_SECONDS, done)
        self.token = tomllib.loads((home / "credentials.toml").read_text())["token"]
        self.api = None

    def ask(self, method, path, body=None, kind="application/json"):
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.token}", **({"Content-Type": kind} if data is not None else {})}
        request = urllib.request.Request(self.api + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            raise SystemExit(f"fuzz: {method} {path}: {error.code} {error.read().decode()}") from error


def section(number, payload):
    return bytes([number, len(payload)]) + payload


def module():
    """A module that writes `hello` to standard output."""
    return b"\0asm\1\0\0\0" + b"".join([
        section(1, b"\x02\x60\x04\x7f\x7f\x7f\x7f\x01\x7f\x60\x00\x00"),
        section(2, b"\x01\x16wasi_snapshot_preview1\x08fd_write\x00\x00"),
        section(3, b"\x01\x01"),
        section(5, b"\x01\x00\x01"),
        section(7, b"\x02\x06memory\x02\x00\x06_start\x00\x01"),
        section(10, b"\x01\x0d\x00\x41\x01\x41\x00\x41\x01\x41\x14\x10\x00\x1a\x0b"),
        section(11, b"\x01\x00\x41\x00\x0b\x0e\x08\0\0\0\x06\0\0\0hello\n"),
    ])


def furnish(user, operator):
    """Gives the user one of each thing, so that paths can name what is there. Returns what is there by kind."""
    digest = user.ask("PUT", "/contents", module(), "application/octet-stream")["digest"]
    submit = lambda caller, **more: caller.ask(
        "POST", "/tasks", {"task_name": "fuzz", "docker_image": digest, "max_runtime": 60, "required_memory": 64, **more})["task_id"]
    plain, array = submit(user), submit(user, array="1-3")
    waits = submit(user, required_cpu_cores=64)
    operator.ask("PUT", "/contents", module(), "application/octet-stream")
    foreign = submit(operator, required_cpu_cores=64)
    for task in (plain, array):
        ended = lambda: user.ask("GET", f"/tasks/{task}")["status"] not in ("pending", "running")
        poll("the user's tasks end", TASK_SECONDS, ended)
    user.ask("POST", "/projects", {"name": "fuzz-project", "repository": "https://example.org/fuzz"})
    keys = [user.ask("POST", "/auth/keys", {"name": f"k{n}", "scopes": ["tasks:read"]})["key_id"] for n in range(3)]
    return {
        "tasks": [plain, array, waits, foreign],
        "indices": [0, 1, 2],
        "nodes": ["fuzz-node"],
        "projects": ["fuzz-project"],
        "keys": keys,
        "digests": [digest],
        "users": ["operator", "fuzz-user"],
    }


def settings(folder, who, token, things, seed, examples, whole):
    """Writes the configuration of one run: `whole` also goes to every bound of every field and from answer to answer."""
    template = string.Template((HERE / "config.toml").read_text())
    known = "".join(f"[dictionaries.{name}]\nvalues = {json.dumps(values)}\n" for name, values in things.items())
    auth = f'[auth.openapi]\nbearer = {{ bearer = "{token}" }}\n' if token else ""
    path = folder / f"{who}.toml"
    strange = "false" if token else "true"
    path.write_text(template.substitute(
        seed=seed, examples=examples, dictionaries=known, auth=auth, strange=strange, whole=json.dumps(whole),
        # What is wrong comes at every bound already.
        mode="positive" if whole else "all"))
    return path


def fuzz(folder, who, url, config):
    """One run. Returns whether it found nothing, and its answers by status."""
    counts = folder / f"{who}.counts"
    print(f"-- as {who}", flush=True)
    environment = {
        **os.environ, "SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(HERE), "FUZZ_COUNTS": str(counts), "NO_COLOR": "1"}
    command = [str(pathlib.Path(sys.executable).parent / "schemathesis"), "--config-file", str(config), "run", url]
    ended = subprocess.run(
        command, stdin=subprocess.DEVNULL, cwd=folder, env=environment, timeout=RUN_SECONDS, check=False)
    answers = collections.Counter(json.loads(counts.read_text()) if counts.exists() else {})
    return ended.returncode == 0, answers


def main():
    hivemind, wanted = os.path.abspath(sys.argv[1]), int(sys.argv[2])
    seed = int(os.environ.get("SEED", "1"))
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hivemind-fuzz-")))
        pool = stack.enter_context(Server(hivemind, folder, "pool", "pool", "--listen", "127.0.0.1:0", "--web", "127.0.0.1:0"))
        ready = poll("the pool is ready", READY_SECONDS, pool.ready).group()
        grpc, web = (re.search(rf"{name}=(\S+)", ready).group(1) for name in ("grpc", "web"))
        someone = lambda *how: Caller(hivemind, folder, pool, grpc, *how)
        user = someone("fuzz-user", secrets.token_urlsafe(18), "register", "--email", "fuzz@example.org")
        operator = someone("operator", (pool.data / "operator.password").read_text().strip(), "login")
        user.api = operator.api = f"{web}/api/v1"
        join = user.ask("POST", "/nodes/join-tokens")["join_token"]
        worker = stack.enter_context(Server(
            hivemind, folder, "worker", "worker", "--name", "fuzz-node", "--cpus", "1", "--memory", "1g", "--disk", "1g",
            "--runtime", "wasm", "--selftest", "never", "--web", "off", HIVEMIND_JOIN=join))
        poll("the worker is ready", READY_SECONDS, worker.ready)
        things = furnish(user, operator)
        good, answers = True, collections.Counter()
        began = time.monotonic()
        rounds = 0
        while good and (rounds == 0 or answers.total() < wanted):
            for who, token, examples in (("user", user.token, 8), ("operator", operator.token, 4), ("stranger", "", 2)):
                config = settings(folder, who, token, things, seed + rounds, examples, who == "user")
                found_nothing, told = fuzz(folder, who, f"{web}/api/v1/openapi.json", config)
                good, answers = good and found_nothing, answers + told
            rounds += 1
        seconds = time.monotonic() - began
        for server in (pool, worker):
            if server.process.poll() is not None:
                good = False
                print(f"fuzz: {server.data.name} ended by itself:\n{server.log.read_text()[-4000:]}")
            elif "panicked at" in (log := server.log.read_text(errors="replace")):
                good = False
                print(f"fuzz: {server.data.name} panicked:\n{log[log.index('panicked at'):][:4000]}")
    calls, failed = answers.total(), sum(count for status, count in answers.items() if int(status) >= 500)
    enough, busy = calls >= wanted, answers["429"] > calls * MOST_BUSY
    by_status = ", ".join(f"{count} x {status}" for status, count in sorted(answers.items()))
    print(f"fuzz: seed {seed}: {calls} calls in {seconds:.0f} s ({by_status}); {failed} of them 5xx; "
          f"{'every answer is in the document' if good else 'FAILED, see above'}")
    if not enough:
        print(f"fuzz: {wanted} calls were wanted")
    if busy:
        print("fuzz: the limits of requests refused too many")
    raise SystemExit(0 if good and enough and not busy and not failed else 1)


if __name__ == "__main__":
    main()
