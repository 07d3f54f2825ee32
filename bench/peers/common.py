"""What every peer does alike: read its arguments, time blocks of steps, print them."""
import argparse
import re
import time


def arguments(names):
    p = argparse.ArgumentParser()
    p.add_argument("model", choices=sorted(names))
    p.add_argument("--batch", type=int, required=True)
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--blocks", type=int, default=5)
    p.add_argument("--seconds", type=float, default=0.5)
    p.add_argument("--compile", action="store_true")
    p.add_argument("--trace", metavar="FOLDER", help="repeat the steps that bench/step wrote there")
    p.add_argument("--steps", type=int, default=0)
    return p.parse_args()


def time_steps(step, count):
    """(wall, cpu) seconds a step."""
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(count):
        step()
    return (time.perf_counter() - wall) / count, (time.process_time() - cpu) / count


def count_steps(step, seconds):
    """Steps that take about `seconds` of the processor; finding out is the warm-up."""
    count = 1
    while True:
        took = time_steps(step, count)[1] * count
        if took >= seconds / 2:
            return int(count * seconds / max(took, 1e-9)) + 1
        count *= 2


def peak_memory():
    """Bytes; getrusage's peak would include that of whoever started this program."""
    with open("/proc/self/status", encoding="utf-8") as f:
        return int(re.search(r"VmHWM:\s+(\d+)", f.read())[1]) * 1024


def report(step, blocks, seconds):
    count = count_steps(step, seconds)
    for _ in range(blocks):
        print("block %.9g %.9g" % time_steps(step, count), flush=True)
    print("peak", peak_memory())
