"""Writes 107 sequences of 16 steps by 24 numbers, and a sum over some of them, to a CSV file."""
import random
import sys

random.seed(2)
with open(sys.argv[1], "w") as out:
    for _ in range(107):
        x = [random.gauss(0, 1) for _ in range(16 * 24)]
        out.write(",".join(f"{v:.3f}" for v in x + [sum(x[::24]) / 4]) + "\n")
