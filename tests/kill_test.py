#!/usr/bin/env python3
"""kill -9 of any process of the house, the supervisor included, and of all at once: same result as if nothing had happened.

A seeded market with every fault on runs all the while; a client with "conflate": false listens, resumes wherever it was cut off,
and now and then stays away for longer than any buffer lasts. At the end:
  - the store holds every true trade once, validated, with the venue's own price and quantity;
  - every validated value is what a slow second calculation over the true trades gives;
  - the log has no gap, and no output twice;
  - the client has every offset of its channels once and in order."""
import json
import os
import random
import signal
import subprocess
import threading
import time

import house as h
import slow_vwap

SYMBOL = "BTC/USDT"
WINDOWS = {"10s": 10, "1m": 60, "5m": 300}
CHANNELS = [f"trades.binance.{SYMBOL}", f"vwap.10s.binance.{SYMBOL}", f"correction.10s.binance.{SYMBOL}"]
RATE = 400
KEEP = 10_000_000  # trades that REST remembers: all of a slow machine's run, since they are what the store is compared with


def config(sim):
    return f"""
log:
  segment_bytes: 2097152
vwap:
  windows: [{", ".join(WINDOWS)}]
repair:
  interval_ms: 100
venues:
  - name: binance
    format: binance
    ws_url: ws://127.0.0.1:{sim.port}
    rest_url: http://127.0.0.1:{sim.port}
    symbols: [{SYMBOL}]
"""


class Listener(threading.Thread):
    """Every event of the channels, resumed across everything; notes what breaks the promise."""

    def __init__(self, port, rng):
        super().__init__(daemon=True)
        self.port, self.rng = port, rng
        self.at = {channel: None for channel in CHANNELS}
        self.broken = []
        self.resumed = 0
        self.away = 0
        self.stopping = False

    def run(self):
        while not self.stopping:
            try:
                self.listen(h.Socket(self.port, seconds=2))
            except (h.Closed, OSError):
                time.sleep(0.05)

    def listen(self, socket):
        try:
            for channel in CHANNELS:
                start = self.at[channel]
                socket.send(op="subscribe", channel=channel, conflate=False,
                            **({"from": {"epoch": start[0], "offset": start[1]}} if start else {"from": {"time": 0}}))
            until = time.monotonic() + self.rng.uniform(0.2, 5)
            asked = time.monotonic()
            while not self.stopping:
                if time.monotonic() - asked > 1:
                    socket.send(op="ping")
                    asked = time.monotonic()
                try:
                    self.take(socket.receive())
                except TimeoutError:
                    continue
                if time.monotonic() > until:
                    self.away += 1
                    socket.close()
                    time.sleep(self.rng.choice([0.0, 0.3, 6.0]))
                    return
        finally:
            socket.close()

    def take(self, message):
        if message["type"] == "event":
            channel, epoch, offset = message["channel"], message["epoch"], message["offset"]
            before = self.at[channel]
            if message["skipped"] != 0:
                self.broken.append(f"{channel}: skipped {message['skipped']} at {offset}")
            if before is None and offset != 1:
                self.broken.append(f"{channel}: starts at {offset}")
            if before is not None and (epoch != before[0] or offset != before[1] + 1):
                self.broken.append(f"{channel}: {before} is followed by {epoch} {offset}")
            self.at[channel] = (epoch, offset)
        elif message["type"] == "answer" and message["op"] == "subscribe":
            self.resumed += self.at[message["channel"]] is not None
            if not message["recovered"]:
                self.broken.append(f"not recovered: {message}")
        elif message["type"] in ("gap", "epoch"):
            self.broken.append(f"told a loss: {message}")
        elif message["type"] == "error" and message.get("code") not in ("unavailable",):
            self.broken.append(f"refused: {message}")


def true_trades(sim):
    """Everything that the venue itself says, by its REST interface: [(id, time ms, price text, quantity text)]."""
    trades, start = [], 0
    while True:
        status, body = h.get(f"http://127.0.0.1:{sim.port}/api/v3/historicalTrades?symbol=BTCUSDT&limit=1000&fromId={start}")
        assert status == 200, (status, body)
        rows = json.loads(body)
        trades += [(row["id"], row["time"], row["price"], row["qty"]) for row in rows]
        if len(rows) < 1000:
            return trades
        start = rows[-1]["id"] + 1


def settled(trades):
    """The trades up to the last whole second that a trade has strictly passed, and that second in ms. The last trades of all stay
    open: nothing says yet that there is no other in their second."""
    last = -(-trades[-1][1] // 1000) * 1000 - 1000
    return [trade for trade in trades if trade[1] <= last], last


def validated_to(house):
    rows = house.rows("select max(mark) / 1000000 from vwap where validated and \"window\" = 10000000000")
    return rows[0][0] if rows and rows[0][0] else 0


def watch(house, pattern):
    out = subprocess.run([h.kontor(), "watch", pattern, "--log", "market", "--from", "start", "--once", "--data", house.data],
                         capture_output=True, text=True, timeout=h.WAIT_S, check=True)
    assert "lost" not in out.stderr, out.stderr
    return [json.loads(line) for line in out.stdout.splitlines()]


def check_log(house):
    seqs, states = 0, set()
    for event in watch(house, ">"):
        assert event["seq"] > seqs, (event["seq"], seqs)
        seqs = event["seq"]
        data = event["data"]
        if event["kind"] == "vwap":
            key = (event["channel"], data["mark"], data["validated"], data["revision"])
        elif event["kind"] == "trade":
            key = (event["channel"], data["trade_id"], data["validated"], data["suspect"], data["revision"])
        else:
            continue
        assert key not in states, f"output twice: {key}"
        states.add(key)


def check_store(house, trades):
    rows = house.rows("select trade_id, venue_time / 1000000, price, quantity, validated from trades")
    stored = {row[0]: row[1:] for row in rows}
    assert len(stored) == len(rows), "a trade stands twice"
    for number, ms, price, quantity in trades:
        row = stored.pop(str(number), None)
        assert row is not None, f"trade {number} is not in the store"
        assert row == (ms, slow_vwap.trimmed(price), slow_vwap.trimmed(quantity), 1), (number, row, ms, price, quantity)
    unknown = [number for number in stored if int(number) <= trades[-1][0]]
    assert not unknown, f"trades that the venue does not know: {unknown[:5]}"


def check_values(house, trades, last):
    for name, seconds in WINDOWS.items():
        expected = slow_vwap.marks(trades, seconds, last)
        rows = house.rows("select mark / 1000000, sum_pq, sum_q, trades, complete from vwap "
                          "where \"window\" = ? and venue = 'binance' and validated and mark <= ?", seconds * 10**9, last * 10**6)
        found = {row[0]: row[1:] for row in rows}
        assert len(found) == len(rows), "a mark stands twice"
        for mark, (pq, q, count) in expected.items():
            assert found.get(mark) == (pq, q, count, 1), (name, mark, found.get(mark), (pq, q, count))
        assert set(found) == set(expected), f"{name}: {len(found)} marks, expected {len(expected)}"


def main():
    tap = h.Tap()
    kills = h.cases(200)
    rng = random.Random(h.seed())
    print(f"# seed {h.seed()}, {kills} kills")
    with h.Folder() as folder:
        faults = ("drop=0.02", "repeat=0.02", "reorder=0.02", "malformed=0.005", "missing_field=0.005", "wrong_type=0.005",
                  "absurd_price=0.005", "disconnect=0.0005")
        sim = h.Sim(folder, "--format", "binance", "--symbols", SYMBOL, "--rate", RATE, "--keep", KEEP, "--seed", h.seed(),
                    *[word for fault in faults for word in ("--fault", fault)])
        house = h.House(folder, config(sim)).wait_healthy()
        listener = Listener(house.port, random.Random(h.seed() + 1))
        listener.start()
        with sim, tap.case(f"{kills} kills at random: it goes on each time"):
            done = {"supervisor": 0, "market": 0, "keep": 0, "edge": 0, "all": 0}
            for _ in range(kills):
                time.sleep(rng.uniform(0.05, 0.8))
                lanes = house.lanes()
                victim = rng.choice(["supervisor", "all", "market", "market", "keep", "keep", "edge", "edge"])
                if victim == "all":
                    house.kill_all()
                elif victim == "supervisor":
                    os.kill(house.pid, signal.SIGKILL)
                    house.process.wait()
                elif victim in lanes:
                    os.kill(lanes[victim], signal.SIGKILL)
                else:
                    continue
                done[victim] += 1
                if victim in ("supervisor", "all"):
                    house.output.close()
                    house = h.House(folder, config(sim), port=house.port)
            print(f"# {done}")
            h.wait_for(lambda: "the house to be well again:\n" + house.said(), house.healthy)
            trades, last = settled(true_trades(sim))
            print(f"# {len(trades)} trades, marks to {last}")
            h.wait_for(lambda: f"validated to {validated_to(house)} of {last}\n" + house.said(), lambda: validated_to(house) >= last)
            with tap.case("the store holds every true trade once, validated"):
                check_store(house, trades)
            with tap.case("every validated value is what the true trades give"):
                check_values(house, trades, last)
            with tap.case("the log has no gap and no output twice"):
                check_log(house)
            with tap.case("a client with conflate false has every offset once and in order"):
                ends = {}
                for channel in CHANNELS:
                    events = watch(house, channel)
                    ends[channel] = events[-1]["offset"] if events else 0
                h.wait_for(lambda: f"{listener.at} to reach {ends}",
                           lambda: listener.broken or all((listener.at[c] or (0, 0))[1] >= ends[c] for c in CHANNELS))
                assert not listener.broken, listener.broken[:10]
                print(f"# resumed {listener.resumed} subscriptions, away {listener.away} times, ends {ends}")
        listener.stopping = True
        with tap.case("it stops cleanly"):
            house.stop()
            assert house.process.returncode == 0, (house.process.returncode, house.said())
    tap.done()


if __name__ == "__main__":
    main()
