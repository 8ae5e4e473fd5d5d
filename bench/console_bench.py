#!/usr/bin/env python3
"""Figures of the page in Chromium: how soon it shows a price, and what 1,000 events a second cost it (console_bench.mjs).

Its packages are those of the page's tests. Rendering is by software: a machine with a screen does better."""
import json
import os
import shutil
import subprocess
import sys

import report

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "tests"))
import console_test as c
import house as h

EVENTS_PER_S = 1000
SYMBOL = "BTC/USDT"


def measure():
    packages = os.path.join(h.build_folder(), "console_test")
    c.install(packages)
    shutil.copy(os.path.join(HERE, "console_bench.mjs"), packages)
    with h.Folder() as folder:
        # Half of the events are trades, the others what follows from them: averages, confirmations, books.
        sim = h.Sim(folder, "--format", "binance", "--symbols", SYMBOL, "--rate", EVENTS_PER_S // 2, "--seed", 7)
        with sim, h.House(folder, c.hour_config(sim)) as house:
            house.wait_healthy()
            h.wait_for("the first average", lambda: h.get(house.url + "/latest?ticker=" + SYMBOL)[0] == 200)
            out = subprocess.run(["node", "console_bench.mjs", house.url], cwd=packages, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL)
    return json.loads(out.stdout.splitlines()[-1])


def main():
    report.progress("console_bench: Chromium")
    page = measure()
    busy = f"{page['rate']:.0f} events/s for {page['seconds']} s"
    slow = f"processor {page['slower']}x slower, median of {page['runs']}"
    for workload, name, limit in ((f"first paint, {slow}", "paint", 400), (f"price on the screen, {slow}", "price", 1000),
                                  (f"{busy}: main thread, core time per s", "busy", 250), (f"{busy}: longest task", "long", 50),
                                  (f"{busy}: work of a frame, p99", "work", 8), (f"{busy}: publish to pixel, p99 of {page['pixels']}", "pixel", 100)):
        here = limit / report.speed()
        against = f"{page['busy'] * 1000 / page['rate'] / page['parse']:.0f}x JSON.parse of a trade, an event" if name == "busy" else ""
        report.row("page", workload, f"{page[name]:.1f} ms", against, f"at most {here:.0f} ms", page[name] <= here)


main()
