#!/usr/bin/env python3
"""Figures of a whole house at rest: how soon it answers, what it costs to keep, in time and in memory.

Each figure is a median of five houses, and stands beside a calibration of the same run: a start beside that of /bin/true, CPU beside
one core kept busy for the same time."""
import os
import statistics
import subprocess
import sys
import time

import report

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests"))
import house as h

ROUNDS = 5
IDLE_S = 5


def cpu_seconds(pids):
    ticks = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def pss(pids):
    """{kind: kB} of all processes; pages shared between them count once."""
    sums = {"Pss_Anon": 0, "Pss_Shmem": 0, "Pss_File": 0}
    for pid in pids:
        with open(f"/proc/{pid}/smaps_rollup") as file:
            for line in file:
                name = line.split(":")[0]
                if name in sums:
                    sums[name] += int(line.split()[1])
    return sums


def spawn_seconds():
    start = time.monotonic()
    subprocess.run(["/bin/true"], check=True)
    return time.monotonic() - start


def one():
    with h.Folder() as folder:
        bare = spawn_seconds()
        start = time.monotonic()
        house = h.House(folder, "")
        with house:
            h.wait_for("/health", house.healthy, step=0.002)
            health = time.monotonic() - start
            h.wait_for("all lanes", lambda: len(house.lanes()) == 3)
            time.sleep(2)
            pids = [house.pid, *house.lanes().values()]
            before = cpu_seconds(pids)
            time.sleep(IDLE_S)
            idle = (cpu_seconds(pids) - before) / IDLE_S
            memory = pss(pids)
    return {"health": health, "bare": bare, "idle": idle, **memory}


def main():
    report.progress(f"house_bench: {ROUNDS} houses")
    rounds = [one() for _ in range(ROUNDS)]
    median = {name: statistics.median(row[name] for row in rounds) for name in rounds[0]}
    memory = (median["Pss_Anon"] + median["Pss_Shmem"]) / 1024
    start_s, idle = 1 / report.disk_speed(), 0.02 / report.speed()
    report.row("house", "empty, from the start to /health", f"{median['health'] * 1000:.0f} ms",
               f"{median['health'] / median['bare']:.0f}x the start of /bin/true", f"at most {start_s * 1000:.0f} ms", median["health"] <= start_s)
    report.row("house", f"empty, at rest for {IDLE_S} s: CPU of all lanes", f"{median['idle'] * 100:.2f} % of a core", "",
               f"at most {idle * 100:.1f} %", median["idle"] <= idle)
    report.row("house", "empty, at rest: memory of its own", f"{memory:.1f} MB",
               f"beside {median['Pss_File'] / 1024:.1f} MB of page cache", "at most 100 MB", memory <= 100)


main()
