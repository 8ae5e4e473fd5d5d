#!/usr/bin/env python3
"""GET /metrics of a house at work: strictly in the text format, complete, and in agreement with what can be known otherwise."""
import json
import math
import os
import re
import signal

import house as h

SYMBOL = "BTC/USDT"
LINE = re.compile(r'([a-z_]+)(?:\{((?:[a-z]+="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (\+Inf|-?[0-9]+(?:\.[0-9]+)?)')
LABEL = re.compile(r'([a-z]+)="((?:[^"\\\n]|\\["\\n])*)"')
SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "counter": ("",), "gauge": ("",)}


def parse(text):
    """{(name, labels): value} and {family: type}; fails on anything that the format does not allow."""
    values, types, family = {}, {}, None
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# HELP "):
            family, told = line[7:].split(" ", 1)
            assert family not in types and told, line
        elif line.startswith("# TYPE "):
            name, kind = line[7:].split(" ")
            assert name == family and kind in SUFFIXES, line
            assert (kind == "counter") == name.endswith("_total"), line
            types[family] = kind
        else:
            match = LINE.fullmatch(line)
            assert match, line
            assert match[1] in [family + suffix for suffix in SUFFIXES[types[family]]], line
            key = match[1], tuple(sorted(LABEL.findall(match[2] or "")))
            assert key not in values, line
            values[key] = float(match[3])
    return values, types


def parse_foreign(text):
    """The same by prometheus_client, where it is installed."""
    try:
        from prometheus_client.parser import text_string_to_metric_families
    except ImportError:
        return None
    return {(sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(text) for sample in family.samples}


def metrics(house):
    status, text = h.get(house.url + "/metrics")
    assert status == 200, text
    return text


def value(house, name, **labels):
    return parse(metrics(house))[0].get((name, tuple(sorted(labels.items()))), 0)


def histogram(values, name):
    buckets = sorted((math.inf if dict(labels)["le"] == "+Inf" else float(dict(labels)["le"]), count)
                     for (series, labels), count in values.items() if series == name + "_bucket")
    counts = [count for _, count in buckets]
    assert buckets[-1][0] == math.inf and counts == sorted(counts), buckets
    assert counts[-1] == values[name + "_count", ()], buckets
    return values[name + "_count", ()], values[name + "_sum", ()]


def selectors():
    """Each (file, series, label, = or !=, value) that the dashboard or an alert selects by; a value that Grafana puts in is not among them."""
    found = set()
    for path in ("grafana/kontor.json", "prometheus/kontor.rules.yml"):
        with open(os.path.join(h.ROOT, "deploy", path)) as file:
            text = file.read().replace('\\"', '"')
        for name, labels in re.findall(r"(kontor_[a-z_]+)\{([^}]*)\}", text):
            found |= {(path, name, *one) for one in re.findall(r'([a-z]+)(=|!=)"([^"$]*)"', labels)}
    return found


def selects(values, selector):
    """Is there such a series? One without the label has the empty value."""
    _, name, label, how, wanted = selector
    return any((dict(labels).get(label, "") == wanted) == (how == "=") for series, labels in values if series == name)


def config(sim):
    return f"""
repair: {{interval_ms: 100}}
venues:
  - {{name: binance, format: binance, ws_url: "ws://127.0.0.1:{sim.port}", rest_url: "http://127.0.0.1:{sim.port}",
     symbols: [{SYMBOL}]}}
"""


def main():
    tap = h.Tap()
    with h.Folder() as folder, h.Sim(folder, "--symbols", SYMBOL, "--rate", "200", "--seed", str(h.seed())) as sim, \
            h.House(folder, config(sim)) as house:
        house.wait_healthy()
        client = h.Socket(house.port)
        client.ask(id=1, op="subscribe", channel=f"trades.binance.{SYMBOL}")
        stats = {"venue": "binance", "symbol": SYMBOL}
        h.wait_for("stats of the feed", lambda: value(house, "kontor_feed_received_total", **stats) > 100)
        h.wait_for("events for the client", lambda: value(house, "kontor_publish_to_client_seconds_count") > 100)
        text = metrics(house)
        with tap.case("every line follows the format"):
            values, types = parse(text)
            assert len(types) > 40, sorted(types)
        with tap.case("the dashboard and the alerts ask for nothing that there is not"):
            for path in ("grafana/kontor.json", "prometheus/kontor.rules.yml"):
                with open(os.path.join(h.ROOT, "deploy", path)) as file:
                    asked = set(re.findall(r"kontor_[a-z_]+", file.read()))
                told = set(types) | {family + suffix for family, kind in types.items() for suffix in SUFFIXES[kind]}
                assert len(asked) > 10 and asked <= told, (path, asked - told)
            with open(os.path.join(h.ROOT, "deploy", "grafana", "kontor.json")) as file:
                panels = json.load(file)["panels"]
            assert all(target["expr"] for panel in panels for target in panel["targets"])
        foreign = parse_foreign(text)
        if foreign is None:
            tap.skip("prometheus_client reads the same", "python3-prometheus-client is not installed")
        else:
            with tap.case("prometheus_client reads the same"):
                assert foreign == values, set(foreign.items()) ^ set(values.items())
        with tap.case("three delays, each with its buckets, count and sum"):
            for name in ("venue_to_receive", "receive_to_publish", "publish_to_client"):
                count, total = histogram(values, f"kontor_{name}_seconds")
                assert count > 100 and 0 < total < count * h.WAIT_S, (name, count, total)
        with tap.case("feeds, clients, lanes, logs and calls are told"):
            assert values["kontor_feed_connected", (("venue", "binance"),)] == 1
            assert values["kontor_clients", ()] == 1 and values["kontor_subscriptions", ()] == 1
            for lane, pid in house.lanes().items():
                key = (("lane", lane),)
                assert values["kontor_lane_state", (("lane", lane), ("state", "live"))] == 1, lane
                assert values["kontor_process_resident_memory_bytes", key] > 1 << 20, lane
                assert 0 <= values["kontor_process_cpu_seconds_total", key] < h.WAIT_S, lane
            for log in ("market", "house", "edge"):
                key = (("log", log),)
                assert values["kontor_log_written", key] >= values["kontor_log_durable", key] > 0, log
            assert any(name == "kontor_log_reader_lag_records" and ("log", "market") in labels
                       for name, labels in values)
        with tap.case("counters count: calls, their errors, restarts, clients that are silent"):
            h.get(house.url + "/v1/vwap/latest?ticker=nothing")
            assert value(house, "kontor_action_calls_total", action="vwap.latest") == 1
            assert value(house, "kontor_action_errors_total", action="vwap.latest") == 1
            assert value(house, "kontor_action_seconds_count", action="vwap.latest") == 1
            os.kill(house.lanes()["keep"], signal.SIGKILL)
            h.wait_for("a restart", lambda: value(house, "kontor_lane_restarts_total", lane="keep") == 1)
            h.wait_for("a silent client", lambda: value(house, "kontor_clients_dropped_total", reason="silent") == 1)
            h.wait_for("its end", lambda: value(house, "kontor_clients") == 0)
        with tap.case("what a link said before the edge began is told"):
            os.kill(house.lanes()["edge"], signal.SIGKILL)
            h.wait_for("a new edge", lambda: h.get(house.url + "/metrics")[0] == 200 and value(house, "kontor_lane_restarts_total", lane="edge") == 1)
            assert value(house, "kontor_feed_connected", venue="binance") == 1
        client.close()
    tap.done()


if __name__ == "__main__":
    main()
