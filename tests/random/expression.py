"""Random expressions over indices: accesses of every kind, reductions, choices, functions of one and two
numbers.  Values stay of order one, so that differences mean something."""
import re

# Functions of any number, smooth and of order one.
SMOOTH = ["tanh({})", "sigmoid({})", "sin({})", "cos({})", "-({})", "({}) / 2", "exp(tanh({}))", "log(1.5 + tanh({}))",
          "sqrt(1 + ({})^2)", "(1.5 + tanh({}))^1.5", "tanh({})^3", "erf({})", "atan({})", "softplus({})", "gelu({})",
          "asin(0.7 * tanh({}))", "acos(0.7 * sin({}))", "atanh(0.6 * tanh({}))", "acosh(2.5 + tanh({}))", "asinh({})",
          "log1p(0.6 * tanh({}))", "log2(2 + tanh({}))", "expm1(tanh({}))", "rsqrt(1 + ({})^2)", "tan(0.6 * tanh({}))",
          "sinh(tanh({}))", "cosh(tanh({}))", "erfc({})", "silu({})", "2^tanh({})"]
# With kinks or steps, on which differences seldom fall.
BROKEN = ["relu({})", "abs({})", "max({}, 0.1)", "min({}, 0.2)", "leaky_relu({})", "elu({})", "sign({}) / 2",
          "floor(3 * tanh({})) / 2", "ceil(2 * tanh({})) / 2", "round(2 * tanh({})) / 2", "max(min({}, 1), -1)"]
PAIRS = ["({}) + ({})", "({}) - ({})", "({}) * ({})", "({}) * ({})", "({}) / (1 + ({})^2)", "atan2({}, 2 + abs({}))",
         "(1.5 + tanh({}))^tanh({})"]
BROKEN_PAIRS = ["max({}, {})", "min({}, {})"]
BATCH = "batch"


def stands_alone(name, text):
    """Whether a subscript in the text is this index and no more, so that it needs no range."""
    return re.search(rf"[\[,] ?{name}[\],]", text) is not None


class Expression:
    """One statement's right side.  `indices` maps names to extents (a number, or BATCH)."""

    def __init__(self, body, indices, smooth=False):
        self.body, self.r, self.p = body, body.p.r, body.p
        self.indices = dict(indices)
        self.smooth = smooth
        self.parents = set()
        self.batched = False
        self.conditions = 0
        self.room = 400 // max(1, self.size())

    def size(self):
        total = 1
        for extent in self.indices.values():
            total *= 3 if extent == BATCH else extent
        return total

    # ---- accesses ----

    def inside(self, extent):
        """An affine subscript that stays below `extent`."""
        r = self.r
        found = [str(r.randrange(extent))]
        for name, n in self.indices.items():
            if n == BATCH:
                continue
            if n == extent:
                found += [name] * 6 + [f"{extent - 1} - {name}", f"({name} + {r.randrange(1, 4)}) % {extent}"]
            elif n < extent:
                found += [f"{name} + {extent - n}", f"{extent - 1} - {name}"]
            else:
                found += [f"{name} % {extent}", f"{name} / {-(-n // extent)}"]
            step = r.choice([2, 3])
            if step * (n - 1) < extent:
                found += [f"{step} * {name} + {r.randrange(extent - step * (n - 1))}"]
            for other, m in self.indices.items():
                if other != name and m != BATCH:
                    if n * m == extent:
                        found += [f"{m} * {name} + {other}"] * 3
                    elif n + m - 1 <= extent:
                        found += [f"{name} + {other}"] * 2
        if self.body.whole and r.random() < 0.25:
            fitting = [t for t in self.body.whole if t.whole <= extent and self.reaches(t)]
            if fitting:
                t = r.choice(fitting)
                self.use(t)
                found = [self.plain(t)]
        return r.choice(found)

    def outside(self, extent):
        """One that may leave the dimension, for `else`."""
        r = self.r
        names = [n for n, e in self.indices.items() if e != BATCH]
        if not names:
            return str(r.choice([-1, 0, extent]))
        text = f"{r.choice(['', '', '2 * ', '3 * '])}{r.choice(names)}"
        if r.random() < 0.5:
            text += f" {r.choice('+-')} {r.choice(['', '2 * '])}{r.choice(names)}"
        if r.random() < 0.15:
            text = f"({text} + {r.randrange(3)}) / {r.choice([2, 3])}"
        return text + r.choice(["" if text not in names else " - 3", " - 1", " + 1", " - 2"])

    def reaches(self, t):
        return all(s != BATCH or BATCH in self.indices.values() for s in t.shape)

    def plain(self, t):
        """The tensor at indices or places that certainly lie inside."""
        at = []
        for extent in t.shape:
            if extent == BATCH:
                at.append(self.r.choice([n for n, e in self.indices.items() if e == BATCH]))
            else:
                names = [n for n, e in self.indices.items() if e == extent]
                at.append(self.r.choice(names) if names else str(self.r.randrange(extent)))
        return f"{t.name}[{', '.join(at)}]" if at else t.name

    def use(self, t):
        self.parents |= t.parents | {t.name}
        self.batched = self.batched or t.batched

    def access(self):
        fitting = [t for t in self.body.tensors if self.reaches(t)]
        if not fitting:
            return "0.5"
        t = self.r.choice(fitting[-6:] if self.r.random() < 0.6 else fitting)
        self.use(t)
        examples = [n for n, e in self.indices.items() if e == BATCH]
        example = ""
        if examples and t.batched and BATCH not in t.shape and self.r.random() < 0.7:
            example = "@" + self.r.choice(examples)
        loose = self.r.random() < 0.2
        at = []
        for extent in t.shape:
            if extent == BATCH:
                at.append(self.r.choice(examples))
            else:
                at.append(self.outside(extent) if loose and self.r.random() < 0.7 else self.inside(extent))
        text = f"{t.name}{example}[{', '.join(at)}]" if at else t.name + example
        return f"({text} else {self.r.choice(['0', '0.5', '-1'])})" if loose and at else text

    # ---- numbers ----

    def leaf(self):
        kind = self.r.random()
        if kind < 0.85:
            return self.access()
        names = [n for n, e in self.indices.items() if e != BATCH]
        if kind < 0.92 and names:
            name = self.r.choice(names)
            return self.r.choice([f"({name} + 1) / {self.indices[name] + 1}", f"cos({name} / 2)", f"0.7^{name}"])
        if kind < 0.95 and self.p.random and not self.smooth:
            self.p.draws = True
            return self.r.choice(["random_uniform()", "random_normal()"])
        return self.r.choice(["0.5", "-0.7", "1.3", "pi / 4"])

    def number(self, depth):
        r = self.r
        if depth <= 0:
            return self.leaf()
        kind = r.random()
        if kind < 0.3:
            return r.choice(SMOOTH if self.smooth else SMOOTH + BROKEN).format(self.number(depth - 1))
        if kind < 0.6:
            form = r.choice(PAIRS if self.smooth else PAIRS + BROKEN_PAIRS)
            return form.format(self.number(depth - 1), self.number(depth - 1))
        if kind < 0.72:
            return f"(if {self.condition()} then {self.number(depth - 1)} else {self.number(depth - 1)})"
        if kind < 0.9:
            return self.reduction(depth)
        return self.leaf()

    def condition(self):
        r, names = self.r, [n for n, e in self.indices.items() if e != BATCH]
        found = ["training", "true"] if r.random() < 0.1 else []
        if names:
            i, j = r.choice(names), r.choice(names)
            n = self.indices[i]
            found += [f"{i} {r.choice(['<', '<=', '>', '=='])} {j if i != j else n // 2}", f"{i} % 2 == {r.randrange(2)}",
                      f"{i} + {j} >= {r.randrange(1, n + 1)}", f"not ({i} == {r.randrange(n)})",
                      f"{i} > 0 and {j} < {max(1, self.indices[j] - 1)}", f"{i} == 0 or {j} / 2 == 1"]
        if not self.smooth:
            found += [f"{self.leaf()} > {r.choice(['0.1', '-0.2'])}"]
        whole = [t for t in self.body.whole if self.reaches(t)]
        if whole:
            t = r.choice(whole)
            self.use(t)
            found += [f"{self.plain(t)} {r.choice(['==', '!=', '<'])} {r.randrange(t.whole)}"]
        if not found:
            return "true"
        first = r.choice(found)
        return f"{first} {r.choice(['and', 'or'])} {r.choice(found)}" if r.random() < 0.15 else first

    def reduction(self, depth):
        """A reduction within the expression, over a new index or over the batch."""
        r = self.r
        if r.random() < 0.2 and self.p.batch_statistics and BATCH not in self.indices.values():
            before, self.batched = self.batched, False
            inner = self.number(depth - 1)
            kind = r.choice(["mean", "mean", "mean"] if self.smooth else ["mean", "mean", "max", "min"])
            if not self.batched:
                self.batched = before
                return f"({inner})"
            self.batched = before
            return f"({kind}[batch] ({inner}))"
        extents = [e for t in self.body.tensors for e in t.shape if e != BATCH and e <= self.room] or [2]
        extent = r.choice(extents)
        name = self.p.index()
        over = f"{name}: {extent}"
        self.indices[name] = extent
        self.room //= extent
        inner = self.number(depth - 1)
        del self.indices[name]
        self.room = max(1, self.room * extent)
        return self.reduce(over, inner, extent)

    def reduce(self, over, inner, extent):
        r = self.r
        kind = r.choice(["sum", "mean", "mean", "prod"] + ([] if self.smooth else ["max", "min", "any", "all", "argmax"]))
        if kind == "sum":
            return f"(sum[{over}] ({inner})) / {extent}"
        if kind == "prod":
            return f"(prod[{over}] (1 + 0.3 * tanh({inner})))"
        if kind in ("any", "all"):
            return f"(if {kind}[{over}] (({inner}) > 0.1) then 0.8 else -0.3)"
        if kind == "argmax":
            return f"f32({r.choice(['argmax', 'argmin'])}[{over}] ({inner})) / {extent}"
        return f"({kind}[{over}] ({inner}))"
