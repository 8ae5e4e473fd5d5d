#!/usr/bin/env python3
"""A recorded tape, played through the faulty market in a venue's own format over a real socket: what comes out is exact.

  - with REST: validated sums of every whole second and window equal those of a slow second calculation over the true trades;
  - without REST: provisional sums equal those over what had been delivered when market time passed the mark, less what had to be
    refused;
  - received, invalid, repeated, reordered, missing and suspect equal what the market itself knows that it did.

The same in the generic format on generated trades, 250 of them in one millisecond included."""
import collections
import json
import re
import subprocess

import house as h
import slow_vwap

WINDOWS = {"1m": 60, "5m": 300, "1h": 3600}
TAPE = "binance/hftbt_spot_btcusdt_20240808.ns_raw.txt.gz"
CSV = "binance/trades_btcusdt_20240808T2354_20240809T0005.csv.gz"
LAST_ID = 3735693015
REST_ROWS = 100 # of one answer in the generic format
FAULTS = ("drop=0.02", "repeat=0.02", "reorder=0.02", "malformed=0.01", "missing_field=0.01", "wrong_type=0.01",
          "absurd_price=0.01", "disconnect=0.0005", "silence=0.0005")
COUNTERS = ("received", "invalid", "repeated", "reordered", "missing", "suspect")


def fault_flags():
    return [word for fault in FAULTS for word in ("--fault", fault)]


def config(venue, sim, symbols, rest=True, path="", rest_path=""):
    return f"""
repair:
  enabled: {"true" if rest else "false"}
  interval_ms: 50
venues:
  - name: {venue}
    format: {venue}
    ws_url: ws://127.0.0.1:{sim.port}{path}
    rest_url: http://127.0.0.1:{sim.port}{rest_path}
    symbols: [{symbols}]
"""


class Seen:
    """The newest of what log market holds, read through `kontor watch`."""

    def __init__(self, house, venue, symbol, price_scale):
        self.house, self.venue, self.symbol, self.price_digits = house, venue, symbol, price_scale + 2

    def events(self, pattern):
        out = subprocess.run([h.kontor(), "watch", pattern, "--log", "market", "--from", "start", "--once", "--data",
                              self.house.data], capture_output=True, text=True, timeout=h.WAIT_S)
        return [json.loads(line) for line in out.stdout.splitlines()]

    def values(self, window, validated):
        """{mark ms: (sum_pq, sum_q, trades, complete)}; a mark that comes twice, or whose price is not the quotient of its sums,
        is an error."""
        found = {}
        for event in self.events(f"vwap.{window}.{self.venue}.{self.symbol}"):
            data = event["data"]
            if data["validated"] == validated:
                mark = ms_of(data["mark"])
                assert mark not in found, f"{window} {data['mark']} is published twice"
                price = slow_vwap.price_of(data["sum_pq"], data["sum_q"], self.price_digits)
                assert slow_vwap.trimmed(data["price"]) == price, (window, data, price)
                found[mark] = (data["sum_pq"], data["sum_q"], data["trades"], data["complete"])
        return found

    def stats(self):
        """The newest counters of the venue."""
        events = self.events(f"stats.{self.venue}")
        return events[-1]["data"] if events else dict.fromkeys(COUNTERS, 0)


def ms_of(iso):
    import datetime
    return round(datetime.datetime.fromisoformat(iso.replace("Z", "+00:00")).timestamp() * 1000)


def compare(found, expected, what):
    for mark, sums in expected.items():
        assert found.get(mark) == sums, (what, mark, "found", found.get(mark), "expected", sums)
    extra = sorted(set(found) - set(expected))
    assert not extra, (what, "marks that should not be", extra[:3])


def check_counters(sim, seen, unknowable=0):
    """`unknowable`: trades that neither stream nor REST can ever give, which nobody but the market can know of."""
    truth = sim.truth()["feeds"][seen.venue]
    truth["missing"] -= unknowable

    def wrong():
        stats = seen.stats()
        return {name: (stats[name], truth[name]) for name in COUNTERS if stats[name] != truth[name]}

    h.wait_for(lambda: f"counters (found, true): {wrong()}", lambda: not wrong(), seconds=30)
    print("#", {name: truth[name] for name in COUNTERS})


def delivered(path, venue):
    """[(id, ms, price, quantity, fault)] of what reached the house well-formed for the first time, in the order delivered."""
    rows, known = [], set()
    with open(path) as file:
        for line in file:
            entry = json.loads(line)
            if entry.get("feed") != venue or entry["delivered"] is None:
                continue
            if entry["fault"] in ("malformed", "missing_field", "wrong_type"):
                continue
            if entry["true"]["id"] in known:
                continue
            known.add(entry["true"]["id"])
            rows.append((entry["true"]["id"], entry["true"]["ts"], entry["true"]["price"], entry["true"]["quantity"],
                         entry["fault"]))
    return rows


def provisional(rows, seconds):
    """What a mark's sums were when market time passed it: only what had been delivered by then, without the suspect."""
    found, kept, market = {}, [], None
    for number, ms, price, quantity, fault in rows:
        if fault != "absurd_price":
            kept.append((number, ms, price, quantity))
        if market is not None and ms > market:
            first = -(-market // 1000) * 1000
            passed = [mark for mark in range(first, ms, 1000)]
            if passed:
                series = slow_vwap.Series([row for row in kept if row[1] >= passed[0] - seconds * 1000])
                for mark in passed:
                    sums = series.window(mark - seconds * 1000, mark)
                    if sums:
                        found[mark] = sums + (None,)
        market = ms if market is None else max(market, ms)
    return found


def without_complete(values):
    return {mark: sums[:3] + (None,) for mark, sums in values.items()}


def tape(tap):
    path, rows = h.recordings(TAPE), h.recordings(CSV)
    names = ["the tape through Binance's format: validated sums are exact", "... and the counters are the market's own",
             "... and store and log say the same", "without REST provisional sums are exact", "... and the counters are the market's own"]
    if not path or not rows:
        for name in names:
            tap.skip(name, "the recordings are absent")
        return
    trades = slow_vwap.read_csv(rows, LAST_ID)
    flags = ["--format", "binance", "--tape", path, "--until-id", LAST_ID, "--speed", "max", "--wait", "--seed", h.seed(),
             *fault_flags()]
    with h.Folder() as folder, h.Sim(folder, *flags, "--truth", folder + "/truth.jsonl") as sim, \
            h.House(folder, config("binance", sim, "BTC/USDT")) as house:
        house.wait_healthy()
        seen = Seen(house, "binance", "BTC/USDT", 2)
        last = max(slow_vwap.marks(trades, 60))
        with tap.case(names[0]):
            h.wait_for(lambda: f"the last mark {last} to be validated\n" + house.said(),
                       lambda: last in seen.values("1m", True), step=0.5)
            for name, seconds in WINDOWS.items():
                expected = {mark: sums + (True,) for mark, sums in slow_vwap.marks(trades, seconds).items()}
                compare(seen.values(name, True), expected, name)
                print(f"# {name}: {len(expected)} marks")
        with tap.case(names[1]):
            check_counters(sim, seen)
        with tap.case(names[2]):
            for name, seconds in WINDOWS.items():
                def same():
                    stored = {row[0]: (*row[1:4], bool(row[4])) for row in house.rows(
                        "select mark / 1000000, sum_pq, sum_q, trades, complete from vwap where validated "
                        "and venue = 'binance' and \"window\" = ?", seconds * 10**9)}
                    return stored == seen.values(name, True)
                h.wait_for(f"the store to hold the validated values of {name}", same, step=0.5)
    with h.Folder() as folder, h.Sim(folder, *flags, "--no-rest", "--truth", folder + "/truth.jsonl") as sim, \
            h.House(folder, config("binance", sim, "BTC/USDT", rest=False)) as house:
        house.wait_healthy()
        seen = Seen(house, "binance", "BTC/USDT", 8) # nobody describes the instrument
        with tap.case(names[3]):
            h.wait_for(lambda: f"the end of the tape: {sim.truth()}\n" + house.said(), lambda: sim.truth()["ended"], step=0.2)
            for name, seconds in WINDOWS.items():
                expected = provisional(delivered(folder + "/truth.jsonl", "binance"), seconds)
                h.wait_for(f"the last of {len(expected)} provisional marks of {name}",
                           lambda: max(expected) in seen.values(name, False), step=0.5)
                compare(without_complete(seen.values(name, False)), expected, name)
                print(f"# {name}: {len(expected)} marks")
        with tap.case(names[4]):
            # Where numbers tell of a gap: not before the first trade that came, nor after the last.
            heard = [int(row[0]) for row in delivered(folder + "/truth.jsonl", "binance")]
            check_counters(sim, seen, sum(not min(heard) <= int(row[0]) <= max(heard) for row in trades))


def generated(tap):
    """The generic format, on generated trades; every 20 s of market time 250 of them in one millisecond."""
    flags = ["--format", "generic", "--symbols", "BTC/USDT", "--rate", 40, "--count", 8000, "--burst", 250, "--burst-every", 60,
             "--start-time", "2024-03-01T10:00:00Z", "--speed", "max", "--wait", "--shuffle", "--seed", h.seed(), *fault_flags()]
    with h.Folder() as folder, h.Sim(folder, *flags, "--truth", folder + "/truth.jsonl") as sim, \
            h.House(folder, config("generic", sim, "", path="/stream", rest_path="/trades")) as house:
        house.wait_healthy()
        h.wait_for(lambda: f"the end of the market: {sim.truth()}\n" + house.said(), lambda: sim.truth()["ended"], step=0.2)
        with open(folder + "/truth.jsonl") as file:
            lines = [json.loads(line) for line in file]
        trades = {}
        for line in lines:
            if "true" in line and line["feed"] == "generic":
                true = line["true"]
                trades[true["id"]] = (true["id"], true["ts"], true["price"], true["quantity"])
                symbol = true["symbol"]
        seen = Seen(house, "generic", symbol, 8)
        by_ms = collections.defaultdict(list)
        for number in sorted(trades, key=natural):
            by_ms[trades[number][1]].append(trades[number])
        full = [ms for ms, rows in by_ms.items() if len(rows) >= REST_ROWS]
        given = [row for rows in by_ms.values() for row in rows[:REST_ROWS]]
        last = max(slow_vwap.marks(given, 60))
        with tap.case("generated trades in the generic format: validated sums are exact, 250 in one millisecond included"):
            assert full, "no millisecond had more trades than REST gives"
            h.wait_for(lambda: f"the last mark {last} to be validated\n" + house.said(),
                       lambda: last in seen.values("1m", True), step=0.5)
            for name, seconds in WINDOWS.items():
                expected = {mark: (*sums, not any(mark - seconds * 1000 <= ms <= mark for ms in full))
                            for mark, sums in slow_vwap.marks(given, seconds).items()}
                compare(seen.values(name, True), expected, name)
                print(f"# {name}: {len(expected)} marks, {sum(not sums[3] for sums in expected.values())} of them incomplete")
        with tap.case("... and the counters are the market's own"):
            heard = {row[0] for row in delivered(folder + "/truth.jsonl", "generic")}
            told = {row[0] for row in given}
            check_counters(sim, seen, sum(number not in heard and number not in told for number in trades))


def natural(text):
    """Ids in the order of their numbers."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", text)]


def main():
    tap = h.Tap()
    tape(tap)
    generated(tap)
    tap.done()


main()
