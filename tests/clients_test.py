#!/usr/bin/env python3
"""Foreign clients against a real house: Python's websockets, Node's ws, and Chromium through playwright-core.

Each subscribes, leaves, resumes without a gap or a repeat, and is cut off when it is silent for 5 s (tests/clients/)."""
import os
import re
import shutil
import subprocess

import house as h
import kill_test as k

CLIENTS = os.path.join(h.ROOT, "tests", "clients")
LINE = re.compile(r"(ok|not ok) \d+ - (.*)")


def install(folder):
    """The clients with their packages, in the build folder so that the sources stay clean."""
    os.makedirs(folder, exist_ok=True)
    for name in os.listdir(CLIENTS):
        if name != "node_modules":
            shutil.copy(os.path.join(CLIENTS, name), folder)
    lock = os.path.join(folder, "package-lock.json")
    done = os.path.join(folder, "node_modules", ".installed")
    if not os.path.exists(done) or os.path.getmtime(done) < os.path.getmtime(lock):
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--silent"], cwd=folder, check=True, stdin=subprocess.DEVNULL)
        with open(done, "w"):
            pass


def play(tap, name, command, url, folder, seconds=300):
    """Run one client; its cases become ours."""
    out = subprocess.run([*command, url], cwd=folder, capture_output=True, text=True, timeout=seconds, stdin=subprocess.DEVNULL)
    seen = 0
    for line in out.stdout.splitlines():
        match = LINE.match(line)
        if match:
            seen += 1
            with tap.case(f"{name}: {match[2]}"):
                assert match[1] == "ok", out.stdout + out.stderr
        elif line.startswith("#"):
            print(line)
    if seen == 0:
        with tap.case(name):
            raise AssertionError(f"{command} said nothing that is a test case:\n{out.stdout}{out.stderr}")


def main():
    tap = h.Tap()
    with h.Folder() as folder:
        sim = h.Sim(folder, "--format", "binance", "--symbols", k.SYMBOL, "--rate", 50, "--fault", "drop=0.02,repeat=0.02")
        with sim, h.House(folder, k.config(sim)) as house:
            house.wait_healthy()
            h.wait_for("the first trades", lambda: house.rows("select count(*) from trades")[0][0] > 50
                       if house.rows("select count(*) from trades") else False)
            clients = os.path.join(h.build_folder(), "clients")
            install(clients)
            for name, command in (("Python websockets", ["/usr/bin/python3", "python_client.py"]),
                                  ("Node ws", ["node", "node_client.mjs"]),
                                  ("Chromium", ["node", "browser_client.mjs"])):
                play(tap, name, command, house.url, clients)
    tap.done()


if __name__ == "__main__":
    main()
