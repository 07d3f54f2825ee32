"""Where a step's time goes, kernel by kernel: `perf record` on the step driver, beside what the
schedule says that each kernel computes and moves."""
import re
import subprocess
from collections import Counter, namedtuple

# one function of the object; calls: how many kernels of the schedule it serves
Kernel = namedtuple("Kernel", "symbol share calls flops bytes kind shape")
Scheduled = namedtuple("Scheduled", "node kind shape flops bytes")


def read_schedule(text):
    """The kernels of `schedule step`, in order."""
    step = re.search(r"^schedule step:.*?\n(.*?)^total:", text, re.M | re.S)
    kernels = []
    for head, node in re.findall(r"^ +\d+ +(\S.*)\n +([^\s\[]+)", step[1] if step else "", re.M):
        kind, shape, flops, moved = re.match(
            r"(\S+) +(.*?); (\S+) flops, (\S+) bytes", head).groups()
        kernels.append(Scheduled(node, kind, shape, float(flops), float(moved)))
    return kernels


def read_shares(data):
    """symbol: its part of the samples"""
    text = subprocess.run(["perf", "report", "-i", data, "--stdio", "--fields=overhead,sym"],
                          capture_output=True, text=True).stdout
    shares = Counter()
    for percent, symbol in re.findall(r"^ +([\d.]+)% +\[.\] (\S+)", text, re.M):
        shares[symbol.removeprefix("workload.")] += float(percent) / 100
    return shares


def same_work(k):
    return k.kind, re.sub(r"[a-z]\w*:", "", k.shape), k.flops, k.bytes


def match(shares, scheduled):
    """Kernels equal up to their operands are one function under the first one's name, so those of
    equal work that have no samples of their own are calls of one that has."""
    work = {k.node: k for k in scheduled}
    groups = Counter(same_work(k) for k in scheduled)
    owners = Counter(same_work(work[s]) for s in shares if s in work)
    for symbol, share in shares.most_common():
        k = work.get(symbol)
        if k:
            yield Kernel(symbol, share, groups[same_work(k)] / owners[same_work(k)], k.flops,
                         k.bytes, k.kind, k.shape)
        else:
            yield Kernel(symbol, share, 0, 0, 0, "", "")


def profile(command, schedule, data):
    """The kernels with a hundredth of the time or more; None without perf."""
    try:
        r = subprocess.run(["perf", "record", "-q", "-F", "2000", "-o", data, *command],
                           capture_output=True)
    except FileNotFoundError:
        return None
    if r.returncode != 0:
        return None
    shares = {s: p for s, p in read_shares(data).items() if p >= 0.01}
    return list(match(Counter(shares), read_schedule(schedule)))
