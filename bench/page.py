#!/usr/bin/env python3
"""The rows of a run as a table to be pasted, OUT.md, and as one page that needs nothing else, OUT.html: how far each figure is from its
demand, how durations are spread, the table, and the command that repeats each row. Usage: page.py ROWS HISTOGRAMS ABOUT OUT

ROWS has a line a row: the part of bench/run, a tab, the row as report.h prints it. HISTOGRAMS holds .hgrm files."""
import html
import math
import os
import re
import sys

import report

HEAD = ("what", "workload", "figure", "against", "demand", "met")
WIDTH, BAR, LABELS = 900, 18, 430  # of a drawing; a bar's height; where bars begin
COLOURS = ("#1f6feb", "#d1242f", "#1a7f37", "#9a6700", "#8250df", "#57606a", "#bf3989", "#0a7ea4")
NUMBER = r"([\d.]+)"


def read_rows(path):
    """[(part, [cell])]"""
    rows = []
    with open(path, encoding="utf-8") as file:
        for line in file:
            part, row = line.rstrip("\n").split("\t", 1)
            rows.append((part, [cell.strip() for cell in row.strip("|").split("|")]))
    return rows


def read_histogram(path):
    """[(1 / (1 - share), us)] but for the greatest, and the greatest."""
    points, greatest = [], 0.0
    with open(path, encoding="utf-8") as file:
        for line in file:
            fields = line.split()
            if len(fields) == 4 and fields[0][0].isdigit():
                greatest = float(fields[0])
                if fields[3] != "inf":
                    points.append((float(fields[3]), greatest))
    return points, greatest


def margin(cells):
    """How many times better than its demand, below 1: worse; None where there is none, or it is no number."""
    figure, against, demand = cells[2:5]
    asked = re.search(rf"(p\d+ )?(at least|at most) {NUMBER}(x?)", demand)
    if not asked:
        return None
    limit = float((re.search(rf"here {NUMBER}", demand) or re.search(NUMBER, demand[asked.start(3):]))[1])
    got = re.search(rf"{NUMBER}x", against) if asked[4] else re.search((re.escape(asked[1]) if asked[1] else "") + NUMBER, figure)
    if not got or limit <= 0 or float(got[1]) <= 0:
        return None
    return float(got[1]) / limit if asked[2] == "at least" else limit / float(got[1])


def text(x, y, words, anchor="start", colour="#1f2328"):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{html.escape(words)}</text>'


def line(x1, y1, x2, y2, colour):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"/>'


def drawing(height, parts, name):
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{html.escape(name)}">{"".join(parts)}</svg>'


def draw_margins(rows):
    """A bar a demand, from 1 on, to the right where it is met; each doubling has the same length."""
    bars = [(f"{cells[0]}: {cells[1]}", margin(cells)) for _, cells in rows]
    bars = [(name, value) for name, value in bars if value is not None]
    if not bars:
        return ""
    most = max(2.0, max(max(value, 1 / value) for _, value in bars))
    least = min(1 / 2, min(value for _, value in bars))
    step = (WIDTH - LABELS - 110) / (math.log2(most) - math.log2(least))
    zero = LABELS + 50 - math.log2(least) * step
    height = BAR * len(bars) + 30
    parts = [line(zero, 18, zero, height, "#57606a"), text(zero, 12, "as demanded", "middle", "#57606a")]
    for i, (name, value) in enumerate(bars):
        y, length = 22 + BAR * i, math.log2(value) * step
        colour = "#1a7f37" if value >= 1 else "#d1242f"
        parts.append(text(LABELS, y + 12, name if len(name) <= 66 else name[:65] + "…", "end"))
        parts.append(f'<rect x="{min(zero, zero + length):.1f}" y="{y + 2}" width="{max(abs(length), 1):.1f}" height="{BAR - 5}" fill="{colour}"/>')
        parts.append(text(zero + length + (4 if value >= 1 else -4), y + 12, f"{value:.2f}x", "start" if value >= 1 else "end", colour))
    return drawing(height, parts, "each figure beside its demand")


def draw_spread(curves):
    """Durations over the share that they are not above, both logarithmic; [(name, points)]."""
    left, right, top, bottom = 80, 40, 10, 300
    values = [us for _, points in curves for _, us in points if us > 0]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    high = max(high, low + 1)
    nines = max(2, math.ceil(max(math.log10(share) for _, points in curves for share, _ in points)))

    def at(share, us):
        return (left + math.log10(share) / nines * (WIDTH - left - right),
                bottom - (math.log10(max(us, 10.0 ** low)) - low) / (high - low) * (bottom - top))
    parts = []
    for power in range(low, high + 1):
        y = at(1, 10.0 ** power)[1]
        parts += [line(left, y, WIDTH - right, y, "#d0d7de"), text(left - 6, y + 4, f"{10.0 ** power:g} us", "end", "#57606a")]
    for nine in range(nines + 1):
        x = at(10.0 ** nine, 1)[0]
        label = "0 %" if nine == 0 else f"{100 - 100 / 10 ** nine:.{max(0, nine - 2)}f} %"
        parts += [line(x, top, x, bottom, "#d0d7de"), text(x, bottom + 16, label, "middle", "#57606a")]
    for i, (name, points) in enumerate(curves):
        colour = COLOURS[i % len(COLOURS)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(share, us) for share, us in points))
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        parts.append(text(left, bottom + 38 + 16 * i, name, "start", colour))
    return drawing(bottom + 40 + 16 * len(curves), parts, "durations by percentile")


def spreads(rows, folder):
    """[(what, drawing)] of the rows that have a histogram."""
    found = {}
    for _, cells in rows:
        path = os.path.join(folder, report.kept_name(cells[0], cells[1]))
        if os.path.exists(path) and all(name != cells[1] for name, _ in found.get(cells[0], [])):
            points, greatest = read_histogram(path)
            found.setdefault(cells[0], []).append((cells[1], points + [(points[-1][0] * 2, greatest)]))
    return [(what, draw_spread(curves)) for what, curves in found.items()]


def cell_html(cell):
    return re.sub(r"\*\*(.*?)\*\*", r"<strong>\1</strong>", html.escape(cell))


def table_html(rows, folder):
    lines = ["<table><tr>" + "".join(f"<th>{name}</th>" for name in (*HEAD, "again")) + "</tr>"]
    for part, cells in rows:
        kept = report.kept_name(cells[0], cells[1])
        cells_html = [cell_html(cell) for cell in cells]
        if os.path.exists(os.path.join(folder, kept)):
            cells_html[2] += f' <a href="bench/histograms/{kept}">histogram</a>'
        again = "" if part == "calibration" else f"<code>bench/run build {part}</code>"
        lines.append(f'<tr class="{re.sub("[^a-z]", "", cells[5])}">' + "".join(f"<td>{cell}</td>" for cell in (*cells_html, again)) + "</tr>")
    return "\n".join(lines) + "</table>"


STYLE = """body { font: 15px/1.5 system-ui, sans-serif; color: #1f2328; max-width: 75rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; font-size: 13px } th, td { border: 1px solid #d0d7de; padding: .2rem .5rem; text-align: left; vertical-align: top }
tr.missed td:nth-child(6), tr.notmeasured td:nth-child(6) { color: #d1242f } svg { max-width: 100%; font: 12px system-ui, sans-serif }
code { white-space: nowrap }"""


def page(rows, folder, about):
    drawn = "".join(f"<h2>Durations: {html.escape(what)}</h2>\n{svg}\n" for what, svg in spreads(rows, folder))
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>kontor: figures</title><style>{STYLE}</style>
<h1>kontor: figures</h1>
<p>Measured on {html.escape(about)}.</p>
<p>A ratio to something measured in the same run carries over to other machines; a figure alone does not. <code>docs/performance.md</code>
says what each row is, and how it is measured again.</p>
<h2>Beside what is demanded</h2>
{draw_margins(rows)}
{drawn}<h2>All rows</h2>
{table_html(rows, folder)}
</html>
"""


def main():
    path, folder, about, out = sys.argv[1:]
    rows = read_rows(path)
    with open(out + ".md", "w", encoding="utf-8") as file:
        file.write(f"Measured on {about}.\n\n| " + " | ".join(HEAD) + " |\n" + "|---" * len(HEAD) + "|\n")
        file.writelines("| " + " | ".join(cells) + " |\n" for _, cells in rows)
    with open(out + ".html", "w", encoding="utf-8") as file:
        file.write(page(rows, folder, about))


if __name__ == "__main__":
    main()
