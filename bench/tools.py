"""What the benchmarks run: compilers, step drivers, peers; and the machine they run on."""
import datetime
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys

BENCH = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(BENCH)


# What keeps peers to the instructions that gradc is told to use, by the width of their vectors.
NARROWED = {
    256: {"ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2", "ONEDNN_MAX_CPU_ISA": "AVX2",
          "OPENBLAS_CORETYPE": "Haswell", "XLA_FLAGS": "--xla_cpu_max_isa=AVX2"},
    128: {"ATEN_CPU_CAPABILITY": "default", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2", "ONEDNN_MAX_CPU_ISA": "SSE41",
          "OPENBLAS_CORETYPE": "Nehalem", "XLA_FLAGS": "--xla_cpu_max_isa=SSE4_2"},
}
narrowed = {}  # those of this run


def environment(threads):
    """Without the settings that halve OpenBLAS on some machines; libraries on so many threads."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("OPENBLAS_", "MKL_", "OMP_"))}
    for name in "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS":
        env[name] = str(threads)
    return env | narrowed


def output_of(command, threads=1, preload=None):
    """What it prints, or None with its last line of complaint on stderr."""
    env = environment(threads)
    if preload:
        env["LD_PRELOAD"] = preload
    r = subprocess.run(command, capture_output=True, text=True, env=env)
    if r.returncode != 0:
        complaint = (r.stderr.strip() or "no output").splitlines()
        first = next((l for l in complaint if "error" in l.lower()), complaint[-1])
        say(f"{os.path.basename(command[0])} failed: {first.strip()}")
        return None
    return r.stdout


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def compiler():
    for name in os.environ.get("CC"), "clang-22", "clang", "cc":
        if name and shutil.which(name):
            return name
    sys.exit("bench: no C compiler found: set CC")


class Tools:
    """What a run compiles and where."""

    def __init__(self, build, folder, mcpu=None):
        self.folder = folder
        gradc = os.path.join(build, "bin", "gradc")
        self.library = os.path.join(build, "runtime", "libgradrt.a")
        for path in gradc, self.library:
            if not os.path.exists(path):
                sys.exit(f"bench: {path} is missing: build first, or name the folder with --build")
        self.gradc = [gradc, *([f"-mcpu={mcpu}"] if mcpu else [])]
        self.flags = [compiler(), "-std=gnu17", "-O3", f"-march={mcpu or 'native'}"]
        if platform.machine() in ("x86_64", "AMD64"):  # whose tuning may halve wide vectors
            self.flags.append("-mprefer-vector-width=512")
        if mcpu and output_of([*self.flags, "-E", "-x", "c", os.devnull]) is None:
            sys.exit(f"bench: {self.flags[0]} knows no processor {mcpu}: see its -march=")
        self.limits = self.compile("limits", [os.path.join(BENCH, "limits.c"), "-pthread"])
        if mcpu:
            width = re.search(r"vector (\d+)", output_of([self.limits, "1", "cpu", "1"]))
            narrowed.update(NARROWED.get(int(width[1]), {}))
        self.preload = None
        if "AuthenticAMD" in cpu_text():
            self.preload = self.compile("mkl_intel.so", [
                "-shared", "-fPIC", os.path.join(BENCH, "peers", "mkl_intel.c")])

    def path(self, name):
        return os.path.join(self.folder, name)

    def compile(self, name, arguments):
        subprocess.run([*self.flags, *arguments, "-o", self.path(name)], check=True)
        return self.path(name)


def python_has(module):
    return subprocess.run([sys.executable, "-c", f"import {module}"], capture_output=True,
                          env=environment(1)).returncode == 0


# ---- limits --------------------------------------------------------------------------------------


NEAR = ("fma", "L1", "L2")  # what a look beside a workload measures


def limits_now(tools, threads, clock):
    return limits_once(tools, threads, clock, count=len(NEAR), best=False)


class Limits:
    """What the machine does at best.  Whatever disturbs can only lower what one look finds, so each
    `look` keeps the best so far: a limit that is measured once, in a bad moment, is no limit."""

    def __init__(self, tools, clock):
        self.tools, self.clock, self.best = tools, clock, {}

    def look(self, threads, times=1):
        for _ in range(times):
            now = limits_once(self.tools, threads, self.clock)
            best = self.best.setdefault(threads, now)
            best.update({k: max(v, best[k]) for k, v in now.items() if isinstance(v, float)})

    def beside(self, threads, looks):
        """The limits, but for medians of looks taken beside a workload where there are some: what
        a machine gives changes from minute to minute."""
        return {**self.best[threads],
                **{k: statistics.median(l[k] for l in looks) for k in looks[0] if k in NEAR}}

    def __getitem__(self, threads):
        return self.best[threads]


def limits_once(tools, threads, clock, count=6, best=True):
    """The best of some looks at each, or the median; `count`: of multiply-adds, L1, L2, L3, DRAM, tiles, how
    many.  There are no "tiles" where the processor has none."""
    lines = output_of([tools.limits, str(threads), clock if threads == 1 else "wall",
                       str(count)]).splitlines()
    sizes = [int(s) for s in lines[0].split("caches")[1].split()]
    limits = {"vector": lines[0].split(",")[0],
              "size": {"L1": sizes[0] * threads, "L2": sizes[1] * threads, "L3": sizes[2]}}
    for line in lines[1:]:
        name, *found = line.split()
        limits[name] = float(found[1 if best else 0])
    return limits


# ---- the machine ---------------------------------------------------------------------------------


def cpu_text():
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as f:
            return f.read()
    except OSError:
        return ""


def first_line(command):
    try:
        return subprocess.run(command, capture_output=True, text=True).stdout.splitlines()[0]
    except (OSError, IndexError):
        return "not found"


def commit():
    return first_line(["git", "-C", ROOT, "describe", "--always", "--dirty"])


def step_driver(tools, name, object_file):
    """bench/step.c around an object of `gradc -c --prefix=workload`."""
    return tools.compile("step_" + name, [
        "-I" + os.path.join(ROOT, "runtime"), os.path.join(BENCH, "step.c"), object_file,
        tools.library, "-ljansson", "-lz", "-pthread", "-lm"])


def describe(tools, command, versions, clock):
    """What a table's numbers depend on, as a list."""
    cpu = cpu_text()

    def field(name):
        return (re.search(rf"^{name}\s*: (.*)$", cpu, re.M) or ["", "?"])[1]

    flags = set(field("flags").split())
    told = [f for f in ("sse4_2", "avx", "avx2", "fma", "avx512f", "avx512_bf16", "amx_tile")
            if f in flags]
    about = [
        ("date", datetime.date.today().isoformat()),
        ("command", " ".join([command, *sys.argv[1:]])),
        ("gradc", f"{first_line([tools.gradc[0], '--version'])}, sources at {commit()}"),
        ("processor", f"{field('model name')} (family {field('cpu family')} "
                      f"model {field('model')}), {len(os.sched_getaffinity(0))} cores"),
        ("flags", " ".join(told)),
        ("system", f"{platform.system()} {platform.release()}"),
        ("C compiler", first_line([tools.flags[0], "--version"])),
        ("peers", ", ".join(f"{k} {v}" for k, v in sorted(versions.items())) or "none"),
        ("load", "%.1f %.1f %.1f over 1, 5 and 15 minutes, at the end" % os.getloadavg()),
        ("clock", clock + (" for one thread, wall for more" if clock == "cpu" else "")),
    ]
    print()
    for name, text in about:
        print(f"- {name}: {text}")
    return dict(about)
