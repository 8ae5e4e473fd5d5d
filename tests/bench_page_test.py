#!/usr/bin/env python3
"""The page of `make bench`: made of rows and histograms, without measuring anything."""
import os
import re
import subprocess
import sys

import house as h

BENCH = os.path.join(h.ROOT, "bench")
sys.path.insert(0, BENCH)
import page
import report

ROWS = """calibration\t| calibration | memcpy of 4 KiB | 51.3 GB/s | 0.39 of the reference machine |  |  |
json\t| JSON | a trade, all fields | 81 ns | 3.60x as fast as simdjson (294 ns); memcpy 8 ns | at least 3.0x | met |
net\t| TLS | W=1 N=100 | 10384 ns a message | 1.75x the CPU of plain text (6121 ns) | at most 1.40x | **missed** |
call\t| local call | within a lane | p50 0.50 us, p99 0.65 us | 341 calls through a pointer | p50 at most 0.25 us | **missed** |
edge\t| edge | a crowd | age p50 143, p99 80, max 193 ms | of the oldest | p99 at most 60 ms, here 160: a send costs 2.68x | met |
store\t| store | trades <b> | 206 k rows/s |  | at least 103 k/s | met |
log\t| log | all, or the rest | ended with code 124 | | | **not measured** |
"""
MARGINS = [None, 1.2, 0.8, 0.5, 2.0, 2.0, None]
HISTOGRAM = """       Value     Percentile TotalCount 1/(1-Percentile)

       0.400 0.000000000000          0           1.00
       0.500 0.500000000000         50           2.00
       0.900 0.990000000000         99         100.00
      12.000 1.000000000000        100            inf
#[Mean    =        0.700, Unit           =           us]
"""


def main():
    tap = h.Tap()
    with h.Folder() as folder:
        rows, out = os.path.join(folder, "rows"), os.path.join(folder, "bench")
        with open(rows, "w", encoding="utf-8") as file:
            file.write(ROWS)
        with open(os.path.join(folder, report.kept_name("local call", "within a lane")), "w", encoding="utf-8") as file:
            file.write(HISTOGRAM)
        subprocess.run([sys.executable, os.path.join(BENCH, "page.py"), rows, folder, "1 core of <none>", out], check=True)
        with tap.case("durations that are kept are read again, each in its place; what a run found out is in no name"):
            os.environ["KONTOR_BENCH_HISTOGRAMS"] = folder
            report.keep("page", "publish to pixel; of 1000", range(1000, 0, -1))
            points, greatest = page.read_histogram(os.path.join(folder, "page-publish-to-pixel.hgrm"))
            assert greatest == 1000 and points[0] == (1, 1) and (2, 501) in points, (points, greatest)
            assert all(abs(us - 1 - 1000 * (1 - 1 / part)) < 1.5 for part, us in points) and points[-1][1] >= 999, points
        with tap.case("a figure is told beside its demand, whichever way it is asked"):
            found = [page.margin(cells) for _, cells in page.read_rows(rows)]
            assert [value and round(value, 9) for value in found] == MARGINS, found
        with tap.case("the table to be pasted has each row as it was printed"):
            with open(out + ".md", encoding="utf-8") as file:
                lines = file.read().splitlines()
            assert lines[0] == "Measured on 1 core of <none>." and lines[2].startswith("| what | workload |"), lines[:4]
            def cells(line):
                return [cell.strip() for cell in line.strip("|").split("|")]
            assert [cells(line) for line in lines[4:]] == [cells(line.split("\t")[1]) for line in ROWS.splitlines()], lines
        with tap.case("the page needs nothing else, and holds machine, drawings, rows and how to repeat them"):
            with open(out + ".html", encoding="utf-8") as file:
                text = file.read()
            assert "1 core of &lt;none&gt;" in text and "trades &lt;b&gt;" in text
            assert text.count("<svg") == 2 and text.count("<polyline") == 1 and text.count("<rect") == 5, text
            assert "bench/run build call" in text and "histograms/local-call-within-a-lane.hgrm" in text
            assert not re.search(r"(src|href)=.(https?:)?//", text)
    with tap.case("each part of bench/run is explained, with the rows that it prints"):
        with open(os.path.join(BENCH, "run"), encoding="utf-8") as file:
            parts = re.search(r"^parts='(.*)'$", file.read(), re.M)[1].split()
        with open(os.path.join(h.ROOT, "docs", "performance.md"), encoding="utf-8") as file:
            told = re.findall(r"^\| [^|]+ \| `(\w+)` \|", file.read(), re.M)
        assert set(told) == set(parts), (sorted(set(told)), sorted(parts))
    tap.done()


main()
