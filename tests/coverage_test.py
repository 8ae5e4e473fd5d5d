#!/usr/bin/env python3
"""What tests/coverage.py makes of counted lines and of the reasons in docs/coverage.md."""
import os
import tempfile

import coverage as c
import house as h

TEXT = """static int first(int n)
{
    if (n == 0)
        return fail(err, SYS,
            "cannot read '%s'", path);
    if (n == 1)
        goto out; /* as before */
    return n;
}

__attribute__((cold)) static void second(
    int n)
{
    end(n);
}
""".split("\n")
RAN = {1: 3, 3: 3, 6: 3, 8: 3}
NOT = {4: 0, 7: 0, 11: 0, 14: 0}


def pieces():
    return {run.lines[0]: run for run in c.runs("src/a.c", {**RAN, **NOT}, TEXT)}


def explained(line, *reasons):
    found = c.reasons(["# Not run", "", "## Why", *reasons])
    return any(reason.explains(pieces()[line]) for reason in found)


def main():
    tap = h.Tap()
    with tap.case("lines that were not run are pieces, of one function each, with no line between that was run"):
        assert [(run.function, run.lines, run.whole) for run in pieces().values()] == \
            [("first", [4], False), ("first", [7], False), ("second", [11, 14], True)]
    with tap.case("a statement goes to its end, comments do not count"):
        assert pieces()[4].statements == ["return fail(err, SYS, \"cannot read '%s'\", path);"], pieces()[4].statements
        assert pieces()[7].statements == ["goto out;"], pieces()[7].statements
    with tap.case("any of: one statement of the piece holds it"):
        assert explained(4, "Any of: `cannot (read|write)`")
        assert not explained(7, "Any of: `cannot (read|write)`")
    with tap.case("all of: each statement of the piece is one of them, whole"):
        assert explained(7, "All of: `return n;` `goto \\w+;`")
        assert not explained(4, "All of: `return fail`")
    with tap.case("a function that never ran has to be named"):
        assert not explained(11, "Any of: `end`")
        assert explained(11, "- `src/a.c`: `second`")
        assert not explained(11, "- `src/b.c`: `second`") and not explained(11, "- `src/a.c`: `first`")
    with tap.case("names may go on in the next line"):
        assert explained(11, "- `src/a.c`: `zeroth`", "  `second`")
    with tap.case("a long piece has to be named"):
        text = ["void f(void)", "{", *["    cannot(read);"] * (c.RUN_MAX + 1), "}"]
        for more in (0, 1):
            lines = {1: 1, **{line: 0 for line in range(3, 3 + c.RUN_MAX + more)}}
            run, = c.runs("src/a.c", lines, text)
            reason, = c.reasons(["## Why", "Any of: `cannot`"])
            assert reason.explains(run) == (more == 0)
    with tap.case("the tables: lines by folder and by reason, what has none, and entries that can go"):
        text, percent = c.by_folder({"src/a.c": {**RAN, **NOT}, "src/x/b.c": {1: 1}})
        assert [line.split() for line in text.splitlines()[1:]] == \
            [["src", "8", "4", "50.0"], ["src/x", "1", "1", "100.0"], ["all", "9", "5", "55.6"]], text
        assert round(percent, 1) == 55.6
        known = c.reasons(["## Why", "Any of: `cannot read`", "- `src/a.c`: `second` `third`"])
        text, unexplained, idle = c.by_reason(pieces().values(), known)
        assert text.splitlines()[1].split() == ["3", "Why"], text
        assert [run.lines for run in unexplained] == [[7]] and idle == [("src/a.c", "third")], (unexplained, idle)
    with tap.case("counters of an object that was built anew are named, with what to do"), tempfile.TemporaryDirectory() as build:
        for name, compiled in (("a.c.gcno", 7), ("a.c.gcda", 7), ("b.c.gcno", 9), ("b.c.gcda", 8), ("never_ran.c.gcno", 7)):
            with open(os.path.join(build, name), "wb") as file:
                file.write(b"gcno" + b"*21B" + bytes([compiled, 0, 0, 0]) + b"the rest")
        old = c.stale(build, ["a.c.gcno", "b.c.gcno", "never_ran.c.gcno"])
        assert old == ["b.c.gcda"], old
        assert f"cd {build} && rm b.c.gcda\n" in c.complaint(build, old)
        many = c.complaint(build, [f"{n}.c.gcda" for n in range(c.NAMED_MAX + 2)])
        assert f"\n  {c.NAMED_MAX - 1}.c.gcda\n  and 2 more\n" in many, many
    tap.done()


if __name__ == "__main__":
    main()
