"""Compares the losses of two logs of equal trainings: losses.py LOG LOG TOLERANCE, which is relative."""
import json
import sys


def losses(path):
    with open(path) as log:
        lines = [json.loads(line) for line in log]
    return [line["loss"] for line in lines if "loss" in line]


first, second = losses(sys.argv[1]), losses(sys.argv[2])
assert len(first) == len(second) > 0, f"{len(first)} and {len(second)} losses"
apart = max(abs(a - b) / abs(b) for a, b in zip(first, second))
print(f"{len(first)} losses, {apart:.1e} apart")
assert apart <= float(sys.argv[3])
