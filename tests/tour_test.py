#!/usr/bin/env python3
"""README's tour, line by line, against the demonstration of `make run`.

Each line of an `sh` block must end with 0 and say something; a `kontor watch` that would go on is ended by Ctrl-C once it
has. Each line of a `json` block is sent as it stands, and must be answered. Where the text says to stop the demonstration,
it is stopped. README's ports and folders may be in use here: the tour is taken in a folder of its own, and 3000 and 3001
become free ports, in the lines and in deploy/."""
import os
import re
import signal

import house as h

BLOCK = re.compile(r"(.*?)^```(\w+)\n(.*?)^```$", re.S | re.M)


def tour():
    """(text before it, language, lines) of each block."""
    with open(os.path.join(h.ROOT, "README.md"), encoding="utf-8") as file:
        text = file.read().split("\n## A tour\n", 1)[1].split("\n## ", 1)[0]
    blocks = [(before, language, lines.splitlines()) for before, language, lines in BLOCK.findall(text)]
    assert {language for _, language, _ in blocks} <= {"sh", "json"}, "a block that this test can not take"
    return blocks


def settle(folder, ports):
    """What README's lines name: deploy/, with these ports, and build/."""
    os.makedirs(os.path.join(folder, "deploy"))
    for name in ("demo", "demo.yaml"):
        with open(os.path.join(h.ROOT, "deploy", name), encoding="utf-8") as file:
            text = h.with_ports(file.read(), ports)
        with open(os.path.join(folder, "deploy", name), "w", encoding="utf-8") as file:
            file.write(text)
    os.symlink(h.build_folder(), os.path.join(folder, "build"))


def run(line, folder, env):
    goes_on = "kontor watch" in line and "--once" not in line
    h.check_line(*h.run_line(line, folder, env, (lambda said: "\n" in said) if goes_on else None))


def say(line, client):
    """Send it; the answer with its id comes, among events."""
    asked = h.json.loads(line)
    client.frame(1, line.encode())
    while True:
        answer = client.receive()
        if answer.get("id") == asked["id"]:
            break
    assert answer["type"] == "answer", answer


def main():
    signal.signal(signal.SIGINT, signal.default_int_handler)  # one who runs this in the background passes on "ignore"
    tap = h.Tap()
    with h.Folder() as folder:
        ports = {"3000": h.free_port(), "3001": h.free_port()}
        settle(folder, ports)
        env = h.reader(folder, PORT=str(ports["3000"]))
        with h.Process(["sh", "deploy/demo", "build/kontor"], folder, "demo", env) as demo:
            # The hour before the start comes over REST, oldest first: with the last second of it all is there.
            past = f"http://127.0.0.1:{ports['3000']}/historical?ticker=BTC/USDT&ts={int(h.time.time()) - 1}000"
            h.wait_for(lambda: "the demonstration to have kept its past:\n" + demo.said(),
                       lambda: h.get(past, 5)[0] == 200)
            for before, language, lines in tour():
                if "Stop the demonstration" in before:
                    demo.signal(signal.SIGINT)
                    demo.wait()
                client = h.Socket(ports["3000"]) if language == "json" else None
                for line in lines:
                    with tap.case(line):
                        if client is not None:
                            say(line, client)
                        else:
                            run(h.with_ports(line, ports), folder, env)
                if client is not None:
                    client.close()
    tap.done()


if __name__ == "__main__":
    main()
