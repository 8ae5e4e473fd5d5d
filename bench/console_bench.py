#!/usr/bin/env python3
"""Figures of the page in Chromium: how soon it shows a price, and what 1,000 events a second cost it (console_bench.mjs).

Its packages are those of the page's tests. Rendering is by software: a machine with a screen does better."""
import json
import math
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
    busy = f"{EVENTS_PER_S} events/s for {page['seconds']} s"
    slow = f"processor {page['slower']}x slower, median of {page['runs']}"
    parsed = f"{page['busy'] * 1000 / page['rate'] / page['parse']:.0f}x JSON.parse of a trade, an event; {page['rate']:.0f} events/s came"
    for workload, ms, against, limit in ((f"first paint, {slow}", page["paint"], "", 400), (f"price on the screen, {slow}", page["price"], "", 1000),
                                         (f"{busy}: main thread, core time per s", page["busy"], parsed, 250), (f"{busy}: longest task", page["long"], "", 50)):
        here = limit / report.speed()
        report.row("page", workload, f"{ms:.1f} ms", against, f"at most {here:.0f} ms", ms <= here)
    for workload, list_ms, of, limit in ((f"{busy}: work of a frame", page["frames"], "frames", 8), (f"{busy}: publish to pixel", page["pixels"], "prices", 100)):
        ordered, here = sorted(list_ms), limit / report.speed()
        p50, p99 = (ordered[math.ceil(len(ordered) * share) - 1] for share in (0.5, 0.99))
        report.keep("page", workload, [ms * 1000 for ms in ordered])
        report.row("page", workload, f"p50 {p50:.1f}, p99 {p99:.1f}, max {ordered[-1]:.1f} ms", f"of {len(ordered)} {of}", f"p99 at most {here:.0f} ms", p99 <= here)


main()
