"""A client in another language does a task's whole round on a real pool with a real container.

Run by run-tests.sh: HIVEMIND_BIN is the command, Docker answers, the generated modules are on the path.
"""

import base64
import json
import os
import pathlib
import re
import secrets
import shutil
import subprocess
import tempfile
import time
import unittest

import grpc

from hivemind.v1 import auth_pb2, auth_pb2_grpc, node_pb2, node_pb2_grpc, task_pb2, task_pb2_grpc, token_pb2, token_pb2_grpc

READY_SECONDS = 60
TASK_SECONDS = 120
IMAGE = "hivemind-test/busybox:python-client"


def poll(what, seconds, probe):
    """The first true answer of `probe`; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        answer = probe()
        if answer:
            return answer
        time.sleep(0.05)
    raise AssertionError(f"{what}: not within {seconds} s")


def make_image():
    """An image of the distribution's static busybox, made without any network."""
    busybox = shutil.which("busybox")
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        (root / "bin").mkdir(mode=0o755)
        shutil.copy(busybox, root / "bin/busybox")
        for name in ("cat", "sh"):
            (root / "bin" / name).symlink_to("busybox")
        tar = ["tar", "-C", folder, "--owner=0", "--group=0", "--mode=go+rX", "-cf", "-", "bin"]
        with subprocess.Popen(tar, stdout=subprocess.PIPE) as packed:
            subprocess.run(
                ["docker", "import", "--change", "ENV PATH=/bin", "-", IMAGE],
                stdin=packed.stdout, check=True, stdout=subprocess.DEVNULL,
            )
        if packed.returncode != 0:
            raise AssertionError("tar failed")


class Server:
    """A server of the command `hivemind` with its own data folder; stopped in the end."""

    def __init__(self, folder, name, *args, **environment):
        self.data = folder / name
        self.out = folder / f"{name}.out"
        self.log = folder / f"{name}.log"
        with open(self.out, "wb") as out, open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [os.environ["HIVEMIND_BIN"], "--data", str(self.data), *args],
                stdin=subprocess.DEVNULL, stdout=out, stderr=log, env={**os.environ, **environment},
            )
        try:
            self.ready = poll(f"{name} is ready", READY_SECONDS, self.ready_line)
        except BaseException:
            self.stop()
            raise

    def ready_line(self):
        if self.process.poll() is not None:
            raise AssertionError(f"ended with {self.process.returncode}:\n{self.log.read_text()[-4000:]}")
        return re.search(r"^ready .*$", self.out.read_text(), re.MULTILINE)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class User:
    """Somebody with an account, on a channel."""

    def __init__(self, channel, name):
        self.auth = auth_pb2_grpc.AuthServiceStub(channel)
        self.tokens = token_pb2_grpc.TokenServiceStub(channel)
        self.tasks = task_pb2_grpc.TaskServiceStub(channel)
        self.nodes = node_pb2_grpc.NodeServiceStub(channel)
        self.password = secrets.token_urlsafe(18)
        answer = self.auth.Register(
            auth_pb2.RegisterRequest(username=name, password=self.password, email=f"{name}@example.org"))
        assert answer.success, answer.message
        answer = self.auth.Login(auth_pb2.LoginRequest(username=name, password=self.password))
        assert answer.success, answer.message
        self.token = answer.token

    def balance(self):
        answer = self.tokens.Balance(token_pb2.BalanceRequest(token=self.token))
        assert answer.success, answer.message
        return answer

    def submit(self, **fields):
        return self.tasks.SubmitTask(task_pb2.SubmitTaskRequest(token=self.token, **fields))

    def status(self, task_id):
        return self.tasks.TaskStatus(task_pb2.TaskStatusRequest(token=self.token, task_id=task_id))


class Round(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        make_image()
        folder = pathlib.Path(tempfile.mkdtemp(prefix="hivemind-python-"))
        cls.addClassCleanup(shutil.rmtree, folder, ignore_errors=True)
        pool = Server(folder, "pool", "pool", "--listen", "127.0.0.1:0")
        cls.addClassCleanup(pool.stop)
        address = re.search(r"grpc=https://(\S+)", pool.ready.group()).group(1)
        ca = (pool.data / "ca.pem").read_bytes()
        channel = grpc.secure_channel(address, grpc.ssl_channel_credentials(root_certificates=ca))
        cls.addClassCleanup(channel.close)
        cls.alice = User(channel, "alice")
        cls.olga = User(channel, "olga")
        join = cls.olga.nodes.CreateJoinToken(node_pb2.CreateJoinTokenRequest(token=cls.olga.token)).join_token
        worker = Server(
            folder, "worker", "worker", "--name", "node-a", "--cpus", "1", "--memory", "1g", "--disk", "1g",
            HIVEMIND_JOIN=join)
        cls.addClassCleanup(worker.stop)

    def test_a_task_with_a_file_runs_and_is_paid(self):
        before, owner_before = self.alice.balance(), self.olga.balance()
        self.assertEqual(before.balance, 150)
        text = "hello from a file\n"
        answer = self.alice.submit(
            task_name="greeting",
            docker_image=IMAGE,
            command="cat hello.txt",
            files=["hello.txt=" + base64.b64encode(text.encode()).decode()],
            max_runtime=60,
            required_memory=64,
        )
        self.assertTrue(answer.success, answer.message)
        self.assertGreater(answer.price_cap_micro, 0)

        ended = lambda: (s := self.alice.status(answer.task_id)).status not in ("pending", "running") and s
        status = poll("the task ends", TASK_SECONDS, ended)
        self.assertEqual((status.status, status.error_message), ("completed", ""))
        self.assertEqual(status.result, text)
        self.assertEqual(status.progress, 100)

        after, owner_after = self.alice.balance(), self.olga.balance()
        price = before.balance_micro - after.balance_micro
        self.assertEqual(price, status.task.cost_micro)
        self.assertEqual(owner_after.balance_micro - owner_before.balance_micro, price)
        self.assertTrue(0 < price <= answer.price_cap_micro, price)
        self.assertEqual(after.held_micro, 0)

    def test_refusals_name_the_code_and_the_field_and_cost_nothing(self):
        before = self.alice.balance()
        good = dict(docker_image=IMAGE, command="cat hello.txt", max_runtime=60)
        for change, code, field in [
            (dict(docker_image=""), "E_INVALID", "docker_image"),
            (dict(priority=11), "E_INVALID", "priority"),
            (dict(max_runtime=-1), "E_INVALID", "max_runtime"),
            (dict(required_memory=-1), "E_INVALID", "required_memory"),
            (dict(required_cpu_cores=-1), "E_INVALID", "required_cpu_cores"),
            (dict(files=["../up=aGk="]), "E_INVALID", "files"),
            (dict(files=["/etc/passwd=aGk="]), "E_INVALID", "files"),
            (dict(files=["a=not base64!"]), "E_INVALID", "files"),
            (dict(max_runtime=30 * 24 * 3600, required_cpu_cores=1000), "E_INSUFFICIENT_CPT", ""),
        ]:
            with self.subTest(change):
                answer = self.alice.submit(**{**good, **change})
                self.assertFalse(answer.success)
                self.assertRegex(answer.message, f"^{code}: .*{field}")
                self.assertEqual(answer.task_id, "")
        unknown = self.alice.status("task_999999")
        self.assertFalse(unknown.success)
        self.assertEqual(self.alice.balance(), before)

    def test_wrong_password_and_unknown_user_answer_alike(self):
        login = lambda name: self.alice.auth.Login(auth_pb2.LoginRequest(username=name, password="not the password"))
        wrong, unknown = login("alice"), login("nobody-of-that-name")
        self.assertFalse(wrong.success)
        self.assertRegex(wrong.message, "^E_BAD_CREDENTIALS: ")
        self.assertEqual(wrong, unknown)

    def test_a_forged_token_is_refused(self):
        head, body, signature = self.alice.token.split(".")
        padded = body + "=" * (-len(body) % 4)
        claims = json.loads(base64.urlsafe_b64decode(padded))
        claims["role"] = "operator"
        forged = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
        for token in ("", "x", f"{head}.{forged}.{signature}", f"{head}.{body}."):
            with self.subTest(token[:8]), self.assertRaises(grpc.RpcError) as refused:
                self.alice.tokens.Balance(token_pb2.BalanceRequest(token=token))
            self.assertEqual(refused.exception.code(), grpc.StatusCode.UNAUTHENTICATED)


if __name__ == "__main__":
    unittest.main()
