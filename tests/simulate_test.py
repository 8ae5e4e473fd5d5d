#!/usr/bin/env python3
"""`kontor simulate`: seeds in which everything that can break does, and the same seed twice. A landing runs the same seeds each
time; `make soak` others."""
import re
import signal
import subprocess

import house as h

SEEDS = 2000  # with all random cases
SANITIZED_PART = 10  # of them in a sanitizer's build, which is slower
LIMIT_S = 1700


def simulate(*words):
    return subprocess.run([h.kontor(), "simulate", *map(str, words)], capture_output=True, text=True, timeout=LIMIT_S)


def is_sanitized():
    with open(h.kontor(), "rb") as program:
        return b"__asan_init" in program.read()


def first_seed():
    return 1 if h.cases(100) < 100 else h.seed()


def told(run):
    return (run.stdout + run.stderr)[-6000:]


def seeds(tap):
    count = h.cases(SEEDS) // (SANITIZED_PART if is_sanitized() else 1)
    parts = [(first_seed(), (count + 1) // 2), (first_seed() + (count + 1) // 2, count // 2)]
    with tap.case(f"{count} seeds"):
        runs = [subprocess.Popen([h.kontor(), "simulate", "--seed", str(first), "--seeds", str(n)], stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT, text=True) for first, n in parts if n > 0]
        said = [run.communicate(timeout=LIMIT_S)[0] for run in runs]
        assert all(run.returncode == 0 for run in runs), "\n".join(text[-6000:] for text in said)


def same(tap):
    with tap.case("the same seed gives the same logs and the same report, another seed others"):
        first, again, other = (simulate("--seed", first_seed() + n) for n in (0, 0, 1))
        assert first.returncode == 0 and other.returncode == 0, told(first) + told(other)
        assert first.stdout == again.stdout
        assert re.search("hash .*", first.stdout)[0] != re.search("hash .*", other.stdout)[0]


def many(tap):
    with tap.case("many symbols and clients"):
        run = simulate("--seed", first_seed(), "--symbols", 100, "--clients", 60, "--rate", 100)
        assert run.returncode == 0, told(run)


def stopped(tap):
    with tap.case("Ctrl-C ends it at once, says how far it came, and is no success"):
        run = subprocess.Popen([h.kontor(), "simulate", "--minutes", "1000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        begun = run.stderr.readline()
        run.send_signal(signal.SIGINT)
        out, complaint = run.communicate(timeout=LIMIT_S)
        assert "steps" in begun and "virtual time" in out and "0 seeds passed" in out, begun + out
        assert run.returncode == 1 and "stopped at" in complaint, (run.returncode, complaint)


def mistakes(tap):
    for words, said in [(["--seed", "x"], "--seed is 'x'"), (["--symbols", "0"], "from 1 to 5000"), (["--sed", "1"], "is no flag")]:
        with tap.case(f"{words[0]} {words[1]} is refused"):
            run = simulate(*words)
            assert run.returncode == 2 and said in run.stderr, told(run)


def main():
    tap = h.Tap()
    seeds(tap)
    same(tap)
    many(tap)
    stopped(tap)
    mistakes(tap)
    tap.done()


if __name__ == "__main__":
    main()
