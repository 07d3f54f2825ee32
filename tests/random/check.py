"""Compiles random programs and checks what the compiler promises of all of them.

    check.py FOLDER [COUNT [FIRST]]       programs of seeds FIRST, FIRST + 1, … (0); FOLDER is for scratch

COUNT, else GRADC_RANDOM, else a few.  A failing seed's program is kept in FOLDER as SEED.nn.
"""
import json
import os
import platform
import re
import struct
import subprocess
import sys

from generate import generate

FEW = 12
TOLERANCE = 1e-4  # of losses that another order of the same sums gives


class Failure(Exception):
    """What was run, what it said."""


def run(folder, *command, fails=False, limit=300):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=limit, errors="replace")
    if (done.returncode != 0) != fails:
        raise Failure(f"{' '.join(command)}: {done.returncode}\n{done.stdout[-1500:]}{done.stderr[-1500:]}")
    return done.stdout


# ---- what to train on ---------------------------------------------------------------------------------------

def value(r, kind):
    if isinstance(kind, int):
        return r.randrange(kind)
    return r.uniform(-1, 1) if kind == "f" else r.randrange(200)


def stored(kind):
    """How the value of a port lies in a record; classes and tokens are bytes here."""
    return kind if isinstance(kind, str) else "B"


def write_data(folder, made, examples, name):
    r = made.numbers
    with open(os.path.join(folder, name), "wb") as file:
        for _ in range(examples):
            for _, kind, shape in made.layout:
                count = 1
                for extent in shape:
                    count *= extent
                file.write(struct.pack("<" + stored(kind) * count, *(value(r, kind) for _ in range(count))))


# ---- the checks ----------------------------------------------------------------------------------------------

def train(folder, program, threads=1):
    """The bytes of the parameters after training, and what was reported on the way."""
    run(folder, f"./{program}", "train", "--quiet", "--threads", str(threads), "--evaluate-every", "2steps",
        "--save", f"{program}.safetensors", "--log", f"{program}.jsonl")
    with open(os.path.join(folder, f"{program}.safetensors"), "rb") as file:
        kept = file.read()
    with open(os.path.join(folder, f"{program}.jsonl"), encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return kept, rows


def gradients(folder, made):
    """Every gradient agrees with differences, in f64; at second order where the program holds grad(…)."""
    if not made.held:
        run(folder, "./p", "gradcheck", "--batch", str(min(made.batch, 3)), "--samples", "12")


def threads(folder, made):
    """One, two and three threads train to the same bits."""
    made.trained = train(folder, "p")
    for count in (2, 3):
        if train(folder, "p", count)[0] != made.trained[0]:
            raise Failure(f"{count} threads train to other bits than one")


def precision(folder, made):
    """The loss of one batch in f32 is that of the model in f64, where training is as inference and the update can be made small."""
    if made.draws or re.search(r"holdout|argm|training|batch_norm|_block|muon|lr = \w+\(|optimizer .*\n *optimizer", made.text):
        return
    write_data(folder, made, made.batch, "one.bin")
    run(folder, "./p", "train", "--quiet", "--steps", "1", "--lr", "1e-12", "--evaluate-every", "1steps", "--data", "one.bin", "--log", "one.jsonl",
        "--save", "one.safetensors")
    said = run(folder, "./p", "gradcheck", "--batch", str(made.batch), "--samples", "1", "--tolerance", "1", "--data", "one.bin")
    exact = float(re.search(r"loss (\S+)", said).group(1))
    with open(os.path.join(folder, "one.jsonl"), encoding="utf-8") as file:
        found = json.loads(file.readline())["loss"]
    if not same(exact, found):
        raise Failure(f"the loss in f32 is {found}, in f64 {exact}")


def levels(folder, made):
    """The optimiser changes no bit."""
    run(folder, "gradc", "-O3", "p.nn", "-o", "o")
    if train(folder, "o")[0] != made.trained[0]:
        raise Failure("-O3 trains to other bits than -O0")


def same(a, b):
    return a == b or (isinstance(a, float) and isinstance(b, float) and abs(a - b) <= TOLERANCE * max(abs(a), abs(b), 0.01))


def printed(folder, made):
    """The printed gradient compiles again, and trains to the same losses."""
    if made.scans or made.draws:
        return
    run(folder, "gradc", "--emit=grad", "p.nn", "-o", "g.nn")
    run(folder, "gradc", "-O0", "g.nn", "-o", "g")
    trained_alike(folder, "g", made, "the printed gradient")


def trained_alike(folder, program, made, name):
    """It trains to the same numbers, but for roundings, of which optimizers that look at signs would make much."""
    again = train(folder, program)[1]
    if re.search(r"optimizer (?!sgd)", made.text):
        return
    for row, other in zip(made.trained[1], again):
        for what, number in row.items():
            if what != "seconds" and not same(number, other.get(what)):
                raise Failure(f"{name} trains to {what} = {other.get(what)}, not {number}")


def machines(folder, made):
    """Narrower vectors, and machines without masked loads or fused multiply-adds, train to the same losses."""
    if platform.machine() != "x86_64" or made.draws:
        return
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        wide = "avx2" in file.read()
    for cpu in ["x86-64", "x86-64-v3"][:1 + wide]:
        run(folder, "gradc", "-O0", f"-mcpu={cpu}", "p.nn", "-o", "m")
        trained_alike(folder, "m", made, cpu)


def without_places(text):
    return re.sub(r" *# \S+:\d+$", "", text, flags=re.M)


def formatted(folder, made):
    """`gradc fmt` changes no meaning, and finds nothing to change in what it wrote."""
    text = run(folder, "gradc", "fmt", "p.nn")
    with open(os.path.join(folder, "f.nn"), "w", encoding="utf-8") as file:
        file.write(text)
    if run(folder, "gradc", "fmt", "f.nn") != text:
        raise Failure("gradc fmt changes its own text")
    if without_places(run(folder, "gradc", "--emit=ir", "p.nn")) != without_places(run(folder, "gradc", "--emit=ir", "f.nn")):
        raise Failure("gradc fmt changed what the program means")


PLACE = re.compile(r"^ +(\d+) +(\d+) +(\d+)\.\.(\d+) +(\S+)")


def stages(folder, made):
    """Every stage prints; no two tensors of the plan lie in one place at one time."""
    for kind in ("ast", "schedule", "loops", "llvm", "header", "graph"):
        run(folder, "gradc", f"--emit={kind}", "-O0", "p.nn", "-o", f"stage.{kind}")
    entry, places = "", []
    for line in run(folder, "gradc", "--emit=memory", "p.nn").splitlines():
        if line.startswith("memory "):
            entry, places = line, []
        found = PLACE.match(line)
        if not found:
            continue
        offset, size, first, last = map(int, found.groups()[:4])
        for o, s, f, l, name in places:
            if offset < o + s and o < offset + size and first <= l and f <= last:
                raise Failure(f"{entry}: {found.group(5)} lies over {name}")
        places.append((offset, size, first, last, found.group(5)))


CHECKS = [gradients, threads, precision, formatted, stages, printed, machines, levels]
SELDOM = {printed: 2, machines: 3, levels: 6, stages: 2}  # what takes long, on every so manyth seed


def check(folder, made, checks=CHECKS):
    with open(os.path.join(folder, "p.nn"), "w", encoding="utf-8") as file:
        file.write(made.text)
    write_data(folder, made, 2 * made.batch + max(1, made.batch // 2), "data.bin")  # two batches and a part of one
    run(folder, "gradc", "-O0", "p.nn", "-o", "p")
    for each in checks:
        if made.seed % SELDOM.get(each, 1) == 0:
            each(folder, made)


if __name__ == "__main__":
    scratch = sys.argv[1]
    count = int(sys.argv[2]) if len(sys.argv) > 2 else int(os.environ.get("GRADC_RANDOM", FEW))
    begin = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    failed = []
    for seed in range(begin, begin + count):
        program = generate(seed)
        try:
            check(scratch, program)
        except (Failure, subprocess.TimeoutExpired) as problem:
            failed.append(seed)
            with open(os.path.join(scratch, f"{seed}.nn"), "w", encoding="utf-8") as file:
                file.write(program.text)
            print(f"seed {seed}: {problem}", flush=True)
    print(f"{count - len(failed)} of {count} programs agree")
    sys.exit(f"failing seeds: {failed}" if failed else 0)
