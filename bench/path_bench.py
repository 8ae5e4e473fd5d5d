#!/usr/bin/env python3
"""The whole path: trades of a venue's stream are decoded, logged, summed and published, and the store follows.

A house as `kontor run` makes it, all its lanes and its defaults, has a venue that sends as fast as it is read and a client that
takes every trade (path_load). REST is not asked: no venue would confirm so many.

  wall      from the first trade until the last trade stands in the log, all processes sharing the machine's cores
  a core    what each lane would carry with a core of its own, by the CPU time that it has used
  the disk  how many bytes a trade puts on disk, beside a bare sequential write in the same folder
  store     rows a second until it has caught up; then it holds every trade, once
"""
import os
import signal
import sys
import time

import report

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests"))
import house as h

TRADES = 1000000
BOUND_S = 120
QUIET_S = 5 # without a message: the client will not get any more
BARE_BYTES = 256 << 20
SYMBOLS = ["BTC/USDT", "ETH/USDT", "SOL/USDT", "XRP/USDT", "BNB/USDT", "DOGE/USDT", "ADA/USDT", "TRX/USDT", "AVAX/USDT", "LINK/USDT"]

CONFIG = """
repair:
  enabled: false
log:
  hold_bytes: 8589934592
  retention_bytes: 8589934592
venues:
  - name: binance
    format: binance
    ws_url: ws://127.0.0.1:{port}
    rest_url: http://127.0.0.1:{port}
    symbols: [{symbols}]
"""


class Load(h.Process):
    def __init__(self, folder, name, *args):
        super().__init__([os.path.join(h.build_folder(), "bench", "path_load"), *map(str, args)], folder, name)

    def last(self, word):
        """Numbers of the last line that begins with this word; None: there is none yet."""
        if not self.running():
            raise AssertionError(f"path_load has ended:\n{self.said()}")
        lines = [line.split() for line in self.said().splitlines() if line.startswith(word)]
        return [int(number) for number in lines[-1][1:]] if lines else None


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def bare_write(folder):
    """Bytes a second of a plain file written in pieces of a MiB and synced at the end."""
    piece = os.urandom(1 << 20)
    start = time.monotonic()
    with open(os.path.join(folder, "bare"), "wb", buffering=0) as file:
        for _ in range(BARE_BYTES // len(piece)):
            file.write(piece)
        os.fdatasync(file.fileno())
    os.unlink(file.name)
    return BARE_BYTES / (time.monotonic() - start)


def written_bytes(pid):
    """That the process has had written to disk: records, segments prepared ahead, snapshots, rows."""
    with open(f"/proc/{pid}/io") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("write_bytes"))


class Watch:
    """What /metrics says."""

    def __init__(self, house):
        self.house = house
        self.values = {}

    def look(self):
        status, text = h.get(self.house.url + "/metrics")
        if status == 200:
            rows = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
            self.values = {name: float(value) for name, value in rows}
        return self

    def one(self, *parts):
        """The value of the only line that has all these parts in its name; 0 while there is none."""
        return next((value for name, value in self.values.items() if all(part in name for part in parts)), 0)

    def trades(self):
        """Each is two records: as it came, and as it was found good."""
        return int(self.one("kontor_log_written", 'log="market"')) // 2

    def behind(self):
        return int(self.one("kontor_log_reader_lag_records", 'log="market"', 'kind="cursor"'))


def main():
    with h.Folder() as folder, Load(folder, "venue", TRADES, *SYMBOLS) as venue:
        report.progress("path_bench: making the tape, and a bare write")
        bare = bare_write(folder)
        port = h.wait_for("the tape", lambda: venue.last("venue"))[0]
        config = CONFIG.format(port=port, symbols=", ".join(SYMBOLS))
        with h.House(folder, config) as house:
            house.wait_healthy()
            lanes = h.wait_for("all lanes", lambda: house.lanes() if len(house.lanes()) == 3 else None)
            with Load(folder, "client", "take", house.port, *SYMBOLS) as client:
                h.wait_for("the subscriptions", lambda: (client.last("took") or [0])[0] >= len(SYMBOLS))
                run(house, venue, client, lanes, bare)


def run(house, venue, client, lanes, bare):
    watch, logged, caught, told, cpu = Watch(house), None, None, 0, {}
    before = {lane: cpu_seconds(pid) for lane, pid in lanes.items()}
    acks = client.last("took")[0]
    took, took_at = 0, 0
    start = time.monotonic()
    end = start + BOUND_S

    venue.signal(signal.SIGUSR1)
    while caught is None and time.monotonic() < end:
        time.sleep(0.1)
        watch.look()
        now = time.monotonic() - start
        if client.last("took")[0] - acks > took:
            took, took_at = client.last("took")[0] - acks, now
        if logged is None and watch.trades() >= TRADES:
            logged = now
            disk = written_bytes(lanes["market"])
        published = took >= TRADES or now > took_at + QUIET_S
        if logged is not None and "edge" not in cpu and published:
            cpu["edge"] = cpu_seconds(lanes["edge"]) - before["edge"]
        if logged is not None and watch.behind() == 0 and published:
            caught = now
        if now >= told + 1 or caught is not None:
            told = now
            report.progress(f"path_bench: {now:5.1f} s: {watch.trades():8d} trades in the log, the store {watch.behind():8d} records behind, "
                            f"the client has {took:8d}")
    if caught is None:
        report.row("whole path", f"{TRADES} trades", f"not through in {BOUND_S} s: {watch.trades()} logged, {watch.behind()} records not in the store, "
                   f"{took} at the client", "", "1 M/s", False)
        return
    for lane in ("market", "keep"):
        cpu[lane] = cpu_seconds(lanes[lane]) - before[lane]
    rows = house.rows("select count(*), count(distinct symbol || ' ' || trade_id) from trades")
    exact = rows == [(TRADES, TRADES)]
    each = disk / TRADES

    def rate(what, count_s, against, demand):
        report.row("whole path", what, f"{count_s / 1e3:.0f} k/s", against, f"at least {demand / 1e3:.0f} k/s", count_s >= demand)

    rate(f"{TRADES // 1000000} M trades logged and published, {len(lanes)} lanes, venue and client on {os.cpu_count()} cores", TRADES / logged,
         f"{each:.0f} bytes to disk a trade: {TRADES / logged * each / bare:.2f} of a bare write ({bare / 1e6:.0f} MB/s)", 1e6 * report.disk_speed())
    for lane, count_s, text in (("market", 1e6, "decoded, logged, summed"), ("edge", 1e6, "published, every trade to one client"),
                                ("keep", 2e5, "kept as rows")):
        rate(f"lane {lane} on a core of its own: {text}", TRADES / cpu[lane], f"{cpu[lane] / TRADES * 1e6:.2f} us of CPU a trade", count_s * report.speed())
    rate("the store until it has caught up, all lanes at work", TRADES / caught,
         f"caught up {caught - logged:.1f} s after the last trade was logged", 2e5 * report.disk_speed())
    report.row("whole path", "every trade has reached the client", str(took), f"{watch.one('kontor_clients_slow_total'):.0f} times it was slow, "
               f"{watch.one('kontor_events_skipped_total'):.0f} events skipped", str(TRADES), took >= TRADES)
    report.row("whole path", "every trade is in the store once", str(rows[0][0] if rows else 0), "", str(TRADES), exact)


main()
