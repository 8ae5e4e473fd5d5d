#!/usr/bin/env python3
"""The page in Chromium (tests/console/). Usage: console_test.py BUILD [look]

Before a scripted house, where it meets what no real one does on demand, and before a real one; then a lane that is stopped, which
the page must not take for a quiet market. With `look`: the past, the look of every state, and an hour of a fast market. They are
the page's own alone, and take minutes: .ci/run does them once, without sanitizers."""
import os
import shutil
import signal
import subprocess
import sys

import clients_test as clients
import house as h
import kill_test as k

CONSOLE = os.path.join(h.ROOT, "tests", "console")


def install(folder):
    """The test with its packages, in the build folder so that the sources stay clean."""
    os.makedirs(folder, exist_ok=True)
    for name in os.listdir(CONSOLE):
        if name != "node_modules":
            shutil.copy(os.path.join(CONSOLE, name), folder)
    lock = os.path.join(folder, "package-lock.json")
    done = os.path.join(folder, "node_modules", ".installed")
    if not os.path.exists(done) or os.path.getmtime(done) < os.path.getmtime(lock):
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--silent"], cwd=folder, check=True, stdin=subprocess.DEVNULL)
        with open(done, "w"):
            pass


def hour_config(sim):
    return f"""
vwap:
  windows: [1m, 5m, 1h]
venues:
  - name: binance
    format: binance
    ws_url: ws://127.0.0.1:{sim.port}
    rest_url: http://127.0.0.1:{sim.port}
    symbols: [{k.SYMBOL}]
    books: true
"""


def play(tap, house, *names):
    packages = os.path.join(h.build_folder(), "console_test")
    install(packages)
    for name in names:
        clients.play(tap, name, ["node", name + "_test.mjs"], house.url, packages, seconds=900)


def faulty_market(folder):
    return h.Sim(folder, "--format", "binance", "--symbols", k.SYMBOL, "--rate", 50, "--fault", "drop=0.02,repeat=0.02")


def wait_for_average(house):
    house.wait_healthy()
    h.wait_for("the first average", lambda: h.get(house.url + "/latest?ticker=" + k.SYMBOL)[0] == 200)


def page(tap):
    with h.Folder() as folder, faulty_market(folder) as sim, h.House(folder, k.config(sim)) as house:
        wait_for_average(house)
        play(tap, house, "page", "quality")
        market = house.lanes()["market"]
        os.kill(market, signal.SIGSTOP)
        try:
            play(tap, house, "stopped")
        finally:
            os.kill(market, signal.SIGCONT)


def look(tap):
    with h.Folder() as folder, faulty_market(folder) as sim, h.House(folder, k.config(sim)) as house:
        wait_for_average(house)
        play(tap, house, "past", "look")
    with h.Folder() as folder:
        sim = h.Sim(folder, "--format", "binance", "--symbols", k.SYMBOL, "--rate", 3, "--speed", 60, "--history", 3700, "--seed", 7,
                    "--fault", "drop=0.02,repeat=0.02")
        with sim, h.House(folder, hour_config(sim)) as house:
            wait_for_average(house)
            play(tap, house, "hour")


def main():
    tap = h.Tap()
    (look if sys.argv[2:] == ["look"] else page)(tap)
    tap.done()


if __name__ == "__main__":
    main()
