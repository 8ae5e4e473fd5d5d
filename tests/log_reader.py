"""Reads a log folder without kontor: a second, small implementation of what src/log/segment.h and record.h say.

records(dir) gives (seq, bytes of the record) of every record up to the end, and fails on a gap; durable(dir) is the position of the
control page. Checksums are left to kontor's own reader and doctor."""
import os
import re
import struct
import time

HEADER = 48
LOOKS = 200  # at a segment whose seal is about to be written, 10 ms apart
SEAL, CONTROL = 3, 8
NAME = re.compile(r"(\d{20})\.(\d+)\.seg$")


def segments(folder):
    """[(first seq, path)]: of each the newest generation, in order."""
    newest = {}
    for name in os.listdir(folder):
        match = NAME.match(name)
        if match:
            first, generation = int(match[1]), int(match[2])
            if generation >= newest.get(first, (-1, ""))[0]:
                newest[first] = (generation, os.path.join(folder, name))
    return [(first, newest[first][1]) for first in sorted(newest)]


def of_segment(first, path):
    """[(seq, bytes)] of one file, and whether it ends in its seal."""
    with open(path, "rb") as file:
        data = file.read()
    at = struct.unpack_from("<Q", data, 72)[0]
    seq, found = first, []
    while at + HEADER <= len(data):
        size, _, kind, flags, subject, number = struct.unpack_from("<IIHHIQ", data, at)
        if size == 0:
            break
        if size < HEADER or at + size > len(data) or number != seq:
            break
        found.append((seq, data[at:at + size]))
        at += size
        seq += 1
        if kind == SEAL and flags & CONTROL and subject == 0:
            return found, True
    return found, False


def before_its_follower(first, path, follower):
    """The records of a segment that another follows. A log that is being written names the follower just before it writes the
    seal that leads there, so the seal may be missing for a moment, and nothing else."""
    for _ in range(LOOKS):
        found, sealed = of_segment(first, path)
        if sealed or first + len(found) + 1 != follower:
            break
        time.sleep(0.01)
    return found


def records(folder):
    found = []
    files = segments(folder)
    for at, (first, path) in enumerate(files):
        if found and first <= found[-1][0]:
            found = [record for record in found if record[0] < first]
        assert not found or first == found[-1][0] + 1, f"{path}: begins at {first}, the one before ends at {found[-1][0]}"
        found += before_its_follower(first, path, files[at + 1][0]) if at + 1 < len(files) else of_segment(first, path)[0]
    return found


def durable(folder):
    try:
        with open(os.path.join(folder, "control"), "rb") as file:
            return struct.unpack_from("<Q", file.read(256), 128)[0]
    except FileNotFoundError:
        return 0
