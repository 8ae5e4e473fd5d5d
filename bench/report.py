"""The form that every figure has: as report.h, for what is measured in Python."""
import os
import sys


def row(what, workload, figure, against="", demand="", met=None):
    word = "" if met is None else "met" if met else "**missed**"
    print(f"| {what} | {workload} | {figure} | {against} | {demand} | {word} |", flush=True)


def progress(text):
    print(text, file=sys.stderr, flush=True)


def speed():
    """How fast this machine is, the reference machine being 1."""
    return float(os.environ.get("KONTOR_BENCH_SPEED", "1"))
