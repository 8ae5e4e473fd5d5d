#!/usr/bin/env python3
"""Schemathesis against the document that a running house serves: whatever it asks, as the document allows or not, no answer is
a 5xx, and none is undocumented in its status, type, shape or headers.

Schemathesis comes from the package index into a folder of its own; where it can not be had, the cases are skipped."""
import json
import os
import shutil
import subprocess
import sys
import venv

import house as h

VERSION = "4.32.5"
SYMBOL = "BTC/USDT"
CHECKS = ",".join(["not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance",
                   "response_headers_conformance", "unsupported_method", "allow_header_conformance", "negative_data_rejection"])
RUN_S = 600 # far beyond what a run needs
# What the house knows, so that questions get behind the checks of parameters; the second run leaves everything to chance.
KNOWN = f"""
[parameters]
"header.X-Deadline" = "2200-01-01T00:00:00Z"
"query.ticker" = ["BTC", "ETH", "{SYMBOL}"]
"query.venue" = "binance"
"query.symbol" = "{SYMBOL}"
"query.window" = "10s"
"query.pattern" = ["", ">", "trades.>", "vwap.*.binance.>"]
"""
CONFIG = """
log: {{segment_bytes: 2097152}}
vwap: {{windows: [10s, 1m, 5m]}}
repair: {{interval_ms: 100}}
venues:
  - {{name: binance, format: binance, ws_url: "ws://127.0.0.1:{port}", rest_url: "http://127.0.0.1:{port}", symbols: [{symbol}]}}
compat:
  tickers:
    - {{ticker: BTC, venue: binance, symbol: {symbol}}}
"""


def schemathesis(folder):
    """The program, installed into `folder`; None: it can not be had here."""
    place = os.path.join(folder, "venv")
    try:
        venv.create(place, with_pip=True)
        subprocess.run([os.path.join(place, "bin", "pip"), "install", "--quiet", "--disable-pip-version-check",
                        f"schemathesis=={VERSION}"], check=True, capture_output=True, text=True, timeout=RUN_S)
    except (OSError, subprocess.SubprocessError) as error:
        print(f"# {getattr(error, 'stderr', None) or error}"[:400].replace("\n", " "), flush=True)
        return None
    return os.path.join(place, "bin", "schemathesis")


def run(program, house, folder, config, *words):
    path = os.path.join(folder, "schemathesis.toml")
    with open(path, "w") as file:
        file.write(config)
    done = subprocess.run([program, "--config-file", path, "run", house.url + "/openapi.json", "--checks", CHECKS, "--seed", str(h.seed()),
                           "--warnings", "off", "--no-color", "--continue-on-failure", *words],
                          cwd=folder, capture_output=True, text=True, timeout=RUN_S)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-1000:]


def lanes(house):
    return json.loads(h.get(house.url + "/v1/node/lanes")[1])["lanes"]


def absent(house):
    """Paths of actions that no lane of this house answers: their 503 is right."""
    actions = json.loads(h.get(house.url + "/v1/node/actions")[1])["actions"]
    return [action["path"] for action in actions if not action["available"]]


def documents(tap, house):
    with tap.case("/swagger.json is /openapi.json"):
        assert h.get(house.url + "/openapi.json") == h.get(house.url + "/swagger.json")
    with tap.case("every action has a description, an example and its errors"):
        described = json.loads(h.get(house.url + "/openapi.json")[1])
        assert described["openapi"].startswith("3.1"), described["openapi"]
        for path, item in described["paths"].items():
            for operation in item.values():
                assert operation["summary"], path
                if path in ("/health", "/metrics"): # no actions
                    continue
                answers = operation["responses"]
                assert answers["200"]["content"]["application/json"]["example"] is not None, path
                assert all(answers[status]["description"] for status in ("400", "503")), path
    with tap.case("the channels of /asyncapi.json say when they are stale"):
        channels = json.loads(h.get(house.url + "/asyncapi.json")[1])["channels"]
        assert channels["vwap"]["x-stale"]["limit_ms"] == 3000, channels["vwap"]
        assert channels["trade"]["x-stale"]["rule"] == "watchdog", channels["trade"]
    with tap.case("/docs is a page of its own, without scripts in it"):
        status, page = h.get(house.url + "/docs")
        assert status == 200 and "<script src=" in page and "<style" not in page, page[:200]


def main():
    tap = h.Tap()
    examples = str(h.cases(100))
    with h.Folder() as folder:
        program = schemathesis(folder)
        with h.Sim(folder, "--format", "binance", "--symbols", SYMBOL, "--rate", 50, "--history", 60, "--seed", h.seed()) as sim, \
                h.House(folder, CONFIG.format(port=sim.port, symbol=SYMBOL)) as house:
            house.wait_healthy()
            h.wait_for("a first price", lambda: h.get(house.url + "/latest?ticker=BTC")[0] == 200)
            h.wait_for("every lane", lambda: all(lane["state"] == "live" for lane in lanes(house)))
            documents(tap, house)
            missing = absent(house)
            for path in missing:
                tap.skip(f"Schemathesis and {path}", "no lane answers it")
            left_out = [word for path in missing for word in ("--exclude-path", path)]
            for name, config, words in (
                    ("questions about what the house knows", KNOWN, ("--phases", "examples,coverage,fuzzing")),
                    ("any questions at all", "", ("--phases", "coverage,fuzzing"))):
                if program is None:
                    tap.skip(f"Schemathesis finds nothing: {name}", "it can not be installed here")
                    continue
                with tap.case(f"Schemathesis finds nothing: {name}"):
                    run(program, house, folder, config, "-n", examples, *left_out, *words)
            with tap.case("afterwards the house is as it was"):
                assert house.healthy()
                assert [lane["restarts"] for lane in lanes(house)] == [0, 0, 0], lanes(house)
        shutil.rmtree(os.path.join(folder, "venv"), ignore_errors=True)
    tap.done()


if __name__ == "__main__":
    main()
