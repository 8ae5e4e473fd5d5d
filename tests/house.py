"""A house and a faulty market under test: starts real processes, talks to them over real sockets, prints TAP.

Every test here is given the folder of the build as its first argument. Nothing depends on how long something took; waiting
is for a condition, with a bound far beyond what it needs."""
import base64
import json
import os
import random
import re
import select
import shutil
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

WAIT_S = 120
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # whoever has started processes ends them
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def build_folder():
    return os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "build")


def kontor():
    return os.path.join(build_folder(), "kontor")


def recordings(path):
    """A recorded file, or None where the recordings are absent."""
    root = os.environ.get("KONTOR_RECORDINGS", os.path.join(ROOT, "..", "shared", "data"))
    full = os.path.abspath(os.path.join(root, path))
    return full if os.path.exists(full) else None


def cases(full):
    return max(1, full * int(os.environ.get("KONTOR_CASES_PERCENT", "10")) // 100)


def seed():
    return int(os.environ.get("KONTOR_SEED", "1"))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(what, condition, seconds=WAIT_S, step=0.02):
    """The first true value of condition(); fails with `what` (a text or a function that makes one)."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s in vain: {what() if callable(what) else what}")
        time.sleep(step)


def get(url, seconds=10):
    """(status, body text) of a GET; (0, reason) when nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=seconds) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except (OSError, urllib.error.URLError) as error:
        return 0, str(error)


class Tap:
    """Test cases of one file: `with tap.case("rule"):` passes unless something is raised."""

    def __init__(self):
        self.count = 0
        self.failed = 0

    def case(self, name):
        return Case(self, name)

    def skip(self, name, reason):
        self.count += 1
        print(f"ok {self.count} - {name} # SKIP {reason}", flush=True)

    def done(self):
        print(f"1..{self.count}", flush=True)
        sys.exit(1 if self.failed else 0)


class Case:
    def __init__(self, tap, name):
        self.tap, self.name = tap, name

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.tap.count += 1
        if kind is None:
            print(f"ok {self.tap.count} - {self.name}", flush=True)
            return True
        if kind in (KeyboardInterrupt, SystemExit):
            return False
        self.tap.failed += 1
        print(f"not ok {self.tap.count} - {self.name}", flush=True)
        import traceback
        for line in "".join(traceback.format_exception(kind, error, trace)).splitlines():
            print(f"# {line}", flush=True)
        return True


class Folder:
    """A folder that goes away at the end (kept and named when KONTOR_KEEP is set)."""

    def __enter__(self):
        self.path = os.path.realpath(tempfile.mkdtemp(prefix="kontor-test-"))
        return self.path

    def __exit__(self, *_):
        if os.environ.get("KONTOR_KEEP"):
            print(f"# kept {self.path}")
        else:
            shutil.rmtree(self.path, ignore_errors=True)


class Process:
    def __init__(self, args, folder, name, env=None):
        self.diag = os.path.join(folder, name + ".diag")
        self.output = open(self.diag, "ab")
        self.process = subprocess.Popen(args, stdout=self.output, stderr=subprocess.STDOUT, cwd=folder,
                                        env={**os.environ, **(env or {})}, start_new_session=True)

    @property
    def pid(self):
        return self.process.pid

    def said(self):
        """The end of what it said on standard output and error."""
        with open(self.diag, errors="replace") as file:
            return file.read()[-4000:]

    def running(self):
        return self.process.poll() is None

    def signal(self, number):
        if self.running():
            os.kill(self.pid, number)

    def wait(self, seconds=WAIT_S):
        return self.process.wait(seconds)

    def stop(self):
        """Ask it to end, and make it end."""
        try:
            self.signal(signal.SIGTERM)
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.pid, signal.SIGKILL)
            self.process.wait()
        self.output.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


# ---- documents, whose lines are run as they stand ----

def with_ports(text, ports):
    """The text with its ports, which may be in use here, replaced as `ports` says."""
    return re.sub(r"\b(" + "|".join(ports) + r")\b", lambda match: str(ports[match[0]]), text)


def reader(folder, **env):
    """Environment of one who reads in this folder: an answer to curl that refuses is no success."""
    with open(os.path.join(folder, ".curlrc"), "w", encoding="utf-8") as file:
        file.write("fail-with-body\n")
    return {**os.environ, "CURL_HOME": folder, **env}


def run_line(line, folder, env, enough=None):
    """(status, what it said) of a line that ends by itself, or by Ctrl-C once enough(what it said)."""
    process = subprocess.Popen(["bash", "-c", line], cwd=folder, env=env, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
    said = b""
    try:
        while enough is not None and not enough(said.decode(errors="replace")):
            ready = select.select([process.stdout], [], [], WAIT_S)[0]
            more = os.read(process.stdout.fileno(), 4096) if ready else b""
            assert more != b"", f"it ended, or said no more for {WAIT_S} s: {said[-2000:]}"
            said += more
        if enough is not None:
            os.killpg(process.pid, signal.SIGINT)
        said += process.communicate(timeout=WAIT_S)[0]
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return process.returncode, said.decode(errors="replace")


def check_line(status, said):
    assert status == 0, f"status {status}: {said[-2000:]}"
    assert said.strip() != "", "it said nothing"


class Sim(Process):
    def __init__(self, folder, *flags, name="sim"):
        super().__init__([kontor(), "sim", "--port", "0", *map(str, flags)], folder, name)
        self.port = wait_for(lambda: "the sim to listen:\n" + self.said(), self._port)

    def _port(self):
        if not self.running():
            raise AssertionError("the sim ended:\n" + self.said())
        for line in self.said().splitlines():
            if line.startswith("listening 127.0.0.1:"):
                return int(line.rsplit(":", 1)[1])
        return None

    def truth(self):
        status, body = get(f"http://127.0.0.1:{self.port}/sim/truth")
        assert status == 200, (status, body)
        return json.loads(body)


class House(Process):
    def __init__(self, folder, config, env=None, name="house", port=None):
        self.folder = folder
        self.port = port or free_port()
        self.data = os.path.join(folder, "data")
        path = os.path.join(folder, "kontor.yaml")
        with open(path, "w") as file:
            file.write(config)
        super().__init__([kontor(), "run", "--config", path, "--data", self.data, "--edge.port", str(self.port)],
                         folder, name, env)
        self.url = f"http://127.0.0.1:{self.port}"

    def healthy(self):
        if not self.running():
            raise AssertionError("the house ended:\n" + self.said())
        return get(self.url + "/health", 5) == (200, "OK")

    def wait_healthy(self):
        wait_for(lambda: "/health of the house:\n" + self.said(), self.healthy)
        return self

    def lanes(self):
        """{lane: pid} of the processes that the supervisor has started."""
        found = {}
        try:
            with open(f"/proc/{self.pid}/task/{self.pid}/children") as file:
                children = file.read().split()
            for pid in children:
                with open(f"/proc/{pid}/comm") as file:
                    found[file.read().strip().removeprefix("kontor:").removeprefix("kontor-")] = int(pid)
        except (FileNotFoundError, ProcessLookupError):
            pass
        return found

    def kill_all(self):
        """SIGKILL to the supervisor and every lane, as near to at once as it goes."""
        pids = [self.pid, *self.lanes().values()]
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()
        wait_for("the killed lanes to be gone", lambda: not any(os.path.exists(f"/proc/{pid}/exe") and
                                                               alive(pid) for pid in pids[1:]))

    def store(self):
        """Read-only connection to the store, or None while there is none."""
        path = os.path.join(self.data, "store.db")
        if not os.path.exists(path):
            return None
        return sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)

    def rows(self, query, *values):
        try:
            store = self.store()
            if store is None:
                return []
            try:
                return store.execute(query, values).fetchall()
            finally:
                store.close()
        except sqlite3.OperationalError:
            return []


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Closed(Exception):
    pass


class Socket:
    """A small blocking WebSocket client (RFC 6455) for text messages, written apart from the house's own."""

    def __init__(self, port, path="/ws", protocol="kontor.v1.json", seconds=WAIT_S):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=seconds)
        key = base64.b64encode(random.randbytes(16)).decode()
        self.socket.sendall((f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
                             f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
                             f"Sec-WebSocket-Protocol: {protocol}\r\n\r\n").encode())
        self.buffer = b""
        while b"\r\n\r\n" not in self.buffer:
            self._more()
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        if b" 101 " not in head.split(b"\r\n")[0]:
            raise Closed(head.decode())
        self.ids = 0
        self.waiting = []

    def _more(self):
        try:
            got = self.socket.recv(1 << 18)
        except ConnectionError as error:
            raise Closed(str(error)) from error
        if not got:
            raise Closed("end of stream")
        self.buffer += got

    def _take(self, size):
        while len(self.buffer) < size:
            self._more()
        taken, self.buffer = self.buffer[:size], self.buffer[size:]
        return taken

    def frame(self, opcode, payload):
        mask = random.randbytes(4)
        size = len(payload)
        head = bytes([0x80 | opcode])
        if size < 126:
            head += bytes([0x80 | size])
        elif size < 65536:
            head += bytes([0x80 | 126]) + struct.pack(">H", size)
        else:
            head += bytes([0x80 | 127]) + struct.pack(">Q", size)
        masked = bytes(byte ^ mask[i & 3] for i, byte in enumerate(payload))
        try:
            self.socket.sendall(head + mask + masked)
        except ConnectionError as error:
            raise Closed(str(error)) from error

    def send(self, **message):
        self.ids += 1
        self.frame(1, json.dumps({"id": self.ids, **message}).encode())
        return self.ids

    def receive(self):
        """The next message as JSON; pings are answered."""
        if self.waiting:
            return self.waiting.pop(0)
        return self._receive()

    def _receive(self):
        while True:
            first, second = self._take(2)
            size = second & 127
            if size == 126:
                size = struct.unpack(">H", self._take(2))[0]
            elif size == 127:
                size = struct.unpack(">Q", self._take(8))[0]
            payload = self._take(size)
            if first & 15 == 8:
                raise Closed(payload[2:].decode(errors="replace"))
            if first & 15 == 9:
                self.frame(10, payload)
            elif first & 15 == 1:
                return json.loads(payload)

    def ask(self, **message):
        """Send, and give the answer with the same id; events that come before it stay in order for receive()."""
        number = self.send(**message)
        while True:
            answer = self._receive()
            if answer.get("id") == number:
                return answer
            self.waiting.append(answer)

    def close(self):
        self.socket.close()
