#!/usr/bin/env python3
"""A foreign client: Python `websockets`. Usage: python_client.py URL. Prints TAP."""
import asyncio
import json
import os
import sys
import time

import websockets

BOUND_S = float(os.environ.get("KONTOR_CLIENT_BOUND_S", "60"))


class Client:
    """One connection; checks that `seq` counts every message."""

    def __init__(self, socket):
        self.socket = socket
        self.seq = 0
        self.next_id = 1

    async def next(self):
        message = json.loads(await asyncio.wait_for(self.socket.recv(), BOUND_S))
        self.seq += 1
        assert message["seq"] == self.seq, f"seq {message['seq']} instead of {self.seq}"
        return message

    async def ask(self, op, **fields):
        """Send an op; its answer, and the events that came before it."""
        await self.socket.send(json.dumps({"id": self.next_id, "op": op, **fields}))
        self.next_id += 1
        events = []
        while True:
            message = await self.next()
            if message.get("id") == self.next_id - 1:
                return message, events
            events.append(message)

    async def events(self, count):
        found = []
        while len(found) < count:
            await self.socket.send('{"op":"ping"}')
            message = await self.next()
            if message["type"] == "event":
                found.append(message)
        return found


def connect(url):
    # The library's own pings would be signs of life: they are off, so that silence is silence.
    return websockets.connect(url, subprotocols=["kontor.v1.json"], ping_interval=None, max_size=None)


async def busiest_channel(client):
    end = time.monotonic() + BOUND_S
    while time.monotonic() < end:
        answer, _ = await client.ask("channels", pattern="trades.>")
        alive = [channel for channel in answer["channels"] if channel["offset"] > 0]
        if alive:
            return max(alive, key=lambda channel: channel["offset"])["channel"]
        await asyncio.sleep(0.2)
    raise AssertionError("no channel with trades appeared")


def in_order(offset, events):
    for event in events:
        assert event["offset"] == offset + event["skipped"] + 1, f"offset {event['offset']} behind {offset}"
        offset = event["offset"]
    return offset


async def subscribes(url, state):
    async with connect(url) as socket:
        assert socket.subprotocol == "kontor.v1.json"
        client = Client(socket)
        channel = await busiest_channel(client)
        answer, early = await client.ask("subscribe", channel=channel, **{"from": "snapshot"}, conflate=False)
        assert answer["type"] == "answer" and answer["recovered"] and not early, answer
        events = await client.events(20)
        state.update(channel=channel, epoch=events[-1]["epoch"], offset=in_order(answer["offset"], events))
        assert all(event["skipped"] == 0 for event in events)


async def resumes(url, state):
    await asyncio.sleep(1)  # something happens meanwhile
    async with connect(url) as socket:
        client = Client(socket)
        answer, _ = await client.ask("subscribe", channel=state["channel"], conflate=False,
                                     **{"from": {"epoch": state["epoch"], "offset": state["offset"]}})
        assert answer["recovered"] is True and answer["offset"] == state["offset"], answer
        events = await client.events(50)
        in_order(state["offset"], events)
        assert all(event["skipped"] == 0 and event["epoch"] == answer["epoch"] for event in events)


async def answers_pings(url, _):
    async with connect(url) as socket:
        await asyncio.wait_for(await socket.ping(), BOUND_S)  # frame for frame
        answer, _ = await Client(socket).ask("ping")
        assert answer["type"] == "pong"


async def refuses(url, _):
    async with connect(url) as socket:
        client = Client(socket)
        for op, fields, code in (("order", {}, "unknown_op"), ("subscribe", {}, "missing_field"),
                                 ("subscribe", {"channel": "trades.*"}, "out_of_range"), ("auth", {"token": "x"}, "no_identity")):
            answer, _ = await client.ask(op, **fields)
            assert answer["type"] == "error" and answer["code"] == code and answer["message"], answer


async def is_cut_off_when_silent(url, _):
    async with connect(url) as socket:
        client = Client(socket)
        begun = time.monotonic()
        message = await client.next()
        assert message["type"] == "disconnect" and message["code"] == "silent" and message["reason"], message
        try:
            await asyncio.wait_for(socket.recv(), BOUND_S)
            raise AssertionError("still open")
        except websockets.ConnectionClosed as closed:
            assert closed.rcvd is not None and closed.rcvd.code == 1008, closed
        print(f"# cut off after {time.monotonic() - begun:.1f} s")


async def main():
    url = sys.argv[1].replace("http", "ws", 1).rstrip("/") + "/ws"
    tests = [subscribes, resumes, answers_pings, refuses, is_cut_off_when_silent]
    state, failed = {}, 0
    print(f"1..{len(tests)}")
    for number, test in enumerate(tests, 1):
        try:
            await test(url, state)
            print(f"ok {number} - python: {test.__name__.replace('_', ' ')}", flush=True)
        except Exception as error:  # TAP tells every failure, whatever it is
            failed += 1
            print(f"not ok {number} - python: {test.__name__.replace('_', ' ')}\n# {type(error).__name__}: {error}", flush=True)
    return failed != 0


if len(sys.argv) != 2:
    sys.exit("usage: python_client.py URL, such as http://127.0.0.1:3000")
sys.exit(asyncio.run(main()))
