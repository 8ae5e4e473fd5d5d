#!/usr/bin/env python3
"""`kontor replay`: a recorded log, or a tape, into a house of its own. What that house computes is what the first one did."""
import json
import os
import re
import signal
import subprocess

import house as h
import slow_vwap

RUN_S = 240  # far beyond what a replay at full speed needs
TRADES = 3000
FAULTS = ("drop=0.02", "repeat=0.02", "reorder=0.02", "malformed=0.01", "absurd_price=0.01", "disconnect=0.001")
WINDOWS = ("10s", "1m", "5m")
COMPARED = [*(f"vwap.{window}.>" for window in WINDOWS), "trades.>", "correction.>", "watermark.>", "book.>", "ticker.>"]


def config(sim, retention_s=0):
    return f"""
log:
  segment_bytes: 2097152
  retention_age_s: {retention_s}
vwap:
  windows: [10s, 1m]
  composites:
    - ticker: BTC
      members: [{{venue: binance, symbol: BTC/USDT}}, {{venue: other, symbol: BTC}}]
repair:
  interval_ms: 50
venues:
  - name: binance
    format: binance
    ws_url: ws://127.0.0.1:{sim.port}
    rest_url: http://127.0.0.1:{sim.port}
    symbols: [BTC/USDT, ETH/USDT]
    books: true
  - name: other
    format: generic
    ws_url: ws://127.0.0.1:{sim.port}/stream
    rest_url: http://127.0.0.1:{sim.port}/trades
"""


def watch(data, pattern):
    done = subprocess.run([h.kontor(), "watch", pattern, "--log", "market", "--from", "start", "--once", "--data", data],
                          capture_output=True, text=True, timeout=RUN_S)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def made(data):
    """{pattern: [(channel, time, data)]} of all that the house computed, in order."""
    return {pattern: [(event["channel"], event["time"], event["data"]) for event in watch(data, pattern)] for pattern in COMPARED}


def validated(data):
    """{(channel, mark): sums} of the validated averages."""
    return {(event["channel"], event["data"]["mark"]): (event["data"]["sum_pq"], event["data"]["sum_q"], event["data"]["price"])
            for window in WINDOWS for event in watch(data, f"vwap.{window}.>") if event["data"]["validated"]}


def first_seq(data):
    done = subprocess.run([h.kontor(), "doctor", "--data", data], capture_output=True, text=True, timeout=RUN_S)
    return int(re.search(r"log market\n(?:.*\n)*?\s+records (\d+) to", done.stdout)[1])


def replay(folder, source, *words):
    return subprocess.run([h.kontor(), "replay", source, "--edge.port", "0", *map(str, words)], cwd=folder, capture_output=True, text=True,
                          timeout=RUN_S, stdin=subprocess.DEVNULL)


class Replay(h.House):
    """A replay that goes on until it is stopped."""

    def __init__(self, folder, source, data, *words, name="replay"):
        self.folder, self.data, self.port = folder, data, h.free_port()
        h.Process.__init__(self, [h.kontor(), "replay", source, "--data", data, "--edge.port", str(self.port), *map(str, words)],
                           folder, name)
        self.url = f"http://127.0.0.1:{self.port}"


def record(folder, speed=40, retention_s=0):
    """A house that listens to the faulty market, one of whose lanes is killed meanwhile; its data folder."""
    os.mkdir(folder)
    flags = ["--symbols", "BTC/USDT,ETH/USDT", "--rate", 40, "--count", TRADES, "--speed", speed, "--wait", 2, "--seed", h.seed()]
    for fault in FAULTS:
        flags += ["--fault", fault]
    with h.Sim(folder, *flags) as sim, h.House(folder, config(sim, retention_s)) as house:
        house.wait_healthy()
        h.wait_for(lambda: f"half of the market: {sim.truth()}", lambda: sim.truth()["trades"] > TRADES // 2)
        os.kill(house.lanes()["market"], signal.SIGKILL)
        h.wait_for(lambda: f"the end of the market: {sim.truth()}", lambda: sim.truth()["ended"])
        seen = -1
        while seen != (seen := len(validated(house.data))) or seen == 0:
            h.time.sleep(1)  # until REST has said all that it has
        return house.data


def logs(tap, folder):
    data = record(os.path.join(folder, "first"))
    first = made(data)
    sums = validated(data)
    counts = {pattern: len(events) for pattern, events in first.items()}
    print("#", counts)

    def same(again, what):
        now = made(os.path.join(folder, again))
        for pattern, events in first.items():
            assert len(now[pattern]) == len(events), (what, pattern, len(events), len(now[pattern]))
            for then, event in zip(events, now[pattern]):
                assert then == event, (what, pattern, then, event)
        assert validated(os.path.join(folder, again)) == sums, what

    with tap.case("a log again: averages, trades, corrections and books are those of the first house, and it says so"):
        assert all(counts[pattern] > 0 for pattern in COMPARED if pattern != "correction.>"), counts
        done = replay(folder, data, "--speed", "max", "--once", "--data", "again")
        assert done.returncode == 0, done.stderr
        assert ", 0 not" in done.stderr, done.stderr
        same("again", "max")
    with tap.case("... and in the store"):
        rows = [[row for row in h.sqlite3.connect(os.path.join(path, "store.db")).execute(
            'select venue, symbol, "window", mark, sum_pq, sum_q, trades from vwap where validated order by 1, 2, 3, 4')]
            for path in (data, os.path.join(folder, "again"))]
        assert rows[0] == rows[1] and rows[0], (len(rows[0]), len(rows[1]))
    with tap.case("at a speed of its own, from a seq on, and killed on the way: nothing twice, nothing else"):
        with Replay(folder, data, "killed", "--speed", 5) as house:
            house.wait_healthy()
            h.wait_for("some trades", lambda: len(watch(os.path.join(folder, "killed"), "trades.>")) > 100)
            os.kill(house.lanes()["market"], signal.SIGKILL)
            h.wait_for("the lane again", lambda: "market" in house.lanes() and house.healthy())
            house.kill_all()
        done = replay(folder, data, "--speed", 1000, "--from", 5000, "--once", "--data", "killed")
        assert "is replayed up to" in done.stderr, done.stderr  # quality notes that the lane was started again
        same("killed", "killed")
    with tap.case("from the middle of its folder: the end of the log is the place before --to"):
        until = first["trades.>"][len(first["trades.>"]) // 2][1]
        done = replay(folder, os.path.join(data, "market"), "--speed", "max", "--to", until, "--once", "--data", "half")
        assert done.returncode == 0, done.stderr
        now = watch(os.path.join(folder, "half"), "trades.>")
        assert [(event["channel"], event["time"], event["data"]) for event in now] == \
            [event for event in first["trades.>"] if event[1] < until]
    with tap.case("another configuration makes other outputs, and is told"):
        done = replay(folder, data, "--speed", "max", "--once", "--data", "other", "--vwap.suspect_percent", "1000")
        assert done.returncode == 1 and "is another now" in done.stderr or "not made now" in done.stderr, done.stderr
    with tap.case("a folder that holds another house is refused"):
        done = replay(folder, os.path.join(folder, "again"), "--data", data)
        assert done.returncode == 1 and "holds a house already" in done.stderr, done.stderr


def cut(tap, folder):
    """A log whose beginning was removed by retention."""
    name = "a log without its beginning: from a snapshot on its validated averages are the same"
    data = record(os.path.join(folder, "cut"), speed=10, retention_s=1)
    begins = first_seq(data)
    if begins == 1:
        tap.skip(name, "retention has removed nothing yet")
        return
    with tap.case(name):
        # The record that says how the house was configured may be gone, too.
        done = replay(folder, data, "--speed", "max", "--once", "--data", "rest", "--config", os.path.join(folder, "cut", "kontor.yaml"))
        assert "is replayed up to" in done.stderr, done.stderr  # a start of its own stands before: quality notes it
        sums, again = validated(data), validated(os.path.join(folder, "rest"))
        print(f"# the log begins with record {begins}; {len(again)} of {len(sums)} validated averages come again")
        assert again.items() <= sums.items()


WORDS = [
    ("nothing to replay", [], 2, ["first say what"]),
    ("what is not there", ["none"], 1, ["none"]),
    ("a folder without a log", ["."], 2, ["no log in folder '.'"]),
    ("a speed that is none", ["data", "--speed", "fast"], 2, ["'fast'", "max"]),
    ("a speed of 0", ["data", "--speed", "0"], 2, ["'0'", "above 0"]),
    ("a place that is none", ["data", "--from", "yesterday"], 2, ["yesterday", "2024-"]),
    ("a place in a tape", ["tape.csv", "--to", "7"], 2, ["for logs", "tape.csv"]),
]


def words(tap, folder):
    with open(os.path.join(folder, "tape.csv"), "w", encoding="utf-8"):
        pass
    for name, given, status, fragments in WORDS:
        with tap.case(f"refused: {name}"):
            done = subprocess.run([h.kontor(), "replay", *given], cwd=folder, capture_output=True, text=True, timeout=RUN_S)
            assert done.returncode == status and all(part in done.stderr for part in fragments), done
            assert not os.path.exists(os.path.join(folder, "data", "replay")), "it has left something behind"


def tape(tap, folder):
    name = "a tape into a house of its own: validated averages are those of a slow second calculation"
    rows = [("trade_id", "price", "qty", "trade_time_ms", "buyer_is_maker", "recv_ns")]
    start = 1723161255000
    rows += [(1000 + i, f"{60000 + i % 17}.{i % 100:02}", f"0.{1 + i % 99:03}", start + 137 * i, i % 2, (start + 137 * i + 20) * 10**6)
             for i in range(2000)]
    path = os.path.join(folder, "trades_btcusdt_made.csv")
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(",".join(map(str, row)) + "\n" for row in rows)
    trades = slow_vwap.read_csv(path)
    expected = slow_vwap.marks(trades, 60)
    with tap.case(name), Replay(folder, path, "taped", "--speed", "max") as house:
        def found():
            return {event["data"]["mark"]: (event["data"]["sum_pq"], event["data"]["sum_q"], event["data"]["trades"])
                    for event in watch(os.path.join(folder, "taped"), "vwap.1m.binance.BTC/USDT") if event["data"]["validated"]}
        house.wait_healthy()
        h.wait_for(lambda: f"{len(expected)} marks\n" + house.said(), lambda: len(found()) >= len(expected), step=0.5)
        assert sorted(found().values()) == sorted(expected.values())


def main():
    tap = h.Tap()
    with h.Folder() as folder:
        words(tap, folder)
        logs(tap, folder)
        cut(tap, folder)
        tape(tap, folder)
    tap.done()


main()
