#!/usr/bin/env python3
"""The lines of docs/faulty-market.md, as they stand, and its client in Python.

A line that starts a market, or the house, stays until the next one that does, or `kill`; all others must do what their comment says: count to
a number, end with an error, or else end with 0 and say something. The document's ports may be in use here: they become free
ones, and a market without `--port` gets it."""
import itertools
import os
import re
import signal
import sys

import house as h

NUMBERS = itertools.count(1)  # of markets: what one has said is no sign of the next, which has the same port
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.S | re.M)


def blocks():
    """(language, text) of each block."""
    with open(os.path.join(h.ROOT, "docs", "faulty-market.md"), encoding="utf-8") as file:
        found = BLOCK.findall(file.read())
    assert {language for language, _ in found} <= {"sh", "python", "yaml"}, "a block that this test can not take"
    return found


def start_market(line, folder, env, ports):
    command = line.split("#")[0].rstrip(" &")
    if "--port" not in command:
        command += f" --port {ports['3001']}"
    market = h.Process(["bash", "-c", "exec " + command], folder, f"market{next(NUMBERS)}", env)
    h.wait_for(lambda: "the market to listen:\n" + market.said(), lambda: f":{ports['3001']}" in market.said())
    return market


def start_house(line, folder, env, ports):
    house = h.Process(["bash", "-c", line], folder, "house", env)
    truth = f"http://127.0.0.1:{ports['3001']}/sim/truth"

    def listens():
        status, body = h.get(truth)[:2]
        return status == 200 and h.json.loads(body)["clients"] > 0

    h.wait_for(lambda: "the house to listen to the market:\n" + house.said(), listens)
    return house


def run(line, folder, env):
    """Until it ends, or has counted to the number that its comment names."""
    goal = re.search(r"# counts to (\d+)", line)
    error = re.search(r"# ends with a (\w+Error)", line)
    status, said = h.run_line(line, folder, env, goal and (lambda said: f"{goal[1]}\r" in said))
    if goal is not None:
        assert max(int(count) for count in re.findall(r"(\d+)\r", said)) == int(goal[1]), said[-2000:]
    elif error is not None:
        assert status != 0 and error[1] in said, f"status {status}: {said[-2000:]}"
    else:
        h.check_line(status, said)


def main():
    signal.signal(signal.SIGINT, signal.default_int_handler)  # one who runs this in the background passes on "ignore"
    tap = h.Tap()
    with h.Folder() as folder:
        ports = {"3001": h.free_port(), "3002": h.free_port()}
        os.mkdir(os.path.join(folder, "bin"))
        os.symlink(h.kontor(), os.path.join(folder, "bin", "kontor"))
        os.symlink(sys.executable, os.path.join(folder, "bin", "python3"))  # the one that has websockets
        os.symlink(os.path.join(h.ROOT, "sim"), os.path.join(folder, "sim"))
        env = h.reader(folder, PORT=str(h.free_port()), PATH=os.path.join(folder, "bin") + ":" + os.environ["PATH"])
        market, house = None, None
        try:
            for language, text in blocks():
                if language == "python":
                    name = re.match(r"# (\w+\.py)", text)[1]
                    with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                        file.write(h.with_ports(text, ports))
                for line in text.splitlines() if language == "sh" else []:
                    with tap.case(line):
                        starts = line.startswith("kontor sim") and "--help" not in line
                        if market is not None and (starts or line == "kill %1"):
                            market.stop()
                            market = None
                        if starts:
                            market = start_market(h.with_ports(line, ports), folder, env, ports)
                        elif line.endswith("kontor run"):
                            house = start_house(h.with_ports(line, ports), folder, env, ports)
                        elif line != "kill %1":
                            run(h.with_ports(line, ports), folder, env)
        finally:
            for process in (house, market):
                if process is not None:
                    process.stop()
    tap.done()


if __name__ == "__main__":
    main()
