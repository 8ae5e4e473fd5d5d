#!/usr/bin/env python3
"""Minutes of our own: of a faulty market that speaks Kraken's formats, what a house makes of the trades that REST confirmed is what
the market did in each minute, and is the same as the minutes that it told; so says /metrics."""
import collections
import decimal
import json
import os
import signal

import house as h
import kill_test as k
import metrics_test as m
from quality_test import MINUTE_NS, ns_of

SYMBOL = "BTC/USDT"
TRADES, RATE, SPEED = 4000, 20, 50  # more than three minutes of market time


def config(sim, version):
    return f"""
repair: {{interval_ms: 100}}
venues:
  - {{name: kraken, format: kraken_{version}, ws_url: "ws://127.0.0.1:{sim.port}{'/v2' if version == 'v2' else ''}",
     rest_url: "http://127.0.0.1:{sim.port}", symbols: [{SYMBOL}], requests_per_s: 50, candles: true}}
"""


def true_minutes(path):
    """{minute: trades}, each (price, quantity) once, in the order of the market."""
    trades = {}
    with open(path) as file:
        for entry in map(json.loads, file):
            if entry.get("feed", "").startswith("kraken") and "true" in entry:
                true = entry["true"]
                trades[int(true["id"])] = (true["ts"] // 60000 * MINUTE_NS, decimal.Decimal(true["price"]), decimal.Decimal(true["quantity"]))
    minutes = collections.defaultdict(list)
    for _, (minute, price, quantity) in sorted(trades.items()):
        minutes[minute].append((price, quantity))
    return minutes


def told_minutes(house):
    """{minute: the event's data}, the newest revision of each; and the last counters."""
    told, last = {}, {"compared": 0, "different": 0}
    for event in k.watch(house, "minute.kraken.>"):
        last = event["data"]
        told[ns_of(last["begin"])] = last
    return told, last


def number(text):
    return decimal.Decimal(text)


def check(tap, house, truth, version):
    told, last = told_minutes(house)
    with tap.case(f"{version}: each minute that is over is what the market did in it"):
        assert sorted(told) == sorted(truth)[:-1], (sorted(told), sorted(truth))
        for begin, data in told.items():
            prices, volume = [price for price, _ in truth[begin]], sum(quantity for _, quantity in truth[begin])
            average = sum(price * quantity for price, quantity in truth[begin]) / volume
            assert [number(data[name]) for name in ("open", "high", "low", "close")] == [prices[0], max(prices), min(prices), prices[-1]], data
            assert number(data["volume"]) == volume and data["trades"] == len(prices) and data["complete"], data
            assert abs(number(data["vwap"]) - average) < decimal.Decimal("0.01"), (data, average)
    with tap.case(f"{version}: and what the venue told, where it did"):
        assert last["compared"] > 0 and last["different"] == 0, last
        assert sum(data["told"] == "equal" for data in told.values()) == last["compared"], (told, last)
        print(f"# {len(told)} minutes, {last['compared']} compared")
    with tap.case(f"{version}: the figures say so"):
        labels = {"venue": "kraken", "symbol": SYMBOL}
        h.wait_for("minutes_compared", lambda: m.value(house, "kontor_minutes_compared", **labels) == last["compared"])
        assert m.value(house, "kontor_minutes_different", **labels) == 0


def main():
    tap = h.Tap()
    for version in ("v1", "v2"):
        with h.Folder() as folder:
            path = os.path.join(folder, "truth.jsonl")
            with h.Sim(folder, "--format", f"kraken_{version}", "--symbols", SYMBOL, "--count", TRADES, "--rate", RATE, "--speed", SPEED, "--wait",
                       "--seed", h.seed(), "--truth", path, "--fault",
                       "drop=0.02,repeat=0.02,reorder=0.02,malformed=0.002,disconnect=0.002") as sim, \
                    h.House(folder, config(sim, version)) as house:
                house.wait_healthy()
                h.wait_for(lambda: f"the end of the market: {sim.truth()}\n" + house.said(), lambda: sim.truth()["ended"], step=0.2)
                sim.signal(signal.SIGUSR1)
                h.wait_for("the truth to be written", lambda: "totals" in open(path).read())
                truth = true_minutes(path)
                h.wait_for("REST to pass the last minute but one", lambda: max(told_minutes(house)[0], default=0) >= sorted(truth)[-2], step=0.2)
                check(tap, house, truth, version)
    tap.done()


if __name__ == "__main__":
    main()
