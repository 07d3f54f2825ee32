"""Makes a failing program small: what can go while it fails in the same way goes.

    reduce.py SEED FOLDER         prints the small program; FOLDER is for scratch
"""
import re
import subprocess
import sys

from check import CHECKS, Failure, check
from generate import generate


def symptom(folder, made, text, checks):
    """In which way the text fails: the step, and the compiler's or the checker's words without names and numbers."""
    made.text = text
    try:
        check(folder, made, checks)
    except Failure as problem:
        words = str(problem)
        found = re.search(r"error: .*|a mistake in the compiler.*|WRONG", words)
        return re.sub(r"`[^`]*`|\bv?\d+\b|node \w+", "_", words.split("\n")[0].split(":")[0] + (found.group() if found else ""))
    except subprocess.TimeoutExpired:
        return "timeout"
    return None


def pieces(lines):
    """Ranges of lines that may go together: blocks from their brace on, then single lines."""
    found = []
    for i, line in enumerate(lines):
        depth = 0
        for k in range(i, len(lines)):
            depth += lines[k].count("{") - lines[k].count("}")
            if depth <= 0:
                break
        found.append((i, k + 1))
    return sorted(found, key=lambda p: p[0] - p[1])


def groups(line):
    """Balanced parentheses within a line, largest first."""
    stack, found = [], []
    for i, c in enumerate(line):
        if c == "(":
            stack.append(i)
        elif c == ")" and stack:
            found.append((stack.pop(), i + 1))
    return sorted(found, key=lambda p: p[0] - p[1])


def drop_lines(text, fails):
    again = True
    while again:
        again = False
        lines = text.split("\n")
        for begin, end in pieces(lines):
            if begin >= len(lines) or lines[begin].startswith(("model", "train", "}")):
                continue
            rest = lines[:begin] + lines[end:]
            if fails("\n".join(rest)):
                text, again = "\n".join(rest), True
                break
    return text


def shrink_expressions(text, fails):
    again = True
    while again:
        again = False
        lines = text.split("\n")
        for i, line in enumerate(lines):
            for begin, end in groups(line):
                for other in ("0.5", line[begin + 1:end - 1]):
                    start = re.search(r"\w*$", line[:begin]).start() if other != "0.5" or True else begin
                    smaller = line[:start] + other + line[end:]
                    if len(smaller) < len(line) and fails("\n".join(lines[:i] + [smaller] + lines[i + 1:])):
                        text, again = "\n".join(lines[:i] + [smaller] + lines[i + 1:]), True
                        break
                if again:
                    break
            if again:
                break
    return text


if __name__ == "__main__":
    made, folder = generate(int(sys.argv[1])), sys.argv[2]
    made.seed = 0  # so that no check is left out
    text = open(sys.argv[3], encoding="utf-8").read() if len(sys.argv) > 3 else made.text
    checks = CHECKS
    for count in range(len(CHECKS) + 1):  # no more checks than it takes
        wanted = symptom(folder, made, text, CHECKS[:count])
        if wanted:
            checks = CHECKS[:count]
            break
    if not wanted:
        sys.exit("it does not fail")
    print("#", wanted)

    def fails(smaller):
        return symptom(folder, made, smaller, checks) == wanted

    text = drop_lines(text, fails)
    text = drop_lines(shrink_expressions(text, fails), fails)
    print(text)
