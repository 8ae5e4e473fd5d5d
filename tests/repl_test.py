#!/usr/bin/env python3
"""`kontor repl`: a line is what the shell's command says and does; typed at a terminal (a pty) with history and completion, and read
from a pipe."""
import os
import pty
import re
import select
import signal
import stat
import subprocess
import time

import house as h

WAIT_S = 60  # far beyond what a line needs


def command(house, *words):
    return subprocess.run([h.kontor(), *words, "--url", house.url], capture_output=True, text=True, timeout=WAIT_S)


def piped(house, text):
    return subprocess.run([h.kontor(), "repl", "--url", house.url], input=text, capture_output=True, text=True, timeout=WAIT_S)


def said(done):
    """Status and text, without how long a question took."""
    return done.returncode, re.sub(r'"time":\d+', "", done.stdout), done.stderr


class Terminal:
    """Somebody at a terminal: keys in, what is shown out."""

    def __init__(self, folder, *flags):
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM="dumb", COLUMNS="200", HOME=folder)
            os.execv(h.kontor(), ["kontor", "repl", *flags])
        self.shown = b""
        self.see(b"kontor> ")

    def see(self, wanted):
        """Read until this has been shown; forgets what came before."""
        end = time.monotonic() + WAIT_S
        while wanted not in self.shown:
            ready, _, _ = select.select([self.terminal], [], [], max(0, end - time.monotonic()))
            assert ready, f"{wanted} does not come in {self.shown}"
            self.shown += os.read(self.terminal, 65536)
        self.shown = self.shown.split(wanted, 1)[1]

    def type(self, keys, wanted):
        os.write(self.terminal, keys)
        self.see(wanted)

    def end(self):
        """Ctrl-D on an empty line, and the exit status. The prompt stands a moment before keys are read one by one: what a Ctrl-D
        within it becomes is no end."""
        try:
            while True:
                os.write(self.terminal, b"\x15\x04")
                while select.select([self.terminal], [], [], 0.5)[0]:
                    os.read(self.terminal, 65536)
        except OSError:
            pass  # it has closed its end
        status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        os.close(self.terminal)
        self.pid = 0
        return status

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            os.close(self.terminal)


SAME = [
    # what a line says, as `kontor` says it: words of the line, words of the shell
    ("an action", "call health", ["call", "health"]),
    ("an action alone", "health", ["call", "health"]),
    ("a command", "nodes --help", ["nodes", "--help"]),
    ("words in quotes", "store.query sql='select 1 + 1 as two'", ["call", "store.query", "sql=select 1 + 1 as two"]),
    ("a quote within the other", '''store.query "sql=select 'a b' as c"''', ["call", "store.query", "sql=select 'a b' as c"]),
    ("a byte taken as it is", r"store.query sql=select\ 1\ as\ one", ["call", "store.query", "sql=select 1 as one"]),
    ("a setting", "config show vwap", ["config", "show", "vwap"]),
    ("help of an action", "help vwap.latest", ["call", "vwap.latest", "--help"]),
    ("help of a command", "help nodes", ["nodes", "--help"]),
    ("what the house refuses", "vwap.latest ticker=NONE", ["call", "vwap.latest", "ticker=NONE"]),
    ("an unknown parameter", "vwap.latest tocker=BTC", ["call", "vwap.latest", "tocker=BTC"]),
    ("a parameter without a value", "vwap.latest ticker", ["call", "vwap.latest", "ticker"]),
    ("an unknown action", "vwap.lastest", ["call", "vwap.lastest"]),
    ("an unknown word of a command", "config shaw", ["config", "shaw"]),
]

REFUSED = [
    # a line, and what is said of it
    ("store.query sql='select 1", "its ' is not closed"),
    ('store.query sql="select 1', 'its " is not closed'),
    (" ".join(["word"] * 65), "too many words"),
    ("run", "a command of the shell"),
    ("help nothing", "neither a command nor an action"),
]


def pipes(tap, house):
    for name, line, words in SAME:
        with tap.case(f"from a pipe as from the shell: {name}"):
            ours, theirs = piped(house, line + "\n"), command(house, *words)
            assert said(ours) == said(theirs), (ours, theirs)
    for line, complaint in REFUSED:
        with tap.case(f"refused: {complaint}"):
            done = piped(house, line + "\n")
            assert (done.returncode, done.stdout) == (2, "") and complaint in done.stderr, done
    with tap.case("lines go on behind one that fails, and its status is kept"):
        done = piped(house, "# a remark\n\nnothing.there\nhealth\n")
        assert done.returncode == 2 and done.stdout == command(house, "call", "health").stdout, done
        done = piped(house, "nothing.there\nvwap.latest ticker=NONE\nhealth")
        assert done.returncode == 1, done
    with tap.case("nothing behind exit is done"):
        done = piped(house, "exit\nhealth\n")
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), done
    with tap.case("a house that is not there is said for each line"):
        url = f"http://127.0.0.1:{h.free_port()}"
        done = subprocess.run([h.kontor(), "repl", "--url", url], input="health\nnodes\n", capture_output=True, text=True, timeout=WAIT_S)
        assert done.returncode == 1 and done.stderr.count("no house answers at " + url) == 2, done


def terminals(tap, house, folder):
    history = os.path.join(folder, ".kontor_history")
    with tap.case("typed: Tab completes commands, actions, parameters, keys and what help names"), \
            Terminal(folder, "--url", house.url) as typed:
        for keys, wanted in ((b"serv\t", b"services "), (b"\x15hea\t", b"health "), (b"\x15call node.li\t", b"call node.list "),
                             (b"\x15vwap.latest tick\t", b"ticker="), (b"\x15call book.snapshot ven\t", b"venue="),
                             (b"\x15config set vwap.st\t", b"vwap.step_s="), (b"\x15sim.faults faults='{\"cut\t", b"faults='{\"cut_frame\":"), (b"\x15help ticker.la\t", b"ticker.latest ")):
            typed.type(keys, wanted)
    with tap.case("typed: a completed line is answered"), Terminal(folder, "--url", house.url) as typed:
        typed.type(b"hea\t", b"health ")
        typed.type(b"\n", command(house, "call", "health").stdout.strip().encode())
        typed.see(b"kontor> ")
        typed.type(b"vwap.latest tick\tNONE\n", b"kontor call: ")
        typed.see(b"kontor> ")
        assert typed.end() == 0
    with tap.case("typed: lines are kept in a file of one's own, and come again with the arrows"):
        with open(history, encoding="utf-8") as file:
            kept = file.read().replace("\\040", " ")
        assert "health" in kept and "vwap.latest ticker=NONE" in kept, kept
        assert stat.S_IMODE(os.stat(history).st_mode) == 0o600
        with Terminal(folder, "--url", house.url) as typed:
            typed.type(b"\x10", b"vwap.latest ticker=NONE")  # Ctrl-P, as the arrow upwards
            typed.type(b"\x10", b"health")
            typed.type(b"\n", b"OK")
    with tap.case("typed: --history names another file, and nothing is kept where it is empty"):
        os.remove(history)
        for given in (os.path.join(folder, "lines"), ""):
            with Terminal(folder, "--url", house.url, "--history", given) as typed:
                typed.type(b"health\n", b"OK")
                typed.see(b"kontor> ")
                assert typed.end() == 0
        assert os.path.exists(os.path.join(folder, "lines")) and not os.path.exists(history)


def main():
    tap = h.Tap()
    with h.Folder() as folder, h.House(folder, "") as house:
        house.wait_healthy()
        pipes(tap, house)
        terminals(tap, house, folder)
    tap.done()


main()
