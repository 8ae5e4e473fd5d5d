#!/usr/bin/env python3
"""`kontor export` against a second reading: rows are put into a store by Python's sqlite3 from a recorded tape, and what is
exported is read by Python's csv."""
import csv
import glob
import gzip
import io
import os
import signal
import sqlite3
import subprocess
import time

import house as h

TAPE = "binance/trades_btcusdt_20240808T2354_20240809T0005.csv.gz"
TRADE_HEAD = ["exchange", "symbol", "timestamp", "local_timestamp", "id", "side", "price", "amount"]
VALUE_HEAD = ["exchange", "symbol", "timestamp", "window", "price", "amount", "notional", "trades", "validated", "complete", "revision"]
APPLICATION_ID = 0x6B6F6E74
MINUTE_NS = 60 * 10**9
PUT_TRADE = "INSERT INTO trades VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
PUT_VALUE = "INSERT INTO vwap VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


def plain(number):
    """Digits without trailing zeros, as the store has them."""
    return number.rstrip("0").rstrip(".") if "." in number else number


def new_store(folder):
    db = sqlite3.connect(os.path.join(folder, "store.db"))
    db.execute("PRAGMA journal_mode = WAL")
    for number, path in enumerate(sorted(glob.glob(os.path.join(h.ROOT, "src", "store", "migrations", "*.sql"))), start=1):
        with open(path, encoding="utf-8") as file:
            db.executescript(file.read())
        db.execute(f"PRAGMA user_version = {number}")
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    return db


def tape_rows():
    """What is to be exported, as the venue's file has it: by time, then by id."""
    with gzip.open(h.recordings(TAPE), "rt", encoding="utf-8", newline="") as file:
        rows = [["binance", "BTC/USDT", int(row["trade_time_ms"]) * 1000, int(row["recv_ns"]) // 1000, row["trade_id"],
                 "sell" if row["buyer_is_maker"] == "1" else "buy", plain(row["price"]), plain(row["qty"]), int(row["recv_ns"])]
                for row in csv.DictReader(file)]
    return sorted(rows, key=lambda row: (row[2], row[4]))


def put_trades(db, rows):
    db.execute("INSERT OR IGNORE INTO instruments VALUES ('binance', 'BTC/USDT')")
    db.executemany(PUT_TRADE, [(row[0], row[1], row[4], row[2] * 1000, row[8], row[6], row[7], row[5], 1, 0, "rest", 1) for row in rows])
    db.commit()


def command(folder, *words):
    return [h.kontor(), "export", *words, "--data", folder]


def export(folder, *words):
    done = subprocess.run(command(folder, *words), capture_output=True, timeout=60, stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout, done.stderr.decode()


def read(text):
    rows = list(csv.reader(io.StringIO(text.decode("utf-8"), newline="")))
    return rows[0], rows[1:]


def expected(rows):
    return [[str(field) for field in row[:8]] for row in rows]


def refused(folder, fragment, *words, status=1):
    found, out, complaint = export(folder, *words)
    assert found == status and fragment in complaint, (words, found, complaint)
    return out


def trades(tap, folder, rows):
    half = rows[len(rows) // 2][2]
    with tap.case("every trade of the tape, digit for digit, in order"):
        status, out, complaint = export(folder, "trades")
        assert status == 0, complaint
        head, found = read(out)
        assert head == TRADE_HEAD and found == expected(rows), len(found)
    with tap.case("two halves of time are the whole, without a repeat"):
        cut = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(half // 10**6))
        first, second = (read(export(folder, "trades", "binance", "BTC/USDT", flag, cut)[1])[1] for flag in ("--to", "--from"))
        assert first and second and first + second == expected(rows), (len(first), len(second))
        assert all(int(row[2]) < half // 10**6 * 10**6 for row in first)
    with tap.case("a file appears whole, and instead of an old one"):
        path = os.path.join(folder, "trades.csv")
        with open(path, "w", encoding="utf-8") as file:
            file.write("old")
        status, out, complaint = export(folder, "trades", "--out", path)
        assert status == 0 and out == b"" and f"{len(rows)} rows in {path}" in complaint, complaint
        with open(path, "rb") as file:
            assert read(file.read())[1] == expected(rows)
        assert not os.path.exists(path + ".part")
    with tap.case("compressed, zstd reads the same"):
        path = os.path.join(folder, "trades.csv.zst")
        assert export(folder, "trades", "--out", path)[0] == 0
        plain_text = subprocess.run(["zstd", "-dc", path], capture_output=True, check=True).stdout
        assert plain_text == export(folder, "trades")[1] and os.path.getsize(path) < len(plain_text) / 3


def odd(tap, folder):
    """Texts that CSV has to quote, rows beyond a page at one time, and what is left out."""
    db = new_store(folder)
    ids = [f"{number:06}" for number in range(40000)]
    strange = ['a,b', 'say "hi"', "two\nlines", "ä"]
    db.executemany("INSERT INTO instruments VALUES (?, ?)", [("market", "BTC"), ("market", "ETH,USD")])
    db.executemany(PUT_TRADE, [("market", "BTC", trade_id, 10**15, 10**15, "1", "2", "buy", 0, 0, "stream", 1) for trade_id in ids])
    db.executemany(PUT_TRADE, [("market", "ETH,USD", trade_id, 10**15, 10**15, "0.1", "2", "unknown", 0, 0, "stream", 1) for trade_id in strange])
    db.executemany(PUT_TRADE, [("market", "ETH,USD", f"z{suspect}{validated}", 10**15, 10**15, "0.1", "2", "sell", validated, suspect, "stream", 1)
                               for suspect, validated in ((1, 0), (1, 1), (0, 1))])
    db.executemany(PUT_VALUE, [("", "ALL", MINUTE_NS, mark * 10**9, "1.5", "3", "2", 4, 1, 0, 2) for mark in range(3)])
    db.execute(PUT_VALUE, ("market", "BTC", MINUTE_NS, 7 * 10**9, "1", "1", "1", 1, 0, 1, 1))
    db.commit()
    with tap.case("more trades at one time than a page holds"):
        assert [row[4] for row in read(export(folder, "trades", "market", "BTC")[1])[1]] == ids
    with tap.case("texts with commas, quotes and line breaks come back; suspect trades that nobody confirmed do not come"):
        rows = read(export(folder, "trades", "market", "ETH,USD")[1])[1]
        assert [row[4] for row in rows] == sorted(strange + ["z11", "z01"], key=lambda text: text.encode()), rows
        assert all(row[1] == "ETH,USD" for row in rows)
    config = os.path.join(folder, "kontor.yaml")
    with open(config, "w", encoding="utf-8") as file:
        file.write("vwap: {windows: [1m], interval_ms: 60000, composites: [{ticker: ALL, members: [{venue: market, symbol: BTC}]}]}\n"
                   "venues: [{name: market, format: generic, ws_url: 'ws://h/s'}]\n")
    with tap.case("values, of venues and of composites"):
        head, rows = read(export(folder, "values", "--config", config)[1])
        assert head == VALUE_HEAD
        assert rows == [["market", "BTC", "7000000", "1m", "1", "1", "1", "1", "false", "true", "1"]] + [
            ["", "ALL", str(mark * 10**6), "1m", "1.5", "2", "3", "4", "true", "false", "2"] for mark in range(3)], rows
        assert read(export(folder, "values", "-", "ALL", "--config", config)[1])[1] == rows[1:]
    with tap.case("the store knows its series and windows without the house's configuration"):
        for window in ("1m", "60s"):
            assert read(export(folder, "values", "--window", window)[1])[1] == rows, window
        assert read(export(folder, "values", "-", "ALL", "--window", "1m")[1])[1] == rows[1:]
        refused(folder, "nothing is stored of window '7m'; there is: 1m", "values", "--window", "7m")
        refused(folder, "there is: - ALL", "values", "-", "SOME", "--window", "1m")
        refused(folder, "'often' is no window", "values", "--window", "often")
    db.close()


def mistakes(tap, folder, empty):
    with tap.case("mistakes are named"):
        refused(folder, "say what: `kontor export trades`", status=2)
        refused(folder, "say what", "orders", status=2)
        refused(folder, "one word too many", "trades", "a", "b", "c", status=2)
        refused(folder, "--from 'yesterday' is no time", "trades", "--from", "yesterday", status=2)
        refused(folder, "--to does not lie behind --from", "trades", "--from", "2024-01-02T00:00:00Z", "--to", "2024-01-01T00:00:00Z", status=2)
        refused(folder, "composites (-) have values", "trades", "-", status=2)
        refused(folder, "nothing is stored of window '7m'", "values", "--window", "7m")
        refused(folder, "there is: binance BTC/USDT", "trades", "kraken")
        refused(empty, "store.db' does not exist", "trades")
    with tap.case("what can not be written leaves nothing behind"):
        path = os.path.join(folder, "none", "trades.csv")
        refused(folder, "cannot make", "trades", "--out", path)
        path = os.path.join(folder, "kept.csv")
        with open(path, "w", encoding="utf-8") as file:
            file.write("old")
        refused(folder, "nothing is stored of window", "values", "--window", "7m", "--out", path)
        with open(path, encoding="utf-8") as file:
            assert file.read() == "old"
        assert not os.path.exists(path + ".part")
    with tap.case("who stops reading, or stops it, ends it with a word"):
        with open("/dev/full", "wb") as full:
            done = subprocess.run(command(folder, "trades"), stdout=full, stderr=subprocess.PIPE, timeout=60, check=False)
        assert done.returncode == 1 and b"cannot write 'standard output'" in done.stderr, done.stderr
        with subprocess.Popen(command(folder, "trades"), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            process.stdout.read(100) # the rest does not fit a pipe
            process.send_signal(signal.SIGINT)
            _, complaint = process.communicate(timeout=60)
        assert process.returncode == 1 and b"kontor export: stopped" in complaint, (process.returncode, complaint)


def main():
    tap = h.Tap()
    with h.Folder() as folder:
        whole, strange, empty = (os.path.join(folder, name) for name in ("whole", "strange", "empty"))
        for name in (whole, strange, empty):
            os.makedirs(name)
        odd(tap, strange)
        if h.recordings(TAPE) is None:
            tap.skip("the tape as CSV, and mistakes", f"no recording {TAPE}")
        else:
            rows = tape_rows()
            with new_store(whole) as db:
                put_trades(db, rows)
            trades(tap, whole, rows)
            mistakes(tap, whole, empty)
    tap.done()


if __name__ == "__main__":
    main()
