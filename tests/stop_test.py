#!/usr/bin/env python3
"""A lane that stands still (SIGSTOP) costs the others nothing but disk within hold_bytes, and goes on where it stood."""
import os
import random
import signal
import time

import house as h
import kill_test as k


def stopped(pid, seconds, meanwhile):
    """Stop the process for that long; `meanwhile` is called all the time and must not fail."""
    os.kill(pid, signal.SIGSTOP)
    try:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            meanwhile()
            time.sleep(0.2)
    finally:
        os.kill(pid, signal.SIGCONT)


class Moving:
    """Notes whether a figure has moved between the first and the last look."""

    def __init__(self, figure):
        self.figure, self.first, self.last = figure, None, None

    def look(self):
        self.last = self.figure()
        self.first = self.last if self.first is None else self.first

    def moved(self):
        return self.last is not None and self.last > self.first


def log_bytes(house):
    folder = os.path.join(house.data, "market")
    return sum(os.path.getsize(os.path.join(folder, name)) for name in os.listdir(folder) if name.endswith(".seg"))


def main():
    tap = h.Tap()
    seconds = max(6, h.cases(60))
    print(f"# each lane stands still for {seconds} s")
    with h.Folder() as folder:
        sim = h.Sim(folder, "--format", "binance", "--symbols", k.SYMBOL, "--rate", k.RATE, "--seed", h.seed(),
                    "--fault", "drop=0.02,repeat=0.02")
        house = h.House(folder, k.config(sim))
        with sim, house:
            house.wait_healthy()
            listener = k.Listener(house.port, random.Random(1))
            listener.start()

            def heard():
                return sum(at[1] for at in listener.at.values() if at)

            def stored():
                rows = house.rows("select count(*) from trades")
                return rows[0][0] if rows else 0

            h.wait_for("the first values", lambda: heard() > 0 and stored() > 0)
            lanes = house.lanes()
            with tap.case("lane keep stands still: clients go on hearing, and the log holds what keep has not read"):
                hearing, before = Moving(heard), log_bytes(house)
                stopped(lanes["keep"], seconds, lambda: (hearing.look(), house.healthy() or 1 / 0))
                assert hearing.moved(), (hearing.first, hearing.last)
                print(f"# log market grew from {before} to {log_bytes(house)} bytes")
                at = stored()
                h.wait_for("keep to catch up", lambda: stored() > at)
            with tap.case("lane edge stands still: the store goes on, and clients resume without a gap"):
                storing = Moving(stored)
                stopped(lanes["edge"], seconds, storing.look)
                assert storing.moved(), (storing.first, storing.last)
                h.wait_for(lambda: "/health of the house:\n" + house.said(), house.healthy)
                at = heard()
                h.wait_for("clients to hear again", lambda: heard() > at)
                assert not listener.broken, listener.broken[:5]
            with tap.case("lane market stands still: REST and page go on, and it goes on gathering afterwards"):
                stopped(lanes["market"], seconds, lambda: house.healthy() or 1 / 0)
                at = heard()
                h.wait_for("clients to hear again", lambda: heard() > at)
            with tap.case("nothing died, and nothing is missing in the end"):
                assert house.lanes() == lanes, (lanes, house.lanes())
                trades, last = k.settled(k.true_trades(sim))
                h.wait_for(lambda: f"validated to {k.validated_to(house)} of {last}\n" + house.said(),
                           lambda: k.validated_to(house) >= last)
                k.check_store(house, trades)
                k.check_values(house, trades, last)
                assert not listener.broken, listener.broken[:5]
            listener.stopping = True
    tap.done()


main()
