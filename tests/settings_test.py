#!/usr/bin/env python3
"""The configuration changes while the house runs: at once, through REST and the command line, refused with the reason, and still
there after kill -9 of every process and after a clean start."""
import json
import os
import subprocess
import urllib.error
import urllib.request

import house as h


def post(house, section, settings, **more):
    """(status, answer) of config.put."""
    body = json.dumps({"section": section, "settings": settings, **more}).encode()
    request = urllib.request.Request(house.url + "/v1/config/put", data=body,
                                     headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=h.WAIT_S) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def settings(house, section=""):
    """{key: (value, origin)} as config.get tells them."""
    status, text = h.get(house.url + f"/v1/config/get?section={section}")
    assert status == 200, text
    return {row["key"]: (row["value"], row["origin"]) for row in json.loads(text)["settings"]}


def command(house, *words):
    return subprocess.run([h.kontor(), "config", *words, "--url", house.url], cwd=house.folder, capture_output=True,
                          text=True, timeout=h.WAIT_S)


def silent_after(house):
    """What the house says to a client that says nothing."""
    client = h.Socket(house.port)
    try:
        while True:
            message = client.receive()
            if message.get("type") == "disconnect":
                return message
    finally:
        client.close()


REFUSED = [
    ("wrong type", "vwap", {"step_s": "30"}, 400, "is text in quotes; allowed is a whole number from 1 to 86400"),
    ("out of range", "vwap", {"step_s": 0}, 400, "'0' is not allowed"),
    ("unknown key", "vwap", {"stp_s": 1}, 404, "did you mean 'vwap.step_s'?"),
    ("unknown section", "frob", {"x": 1}, 404, "frob"),
    ("two values that do not fit", "gather", {"backoff_min_ms": 20000}, 400, "at most gather.backoff_max_ms, 10000"),
    ("a window in use", "vwap", {"windows": ["1m"]}, 400, "averages over windows in use would break off"),
    ("a venue in use", "market", {"ws_url": "ws://127.0.0.1:1/"}, 400, "its venue is in use"),
    ("the port", "edge", {"port": 1}, 400, "clients are connected to it"),
    ("the store", "store", {"path": "x.db"}, 400, "the store is open there"),
    ("what a flag holds", "repair", {"interval_ms": 1}, 400, "environment KONTOR_REPAIR_INTERVAL_MS holds it"),
    ("another revision than expected", "vwap", {"step_s": 5}, 409, "revision 1, 7 was expected"),
]


def main():
    tap = h.Tap()
    env = {**os.environ, "KONTOR_REPAIR_INTERVAL_MS": "900"}
    config = "vwap: {step_s: 50, suspect_percent: 15}\n"
    with h.Folder() as folder:
        with h.House(folder, config, env) as house:
            house.wait_healthy()
            h.wait_for("lane market", lambda: post(house, "vwap", {}, expected=0)[0] != 503)
            before = settings(house)
            with tap.case("values come from file, environment, flag and default"):
                assert before["vwap.step_s"] == ("50", os.path.join(folder, "kontor.yaml") + ":1"), before
                assert before["repair.interval_ms"] == ("900", "environment KONTOR_REPAIR_INTERVAL_MS")
                assert before["edge.port"][1] == "flag --edge.port"
                assert before["gather.backoff_min_ms"] == ("100", "default")
            for name, section, change, status, message in REFUSED:
                with tap.case(f"refused: {name}"):
                    more = {"expected": 7} if status == 409 else {}
                    got, answer = post(house, section, change, **more)
                    assert got == status and message in answer["message"], (got, answer)
                    assert settings(house) == before
            with tap.case("a change is answered with what has another value now"):
                status, answer = post(house, "vwap", {"step_s": 30, "suspect_percent": 15})
                assert status == 200 and answer["changed"] == ["vwap.step_s"], answer
                assert settings(house, "vwap")["vwap.step_s"] == ("30", "key-value store config.settings.vwap")
            with tap.case("edge.silence_ms holds for the next client"):
                assert post(house, "edge", {"silence_ms": 300})[0] == 200
                h.wait_for("a client that is cut off after 300 ms", lambda: "300" in json.dumps(silent_after(house)))
            with tap.case("edge.client_max holds for the next client, and can be more again"):
                assert post(house, "edge", {"client_max": 3, "silence_ms": None})[0] == 200
                clients = [h.Socket(house.port) for _ in range(3)]
                assert not lets_in(house)
                for client in clients:
                    client.close()
                assert command(house, "unset", "edge.client_max").returncode == 0
                clients = [h.Socket(house.port) for _ in range(4)]
                for client in clients:
                    client.close()
                assert post(house, "edge", {"silence_ms": 6000})[0] == 200
            with tap.case("edge.call_rate holds from the next call on: 429 says when to come back, and lifting it ends that"):
                assert command(house, "set", "edge.call_rate=1", "edge.call_burst=100").returncode == 0
                refused = h.wait_for("a call too many", lambda: next((answer for answer in (h.get(house.url + "/v1/store/migrations")
                    for _ in range(50)) if answer[0] == 429), None))
                assert json.loads(refused[1])["code"] == "too_many_requests", refused
                assert h.get(house.url + "/health")[0] == 200
                h.wait_for("a token", lambda: command(house, "unset", "edge.call_rate", "edge.call_burst").returncode == 0)
                assert h.get(house.url + "/v1/store/migrations")[0] == 200
            with tap.case("diag changes in every process of the house"):
                run = command(house, "set", "diag.format=json", "diag.levels=error,log")
                assert run.returncode == 0 and "diag.levels diag.format changed" in run.stdout, run
                assert command(house, "set", "repair.enabled=false").returncode == 0
                line = h.wait_for("a line of JSON from lane market", lambda: json_line(house, "market"))
                assert line["level"] == "info" and "repair" in line["text"], line
            held = settings(house)
            house.kill_all()
        with tap.case("still there after kill -9 of every process"):
            with h.House(folder, config, env) as house:
                house.wait_healthy()
                h.wait_for("lane market", lambda: settings(house) == without_port(held, house))
        with tap.case("still there after a clean end; a flag goes over it, the file does not"):
            with h.House(folder, "vwap: {step_s: 51}\n", {**env, "KONTOR_EDGE_SILENCE_MS": "7000"}) as house:
                house.wait_healthy()
                h.wait_for("lane market", lambda: settings(house)["vwap.step_s"][0] == "30")
                assert settings(house)["edge.silence_ms"] == ("7000", "environment KONTOR_EDGE_SILENCE_MS")
                shown = command(house, "show", "vwap")
                assert "30" in shown.stdout and "key-value store config.settings.vwap" in shown.stdout, shown
                refused = command(house, "set", "data=elsewhere")
                assert refused.returncode == 2 and "its logs and its store lie there" in refused.stderr, refused
        with tap.case("told of a house that does not run"):
            told = subprocess.run([h.kontor(), "config", "--data", os.path.join(folder, "data")], capture_output=True,
                                  text=True, timeout=h.WAIT_S).stdout
            line = next(line for line in told.splitlines() if line.startswith("vwap.step_s "))
            assert "30" in line and "key-value store config.settings.vwap" in line, told
    tap.done()


def lets_in(house):
    try:
        h.Socket(house.port).close()
        return True
    except h.Closed as closed:
        assert "503" in str(closed), closed
        return False


def without_port(held, house):
    return {**held, "edge.port": (str(house.port), "flag --edge.port")}


def json_line(house, lane):
    for line in house.said().splitlines():
        if line.startswith("{") and json.loads(line)["lane"] == lane:
            return json.loads(line)
    return None


if __name__ == "__main__":
    main()
