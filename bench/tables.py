"""Numbers with units, and tables in Markdown."""
import sys


def seconds_text(s):
    for unit, scale in ("s", 1), ("ms", 1e-3), ("µs", 1e-6):
        if s >= scale:
            return f"{s / scale:.3g} {unit}"
    return f"{s / 1e-9:.3g} ns"


def bytes_text(n):
    for unit, scale in ("GB", 1e9), ("MB", 1e6), ("KB", 1e3):
        if n >= scale:
            return f"{n / scale:.3g} {unit}"
    return f"{n:.0f} B"


def print_table(title, head, rows):
    """As Markdown, with columns aligned, so that it can be read and pasted."""
    print(f"\n{title}\n")
    widths = [max(len(str(r[i])) for r in [head, *rows]) for i in range(len(head))]
    for n, row in enumerate([head, *rows]):
        cells = [str(c).ljust(x) if i == 0 else str(c).rjust(x)
                 for i, (c, x) in enumerate(zip(row, widths))]
        print("| " + " | ".join(cells) + " |")
        if n == 0:
            print("| " + " | ".join("-" * (x - 1) + ("-" if i == 0 else ":")
                                    for i, x in enumerate(widths)) + " |")
    sys.stdout.flush()


SLICED_PRODUCTS = 6  # of bf16 tiles, for one of f32 numbers in three slices


def print_limits(limits):
    rows, levels, head = [], ("L1", "L2", "L3", "DRAM"), ["threads", "multiply-add"]
    tiles = any("tiles" in l for l in limits.best.values())
    for threads, l in sorted(limits.best.items()):
        rates = [l["tiles"], l["tiles"] / SLICED_PRODUCTS] if tiles else []
        rows.append([threads] + [f"{r:.0f} GFLOP/s" for r in [l["fma"], *rates]]
                    + [f"{l[level]:.0f} GB/s" for level in levels])
    print_table(f"The machine's limits, f32, {l['vector']}",
                head + (["bf16 tiles", "f32 by tiles"] if tiles else []) + list(levels), rows)
