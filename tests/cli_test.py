#!/usr/bin/env python3
"""The program as users and their mistakes meet it: words, configuration, folders, disks, ports and files that are not as they
should be. Each gets an error that names the thing, costs nobody else anything, and loses nothing."""
import contextlib
import hashlib
import itertools
import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import time
import types
import urllib.error
import urllib.request

import house as h
import log_reader

SYMBOL = "BTC/USDT"
RUN_S = 30 # far beyond what a command needs
COMMANDS = ("run", "sim", "watch", "call", "nodes", "services", "actions", "emit", "events", "export", "rebuild", "doctor",
            "repl", "replay", "bench", "config")
UNCONFIGURED = ("sim", "bench") # take no keys of the house
LANES = ("market", "keep", "edge")


# ---- commands ----

def bare(env=None):
    """An environment in which nothing configures the house."""
    ours = ("PORT", "INTERVAL", "MARKET_WS_URL", "MARKET_REST_URL", "LOG_LEVELS")
    kept = {name: value for name, value in os.environ.items() if name not in ours and not name.startswith("KONTOR_")}
    return {**kept, **(env or {})}


def kontor(folder, *words, env=None):
    """(status, what it printed, what it complained of) of a command that ends by itself."""
    done = subprocess.run([h.kontor(), *map(str, words)], cwd=folder, env=bare(env), capture_output=True, text=True, timeout=RUN_S,
                          stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout, done.stderr


def refused(folder, status, fragments, *words, env=None):
    found, out, complaint = kontor(folder, *words, env=env)
    assert found == status, (found, complaint)
    for fragment in fragments:
        assert fragment in complaint, f"{fragment!r} is not in {complaint!r}"


def config_rows(folder, *words, env=None):
    """{key: (value, origin)} as `kontor config` prints them."""
    status, out, complaint = kontor(folder, "config", *words, env=env)
    assert status == 0, complaint
    rows = {}
    for line in out.splitlines():
        match = re.match(r"(\S+)\s+(.*\S)\s+# (.*)$", line)
        if match:
            rows[match[1]] = (match[2], match[3])
    return rows


YAML_ERRORS = [
    ("configuration with an unknown key", "edge:\n  prt: 3000\n", ["bad.yaml:2", "edge.prt", "edge.port"]),
    ("configuration with an unknown section", "egde:\n  port: 1\n", ["bad.yaml:1", "egde"]),
    ("configuration with a wrongly typed key: text for a number", "data: d\nedge:\n  port: many\n",
     ["bad.yaml:3", "edge.port", "'many'", "whole number from 0 to 65535"]),
    ("configuration with a wrongly typed key: a list for a number", "edge:\n  port: [1]\n", ["bad.yaml:2", "edge.port", "a list"]),
    ("configuration with a wrongly typed key: a number for a switch", "repair:\n  enabled: 7\n",
     ["bad.yaml:2", "repair.enabled", "true or false"]),
    ("configuration with a key given twice", "edge:\n  port: 1\n  port: 2\n", ["bad.yaml:3", "edge.port", "twice"]),
    ("configuration with a section given twice", "edge:\n  port: 1\nedge:\n  host: 127.0.0.1\n", ["bad.yaml:3", "edge", "twice"]),
    ("configuration with a value out of range", "edge:\n  port: 65536\n", ["bad.yaml:2", "edge.port", "65536", "65535"]),
    ("configuration with an unknown key in a venue", "venues:\n  - {name: a, format: generic, ws_url: 'ws://h:1', speed: 3}\n",
     ["bad.yaml:2", "speed", "venues"]),
    ("configuration with a venue that lacks a key", "venues:\n  - {name: a}\n", ["bad.yaml:2", "format", "missing"]),
    ("configuration with a venue without an address", "venues:\n  - {name: a, format: generic}\n", ["venues[0]", "ws_url", "no public address"]),
    ("configuration that is no YAML", "edge: [\n", ["bad.yaml:", "YAML"]),
    ("configuration with edge.host 0.0.0.0", "edge:\n  host: 0.0.0.0\n",
     ["bad.yaml:2", "edge.host", "0.0.0.0", "can not be told apart", "127.0.0.1"]),
]

WORD_ERRORS = [
    ("no command", [], {}, 2, ["usage", "run", "sim", "watch"]),
    ("an unknown command", ["fly"], {}, 2, ["'fly'", "run", "doctor"]),
    ("an unknown flag", ["run", "--edge.prt", "3"], {}, 2, ["--edge.prt", "edge.port"]),
    ("an unknown flag that is like no other", ["run", "--bogus", "3"], {}, 2, ["--bogus", "lists those there are", "--help"]),
    ("an unknown flag of sim", ["sim", "--speeed", "3"], {}, 2, ["--speeed", "--help"]),
    ("a flag without its value", ["run", "--edge.port"], {}, 2, ["--edge.port", "no value", "whole number"]),
    ("a flag of sim without its value", ["sim", "--port"], {}, 2, ["--port", "value"]),
    ("a flag of watch without its value", ["watch", ">", "--from"], {}, 2, ["--from", "value"]),
    ("a flag given twice", ["run", "-p", "1", "-p", "2"], {}, 2, ["-p", "edge.port", "twice"]),
    ("a flag with a wrong value", ["run", "-p", "99999"], {}, 2, ["-p", "edge.port", "99999", "65535"]),
    ("--edge.host 0.0.0.0", ["run", "--edge.host", "0.0.0.0"], {}, 2, ["--edge.host", "0.0.0.0", "can not be told apart", "127.0.0.1"]),
    ("--edge.host localhost, which is no address", ["run", "--edge.host", "localhost"], {}, 2, ["--edge.host", "localhost", "127.0.0.1"]),
    ("a configuration file that is not there", ["run", "--config", "none.yaml"], {}, 2, ["none.yaml", "No such file"]),
    ("--config without its value", ["run", "--config"], {}, 2, ["--config", "YAML file"]),
    ("a word too many for run", ["run", "house"], {}, 2, ["'house'", "--help"]),
    ("a word too many for doctor", ["doctor", "data"], {}, 2, ["'data'", "--help"]),
    ("config show of two sections", ["config", "show", "vwap", "edge"], {}, 2, ["one section"]),
    ("config set of nothing", ["config", "set"], {}, 2, ["KEY=VALUE"]),
    ("config set without a value", ["config", "set", "vwap.step_s"], {}, 2, ["'vwap.step_s'", "KEY=VALUE"]),
    ("config unset of nothing", ["config", "unset"], {}, 2, ["needs keys"]),
    ("config unset with a value", ["config", "unset", "vwap.step_s=3"], {}, 2, ["'vwap.step_s=3'", "keys alone"]),
    ("events of two patterns", ["events", "a.>", "b.>"], {}, 2, ["one pattern"]),
    ("a word too many for config", ["config", "edge.port"], {}, 2, ["'edge.port'", "--help"]),
    ("a word too many for sim", ["sim", "fast"], {}, 2, ["fast", "--help"]),
    ("rebuild of nothing", ["rebuild"], {}, 2, ["rebuild store"]),
    ("rebuild of what can not be rebuilt", ["rebuild", "house"], {}, 2, ["rebuild store"]),
    ("rebuild without a data folder", ["rebuild", "store", "--data", "none"], {}, 1, ["none", "market", "--data"]),
    ("doctor without a data folder", ["doctor", "--data", "none"], {}, 1, ["none", "--data"]),
    ("watch without a pattern", ["watch"], {}, 2, ["pattern", "trades.>"]),
    ("watch with two patterns", ["watch", "a", "b"], {}, 2, ["one pattern"]),
    ("watch with a pattern that can not be", ["watch", "a..b"], {}, 2, ["a..b", "empty token"]),
    ("repl with a word", ["repl", "nodes"], {}, 2, ["'nodes'", "--help"]),
    ("repl with --history twice", ["repl", "--history", "a", "--history", "b"], {}, 2, ["--history", "twice"]),
    ("watch with > in the middle", ["watch", "a.>.b"], {}, 2, ["a.>.b"]),
    ("watch without a data folder", ["watch", ">", "--data", "none"], {}, 1, ["none", "--data"]),
    ("watch from a seq without saying of which log", ["watch", ">", "--from", "3"], {}, 2, ["--from 3", "--log"]),
    ("watch from what is no place", ["watch", ">", "--from", "yesterday"], {}, 2, ["yesterday", "start", "2024-"]),
    ("PORT that is no number", ["config"], {"PORT": "http"}, 2, ["environment PORT", "edge.port", "'http'"]),
    ("INTERVAL that is no whole second", ["config"], {"INTERVAL": "1500"}, 2, ["environment INTERVAL", "1500", "whole seconds"]),
    ("LOG_LEVELS with an unknown name", ["config"], {"LOG_LEVELS": "error,loud"}, 2, ["environment LOG_LEVELS", "'loud'", "verbose"]),
    ("MARKET_WS_URL without MARKET_REST_URL", ["config"], {"MARKET_WS_URL": "ws://h:1/stream"}, 2, ["MARKET_WS_URL", "market.rest_url"]),
    ("MARKET_WS_URL that is no WebSocket address", ["config"], {"MARKET_WS_URL": "http://h:1", "MARKET_REST_URL": "http://h:1"}, 2,
     ["http://h:1", "ws://"]),
]


def flags_in(text):
    return set(re.findall(r"(?<![\w-])--[a-z][a-z_.-]*", text))


def keys_of_house(folder):
    return {"--" + key for key in config_rows(folder)}


HELP_FLAGS = {
    "watch": {"--log", "--from", "--once"},
    "replay": {"--speed", "--from", "--to", "--once"},
    "repl": {"--history", "--url", "--timeout"},
    "sim": {"--port", "--format", "--seed", "--symbols", "--rate", "--count", "--start-time", "--history", "--burst", "--burst-every",
            "--tape", "--until-id", "--speed", "--wait", "--keep", "--shuffle", "--no-rest", "--fault", "--schedule", "--retry-after",
            "--control-port", "--silence-length", "--truth", "--tls", "--tls-certificate", "--tls-key"},
}


def help_of(folder, command, keys):
    for flag in ("--help", "-h") if command != "sim" else ("--help",):
        status, out, complaint = kontor(folder, command, flag)
        assert (status, complaint) == (0, ""), (status, complaint)
        wanted = HELP_FLAGS.get(command, set()) | (keys | {"--config"} if command not in UNCONFIGURED else set())
        assert wanted <= flags_in(out), f"not mentioned: {sorted(wanted - flags_in(out))}"


OFFERS = [
    # what, line up to the cursor, what must be offered, and what must not be
    ("commands", "kontor ", set(COMMANDS), {"--port"}),
    ("commands that begin so", "kontor ex", {"export"}, {"events", "run"}),
    ("words of the usage", "kontor config ", {"show", "set", "unset"}, {"SECTION", "vwap.step_s="}),
    ("actions", "kontor call book.", {"book.snapshot"}, {"ticker.latest"}),
    ("parameters of an action", "kontor call book.snapshot ", {"venue=", "symbol=", "depth="}, {"book.snapshot"}),
    ("faults", "kontor sim --port 0 --fault ", {"drop=", "clock_drift="}, {"none=", "outage=", "stream="}),
    ("faults behind others", "kontor sim --fault drop=0.1,re", {"drop=0.1,repeat=", "drop=0.1,refuse="}, {"repeat=", "drop=0.1,drop="}),
    ("no faults where none are named", "kontor sim --fault drop=0.1 --port ", set(), {"drop="}),
    ("faults of an action", "kontor call sim.faults faults={\"drop\":0.1,\"re", {"faults={\"drop\":0.1,\"repeat\":"}, {"repeat="}),
    ("keys that may change", "kontor config set ", {"vwap.step_s=", "diag.levels="}, {"data=", "vwap.windows="}),
    ("keys to take back", "kontor config unset vwap.", {"vwap.step_s"}, {"diag.levels"}),
    ("sections", "kontor config show ", {"vwap", "edge"}, {"show"}),
    ("flags", "kontor watch --fr", {"--from"}, {"--once"}),
    ("nothing where there is no such command", "kontor nothing ", set(), {"run"}),
]


def offered(folder, line):
    status, out, complaint = kontor(folder, "--complete", "kontor", env={"COMP_LINE": line, "COMP_POINT": str(len(line))})
    assert (status, complaint) == (0, ""), (status, complaint)
    return {word.rstrip(" ") for word in out.splitlines()}


SHELLS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], "source {deploy}/kontor.bash"),
    "zsh": (["zsh", "-f", "-i"], "fpath=({deploy} $fpath); autoload -U compinit; compinit -u -D; bindkey '^I' complete-word"),
}


def typed(shell, keys, wanted):
    """What a shell with our completion shows when somebody types these keys, up to what is wanted."""
    words, completion = SHELLS[shell]
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(TERM="dumb", COLUMNS="200", PATH=os.path.dirname(h.kontor()) + ":" + os.environ["PATH"])
        os.execvp(words[0], words)
    shown = b""

    def show(mark):
        nonlocal shown
        end = time.monotonic() + RUN_S
        while mark not in shown:
            ready, _, _ = select.select([terminal], [], [], max(0, end - time.monotonic()))
            assert ready, f"{mark} does not come in {shown}"
            shown += os.read(terminal, 65536)

    try:
        os.write(terminal, (completion.format(deploy=os.path.join(h.ROOT, "deploy")) + "; echo rea''dy\n").encode())
        show(b"ready\r\n")
        shown = b""
        os.write(terminal, keys)
        show(wanted)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)


def shells(tap):
    for shell in SHELLS:
        if shutil.which(shell) is None:
            tap.skip(f"{shell} completes", f"there is no {shell}")
            continue
        with tap.case(f"{shell} completes commands, actions, their parameters, keys and flags"):
            for keys, wanted in ((b"kontor serv\t#", b"services #"), (b"kontor call node.li\t#", b"node.list #"),
                                 (b"kontor call vwap.latest tick\tBTC", b"ticker=BTC"),
                                 (b"kontor config set vwap.st\t30", b"vwap.step_s=30"), (b"kontor sim --fault cut\t0.1", b" cut_frame=0.1"),
                                 (b"kontor sim --fault drop=0.1,cut\t0.2;", b"--fault drop=0.1,cut_frame=0.2;"), (b"kontor run --edge.po\t1", b"--edge.port 1")):
                typed(shell, keys, wanted)


def help_elsewhere(tap, folder, keys):
    for what, line, wanted, unwanted in OFFERS:
        with tap.case(f"the shell is offered {what}"):
            words_now = offered(folder, line)
            assert wanted <= words_now and not unwanted & words_now, words_now
    for command in COMMANDS:
        with tap.case(f"the shell is offered each flag of {command}"):
            wanted = HELP_FLAGS.get(command, set()) | (keys if command not in UNCONFIGURED else set())
            words_now = offered(folder, f"kontor {command} --")
            assert wanted <= words_now, f"missing: {sorted(wanted - words_now)}"
    with tap.case("a line that no shell says is refused"):
        for point in ("", "-1", "8", "x"):
            status, out, _ = kontor(folder, "--complete", env={"COMP_LINE": "kontor", "COMP_POINT": point})
            assert (status, out) == (2, ""), (point, status, out)
    with tap.case("the manual page has each command and each flag"):
        status, out, complaint = kontor(folder, "--manual")
        assert (status, complaint) == (0, ""), (status, complaint)
        shown = out.replace("\\-", "-")
        missing = {command for command in COMMANDS if f".SS {command}\n" not in shown}
        missing |= (keys | set().union(*HELP_FLAGS.values())) - flags_in(shown)
        assert not missing, sorted(missing)


def tape_of_orders(orders, prefill, trades, live):
    """The bytes of a tape (src/book/match_tape.h). orders: (id, op, side, price, quantity); trades: (maker, taker, price, quantity)."""
    outcome = 0xcbf29ce484222325
    for word in itertools.chain(*trades):
        outcome = (outcome ^ word) * 0x100000001b3 % 2 ** 64
    head = (1, prefill, len(orders) - prefill, len(trades), sum(t[3] for t in trades), sum(t[2] * t[3] for t in trades), outcome, live, 200)
    return b"MEWL0001" + struct.pack("<9Q", *head) + b"".join(
        struct.pack("<QIIHBBIQ", number, price, quantity, 0, op, side, 0, 0) for number, op, side, price, quantity in orders)


def bench(tap, folder):
    # Two rest, the third takes from both, and what is left of the second is canceled.
    orders = [(1, 0, 1, 101, 10), (2, 0, 1, 102, 5), (3, 3, 0, 102, 12), (4, 0, 0, 99, 7), (2, 1, 1, 0, 0)]
    whole = tape_of_orders(orders, 2, [(1, 3, 101, 10), (2, 3, 102, 2)], 1)
    tapes = (("whole", whole), ("wrong", tape_of_orders(orders, 2, [(1, 3, 101, 10), (2, 3, 102, 3)], 1)), ("cut", whole[:-1]),
             ("id", tape_of_orders([*orders, (1 << 40, 1, 1, 0, 0)], 2, [], 1)), ("price", tape_of_orders([*orders, (6, 0, 0, 201, 1)], 2, [], 1)))
    for name, content in tapes:
        with open(os.path.join(folder, name), "wb") as file:
            file.write(content)
    with tap.case("bench match: a tape comes out as it says, with each kind of ids, and one that does not is named"):
        status, out, complaint = kontor(folder, "bench", "match", "whole", "wrong")
        assert "whole: 2 trades" in out and out.count("ns a command") == 3, out
        assert status == 1 and "'wrong'" in complaint and "the tape says" in complaint, (status, complaint)
    with tap.case("bench match: what is no whole tape is named"):
        for name in ("cut", "id", "price"):
            refused(folder, 1, (f"'{name}'", "no whole tape"), "bench", "match", name)
        refused(folder, 2, ("bench --help",), "bench", "match")
        refused(folder, 2, ("bench --help",), "bench")


def words(tap, folder):
    for name, text, fragments in YAML_ERRORS:
        with tap.case(name):
            with open(os.path.join(folder, "bad.yaml"), "w") as file:
                file.write(text)
            for command in (["run"], ["config"]):
                refused(folder, 2, fragments, *command, "--config", "bad.yaml")
    for name, args, env, status, fragments in WORD_ERRORS:
        with tap.case(name):
            refused(folder, status, fragments, *args, env=env)
    keys = keys_of_house(folder)
    for command in COMMANDS:
        with tap.case(f"--help of {command} mentions each flag"):
            help_of(folder, command, keys)
    help_elsewhere(tap, folder, keys)
    with tap.case("--version and --help"):
        status, out, _ = kontor(folder, "--version")
        assert status == 0 and re.fullmatch(r"kontor \d+\.\d+\.\d+\n", out), (status, out)
        assert kontor(folder, "help", "doctor") == kontor(folder, "doctor", "--help")
        refused(folder, 2, ["no command 'foo'"], "help", "foo")
        for word in ("--help", "-h", "help"):
            status, out, complaint = kontor(folder, word)
            assert (status, complaint) == (0, "") and all(f"  {command} " in out for command in COMMANDS), (word, out)
    shells(tap)
    with tap.case("a mistake leaves nothing behind"):
        assert os.listdir(folder) == ["bad.yaml"], os.listdir(folder)


ORIGINS = [
    ("a default", {}, [], "edge.silence_ms", "5000", "default"),
    ("the file", {}, [], "edge.port", "1001", "kontor.yaml:2"),
    ("the environment over the file", {"KONTOR_EDGE_PORT": "1002"}, [], "edge.port", "1002", "environment KONTOR_EDGE_PORT"),
    ("a flag over the environment", {"KONTOR_EDGE_PORT": "1002"}, ["--edge.port", "1003"], "edge.port", "1003", "flag --edge.port"),
    ("a flag by its letter", {}, ["-p", "1004"], "edge.port", "1004", "flag -p"),
    ("PORT", {"PORT": "1005"}, [], "edge.port", "1005", "environment PORT"),
    ("INTERVAL", {"INTERVAL": "60000"}, [], "vwap.interval_ms", "60000", "environment INTERVAL"),
    ("MARKET_WS_URL", {"MARKET_WS_URL": "ws://h:1/stream", "MARKET_REST_URL": "http://h:1/trades"}, [], "market.ws_url",
     '"ws://h:1/stream"', "environment MARKET_WS_URL"),
    ("MARKET_REST_URL", {"MARKET_WS_URL": "ws://h:1/stream", "MARKET_REST_URL": "http://h:1/trades"}, [], "market.rest_url",
     '"http://h:1/trades"', "environment MARKET_REST_URL"),
    ("LOG_LEVELS", {"LOG_LEVELS": "error,warn"}, [], "diag.levels", '["error", "warn"]', "environment LOG_LEVELS"),
]


def origins(tap, folder):
    with open(os.path.join(folder, "kontor.yaml"), "w") as file:
        file.write("edge:\n  port: 1001\n")
    for name, env, flags, key, value, origin in ORIGINS:
        with tap.case(f"kontor config shows {name}"):
            found = config_rows(folder, "--config", "kontor.yaml", *flags, env=env)[key]
            assert found == (value, origin), found


# ---- a house ----

def config(sim, more=""):
    return f"""
log:
  segment_bytes: 2097152
vwap:
  windows: [10s, 1m]
repair:
  interval_ms: 100
venues:
  - name: binance
    format: binance
    ws_url: ws://127.0.0.1:{sim.port}
    rest_url: http://127.0.0.1:{sim.port}
    symbols: [{SYMBOL}]
compat:
  tickers:
    - {{ticker: BTC, venue: binance, symbol: {SYMBOL}}}
{more}"""


QUIET = "log:\n  segment_bytes: 2097152\n"


def market(folder, *flags, rate=200, name="sim"):
    return h.Sim(folder, "--format", "binance", "--symbols", SYMBOL, "--rate", rate, "--history", 60, "--seed", h.seed(),
                 *flags, name=name)


def stored(house):
    rows = house.rows("select count(*) from trades")
    return rows[0][0] if rows else 0


def stopped_well(house, seconds=10):
    """SIGTERM; the seconds it took."""
    began = time.monotonic()
    house.signal(signal.SIGTERM)
    try:
        house.wait(seconds)
    except subprocess.TimeoutExpired as error:
        raise AssertionError(f"not stopped after {seconds} s:\n" + house.said()) from error
    assert house.process.returncode == 0, (house.process.returncode, house.said())
    return time.monotonic() - began


def said(house, *fragments):
    """Wait for one line with all of these."""
    return h.wait_for(lambda: f"{fragments} among:\n" + house.said(), seconds=30, condition=lambda: next(
        (line for line in house.said().splitlines() if all(fragment in line for fragment in fragments)), None))


def house_events(house, pattern):
    status, out, complaint = kontor(house.folder, "watch", pattern, "--log", "house", "--from", "start", "--once", "--data", house.data)
    assert status == 0, complaint
    return [json.loads(line) for line in out.splitlines()]


def parked(house, lane, *fragments):
    """The lane is parked with this reason, an alert says so, and the other lanes run."""
    said(house, f"lane {lane} is parked", *fragments)
    h.wait_for("the other lanes", lambda: set(house.lanes()) == set(LANES) - {lane})
    event = h.wait_for("the alert", lambda: [event for event in house_events(house, "house.alert") if event["data"]["subject"] == lane])[0]
    for fragment in fragments:
        assert fragment in event["data"]["text"], event
    states = [event["data"]["state"] for event in house_events(house, f"house.lane.{lane}")]
    assert states[-1] == "parked", states


def complete_again(house, before):
    """It runs again on this folder and nothing of `before` is gone."""
    house.wait_healthy()
    now = dict(log_reader.records(os.path.join(house.data, "market")))
    assert all(now.get(seq) == record for seq, record in before), "a record is gone"


def cpu_seconds(pids):
    ticks = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


# ---- REST ----

def rest(house, path, method="GET"):
    """(status, headers, body) of a request."""
    request = urllib.request.Request(house.url + path, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read().decode()


REST_ERRORS = [
    ("/latest without a ticker", "GET", "/latest", 400, "Bad Request", ["ticker is missing", "such as BTC"]),
    ("/latest of an unknown ticker", "GET", "/latest?ticker=DOGE", 404, "Not Found", ["DOGE", "BTC"]),
    ("/latest with an unknown parameter", "GET", "/latest?tickr=BTC", 400, "Bad Request", ["tickr"]),
    ("/latest with a ticker given twice", "GET", "/latest?ticker=BTC&ticker=ETH", 400, "Bad Request", ["ticker", "twice"]),
    ("/historical without anything", "GET", "/historical", 400, "Bad Request", ["ticker"]),
    ("/historical without ts", "GET", "/historical?ticker=BTC", 400, "Bad Request", ["ts is missing", "milliseconds since 1970"]),
    ("/historical with a ts that is no number", "GET", "/historical?ticker=BTC&ts=now", 400, "Bad Request", ["ts", "now"]),
    ("/historical with a ts that is no mark", "GET", "/historical?ticker=BTC&ts=1684083600123", 400, "Bad Request", ["whole second"]),
    ("/historical of a mark that is not stored", "GET", "/historical?ticker=BTC&ts=1000", 404, "Not Found", ["BTC", "1000"]),
    ("/historical of an unknown ticker", "GET", "/historical?ticker=DOGE&ts=1000", 404, "Not Found", ["DOGE", "BTC"]),
    ("/historical with an unknown interval", "GET", "/historical?ticker=BTC&ts=1000&interval=7000", 400, "Bad Request",
     ["7000", "300000", "60000"]),
    ("an unknown path", "GET", "/lastest", 404, "Not Found", ["/lastest", "/latest", "/historical"]),
    ("a method that changes nothing here", "POST", "/latest?ticker=BTC", 405, "Method Not Allowed", ["POST", "GET"]),
]


def check_rest(tap, house):
    with tap.case("/health answers OK"):
        assert rest(house, "/health")[::2] == (200, "OK")
    with tap.case("/latest has ticker, price and ts as text"):
        status, headers, body = h.wait_for("a price", lambda: (lambda got: got if got[0] == 200 else None)(rest(house, "/latest?ticker=BTC")))
        value = json.loads(body)
        assert list(value) == ["ticker", "price", "ts"] and all(isinstance(text, str) for text in value.values()), body
        assert value["ticker"] == "BTC" and float(value["price"]) > 0 and int(value["ts"]) % 1000 == 0, body
        assert headers["Content-Type"].startswith("application/json") and headers["Access-Control-Allow-Origin"] == "*"
    with tap.case("/historical has ticker, vwap and ts, of the default interval and of one that is asked for"):
        for seconds, words in ((300, ""), (10, "&interval=10000"), (10, "&interval=10s")):
            mark, = h.wait_for("a stored mark", lambda: house.rows("select max(mark) / 1000000 from vwap where \"window\" = ?",
                                                                  seconds * 10**9))[0]
            status, _, body = rest(house, f"/historical?ticker=BTC&ts={mark}{words}")
            assert status == 200, (status, body)
            value = json.loads(body)
            assert list(value) == ["ticker", "vwap", "ts"] and value["ticker"] == "BTC" and value["ts"] == str(mark), body
            assert re.fullmatch(r"\d+(\.\d*[1-9])?", value["vwap"]), body
    for name, method, path, status, error, fragments in REST_ERRORS:
        with tap.case(name):
            found, headers, body = rest(house, path, method)
            value = json.loads(body)
            assert (found, value["statusCode"], value["error"]) == (status, status, error), (found, body)
            for fragment in fragments:
                assert fragment in value["message"], (fragment, body)
            if status == 405:
                assert "GET" in headers["Allow"]


# ---- watch ----

def lines(folder, data, *words):
    status, out, complaint = kontor(folder, "watch", *words, "--once", "--data", data)
    assert status == 0, complaint
    return [json.loads(line) for line in out.splitlines()]


def check_watch(tap, house):
    """Of a house that does not run any more, so that nothing moves."""
    folder, data = house.folder, house.data
    every = lines(folder, data, ">", "--from", "start")
    with tap.case("watch: > is everything, from start"):
        assert {event["log"] for event in every} >= {"market", "house"}, {event["log"] for event in every}
        assert list(every[0]) == ["log", "seq", "channel", "offset", "time", "cause", "kind", "data"], every[0]
    with tap.case("watch: patterns with > and * give what they match"):
        for pattern, matches in (("trades.>", r"trades\..+"), ("vwap.10s.>", r"vwap\.10s\..+"), ("vwap.*.binance.*", r"vwap\.[^.]+\.binance\.[^.]+"),
                                 ("*.binance.>", r"[^.]+\.binance\..+"), (f"trades.binance.{SYMBOL}", re.escape(f"trades.binance.{SYMBOL}"))):
            found = lines(folder, data, pattern, "--from", "start")
            expected = [event for event in every if re.fullmatch(matches, event["channel"])]
            assert found == expected and found, (pattern, len(found), len(expected))
    with tap.case("watch: a pattern that nothing matches gives nothing"):
        assert lines(folder, data, "nothing.here", "--from", "start") == []
    market_events = [event for event in every if event["log"] == "market"]
    with tap.case("watch: --log and --from SEQ"):
        at = market_events[len(market_events) // 2]
        found = lines(folder, data, ">", "--log", "market", f"--from={at['seq']}")
        assert found == [event for event in market_events if event["seq"] >= at["seq"]], (at["seq"], found[:1])
    with tap.case("watch: --from TIME"):
        at = market_events[len(market_events) // 2]
        found = lines(folder, data, ">", "--log", "market", "--from", at["time"])
        assert found and found[0]["time"] >= at["time"], (at, found[:1])
        assert found == market_events[-len(found):]
        assert len(found) >= len([event for event in market_events if event["time"] > at["time"]])
    with tap.case("watch: --from beyond the end says so"):
        status, out, complaint = kontor(folder, "watch", ">", "--log", "market", "--from", "999999999", "--once", "--data", data)
        assert out == "" and "999999999" in complaint, (status, out, complaint)
    with tap.case("watch: live and --once gives nothing and ends"):
        assert lines(folder, data, ">") == []
    with tap.case("watch: --once of a log that is not there says so"):
        status, _, complaint = kontor(folder, "watch", ">", "--log", "nothing", "--once", "--data", data)
        assert status == 1 and "nothing" in complaint and "market" in complaint, (status, complaint)


def check_live_watch(tap, house):
    with tap.case("watch without --once goes on until Ctrl-C, and ends well"):
        with h.Process([h.kontor(), "watch", "trades.>", "--data", house.data], house.folder, "watch") as watch:
            h.wait_for("live events", lambda: watch.said().count("\n") > 3)
            watch.signal(signal.SIGINT)
            assert watch.wait(10) == 0, watch.said()


# ---- store ----

def dump(path):
    """Every row of every table and view, sorted, as text; read by SQLite itself."""
    store = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        names = [name for name, in store.execute("select name from sqlite_schema where type in ('table', 'view') and name not like 'sqlite%' "
                                                "and name <> 'cursors' order by name")]
        return "\n".join(f"{name} {row!r}" for name in names for row in sorted(store.execute(f'select * from "{name}"'), key=repr))
    finally:
        store.close()


def first_difference(before, after):
    pairs = itertools.zip_longest(before.splitlines(), after.splitlines())
    return next(pair for pair in pairs if pair[0] != pair[1])


def check_rebuild(tap, house):
    path = os.path.join(house.data, "store.db")
    with tap.case("rebuild store: a sorted dump before and after is byte-equal"):
        before = dump(path)
        assert "trades (" in before and "vwap (" in before
        old = os.stat(path).st_ino
        status, out, complaint = kontor(house.folder, "rebuild", "store", "--config", "kontor.yaml", "--data", house.data)
        assert status == 0 and path in out, (status, out, complaint)
        assert os.stat(path).st_ino != old, "it is the old file"
        assert dump(path) == before, first_difference(before, dump(path))
        assert not os.path.exists(path + ".new")
    with tap.case("rebuild store: from nothing but the logs, to their end"):
        for name in ("store.db", "store.db-wal", "store.db-shm"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(house.data, name))
        dumps = []
        for _ in range(2):
            status, _, complaint = kontor(house.folder, "rebuild", "store", "--config", "kontor.yaml", "--data", house.data)
            assert status == 0, complaint
            dumps.append(dump(path))
        assert dumps[0] == dumps[1], first_difference(*dumps)
        assert dumps[0].count("\n") >= before.count("\n") # lane keep may have stopped a moment before lane market


def main_house(tap, folder):
    """One house that runs well: REST, watch, rebuild, and its end."""
    with market(folder) as sim:
        house = h.House(folder, config(sim))
        with house:
            house.wait_healthy()
            h.wait_for("stored trades", lambda: stored(house) > 500)
            check_rest(tap, house)
            check_live_watch(tap, house)
            with tap.case("rebuild store refuses while the house runs"):
                status, _, complaint = kontor(folder, "rebuild", "store", "--config", "kontor.yaml", "--data", house.data)
                assert status == 1 and "running" in complaint and house.data in complaint, (status, complaint)
                assert house.healthy() and set(house.lanes()) == set(LANES)
            with tap.case("doctor beside a running house finds nothing wrong"):
                status, out, complaint = kontor(folder, "doctor", "--data", house.data)
                assert status == 0 and "log market" in out and "written by process" in out, (status, out, complaint)
            with tap.case("a log folder held by another process"):
                began = time.monotonic()
                status, _, complaint = kontor(folder, "run", "--data", house.data, "-p", h.free_port())
                assert status == 1 and house.data in complaint and f"({house.pid})" in complaint, (status, complaint)
                assert time.monotonic() - began < 15
                assert house.healthy() and set(house.lanes()) == set(LANES)
            with tap.case("SIGTERM stops it within seconds, with status 0"):
                print(f"# stopped in {stopped_well(house):.2f} s")
                assert not [pid for pid in house.lanes().values() if h.alive(pid)]
        check_watch(tap, house)
        check_rebuild(tap, house)
        return house


# ---- logs that are not as they should be ----

def copy_of(house, folder, name):
    path = os.path.join(folder, name)
    shutil.copytree(house.data, path)
    return path


def doctor(folder, data, status, *fragments):
    found, out, complaint = kontor(folder, "doctor", "--data", data)
    assert found == status, (found, out, complaint)
    for fragment in fragments:
        assert fragment in out, f"{fragment!r} is not in:\n{out}"
    return out


def end_of_records(data, log):
    """(path, first byte behind the last record) of the newest segment that holds any."""
    for first, path in reversed(log_reader.segments(os.path.join(data, log))):
        records, sealed = log_reader.of_segment(first, path)
        if records:
            with open(path, "rb") as file:
                at = struct.unpack_from("<Q", file.read(128), 72)[0]
            return path, at + sum(len(record) for _, record in records)
    raise AssertionError(f"no records in {data}/{log}")


def write_at(path, at, what):
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(what)


def alone(folder, data, name, *flags):
    """A house on this data folder without a market."""
    place = os.path.join(folder, name)
    os.makedirs(place, exist_ok=True)
    os.symlink(data, os.path.join(place, "data"))
    return h.House(place, QUIET, name=name)


def bad_logs(tap, house, folder):
    records = log_reader.records(os.path.join(house.data, "market"))
    with tap.case("doctor of a whole log"):
        out = doctor(folder, house.data, 0, "log market", "log keep", "log edge", "log house", "whole", "store")
        assert " lost" not in out, out
    with tap.case("a log that is torn: doctor says what is cut, and nothing of what was there is lost"):
        data = copy_of(house, folder, "torn")
        path, at = end_of_records(data, "market")
        write_at(path, at, b"\x40\x01\x00\x00" + b"torn" * 50)
        doctor(folder, data, 0, "torn tail", f"seq {records[-1][0]}")
        with alone(folder, data, "torn-house") as torn:
            complete_again(torn, records)
            assert set(torn.lanes()) == set(LANES)
            stopped_well(torn)
        doctor(folder, data, 0)
    with tap.case("a log that is damaged: doctor has status 1 and says which records are lost"):
        data = copy_of(house, folder, "damaged")
        first, path = log_reader.segments(os.path.join(data, "market"))[0]
        inside, _ = log_reader.of_segment(first, path)
        hit = inside[len(inside) // 2][0]
        with open(path, "rb") as file:
            at = struct.unpack_from("<Q", file.read(128), 72)[0]
        at += sum(len(record) for seq, record in inside if seq < hit)
        write_at(path, at + log_reader.HEADER + 4, b"\xff\x00\xff\x00")
        doctor(folder, data, 1, "log market", f"seq {hit} to", "lost")
    with tap.case("... and the house says so, keeps the rest, and serves"):
        with alone(folder, data, "damaged-house") as damaged:
            damaged.wait_healthy()
            assert "edge" in damaged.lanes()
            stopped_well(damaged)
    with tap.case("... and rebuild store takes from the old store what the log has lost"):
        before = dump(os.path.join(data, "store.db"))
        status, _, complaint = kontor(folder, "rebuild", "store", "--config", "damaged-house/kontor.yaml", "--data", data)
        assert status == 0, complaint
        after = dump(os.path.join(data, "store.db"))
        assert after == before, first_difference(before, after)
    for log in ("market", "house"):
        for file_name in ("segment", "state"):
            with tap.case(f"a log of a newer version ({file_name} of log {log})"):
                newer_log(folder, house, log, file_name)


def newer_log(folder, house, log, what):
    data = copy_of(house, folder, f"newer-{log}-{what}")
    if what == "segment":
        _, path = log_reader.segments(os.path.join(data, log))[-1]
    else:
        path = os.path.join(data, log, "state")
    write_at(path, 8, struct.pack("<I", 99)) # in both the format stands behind the magic
    before = {name: digest(os.path.join(data, log, name)) for name in os.listdir(os.path.join(data, log)) if name.endswith(".seg")}
    doctor(folder, data, 1, f"log {log}", "newer program", "99")
    if log == "house":
        status, _, complaint = kontor(folder, "run", "--data", data, "-p", h.free_port())
        assert status == 1 and "newer program" in complaint and data in complaint, (status, complaint)
    else:
        with alone(folder, data, f"newer-{log}-{what}-house") as newer:
            parked(newer, log, "newer program", "99")
            newer.wait_healthy()
            path = "/historical?ticker=BTC%2FUSDT&ts=1000"
            h.wait_for("an answer of lane keep", lambda: rest(newer, path)[0] == 404)
            stopped_well(newer)
    after = {name: digest(os.path.join(data, log, name)) for name in before}
    assert after == before, "the newer program's files were touched"


def digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


# ---- stores that are not as they should be ----

def bad_stores(tap, house, folder):
    with tap.case("a SQLite file that is corrupt"):
        data = copy_of(house, folder, "corrupt")
        path = os.path.join(data, "store.db")
        with open(path, "wb") as file:
            file.write(b"this is no database, whatever its name says. " * 200)
        bad = digest(path)
        doctor(folder, data, 1, path)
        with alone(folder, data, "corrupt-house") as corrupt:
            parked(corrupt, "keep", "store.db", "rebuild store")
            corrupt.wait_healthy()
            stopped_well(corrupt)
        assert digest(path) == bad, "the file was touched"
    with tap.case("... and rebuild store makes it whole from the logs"):
        before = dump(os.path.join(house.data, "store.db"))
        os.rename(path, path + ".bad")
        status, _, complaint = kontor(folder, "rebuild", "store", "--config", os.path.join(house.folder, "kontor.yaml"), "--data", data)
        assert status == 0, complaint
        assert dump(path) == before
    with tap.case("a SQLite file that is damaged inside"):
        data = copy_of(house, folder, "inside")
        path = os.path.join(data, "store.db")
        size = os.path.getsize(path)
        for at in range(8192, size, 4096):
            write_at(path, at, b"\xaa" * 64)
        doctor(folder, data, 1, path)
        with alone(folder, data, "inside-house") as inside:
            parked(inside, "keep", "store.db", "rebuild store")
            stopped_well(inside)
    with tap.case("a SQLite file that is newer than the program"):
        data = copy_of(house, folder, "newer-store")
        path = os.path.join(data, "store.db")
        store = sqlite3.connect(path)
        store.execute("pragma user_version = 4711")
        store.commit()
        store.close()
        doctor(folder, data, 1, path, "newer", "4711")
        with alone(folder, data, "newer-store-house") as newer:
            parked(newer, "keep", "store.db", "newer", "4711")
            newer.wait_healthy()
            stopped_well(newer)
        status, _, complaint = kontor(folder, "rebuild", "store", "--data", data)
        store = sqlite3.connect(path)
        assert store.execute("pragma user_version").fetchone() == (4711,), "a newer store was replaced"
        store.close()
        assert status == 1 and "newer" in complaint, (status, complaint)
    with tap.case("a SQLite file of another program"):
        data = copy_of(house, folder, "foreign-store")
        path = os.path.join(data, "store.db")
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path + suffix)
        store = sqlite3.connect(path)
        store.execute("create table notes (text)")
        store.execute("insert into notes values ('mine')")
        store.commit()
        store.close()
        with alone(folder, data, "foreign-house") as foreign:
            parked(foreign, "keep", "store.db", "another program", "store.path")
            stopped_well(foreign)
        status, _, complaint = kontor(folder, "rebuild", "store", "--data", data)
        assert status == 1 and "another program" in complaint, (status, complaint)
        store = sqlite3.connect(path)
        assert store.execute("select text from notes").fetchone() == ("mine",)
        store.close()


# ---- ports and ends ----

def any_port(tap, folder):
    with tap.case("port 0: the house says which port it has taken, and so do its documents"):
        args = [h.kontor(), "run", "-p", "0", "--data", "any-port"]
        with h.Process(args, folder, "any-port-house") as house:
            said = h.wait_for(lambda: "its address:\n" + house.said(),
                              lambda: re.search(r"http://127\.0\.0\.1:([1-9]\d*)/ serves", house.said()))
            assert h.get(f"http://127.0.0.1:{said[1]}/health") == (200, "OK")
            status, body = h.get(f"http://127.0.0.1:{said[1]}/asyncapi.json")
            assert status == 200 and f'"127.0.0.1:{said[1]}"' in body, (status, body[:500])


def silent_venue(tap, folder):
    place = os.path.join(folder, "silent")
    os.makedirs(place)
    closed = types.SimpleNamespace(port=h.free_port())
    with tap.case("a venue that does not answer: diag says it of its stream, and of its REST"), h.House(place, config(closed)) as house:
        for line in (f"venue binance: disconnected: 127.0.0.1:{closed.port}", "venue binance: no instruments: 127.0.0.1"):
            h.wait_for(lambda: f"'{line}' in\n{house.said()}", lambda: line in house.said())


def busy_port(tap, folder):
    place = os.path.join(folder, "busy")
    os.makedirs(place)
    with market(place) as sim, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with h.House(place, config(sim), port=port) as house:
            with tap.case("a busy port: lane edge is parked after five deaths, with an alert that names address and port"):
                parked(house, "edge", f"127.0.0.1:{port}", "Address already in use", "5 times")
                deaths = [event for event in house_events(house, "house.lane.edge") if event["data"]["state"] == "died"]
                assert len(deaths) == 5, len(deaths)
            with tap.case("... and the other lanes go on unharmed"):
                at = h.wait_for("stored trades", lambda: stored(house))
                h.wait_for("more of them", lambda: stored(house) > at)
                states = [event["data"]["state"] for lane in ("market", "keep") for event in house_events(house, f"house.lane.{lane}")]
                assert "died" not in states, states
            with tap.case("... and it stops as it should"):
                stopped_well(house)
        with tap.case("sim on a busy port names it"):
            refused(place, 1, [f"127.0.0.1:{port}", "in use"], "sim", "--port", port)


def ends(tap, folder):
    place = os.path.join(folder, "ends")
    os.makedirs(place)
    with h.House(place, QUIET) as house:
        house.wait_healthy()
        time.sleep(1)
        with tap.case("an idle house has no busy loop"):
            pids = [house.pid, *house.lanes().values()]
            assert len(pids) == 4, pids
            began, used = time.monotonic(), cpu_seconds(pids)
            time.sleep(5)
            share = (cpu_seconds(pids) - used) / (time.monotonic() - began)
            print(f"# {share * 100:.1f} % of a core")
            assert share <= 0.10, share
        with tap.case("Ctrl-C while a lane does not answer: the second one kills, and says so"):
            lanes = house.lanes()
            os.kill(lanes["market"], signal.SIGSTOP)
            house.signal(signal.SIGINT)
            said(house, "stopping")
            assert house.running()
            house.signal(signal.SIGINT)
            assert house.wait(5) == 1, house.process.returncode
            said(house, "second time")
            h.wait_for("all lanes to be gone", lambda: not any(h.alive(pid) for pid in lanes.values()))
    with h.House(place, QUIET, name="again") as house:
        with tap.case("... and the next start goes on"):
            house.wait_healthy()
            assert set(house.lanes()) == set(LANES)
            stopped_well(house)
    with tap.case("kontor run with PORT, INTERVAL, MARKET_WS_URL, MARKET_REST_URL and LOG_LEVELS alone"):
        with h.Sim(place, "--format", "generic", "--symbols", SYMBOL, "--rate", 50, "--history", 30, name="generic") as sim:
            port = h.free_port()
            env = {"PORT": str(port), "INTERVAL": "60000", "LOG_LEVELS": "error", "MARKET_WS_URL": f"ws://127.0.0.1:{sim.port}/stream",
                   "MARKET_REST_URL": f"http://127.0.0.1:{sim.port}/trades"}
            with h.Process([h.kontor(), "run", "--data", "by-environment"], place, "environment", env) as house:
                url = f"http://127.0.0.1:{port}/latest?ticker=BTC"
                h.wait_for(lambda: "a price:\n" + house.said(), lambda: h.get(url)[0] == 200)
                house.signal(signal.SIGTERM)
                assert house.wait(10) == 0
                assert house.said() == "", house.said()
            status, out, _ = kontor(place, "watch", "vwap.1m.market.BTC", "--from", "start", "--once", "--data", "by-environment")
            assert status == 0 and out


# ---- disks ----

def own_mounts():
    """Start again with mounts of our own, which go away with us. Where that is not allowed, whoever needs them skips."""
    if "KONTOR_OWN_MOUNTS" in os.environ:
        return
    for words in (["unshare", "--mount"], ["unshare", "--user", "--map-root-user", "--mount"]):
        with contextlib.suppress(FileNotFoundError):
            if subprocess.run([*words, "mount", "--bind", "/tmp", "/tmp"], capture_output=True).returncode == 0:
                os.environ["KONTOR_OWN_MOUNTS"] = "yes"
                os.execvp(words[0], [*words, sys.executable, *sys.argv])
    os.environ["KONTOR_OWN_MOUNTS"] = ""


@contextlib.contextmanager
def mounted(path, *words):
    subprocess.run(["mount", *words, path], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", path], check=True)


@contextlib.contextmanager
def read_only(path):
    with mounted(path, "--bind", path):
        subprocess.run(["mount", "-o", "remount,bind,ro", path], check=True)
        yield


def needs_mounts(tap, *names):
    """Are mounts allowed? Otherwise the cases are skipped."""
    if os.environ["KONTOR_OWN_MOUNTS"]:
        return True
    for name in names:
        tap.skip(name, "mounts are not allowed here")
    return False


def read_only_logs(tap, house, folder):
    names = ["a log folder that is read-only", "... of one lane alone: it is parked, the others go on"]
    if not needs_mounts(tap, *names):
        return
    data = copy_of(house, folder, "read-only")
    with tap.case(names[0]), read_only(data):
        refused(folder, 1, [data, "Read-only"], "run", "--data", data, "-p", h.free_port())
    with tap.case(names[1]):
        log = os.path.join(data, "market")
        before = log_reader.records(log)
        with read_only(log), alone(folder, data, "read-only-house") as lane:
            parked(lane, "market", "data/market/lock", "Read-only")
            lane.wait_healthy()
            stopped_well(lane)
        assert log_reader.records(log) == before


def full_disk(tap, folder):
    names = ["a start on a full disk is refused",
             "a log folder on a full disk: intake stops, and /health answers",
             "... what was promised is kept: the log has no gap and the store is not ahead",
             "... it goes on when there is space again, and nothing is missing in the end"]
    if not needs_mounts(tap, *names):
        return
    place = os.path.join(folder, "full")
    os.makedirs(os.path.join(place, "data"))
    with tap.case(names[0]), mounted(os.path.join(place, "data"), "-t", "tmpfs", "-o", "size=1m", "tmpfs"):
        refused(place, 1, [f"{place}/data/house", "the disk is full"], "run", "--data", f"{place}/data", "-p", h.free_port())
    with market(place, "--history", 5, rate=1500) as sim, mounted(os.path.join(place, "data"), "-t", "tmpfs", "-o", "size=192m", "tmpfs"):
        with h.House(place, config(sim)) as house:
            house.wait_healthy()
            h.wait_for("stored trades", lambda: stored(house) > 100)
            ballast = os.path.join(house.data, "ballast")
            log = os.path.join(house.data, "market")
            with tap.case(names[1]):
                with open(ballast, "wb", buffering=0) as file:
                    with contextlib.suppress(OSError):
                        while file.write(b"\xff" * 4096):
                            pass

                def stands():
                    """The log of the market has not moved for a while."""
                    at = log_reader.durable(log)
                    time.sleep(1)
                    return log_reader.durable(log) == at

                h.wait_for("intake to stop", stands, seconds=40)
                assert house.healthy(), house.said()
                assert set(house.lanes()) == set(LANES), (house.lanes(), house.said())
                said(house, "full")
            with tap.case(names[2]):
                promised = log_reader.durable(log)
                before = [record for record in log_reader.records(log) if record[0] <= promised]
                assert before[-1][0] == promised
                rows = house.rows("select seq from cursors where log = 'market'")
                assert rows and rows[0][0] <= promised, (rows, promised)
            with tap.case(names[3]):
                os.unlink(ballast)
                h.wait_for(lambda: "intake to go on:\n" + house.said(), lambda: log_reader.durable(log) > promised + 1000, seconds=60)
                now = dict(log_reader.records(log))
                assert all(now.get(seq) == record for seq, record in before), "a promised record is gone"
                newest, = house.rows("select max(venue_time) from trades")[0]
                h.wait_for(lambda: "REST to confirm what came since:\n" + house.said(), seconds=60, condition=lambda: house.rows(
                    "select 1 from watermarks where validated_until > ?", newest + 10**9))
                first, last, count = house.rows("select min(cast(trade_id as integer)), max(cast(trade_id as integer)), count(*) "
                                                "from trades where validated")[0]
                assert count == last - first + 1, f"{last - first + 1 - count} trades are missing between {first} and {last}"
                stopped_well(house)


def retention(tap, folder):
    place = os.path.join(folder, "retention")
    os.makedirs(place)
    bound = 64 << 20
    with h.Sim(place, "--format", "binance", "--symbols", SYMBOL, "--rate", 2000, "--speed", "max", "--wait",
               "--seed", h.seed()) as sim:
        with h.House(place, config(sim).replace("log:\n", f"log:\n  retention_bytes: {bound}\n")) as house:
            house.wait_healthy()

            def bytes_of_logs():
                total = 0
                for log in ("market", "keep", "edge", "house"):
                    for entry in os.scandir(os.path.join(house.data, log)):
                        with contextlib.suppress(FileNotFoundError):
                            if entry.name.endswith((".seg", ".tmp")):
                                total += entry.stat().st_size
                return total

            most = 0

            def passed():
                nonlocal most
                most = max(most, bytes_of_logs())
                firsts = log_reader.segments(os.path.join(house.data, "market"))
                return firsts and firsts[0][0] > 200000

            with tap.case("log.retention_bytes holds while the market goes as fast as it is read"):
                h.wait_for(lambda: "segments to be removed:\n" + house.said(), passed, seconds=60)
                for _ in range(20):
                    passed()
                    time.sleep(0.05)
                print(f"# at most {most} of {bound} bytes; the log begins at "
                      f"{log_reader.segments(os.path.join(house.data, 'market'))[0][0]}")
                assert most <= bound, (most, bound)
                assert house.healthy() and set(house.lanes()) == set(LANES)
            with tap.case("... and doctor says where the store is the record"):
                stopped_well(house)
                doctor(place, house.data, 0, "removed by retention", "the store is the record")


def main():
    own_mounts()
    tap = h.Tap()
    with h.Folder() as folder:
        for name in ("words", "bench", "origins", "main", "bad"):
            os.makedirs(os.path.join(folder, name))
        bad = os.path.join(folder, "bad")
        words(tap, os.path.join(folder, "words"))
        bench(tap, os.path.join(folder, "bench"))
        origins(tap, os.path.join(folder, "origins"))
        house = main_house(tap, os.path.join(folder, "main"))
        bad_logs(tap, house, bad)
        bad_stores(tap, house, bad)
        any_port(tap, folder)
        silent_venue(tap, folder)
        busy_port(tap, folder)
        ends(tap, folder)
        read_only_logs(tap, house, bad)
        full_disk(tap, folder)
        retention(tap, folder)
    tap.done()


if __name__ == "__main__":
    main()
