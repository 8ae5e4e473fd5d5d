#!/usr/bin/env python3
"""Power cuts: a copy of the data folder with only the synced bytes and a random part of the rest starts again.

tests/shadow_disk.c, preloaded into every process of the house, keeps what a disk would be sure to hold. At a cut all processes
are killed, and the next start runs on an image: the sure bytes, any subset of the later pages, any subset of the renames and
unlinks whose folder was not synced, under another boot id. After each start:
  - every record that was durable before the cut is in its log, byte for byte, without gaps or repeats;
  - the store holds nothing that the log does not hold;
  - a client is told the new epoch of what may have been lost, and resumes by the rule.
At the end the market has caught up, and every validated value is what the tape says."""
import os
import random
import shutil
import signal
import sys
import time
import uuid

import house as h
import log_reader

PAGE = 4096


def read(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


def files_of(root):
    found = set()
    for folder, _, names in os.walk(root):
        for name in names:
            found.add(os.path.relpath(os.path.join(folder, name), root))
    return found


def image_of(rng, live, shadow, out):
    """What the disk holds after a cut: `shadow` for sure, of `live` any part."""
    names = files_of(live) | {name.split("#")[0] for name in files_of(shadow)}
    keep = rng.choice([0.0, 0.1, 0.5, 0.9, 1.0])
    for folder, _, _ in os.walk(live):
        os.makedirs(os.path.join(out, os.path.relpath(folder, live)), exist_ok=True)
    for name in sorted(names):
        now = read(os.path.join(live, name))
        sure = read(os.path.join(shadow, name))
        pending = read(os.path.join(shadow, name + "#pending"))
        if pending is not None and rng.random() < 0.5:
            sure = pending
        if now is None:  # unlinked, and the folder was not synced since: either
            if sure is None or rng.random() < 0.5:
                continue
            now = sure
        if sure is None:  # never synced: either not there, or there with any of its pages
            if rng.random() < 0.3:
                continue
            sure = b""
        size = rng.choice([len(now), max(len(sure), rng.randrange(0, len(now) + 1))]) if keep > 0 else len(sure)
        size = max(size, len(sure)) if len(now) >= len(sure) else size
        bytes_out = bytearray(size)
        bytes_out[:min(size, len(sure))] = sure[:size]
        for at in range(0, min(size, len(now)), PAGE):
            if rng.random() < keep:
                bytes_out[at:at + PAGE] = now[at:min(at + PAGE, size)]
        path = os.path.join(out, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(bytes_out[:size])
