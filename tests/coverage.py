#!/usr/bin/env python3
"""Which lines of src/ the tests of a build have run (tests/coverage makes it): a table by folder, why the rest was not, and
what has no reason in docs/coverage.md.

Usage: tests/coverage.py BUILD [PATH ...]   PATH: a file or folder of src/, whose lines that no test has run are printed

Counted are the lines of the objects that kontor is made from, whichever test has run them, but for helpers. A
reason is a heading of docs/coverage.md, and explains lines that lie together and were not run, in one of three ways:
  "Any of: `X`"    one of their statements holds X (a regular expression), and they are at most RUN_MAX lines;
  "All of: `X` `Y`" each of their statements, whole, is X or Y, and they are at most RUN_MAX lines;
  "- `FILE`: `FUNCTION` ..." they are of this function: names, for numbers would move with every change.
A function that never ran has to be named."""
import collections
import json
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
REASONS = os.path.join(ROOT, "docs", "coverage.md")
# Helpers of tests, and the program that writes the page's types while kontor is being built.
HELPER = re.compile(r"(^|/)test_\w+\.[ch]$|_test\.[ch]$|_fuzz\.[ch]$|/types_main\.c$")
FUNCTION = re.compile(r"^(?!#|typedef|struct|enum|union)[A-Za-z_].*?(\w+)\(")
ATTRIBUTE = re.compile(r"__attribute__\(\(.*?\)\) *")
PERCENT_MIN = 85
RUN_MAX = 8
NAMED_MAX = 5

Run = collections.namedtuple("Run", "path function lines statements whole")  # whole: the function never ran


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read().split("\n")


def counted(build, notes):
    """(path from the root, line, times it ran) of object files, by their .gcno."""
    for start in range(0, len(notes), 40):
        said = subprocess.run(["gcov", "--json-format", "--stdout", *notes[start:start + 40]], cwd=build, check=True,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
        for document in map(json.loads, said.splitlines()):
            for file in document["files"]:
                path = os.path.join(document["current_working_directory"], file["file"])
                path = os.path.relpath(os.path.realpath(path), ROOT)
                for line in file["lines"]:
                    yield path, line["line_number"], line["count"]


def stamp(path):
    """Which compilation a .gcno or .gcda is of: version and stamp, behind its magic number (gcc/gcov-io.h)."""
    with open(path, "rb") as file:
        return file.read(12)[4:]


def stale(build, notes):
    """The .gcda of objects that were built anew since: the lines that they counted are no longer there."""
    counters = {note: note[:-len("gcno")] + "gcda" for note in notes}
    return [name for note, name in counters.items()
            if os.path.exists(os.path.join(build, name)) and
            stamp(os.path.join(build, name)) != stamp(os.path.join(build, note))]


def complaint(build, names):
    """What to do about stale counters."""
    more = [f"  and {len(names) - NAMED_MAX} more"] if len(names) > NAMED_MAX else []
    return "\n".join([f"coverage: {len(names)} of the counters in {build} are of objects that were built anew since:",
                      *(f"  {name}" for name in names[:NAMED_MAX]), *more,
                      "Run a test that has them, which counts anew, or remove them, and their lines count as not run:",
                      f"  cd {build} && rm {' '.join(names)}",
                      "make coverage counts everything anew."])


def measure(build):
    """{path: {line: times it ran}}"""
    inputs = subprocess.run(["ninja", "-C", build, "-t", "inputs", "kontor"], check=True, stdout=subprocess.PIPE, text=True)
    linked = {name[:-len("o")] + "gcno" for name in inputs.stdout.split() if name.endswith(".c.o")}
    others = {os.path.relpath(os.path.join(folder, name), build)
              for folder, _, names in os.walk(build) for name in names if name.endswith(".c.gcno")} - linked
    old = stale(build, sorted(linked | others))
    if old:
        sys.exit(complaint(build, old))
    files = collections.defaultdict(collections.Counter)
    for path, line, times in counted(build, sorted(linked)):
        if path.startswith("src/") and not HELPER.search(path):
            files[path][line] += times
    for path, line, times in counted(build, sorted(others)):
        if line in files.get(path, ()):
            files[path][line] += times
    return files


def functions(text):
    """The function of each line of a file in house style, where a function's first line begins in column 0."""
    found, now = [], ""
    for line in text:
        match = FUNCTION.match(ATTRIBUTE.sub("", line))
        now = match[1] if match else now
        found.append(now)
    return found


def statements(text, lines):
    """What begins on these lines, each statement to its end: gcc counts its first line only."""
    found, open_ = [], False
    for number in range(lines[0], len(text) + 1):
        if number > lines[-1] and not open_:
            break
        line = re.sub(r" */\*.*?\*/", "", text[number - 1].strip())
        if open_:
            found[-1] += " " + line
        elif number in lines:
            found.append(line)
        open_ = (open_ or number in lines) and not re.search(r"[;{}:]$", line)
    return found


def runs(path, lines, text):
    """What was not run, in pieces: neighbours within one function, with no line between that was run."""
    names = functions(text)
    ran = {names[line - 1] for line, times in lines.items() if times > 0}
    piece = []
    for line in [*sorted(lines), None]:
        if piece and (line is None or lines[line] > 0 or names[line - 1] != names[piece[0] - 1]):
            name = names[piece[0] - 1]
            yield Run(path, name, piece, statements(text, piece), name not in ran)
            piece = []
        if line is not None and lines[line] == 0:
            piece.append(line)


class Reason:
    def __init__(self, name):
        self.name, self.any, self.all, self.named = name, [], [], set()

    def explains(self, run):
        if (run.path, run.function) in self.named:
            return True
        if run.whole or len(run.lines) > RUN_MAX:
            return False
        return (any(pattern.search(statement) for pattern in self.any for statement in run.statements) or
                all(any(pattern.fullmatch(statement) for pattern in self.all) for statement in run.statements))


def reasons(text):
    """The headings of docs/coverage.md that explain anything."""
    found, path = [], None
    for line in text:
        words = re.findall(r"`([^`]+)`", line)
        if line.startswith("## "):
            found.append(Reason(line[3:]))
        elif line.startswith("Any of: "):
            found[-1].any += map(re.compile, words)
        elif line.startswith("All of: "):
            found[-1].all += map(re.compile, words)
        elif re.match(r"- `src/[^`]+`: ", line):
            path = words.pop(0)
            found[-1].named.update((path, name) for name in words)
        elif path and line.startswith("  "):
            found[-1].named.update((path, name) for name in words)
        else:
            path = None
    return [reason for reason in found if reason.any or reason.all or reason.named]


def ranges(numbers):
    """1, 2, 3, 7 as 1-3, 7."""
    parts = []
    for number in numbers:
        if parts and number == parts[-1][1] + 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ", ".join(f"{first}-{last}" if first != last else f"{first}" for first, last in parts)


def by_folder(files):
    """The table, and the percent of all."""
    rows = collections.defaultdict(lambda: [0, 0])
    for path, lines in files.items():
        for row in (rows[os.path.dirname(path)], rows["all"]):
            row[0] += len(lines)
            row[1] += sum(times > 0 for times in lines.values())
    text = f"{'folder':16} {'lines':>6} {'covered':>8} {'percent':>8}\n"
    for name in sorted(rows, key=lambda name: (name == "all", name)):
        text += f"{name:16} {rows[name][0]:6} {rows[name][1]:8} {100 * rows[name][1] / rows[name][0]:8.1f}\n"
    return text, 100 * rows["all"][1] / rows["all"][0]


def by_reason(pieces, known):
    """The table of reasons, what none explains, and the entries that explain nothing."""
    lines, unexplained, used = collections.Counter(), [], set()
    for run in pieces:
        used.add((run.path, run.function))
        reason = next((reason for reason in known if reason.explains(run)), None)
        if reason:
            lines[reason.name] += len(run.lines)
        else:
            unexplained.append(run)
    text = f"{'lines':>6} not covered because\n" + "".join(f"{lines[reason.name]:6} {reason.name}\n" for reason in known)
    return text, unexplained, sorted(set().union(*(reason.named for reason in known)) - used)


def main(build, *wanted):
    files = measure(os.path.abspath(build))
    pieces = [run for path in sorted(files) for run in runs(path, files[path], read(path))]
    if wanted:
        for run in pieces:
            if (path := run.path).startswith(wanted):
                print(f"{run.path}: {run.function}{' (never ran)' if run.whole else ''}")
                text = read(path)
                print("".join(f"{line:6} {text[line - 1]}\n" for line in run.lines), end="")
        return 0
    folders, percent = by_folder(files)
    why, unexplained, idle = by_reason(pieces, reasons(read(REASONS)))
    print(f"{folders}\n{why}")
    for path, name in idle:
        print(f"docs/coverage.md: all of {path}: {name} was run, or it is not there: its entry can go")
    for run in unexplained:
        print(f"{run.path}: {run.function}: no test has run line {ranges(run.lines)}, and docs/coverage.md does not say why")
    print(f"coverage: {percent:.1f} % of the lines of src/ (at least {PERCENT_MIN}), {len(unexplained)} places without a reason")
    return 0 if percent >= PERCENT_MIN and not unexplained else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
