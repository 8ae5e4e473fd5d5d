#!/usr/bin/env python3
"""The rolling average once more, slow and obvious: whole windows summed with Python's own integers.

As a program: slow_vwap.py TRADES.csv[.gz] WINDOW_SECONDS [LAST_ID] prints mark_ms,sum_pq,sum_q,trades of every whole second that has
a trade in [mark - window, mark], both ends in. The columns trade_id, price, qty and trade_time_ms are read by name."""
import bisect
import csv
import gzip
import sys
from fractions import Fraction

SCALE = 18  # digits behind the point that prices and quantities are held with


def mantissa(text):
    """The exact integer of a decimal text at SCALE."""
    whole, _, part = text.partition(".")
    assert len(part.rstrip("0")) <= SCALE, text
    return int(whole + part.rstrip("0").ljust(SCALE, "0"))


def trimmed(text):
    """A decimal text without trailing zeros."""
    return text.rstrip("0").rstrip(".") if "." in text else text


def text_of(number, scale):
    """The exact decimal text of an integer at a scale, without trailing zeros."""
    digits = str(abs(number)).rjust(scale + 1, "0")
    return ("-" if number < 0 else "") + trimmed(digits[:-scale] + "." + digits[-scale:])


def price_of(sum_pq, sum_q, digits):
    """The quotient of two exact decimal texts with so many digits, half to even."""
    return text_of(round(Fraction(sum_pq) / Fraction(sum_q) * 10 ** digits), digits)


class Series:
    """Trades in the order of their time; the sum of any range of them."""

    def __init__(self, trades):
        """trades: [(id, time ms, price text, quantity text)]"""
        rows = sorted((ms, mantissa(price), mantissa(quantity)) for _, ms, price, quantity in trades)
        self.times = [row[0] for row in rows]
        self.pq, self.q = [0], [0]
        for _, price, quantity in rows:
            self.pq.append(self.pq[-1] + price * quantity)
            self.q.append(self.q[-1] + quantity)

    def window(self, first_ms, last_ms):
        """(sum of price x quantity, sum of quantity, trades) of [first, last], both in; None without a trade."""
        low, high = bisect.bisect_left(self.times, first_ms), bisect.bisect_right(self.times, last_ms)
        if low == high:
            return None
        return (text_of(self.pq[high] - self.pq[low], 2 * SCALE), text_of(self.q[high] - self.q[low], SCALE), high - low)


def marks(trades, seconds, last_mark=None):
    """{mark ms: (sum_pq, sum_q, trades)} of every whole second with a trade in its window, up to the last that a trade has
    strictly passed."""
    series = Series(trades)
    if not series.times:
        return {}
    last = -(-series.times[-1] // 1000) * 1000 - 1000 if last_mark is None else last_mark
    found = {}
    for mark in range(-(-series.times[0] // 1000) * 1000, last + 1, 1000):
        sums = series.window(mark - seconds * 1000, mark)
        if sums:
            found[mark] = sums
    return found


def read_csv(path, last_id=None):
    with (gzip.open if path.endswith(".gz") else open)(path, "rt") as file:
        return [(int(row["trade_id"]), int(row["trade_time_ms"]), row["price"], row["qty"]) for row in csv.DictReader(file)
                if last_id is None or int(row["trade_id"]) <= last_id]


if __name__ == "__main__":
    for mark, sums in marks(read_csv(sys.argv[1], int(sys.argv[3]) if len(sys.argv) > 3 else None), int(sys.argv[2])).items():
        print(mark, *sums, sep=",")
