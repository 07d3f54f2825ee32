#!/usr/bin/env python3
"""The innermost loops of an assembly file in which multiply-adds are the bulk: how many of them, and how often
they go to the stack.

    inner_loops.py FILE.s [--least=N]      loops of at least N multiply-adds (default 10)

Prints, for each function: NAME, multiply-adds, instructions, stack accesses; and what the worst of all is."""
import re
import sys

MULTIPLY_ADD = re.compile(r"\s(vfn?m(add|sub)\d*[ps][sd]|fmla|fmls|fmadd(\.[sd])?|vfma\.f\d+|vfms\.f\d+|"
                          r"vmla\.f\d+|vfmacc\.v[vf]|f32x4\.relaxed_madd|v?mulps|f32x4\.mul|fmul\.s|vmul\.f32)\b")
STACK = re.compile(r"\((%rsp|%esp|sp)\)|\[(sp)\b")
LABEL = re.compile(r"^([.\w$]+):")
BRANCH = re.compile(r"^\s+(j\w+|b(\.\w+|[a-z]{0,3})?|cbn?z|tbn?z|bnez|beqz|bne|blt\w*|bge\w*|bltu|bgeu|br_if)\s+(.*)$")


def functions(lines):
    name, body = None, []
    for line in lines:
        found = re.match(r"^([A-Za-z_][\w.$]*):", line)
        if found and not line.startswith(".L"):
            if name:
                yield name, body
            name, body = found[1], []
        if name:
            body.append(line.split("#")[0] if "%r" in line else re.split(r"//|@ ", line)[0])
    if name:
        yield name, body


def loops(body):
    """Pieces between a label and a branch back to it that hold no other such piece."""
    at = {LABEL.match(l)[1]: i for i, l in enumerate(body) if LABEL.match(l)}
    spans = []
    for i, line in enumerate(body):
        branch = BRANCH.match(line)
        target = branch and branch[3].replace(",", " ").split()[-1] if branch and branch[3].split() else None
        if target in at and at[target] <= i:
            spans.append((at[target], i))
    for begin, end in spans:
        if not any(b >= begin and e <= end and (b, e) != (begin, end) for b, e in spans):
            yield [l for l in body[begin:end + 1] if re.match(r"^\s+[a-z]", l)]


def main():
    least = 10
    for argument in sys.argv[2:]:
        least = int(argument.removeprefix("--least="))
    worst = 0
    with open(sys.argv[1], encoding="utf-8") as f:
        for name, body in functions(f.read().splitlines()):
            for code in loops(body):
                adds = sum(bool(MULTIPLY_ADD.search(l)) for l in code)
                if adds < least or 4 * adds + 8 < len(code):
                    continue
                stack = sum(bool(STACK.search(l)) for l in code)
                worst = max(worst, stack)
                print(f"{name}: {adds} multiply-adds of {len(code)} instructions, {stack} on the stack")
    print(f"worst: {worst} on the stack")


main()
