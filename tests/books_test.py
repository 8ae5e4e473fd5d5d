#!/usr/bin/env python3
"""Books through a stream that drops, repeats, reorders and garbles: what the house says they are is what the venue says
over REST, whatever was killed in between; and what is published follows the venue's own rule."""
import json
import os
import signal
import subprocess
import time
import urllib.parse

import house as h

SYMBOLS = ["BTC/USDT", "ETH/USDT"]
DEPTH = 1000
FAULTS = "drop=0.01,repeat=0.02,reorder=0.02,malformed=0.01,missing_field=0.01,wrong_type=0.01,disconnect=0.005"


def config(sim):
    return f"""
venues:
  - name: binance
    format: binance
    ws_url: ws://127.0.0.1:{sim.port}
    rest_url: http://127.0.0.1:{sim.port}
    symbols: [{", ".join(SYMBOLS)}]
    books: true
"""


def plain(number):
    """Digits without trailing zeros."""
    return number.rstrip("0").rstrip(".") if "." in number else number


def venue_book(sim, symbol):
    name = symbol.replace("/", "")
    status, body = h.get(f"http://127.0.0.1:{sim.port}/api/v3/depth?symbol={name}&limit={DEPTH}")
    assert status == 200, (status, body)
    book = json.loads(body)
    return book["lastUpdateId"], [[(plain(price), plain(size)) for price, size in book[side]] for side in ("bids", "asks")]


def house_book(house, symbol):
    """None while it is being read anew."""
    words = urllib.parse.urlencode({"venue": "binance", "symbol": symbol, "depth": DEPTH})
    status, body = h.get(f"{house.url}/v1/book/snapshot?{words}")
    if status != 200:
        return None
    book = json.loads(body)
    return book["sequence"], [[(row["price"], row["quantity"]) for row in book[side]] for side in ("bids", "asks")]


def equal(sim, house, symbol):
    """Both at the same update: then they must be the same, level by level."""
    found, true = house_book(house, symbol), venue_book(sim, symbol)
    if found is None or found[0] != true[0]:
        return False
    assert found == true, (symbol, found, true)
    return True


def wait_equal(sim, house):
    for symbol in SYMBOLS:
        h.wait_for(lambda: f"the book of {symbol} to be the venue's: {house_book(house, symbol)}\n" + house.said(),
                   lambda: equal(sim, house, symbol), step=0.05)


def published(house, pattern):
    run = subprocess.run([h.kontor(), "watch", pattern, "--data", house.data, "--from", "start", "--once"],
                         capture_output=True, text=True, timeout=h.WAIT_S)
    assert run.returncode == 0, run.stderr
    return [json.loads(line) for line in run.stdout.splitlines()]


def main():
    tap = h.Tap()
    with h.Folder() as folder:
        sim = h.Sim(folder, "--format", "binance", "--symbols", ",".join(SYMBOLS), "--rate", 20, "--seed", h.seed(),
                    "--fault", FAULTS)
        house = h.House(folder, config(sim))
        with sim, house:
            house.wait_healthy()
            with tap.case("the house's books are the venue's, level by level"):
                wait_equal(sim, house)
            # A lane that is killed takes with it what it has received and not yet written: counted only before.
            with tap.case("the counters of what was refused are the market's own"):
                def refused():
                    stats = published(house, "stats.binance")
                    return (stats[-1]["data"]["invalid"] if stats else 0, sim.truth()["feeds"]["binance"]["invalid"])
                h.wait_for(lambda: f"invalid (found, true): {refused()}", lambda: refused()[1] > 2 and len(set(refused())) == 1, step=0.3)
            with tap.case("the books are the venue's again after lane market is killed"):
                for _ in range(3):
                    os.kill(h.wait_for("lane market", lambda: house.lanes().get("market")), signal.SIGKILL)
                    time.sleep(0.3)
                    wait_equal(sim, house)
            with tap.case("... and through gaps, of which there were some"):
                def enough():
                    events = published(house, "book.>")
                    return len(events) > 150 and sum(event["data"]["snapshot"] for event in events) > 15
                h.wait_for("gaps and changes", enough, step=0.5)
                wait_equal(sim, house)
        events = published(house, "book.>")
        with tap.case("each change continues the book before it, and snapshots stand where it can not"):
            last = {}
            for event in events:
                data, channel = event["data"], event["channel"]
                if not data["snapshot"]:
                    assert data["first_id"] <= last[channel] + 1 <= data["last_id"], (event, last)
                last[channel] = data["last_id"]
            print(f"# {len(events)} events, {sum(event['data']['snapshot'] for event in events)} of them snapshots")
        with tap.case("best prices follow in the order of the venue's updates"):
            last = {}
            for event in published(house, "ticker.>"):
                assert event["data"]["update_id"] > last.get(event["channel"], 0), event
                last[event["channel"]] = event["data"]["update_id"]
            assert len(last) == len(SYMBOLS)
    tap.done()


main()
