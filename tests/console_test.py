#!/usr/bin/env python3
"""The page in Chromium: before a scripted house, where it meets what no real one does on demand, and before a real one
(tests/console/). Then a lane that is stopped, which the page must not take for a quiet market, and an hour of a fast market."""
import os
import shutil
import signal
import subprocess

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


def main():
    tap = h.Tap()
    with h.Folder() as folder:
        sim = h.Sim(folder, "--format", "binance", "--symbols", k.SYMBOL, "--rate", 50, "--fault", "drop=0.02,repeat=0.02")
        with sim, h.House(folder, k.config(sim)) as house:
            house.wait_healthy()
            h.wait_for("the first average", lambda: h.get(house.url + "/latest?ticker=" + k.SYMBOL)[0] == 200)
            packages = os.path.join(h.build_folder(), "console_test")
            install(packages)
            clients.play(tap, "page", ["node", "page_test.mjs"], house.url, packages, seconds=900)
            clients.play(tap, "past", ["node", "past_test.mjs"], house.url, packages, seconds=900)
            clients.play(tap, "look", ["node", "look_test.mjs"], house.url, packages, seconds=900)
            market = house.lanes()["market"]
            os.kill(market, signal.SIGSTOP)
            try:
                clients.play(tap, "stopped lane", ["node", "stopped_test.mjs"], house.url, packages)
            finally:
                os.kill(market, signal.SIGCONT)
    with h.Folder() as folder:
        sim = h.Sim(folder, "--format", "binance", "--symbols", k.SYMBOL, "--rate", 3, "--speed", 60, "--history", 3700, "--seed", 7,
                    "--fault", "drop=0.02,repeat=0.02")
        with sim, h.House(folder, hour_config(sim)) as house:
            house.wait_healthy()
            h.wait_for("the first average", lambda: h.get(house.url + "/latest?ticker=" + k.SYMBOL)[0] == 200)
            clients.play(tap, "hour", ["node", "hour_test.mjs"], house.url, packages, seconds=900)
    tap.done()


if __name__ == "__main__":
    main()
