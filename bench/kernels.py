"""Where a step's time goes, kernel by kernel: `perf record` on the step driver, beside what the
schedule says that each kernel computes and moves."""
import re
import subprocess
from collections import Counter, namedtuple

# one function of the object; calls: how many kernels of the schedule it serves, whose flops and
# bytes are summed
Kernel = namedtuple("Kernel", "symbol share calls flops bytes kind shape")
Scheduled = namedtuple("Scheduled", "node kind shape flops bytes")


def read_schedule(text):
    """The kernels of `schedule step`, in order."""
    step = re.search(r"^schedule step:.*?\n(.*?)^total:", text, re.M | re.S)
    kernels = []
    for head, node in re.findall(r"^ *\d+ +(\S.*)\n +([^\s\[]+)", step[1] if step else "", re.M):
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


def read_calls(llvm, function="step"):
    """What the step calls, in order: one function for each kernel of the schedule, where kernels
    that are equal up to their operands share one under the first one's name."""
    body = re.search(r"^define[^\n]*@workload\." + re.escape(function) + r"\(.*?^}", llvm,
                     re.M | re.S)
    calls = re.findall(r"call [^@\n]*@workload\.([\w.]+)\(", body[0] if body else "")
    return [kernel for call in calls
            for kernel in (read_calls(llvm, call) if call.startswith("chain.") else [call])]


def match(shares, scheduled, calls):
    served = {}
    if len(scheduled) == len(calls):
        for kernel, symbol in zip(scheduled, calls):
            served.setdefault(symbol, []).append(kernel)
    for symbol, share in shares.most_common():
        ks = served.get(symbol, [])
        yield Kernel(symbol, share, len(ks), sum(k.flops for k in ks), sum(k.bytes for k in ks),
                     ks[0].kind if ks else "", ks[0].shape if ks else "")


def profile(command, schedule, llvm, data):
    """The kernels with a hundredth of the time or more; None without perf."""
    try:
        r = subprocess.run(["perf", "record", "-q", "-F", "2000", "-o", data, *command],
                           capture_output=True)
    except FileNotFoundError:
        return None
    if r.returncode != 0:
        return None
    shares = {s: p for s, p in read_shares(data).items() if p >= 0.01}
    return list(match(Counter(shares), read_schedule(schedule),
                      read_calls(llvm)))
