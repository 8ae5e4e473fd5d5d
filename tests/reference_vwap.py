#!/usr/bin/env python3
"""Exact sums of price x quantity over windows of whole seconds, from a file of trades: the separate small program that
kontor's validated values are compared with. It shares no code and no method with kontor: Python's integers, and for each
mark a new look at the trades of its window.

    reference_vwap.py TRADES.csv[.gz] [--windows 60,300,3600] [--until-id N] [--per-ms 100] [--price-scale 2]

TRADES has a header line with the columns trade_id, price, qty, trade_time_ms. Output is CSV, in the order of window and mark:

    window_s,mark_ms,sum_pq,sum_q,trades,complete,price

one line for each whole second s before the last trade with a trade in [s - window, s], both ends in. Sums are exact decimals
without trailing zeros; price is their quotient with the price scale + 2 digits, half to even. With --per-ms N only the first N
trades of a millisecond count, as a REST interface that can give no more has it; complete is 0 where the window holds a
millisecond with N trades or more.
"""
import argparse
import bisect
import csv
import gzip
import sys
from fractions import Fraction


def exact(text):
    """An int and its number of decimals: '61837.63' -> (6183763, 2)."""
    whole, _, part = text.partition('.')
    return int(whole + part), len(part)


def text_of(value, scale):
    digits = str(value).rjust(scale + 1, '0')
    if scale == 0:
        return digits
    return (digits[:-scale] + '.' + digits[-scale:]).rstrip('0').rstrip('.')


def read(path, until_id):
    opener = gzip.open if path.endswith('.gz') else open
    with opener(path, 'rt', newline='') as file:
        for row in csv.DictReader(file):
            if until_id is not None and int(row['trade_id']) > until_id:
                continue
            yield int(row['trade_time_ms']), int(row['trade_id']), exact(row['price']), exact(row['qty'])


def main():
    parser = argparse.ArgumentParser(description='exact reference sums of trades over windows of whole seconds')
    parser.add_argument('trades')
    parser.add_argument('--windows', default='60,300,3600', help='seconds, comma-separated')
    parser.add_argument('--until-id', type=int, help='leave out trades with a greater id')
    parser.add_argument('--per-ms', type=int, help='only the first so many trades of a millisecond')
    parser.add_argument('--price-scale', type=int, default=2, help="digits of the instrument's prices")
    args = parser.parse_args()

    trades = sorted(read(args.trades, args.until_id))
    if not trades:
        sys.exit(f'{args.trades}: no trades')
    scale_p = max(trade[2][1] for trade in trades)
    scale_q = max(trade[3][1] for trade in trades)
    full = set()
    kept = []
    rank = 0
    for i, (time, number, price, qty) in enumerate(trades):
        rank = rank + 1 if i > 0 and trades[i - 1][0] == time else 1
        if args.per_ms is not None and rank >= args.per_ms:
            full.add(time)
        if args.per_ms is None or rank <= args.per_ms:
            p = price[0] * 10 ** (scale_p - price[1])
            q = qty[0] * 10 ** (scale_q - qty[1])
            kept.append((time, p * q, q))
    times = [trade[0] for trade in kept]
    full = sorted(full)

    out = csv.writer(sys.stdout, lineterminator='\n')
    out.writerow(['window_s', 'mark_ms', 'sum_pq', 'sum_q', 'trades', 'complete', 'price'])
    for window in (int(word) for word in args.windows.split(',')):
        for mark in range(-(-times[0] // 1000) * 1000, times[-1], 1000):
            first = bisect.bisect_left(times, mark - window * 1000)
            last = bisect.bisect_right(times, mark)
            if first == last:
                continue
            sum_pq = sum(trade[1] for trade in kept[first:last])
            sum_q = sum(trade[2] for trade in kept[first:last])
            whole = bisect.bisect_left(full, mark - window * 1000) == bisect.bisect_right(full, mark)
            digits = args.price_scale + 2
            price = round(Fraction(sum_pq, sum_q) * 10 ** digits / 10 ** scale_p)  # half to even
            out.writerow([window, mark, text_of(sum_pq, scale_p + scale_q), text_of(sum_q, scale_q), last - first,
                int(whole), text_of(price, digits)])


if __name__ == '__main__':
    main()
