"""The form that every figure has: as report.h, for what is measured in Python."""
import os
import re
import signal
import sys

TICKS = 5  # points on the way to each half of what is left to 1

signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # whoever has started processes ends them


def row(what, workload, figure, against="", demand="", met=None):
    word = "" if met is None else "met" if met else "**missed**"
    print(f"| {what} | {workload} | {figure} | {against} | {demand} | {word} |", flush=True)


def progress(text):
    print(text, file=sys.stderr, flush=True)


def speed():
    """How fast a core of this machine is, the reference machine being 1."""
    return float(os.environ.get("KONTOR_BENCH_SPEED", "1"))


def disk_speed():
    """The same for what waits for the disk."""
    return float(os.environ.get("KONTOR_BENCH_DISK", "1"))


def kept_name(what, workload):
    """The file of a row's histogram, as report.c spells it."""
    return re.sub(r"[^0-9a-z]+", "-", f"{what} {workload.partition(';')[0]}".lower()).strip("-") + ".hgrm"


def keep(what, workload, list_us):
    """Keeps what the row of these two cells was made of, as report.c does."""
    folder = os.environ.get("KONTOR_BENCH_HISTOGRAMS")
    if not folder or not list_us:
        return
    ordered, count, share, half = sorted(list_us), len(list_us), 0.0, 0.5
    with open(os.path.join(folder, kept_name(what, workload)), "w", encoding="utf-8") as file:
        file.write(f"{'Value':>12} {'Percentile':>14} {'TotalCount':>10} {'1/(1-Percentile)':>14}\n\n")
        while (1 - share) * count >= 1:
            file.write(f"{ordered[int(share * count)]:12.3f} {share:14.12f} {round(share * count):10d} {1 / (1 - share):14.2f}\n")
            while 1 - share <= half:
                half /= 2
            share += half / TICKS
        file.write(f"{ordered[-1]:12.3f} {1:14.12f} {count:10d} {'inf':>14}\n")
        file.write(f"#[Mean    = {sum(ordered) / count:12.3f}, Unit           =           us]\n#[Max     = {ordered[-1]:12.3f}, Total count    = {count:12d}]\n")
