"""Random edits of random programs: the compiler takes the text or says what is wrong with it, and never breaks.

    mutate.py FOLDER [COUNT [FIRST]]       edits of the programs of seeds FIRST, FIRST + 1, …; FOLDER is for scratch
"""
import os
import random
import re
import subprocess
import sys

from generate import generate

FEW = 20
TOKEN = re.compile(r"\w+|\.\.\.|<-|\|>|[<>=!]=|\S")
WORDS = ["0", "1", "2", "-1", "0.5", "1e9", "i", "x", "batch", "training", "...", "t", "[i]", "[0]", "[1, 2]", "@m", "else 0", "over t",
         "reversed", "none", "true", "sum[i]", "mean[batch]", "argmax[i]", "grad(x, x)", "jvp(x, x, x)", "split(x, 2)", "flatten",
         "dense(2)", "stop_gradient(x)", "random_normal()", "label", "token", ": 3", ": batch", "/ 2", "% 2", "^2", "~ normal",
         "\n  state v1 = 0\n", "\n  v2 <- v2 + 1\n", "\n  freeze x\n", "\n  return x\n", "\n}\n", "\n  repeat 2 {\n",
         "\n  scan t: 2 with h = 0 {\n", "\n  loss x\n", "\n  output x\n", "\n  gradient v1 = 0\n", "\n  require false, \"{x}\"\n"]


def mutate(r, text):
    for _ in range(r.choice([1, 1, 2, 4])):
        places = [m.span() for m in TOKEN.finditer(text)]
        (begin, end), (other, stop) = r.choice(places), r.choice(places)
        piece = r.choice([text[other:stop], text[other:stop], "", r.choice(WORDS)])
        if r.random() < 0.4:
            end = begin
        text = text[:begin] + (" " if end == begin else "") + piece + (" " if end == begin else "") + text[end:]
    return text


def broken(folder, *command):
    """What there is to say when the compiler itself fails."""
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, errors="replace")
    except subprocess.TimeoutExpired:
        return None, f"{' '.join(command)} does not end"
    said = done.stderr[-2000:]
    if done.returncode not in (0, 1) or "mistake in the compiler" in said or "Sanitizer" in said:
        return None, f"{' '.join(command)}: {done.returncode}\n{said}"
    if done.returncode == 1 and "error:" not in said:
        return None, f"{' '.join(command)} fails without a word"
    return done.returncode == 0, None


if __name__ == "__main__":
    scratch = sys.argv[1]
    count = int(sys.argv[2]) if len(sys.argv) > 2 else int(os.environ.get("GRADC_RANDOM", FEW))
    first = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    failed = taken = 0
    for seed in range(first, first + count):
        numbers = random.Random(seed)
        text = generate(numbers.randrange(1 << 20)).text
        for edit in range(3):
            edited = mutate(numbers, text)
            with open(os.path.join(scratch, "m.nn"), "w", encoding="utf-8") as file:
                file.write(edited)
            good, problem = broken(scratch, "gradc", "check", "m.nn")
            if good and numbers.random() < 0.3:
                good, problem = broken(scratch, "gradc", "-O0", "-c", "m.nn", "-o", "m.o")
            taken += bool(good)
            if problem:
                failed += 1
                with open(os.path.join(scratch, f"{seed}_{edit}.nn"), "w", encoding="utf-8") as file:
                    file.write(edited)
                print(f"seed {seed}, edit {edit}: {problem}", flush=True)
    print(f"{3 * count} texts, {taken} of them programs, {failed} broke the compiler")
    sys.exit(1 if failed else 0)
