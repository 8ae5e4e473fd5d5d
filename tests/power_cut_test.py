#!/usr/bin/env python3
"""Power cuts: a copy of the data folder with only the synced bytes and a random part of the rest starts again.

tests/shadow_disk.c, preloaded into every process of the house, keeps what a disk would be sure to hold. At a cut all processes
are killed, and the next start runs on an image: the sure bytes, any subset of the later pages, any subset of the renames and
unlinks whose folder was not synced, under another boot id. After each start:
  - every record that was durable before the cut is in its log, byte for byte, without gaps or repeats;
  - the store holds nothing that the log does not hold;
  - a client is told the new epoch: it resumes at or below the cut, and is told the loss above it.
At the end the market has caught up, and store and values are what the venue says."""
import os
import random
import shutil
import sys
import time
import uuid

import house as h
import kill_test as k
import log_reader

PAGE = 4096
LOGS = ("market", "keep", "edge", "house")


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


def durable_records(data):
    """{log: {seq: bytes}} of everything that each log has promised to keep. Read before the cut: what is durable stays so."""
    found = {}
    for log in LOGS:
        folder = os.path.join(data, log)
        if os.path.isdir(folder):
            limit = log_reader.durable(folder)
            found[log] = {seq: record for seq, record in log_reader.records(folder) if seq <= limit}
    return found


def check_records(data, promised):
    """Call while the house is up again: nothing is taken away then."""
    for log, records in promised.items():
        now = dict(log_reader.records(os.path.join(data, log)))
        for seq, record in records.items():
            assert now.get(seq) == record, f"log {log}: record {seq} of {len(records)} durable ones is " + \
                ("gone" if seq not in now else "another")


def check_store_behind_log(house):
    rows = house.rows("select seq from cursors where log = 'market'")
    end = log_reader.records(os.path.join(house.data, "market"))
    if rows and end:
        assert rows[0][0] <= end[-1][0], f"the store is at {rows[0][0]}, the log ends at {end[-1][0]}"


def last_seen(house):
    """(epoch, offset) of the newest trade that a client hears of."""
    socket = h.Socket(house.port)
    try:
        answer = socket.ask(op="subscribe", channel=k.CHANNELS[0], **{"from": "snapshot"})
        if not answer["exists"]:
            return None
        while True:
            message = socket.receive()
            if message["type"] == "event":
                return message["epoch"], message["offset"]
    except (h.Closed, OSError):
        return None
    finally:
        socket.close()


def check_client(house, before):
    """A client that was at `before` is told the new epoch, and goes on without being told anything wrong."""
    socket = h.Socket(house.port)
    try:
        answer = socket.ask(op="subscribe", channel=k.CHANNELS[0], conflate=False,
                            **{"from": {"epoch": before[0], "offset": before[1]}})
        if not answer["exists"]:
            return None  # not a single record of the channel survived
        if answer["epoch"] == before[0]:
            hear_new_epoch(socket, before[0])
            return answer["recovered"]
        if answer["recovered"]:
            event = next_event(socket)
            # What survived of the old epoch still carries it.
            assert event["offset"] == before[1] + 1 and event["epoch"] in (before[0], answer["epoch"]), (before, answer, event)
        else:
            assert answer["lost"] == {"from": before[1] + 1, "to": None}, answer
        return answer["recovered"]
    finally:
        socket.close()


def hear_new_epoch(socket, old):
    """A client that asks before the lane has opened its log again is served what was durable, and hears of the new epoch before
    any event of it."""
    while True:
        message = socket.receive()
        if message["type"] == "epoch":
            assert message["before"] == old and message["epoch"] != old, message
            return
        assert message["type"] != "event" or message["epoch"] == old, (old, message)


def next_event(socket):
    while True:
        message = socket.receive()
        if message["type"] == "event":
            return message


def start(folder, sim, port, boot, data, shadow, preload):
    boot_file = os.path.join(folder, "boot_id")
    with open(boot_file, "w") as file:
        file.write(str(uuid.UUID(int=boot)) + "\n")
    env = {"LD_PRELOAD": preload, "SHADOW_ROOT": data, "SHADOW_DIR": shadow, "SHADOW_BOOT_ID": boot_file}
    return h.House(folder, k.config(sim), env=env, port=port)


def main():
    if len(sys.argv) != 3 or not os.path.exists(sys.argv[2]):
        sys.exit("usage: power_cut_test.py BUILD SHADOW_DISK: the second is tests/shadow_disk.so of the build folder; without it "
                 "nothing would be cut off (the loader passes over a library that is not there)")
    preload = os.path.abspath(sys.argv[2])
    tap = h.Tap()
    cuts = h.cases(200)
    rng = random.Random(h.seed())
    print(f"# seed {h.seed()}, {cuts} cuts")
    with h.Folder() as folder:
        data, shadow, image = (os.path.join(folder, name) for name in ("data", "shadow", "image"))
        os.mkdir(shadow)
        sim = h.Sim(folder, "--format", "binance", "--symbols", k.SYMBOL, "--rate", k.RATE, "--keep", k.KEEP, "--seed", h.seed(),
                    "--fault", "drop=0.02,repeat=0.02,reorder=0.02,malformed=0.01,absurd_price=0.005")
        port = h.free_port()
        answers = []
        with sim, tap.case(f"{cuts} power cuts: what was durable is there, the store is not ahead, clients are told"):
            house = start(folder, sim, port, rng.getrandbits(120), data, shadow, preload)
            for cut in range(cuts):
                h.wait_for(lambda: "/health of the house:\n" + house.said(), house.healthy)
                time.sleep(rng.uniform(0.0, 1.2))
                promised = durable_records(data)
                before = last_seen(house)
                house.kill_all()
                house.output.close()
                shutil.rmtree(image, ignore_errors=True)
                image_of(rng, data, shadow, image)
                for old, new in ((data, None), (shadow, None)):
                    shutil.rmtree(old)
                shutil.copytree(image, data)
                shutil.copytree(image, shadow)  # what the disk holds is sure from now on
                house = start(folder, sim, port, rng.getrandbits(120), data, shadow, preload)
                h.wait_for(lambda: f"/health after cut {cut}:\n" + house.said(), house.healthy)
                check_records(data, promised)
                check_store_behind_log(house)
                if before:
                    answers.append(check_client(house, before))
                if (cut + 1) % 50 == 0:
                    print(f"# {cut + 1} cuts", flush=True)
            print(f"# clients: {answers.count(True)} recovered, {answers.count(False)} told the loss")
            trades, last = k.settled(k.true_trades(sim))
            h.wait_for(lambda: f"validated to {k.validated_to(house)} of {last}\n" + house.said(),
                       lambda: k.validated_to(house) >= last)
            with tap.case("after the last cut the store holds every true trade once, validated"):
                k.check_store(house, trades)
            with tap.case("every validated value is what the true trades give"):
                k.check_values(house, trades, last)
            with tap.case("no log has a gap"):
                for log in LOGS:
                    log_reader.records(os.path.join(data, log))
        house.stop()
    tap.done()


if __name__ == "__main__":
    main()
