"""The verdicts of one run of the Autobahn suite, counted. Usage: summary.py INDEX server|client plain|deflate"""
import collections
import json
import sys


def main():
    index, side, mode = sys.argv[1:]
    with open(index) as file:
        cases = json.load(file)["kontor"]
    verdicts = collections.Counter()
    failed = []
    for name, case in cases.items():
        # Chapters 12 and 13 are compression: not offered, not tested. "Non-strict" is a failure of ours, too.
        allowed = {"OK", "INFORMATIONAL"} | ({"UNIMPLEMENTED"} if mode == "plain" and name.startswith(("12.", "13.")) else set())
        verdicts[case["behavior"]] += 1
        if case["behavior"] not in allowed or case["behaviorClose"] not in allowed:
            failed.append(f"{name}: {case['behavior']}, close {case['behaviorClose']}")
    print(f"{side}, {mode}: {len(cases)} cases: " + ", ".join(f"{count} {what}" for what, count in sorted(verdicts.items())))
    for line in failed:
        print(f"  {line}")
    return 1 if failed or not cases else 0


if __name__ == "__main__":
    sys.exit(main())
