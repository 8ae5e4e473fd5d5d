#!/usr/bin/env python3
"""Quality by minute: what a house tells of each is what the market did to the trades of that minute; channel, store, actions and
the counters of the feed say the same; `kontor rebuild` makes the table again."""
import collections
import datetime
import glob
import json
import os
import signal
import subprocess

import house as h
import kill_test as k
import metrics_test as m

SYMBOLS = ["BTC/USDT", "ETH/USDT"]
COUNTERS = ("received", "repeated", "reordered", "missing", "suspect")
BROKEN = ("malformed", "missing_field", "wrong_type")
TRADES, RATE, SPEED = 5000, 20, 50  # four minutes of market time, five seconds of ours
MINUTE_NS = 60 * 10**9


def config(sim):
    return f"""
repair: {{interval_ms: 100}}
venues:
  - {{name: binance, format: binance, ws_url: "ws://127.0.0.1:{sim.port}", rest_url: "http://127.0.0.1:{sim.port}",
     symbols: [{", ".join(SYMBOLS)}]}}
"""


def ns_of(iso):
    whole, _, part = iso.rstrip("Z").partition(".")
    seconds = round(datetime.datetime.fromisoformat(whole + "+00:00").timestamp())
    return seconds * 10**9 + int(part.ljust(9, "0") if part else 0)


def true_minutes(path):
    """{(symbol, minute): counters}, from what the market wrote down about each trade, in the order in which it did."""
    minutes = collections.defaultdict(collections.Counter)
    given, highest, missing = set(), collections.Counter(), {}
    with open(path) as file:
        for entry in map(json.loads, file):
            if entry.get("feed") != "binance":
                continue
            trade = entry["true"]
            symbol, number = trade["symbol"], int(trade["id"])
            minute = minutes[symbol, trade["ts"] // 60000 * MINUTE_NS]
            minute["disconnect"] += entry["fault"] == "disconnect"
            if entry["delivered"] is None or entry["fault"] in BROKEN:
                if (symbol, number) not in given:
                    missing[symbol, number] = minute
                continue
            minute["received"] += 1
            if (symbol, number) in given:
                minute["repeated"] += 1
                continue
            given.add((symbol, number))
            missing.pop((symbol, number), None)
            minute["reordered"] += number < highest[symbol]
            minute["suspect"] += entry["fault"] == "absurd_price"
            highest[symbol] = max(number, highest[symbol])
    for minute in missing.values():
        minute["missing"] += 1
    return minutes


def told_minutes(house):
    """{(symbol, minute): the event's data}, the newest revision of each; symbol '' is of the venue."""
    told = {}
    for event in k.watch(house, "quality.>"):
        key = (event["channel"].partition(".binance")[2].lstrip("."), ns_of(event["data"]["minute"]))
        before = told.get(key, {"revision": 0})["revision"]
        assert event["data"]["revision"] in (before + 1, 2 if before == 0 else before + 1), (key, before, event)
        told[key] = event["data"]
    return told


def stored_minutes(house):
    names = ["symbol", "minute", "revision", "received", "invalid", "repeated", "reordered", "missing", "repaired", "suspect", "silence",
             "latency_p50", "latency_p99", "latency_max", "timed"]
    rows = house.rows(f"select {', '.join(names)} from quality where venue = 'binance'") or []
    return {(row[0], row[1]): dict(zip(names[2:], row[2:])) for row in rows}


def without_time(data):
    return {name: value for name, value in data.items() if name != "minute"}


def newest_stats(house, symbol):
    return k.watch(house, f"stats.binance.{symbol}")[-1]["data"]


def call(house, action, **params):
    done = subprocess.run([h.kontor(), "call", action, *(f"{name}={value}" for name, value in params.items()), "--url", house.url],
                          capture_output=True, text=True, timeout=h.WAIT_S, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def check(tap, house, truth):
    def wrong():
        stats = {symbol: newest_stats(house, symbol) for symbol in SYMBOLS}
        sums = {symbol: {name: sum(minute[name] for (of, _), minute in truth.items() if of == symbol) for name in COUNTERS} for symbol in SYMBOLS}
        return {(symbol, name): (stats[symbol][name], sums[symbol][name]) for symbol in SYMBOLS for name in COUNTERS
                if stats[symbol][name] != sums[symbol][name] or stats[symbol]["repaired"] != stats[symbol]["missing"]}

    with tap.case("the counters of the feeds are the sums over the market's minutes"):
        h.wait_for(lambda: f"counters (found, true): {wrong()}\n" + house.said(), lambda: not wrong(), seconds=60, step=0.2)
    told = told_minutes(house)
    with tap.case("each minute that is told is what the market did in it"):
        named = {key: data for key, data in told.items() if key[0] != ""}
        assert len(named) >= 2 * len(SYMBOLS), sorted(told)
        for key, data in named.items():
            assert {name: data[name] for name in COUNTERS} == {name: truth[key][name] for name in COUNTERS}, (key, data, truth[key])
            assert data["repaired"] == data["missing"] and data["timed"] == data["received"] - data["repeated"], (key, data)
            assert data["latency_p50"] <= data["latency_p99"] <= data["latency_max"], (key, data)
        assert any(data["missing"] > 0 for data in named.values()), named
        print(f"# {len(named)} minutes, {sum(data['missing'] for data in named.values())} trades missing and repaired")
    with tap.case("without a connection there is silence"):
        first, last = min(minute for _, minute in named), max(minute for _, minute in named)
        lost = sum(truth[key]["disconnect"] for key in named if first < key[1] < last)  # the others may be of minutes that are not told
        assert lost == 0 or any(data["silence"] > 0 for data in named.values()), (lost, named)
        print(f"# {lost} connections lost")
    with tap.case("the store has what the channels said"):
        expected = {key: without_time(data) for key, data in told.items()}  # more are told while time passes
        h.wait_for("the store to have it", lambda: expected.items() <= stored_minutes(house).items(), step=0.1)
    with tap.case("the actions answer from it"):
        first, last = min(minute for _, minute in told), max(minute for _, minute in told)
        span = {"from": iso(first), "to": iso(last)}
        rows = {row["symbol"]: row for row in call(house, "quality.history", measure="missing", **span)["rows"]}
        for symbol in SYMBOLS:
            minutes = [data for (of, _), data in sorted(told.items()) if of == symbol]
            assert call(house, "quality.minutes", venue="binance", symbol=symbol, **span)["rows"] == minutes
            assert rows[symbol]["total"] == sum(data["missing"] for data in minutes), (symbol, rows)
            assert rows[symbol]["received"] == sum(data["received"] for data in minutes), (symbol, rows)


def check_figures(tap, house):
    with tap.case("there are figures with each label that the dashboard and the alerts select by"):
        left = m.selectors()
        assert len(left) > 10, left

        def found():
            values, _ = m.parse(m.metrics(house))
            left.difference_update({selector for selector in left if m.selects(values, selector)})
            return not left
        h.wait_for(lambda: f"figures: {left}", found, step=0.1)


def iso(ns):
    return datetime.datetime.fromtimestamp(ns // 10**9, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def check_rebuild(tap, folder, house):
    with tap.case("kontor rebuild makes the table again"):
        house.stop()
        told = {key: without_time(data) for key, data in told_minutes(house).items()}
        for name in glob.glob(os.path.join(house.data, "store.db*")):
            os.remove(name)
        assert not os.path.exists(os.path.join(house.data, "store.db"))
        done = subprocess.run([h.kontor(), "rebuild", "store", "--config", os.path.join(folder, "kontor.yaml"), "--data", house.data],
                              capture_output=True, text=True, timeout=h.WAIT_S, check=False)
        assert done.returncode == 0, done.stderr
        assert told and stored_minutes(house) == told


def main():
    tap = h.Tap()
    with h.Folder() as folder:
        path = os.path.join(folder, "truth.jsonl")
        with h.Sim(folder, "--format", "binance", "--symbols", ",".join(SYMBOLS), "--count", TRADES, "--rate", RATE, "--speed", SPEED, "--wait",
                   "--seed", h.seed(), "--truth", path, "--fault",
                   "drop=0.02,repeat=0.02,reorder=0.02,malformed=0.01,absurd_price=0.01,disconnect=0.002") as sim, \
                h.House(folder, config(sim)) as house:
            house.wait_healthy()
            check_figures(tap, house)
            h.wait_for(lambda: f"the end of the market: {sim.truth()}\n" + house.said(), lambda: sim.truth()["ended"], step=0.2)
            sim.signal(signal.SIGUSR1)
            h.wait_for("the truth to be written", lambda: "totals" in open(path).read())
            check(tap, house, true_minutes(path))
            check_rebuild(tap, folder, house)
    tap.done()


if __name__ == "__main__":
    main()
