"""The form that every figure has: as report.h, for what is measured in Python."""
import os
import re
import signal
import sys

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
    return re.sub(r"[^0-9a-z]+", "-", f"{what} {workload}".lower()).strip("-") + ".hgrm"
