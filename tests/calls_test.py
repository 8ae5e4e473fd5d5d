#!/usr/bin/env python3
"""Calls as clients of a running house meet them: the command line, WebSocket and HTTP through real lanes, lanes that stand still,
die and come back, and words that are wrong."""
import json
import os
import signal
import subprocess
import urllib.request

import house as h

SYMBOL = "BTC/USDT"
RUN_S = 60 # far beyond what a command needs
COMMANDS = ("call", "nodes", "services", "actions", "emit", "events")
CONFIG = """
log: {{segment_bytes: 2097152}}
vwap: {{windows: [10s, 1m, 5m]}}
repair: {{interval_ms: 100}}
venues:
  - {{name: binance, format: binance, ws_url: "ws://127.0.0.1:{port}", rest_url: "http://127.0.0.1:{port}", symbols: [{symbol}]}}
compat:
  tickers:
    - {{ticker: BTC, venue: binance, symbol: {symbol}}}
"""


def kontor(folder, *words):
    """(status, what it printed, what it complained of)."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KONTOR_")}
    done = subprocess.run([h.kontor(), *map(str, words)], cwd=folder, env=kept, capture_output=True, text=True, timeout=RUN_S,
                          stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout, done.stderr


WORDS = [
    ("call without an action", ["call"], 2, ["vwap.latest", "kontor actions"]),
    ("call of an unknown action", ["call", "vwap.best"], 2, ["'vwap.best'", "vwap.latest", "store.query"]),
    ("call without a parameter", ["call", "vwap.latest"], 2, ["ticker is missing", "1 to 128 bytes", "call vwap.latest --help"]),
    ("call with an unknown parameter", ["call", "vwap.latest", "tiker=BTC"], 2, ["'tiker'", "it has: ticker"]),
    ("call with a word that is no parameter", ["call", "vwap.latest", "BTC"], 2, ["'BTC'", "NAME=VALUE"]),
    ("call with a parameter out of range", ["call", "store.query", "sql=S", "limit=1001"], 2, ["limit", "from 1 to 1000"]),
    ("call with a wrongly typed parameter", ["call", "store.query", "sql=S", "limit=many"], 2, ["limit", "a whole number"]),
    ("call with a parameter given twice", ["call", "vwap.latest", "ticker=A", "ticker=B"], 2, ["twice"]),
    ("a time-out that can not be", ["call", "health", "--timeout", "0"], 2, ["--timeout", "1 to 60000 ms"]),
    ("a flag without its value", ["call", "health", "--url"], 2, ["--url", "value"]),
    ("a word too many for nodes", ["nodes", "a"], 2, ["'a'", "--help"]),
    ("a word too many for services", ["services", "a"], 2, ["'a'", "--help"]),
    ("words too many for actions", ["actions", "a", "b"], 2, ["at most one word"]),
    ("emit without a text", ["emit", "deploy"], 2, ["a topic and a text"]),
    ("events with a pattern that can not be", ["events", "a..b"], 2, ["a..b", "empty token"]),
]


def words(tap, folder):
    for name, args, status, fragments in WORDS:
        with tap.case(name):
            found, _, complaint = kontor(folder, *args)
            assert found == status, (found, complaint)
            for fragment in fragments:
                assert fragment in complaint, f"{fragment!r} is not in {complaint!r}"
    port = h.free_port()
    for command in COMMANDS:
        args = {"call": ["health"], "emit": ["deploy", "now"]}.get(command, [])
        with tap.case(f"{command} without a house says where it was looked for, and what to do"):
            status, _, complaint = kontor(folder, command, *args, "-p", port)
            assert status == 1, (status, complaint)
            for fragment in (f"http://127.0.0.1:{port}", "kontor run", "--config"):
                assert fragment in complaint, complaint
        with tap.case(f"--help of {command} mentions each flag"):
            status, out, complaint = kontor(folder, command, "--help")
            assert (status, complaint) == (0, ""), complaint
            for flag in ("--url", "--timeout", "--config", "--edge.port"):
                assert flag in out, flag
    with tap.case("--help of an action is its row"):
        status, out, _ = kontor(folder, "call", "vwap.history", "--help")
        assert status == 0 and "GET /v1/vwap/history" in out and "*symbol" in out and "not_found" in out, out


def call(house, *args):
    status, out, complaint = kontor(house.folder, "call", *args, "--url", house.url)
    assert status == 0, complaint
    return json.loads(out)


def refused(house, status, *args):
    found, _, complaint = kontor(house.folder, "call", *args, "--url", house.url)
    assert found == status, (found, complaint)
    return complaint


def commands(tap, house):
    with tap.case("an answer is JSON on one line"):
        assert call(house, "vwap.latest", "ticker=BTC")["ticker"] == "BTC"
    with tap.case("a refusal is the house's own words, and status 1"):
        assert "known: BTC" in refused(house, 1, "vwap.latest", "ticker=DOGE")
    with tap.case("another lane answers"):
        ts = int(call(house, "vwap.latest", "ticker=BTC")["ts"])
        h.wait_for("the value to be stored", lambda: kontor(house.folder, "call", "vwap.historical", "ticker=BTC", f"ts={ts}",
                                                            "interval=10s", "--url", house.url)[0] == 0)
    for command, heads in (("nodes", ("NODE", "LANE", "market", "live")), ("services", ("SERVICE", "vwap.historical")),
                           ("actions", ("ACTION", "vwap.latest", "closed")), ("events", ("CHANNEL", "trades.binance.BTC/USDT"))):
        with tap.case(f"{command} is a table, and with --json the answer itself"):
            status, out, complaint = kontor(house.folder, command, "--url", house.url)
            assert status == 0 and all(head in out for head in heads), out + complaint
            status, out, _ = kontor(house.folder, command, "--url", house.url, "--json")
            assert status == 0 and isinstance(json.loads(out), dict), out
    with tap.case("a prefix narrows actions, a pattern events"):
        assert "store.query" not in kontor(house.folder, "actions", "vwap", "--url", house.url)[1]
        assert "trades." not in kontor(house.folder, "events", "vwap.>", "--url", house.url)[1]
    with tap.case("what is emitted is heard, and stands in the log"):
        client = h.Socket(house.port)
        client.send(op="subscribe", channel="note.deploy")
        while client.receive()["type"] != "answer":
            pass
        status, out, complaint = kontor(house.folder, "emit", "deploy", "version 0.2 goes live", "--url", house.url)
        assert status == 0, complaint
        heard = client.receive()
        while heard["type"] != "event":
            heard = client.receive()
        assert (heard["channel"], heard["kind"], heard["data"]) == ("note.deploy", "note", {"text": "version 0.2 goes live"}), heard
        seq = json.loads(out)["seq"]
        status, out, _ = kontor(house.folder, "watch", "note.>", "--log", "edge", "--from", "start", "--once", "--data", house.data)
        assert [json.loads(line)["seq"] for line in out.splitlines()] == [seq], out


def what_the_house_says(tap, house):
    with tap.case("lanes are the processes that run"):
        lanes = {lane["lane"]: lane for lane in call(house, "node.lanes")["lanes"]}
        assert {name: lane["pid"] for name, lane in lanes.items()} == house.lanes(), lanes
        assert all(lane["state"] == "live" and lane["rss"] > 1 << 20 for lane in lanes.values()), lanes
    with tap.case("logs are written, durable and read"):
        logs = {log["log"]: log for log in call(house, "node.logs")["logs"]}
        assert set(logs) == {"market", "keep", "edge", "house"}, set(logs)
        market = logs["market"]
        assert 0 < market["durable"] <= market["written"] and market["size"] > 0, market
        readers = {reader["reader"]: reader for reader in market["readers"]}
        assert readers["record"]["cursor"] and not readers["edge"]["cursor"], readers
        assert readers["edge"]["position"] > 0, readers
    with tap.case("a cursor is awake while the service that keeps it works"):
        h.wait_for("record at work", lambda: any(reader["awake"] for log in json.loads(h.get(house.url + "/v1/node/logs")[1])["logs"]
                                                 for reader in log["readers"] if reader["reader"] == "record"))
    with tap.case("services are those of the lanes, with what they answer or without"):
        services = {(row["service"], row["lane"]): row for row in call(house, "node.services")["services"]}
        assert [one for one, row in services.items() if not row["available"]] == [("sim", "sim")], services # a market answers that one
        assert services["vwap", "keep"]["actions"] == ["vwap.historical", "vwap.history"], services
        assert all(services[one]["actions"] == [] for one in (("market", "market"), ("venues", "market"), ("record", "keep"))), services
    with tap.case("clients are told with what they hear"):
        client = h.Socket(house.port)
        client.send(op="subscribe", channel=f"trades.binance.{SYMBOL}", **{"from": "snapshot"})
        rows = h.wait_for("some trades", lambda: [row for row in call(house, "node.clients")["clients"] if row["messages"] > 3])
        assert len(rows) == 1 and rows[0]["channels"] == 1 and rows[0]["slow"] == 0, rows
        client.close()
        h.wait_for("nobody", lambda: call(house, "node.clients")["clients"] == [])
    with tap.case("calls are counted"):
        rows = {row["action"]: row for row in call(house, "node.actions")["actions"]}
        assert rows["vwap.latest"]["calls"] >= 2 and rows["vwap.latest"]["errors"] >= 1, rows["vwap.latest"]
        assert rows["vwap.historical"]["p99"] >= rows["vwap.historical"]["p50"] > 0, rows["vwap.historical"]


def lanes_that_fail(tap, house):
    ts = int(call(house, "vwap.latest", "ticker=BTC")["ts"]) - 1000
    args = ["vwap.historical", "ticker=BTC", f"ts={ts}", "interval=10s"]
    h.wait_for("the value to be stored", lambda: kontor(house.folder, "call", *args, "--url", house.url)[0] == 0)
    with tap.case("a lane that stands still: the deadline ends the call, and says which lane it was"):
        keep = house.lanes()["keep"]
        os.kill(keep, signal.SIGSTOP)
        try:
            complaint = refused(house, 1, *args, "--timeout", "300")
            assert "lane keep did not answer" in complaint, complaint
            assert call(house, "vwap.latest", "ticker=BTC"), "others are answered meanwhile"
        finally:
            os.kill(keep, signal.SIGCONT)
        h.wait_for("lane keep to answer", lambda: kontor(house.folder, "call", *args, "--url", house.url)[0] == 0)
    with tap.case("a lane that dies with a call: it is asked again, and answers"):
        keep = house.lanes()["keep"]
        os.kill(keep, signal.SIGSTOP)
        asked = subprocess.Popen([h.kontor(), "call", *args, "--url", house.url, "--timeout", "60000"], cwd=house.folder,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        h.wait_for("the call to be under way", lambda: [row for row in call(house, "node.actions")["actions"]
                                                        if row["action"] == "vwap.historical" and row["open"] == 1])
        os.kill(keep, signal.SIGKILL)
        out, complaint = asked.communicate(timeout=RUN_S)
        assert asked.returncode == 0 and json.loads(out)["ticker"] == "BTC", (out, complaint)
        row = next(row for row in call(house, "node.actions")["actions"] if row["action"] == "vwap.historical")
        assert row["retries"] >= 1, row
    with tap.case("... and its death is told"):
        lane = h.wait_for("the reason", lambda: next((lane for lane in call(house, "node.lanes")["lanes"]
                                                      if lane["lane"] == "keep" and lane["reason"]), None))
        assert lane["restarts"] == 1 and "9" in lane["reason"], lane


def traced(tap, house):
    with tap.case("a request id and a trace are taken, and told again"):
        trace = "4bf92f3577b34da6a3ce929d0e0e4736"
        request = urllib.request.Request(house.url + "/v1/vwap/latest?ticker=BTC",
                                         headers={"X-Request-Id": "r-1", "traceparent": f"00-{trace}-00f067aa0ba902b7-01"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.headers["X-Request-Id"] == "r-1"
            assert answer.headers["Traceparent"].split("-")[1] == trace


def main():
    tap = h.Tap()
    with h.Folder() as folder:
        words(tap, folder)
        with h.Sim(folder, "--format", "binance", "--symbols", SYMBOL, "--rate", 50, "--history", 60, "--seed", h.seed()) as sim, \
                h.House(folder, CONFIG.format(port=sim.port, symbol=SYMBOL)) as house:
            house.wait_healthy()
            h.wait_for("a first price", lambda: h.get(house.url + "/latest?ticker=BTC")[0] == 200)
            commands(tap, house)
            what_the_house_says(tap, house)
            lanes_that_fail(tap, house)
            traced(tap, house)
    tap.done()


if __name__ == "__main__":
    main()
