"""Random well-typed programs: any construct may meet any other.

    generate.py SEED          prints the program of that seed

Values stay of order one, so that differences can check the gradients: what grows goes through tanh.
"""
import random
import sys


class Program:
    def __init__(self, seed):
        self.r = random.Random(seed)
        self.lines, self.tensors, self.count = [], [], 0  # tensors: (name, shape)
        self.classes = self.r.choice([2, 3, 5])

    def fresh(self):
        self.count += 1
        return f"v{self.count}"

    def add(self, text, name, shape):
        self.lines.append("  " + text)
        self.tensors.append((name, shape))

    def pick(self, rank=None):
        fitting = [t for t in self.tensors if rank is None or len(t[1]) == rank]
        return self.r.choice(fitting) if fitting else None

    def param(self, shape):
        name = self.fresh()
        dims = ", ".join(map(str, shape))
        start = self.r.choice(["normal(0, 0.5)", "uniform(-1, 1)", "glorot_uniform(fan_in = 3, fan_out = 4)"])
        self.lines.append(f"  param {name}[{dims}] ~ {start}" if shape else f"  param {name} ~ {start}")
        return name


LETTERS = "ijklmn"


def left(shape, from_letter=0):
    return [LETTERS[from_letter + k] for k in range(len(shape))]


def access(name, indices):
    return f"{name}[{', '.join(indices)}]" if indices else name


# ---- one function a construct: takes the program, adds a tensor or gives up -----------------------

def unary(p):
    x, shape = p.pick()
    y = p.fresh()
    form = p.r.choice(["tanh({})", "sigmoid({})", "relu({})", "abs({})", "softplus({})", "sin(2 * {})", "-{}", "{} / 2",
                       "exp(min({}, 1))", "{}^2", "silu({})", "gelu({})", "elu({})", "log(1 + {}^2)", "sqrt(1 + {}^2)",
                       "leaky_relu({})", "atan({})", "erf({})"])
    p.add(f"{y} = {form.replace('{}', x)}", y, shape)


def binary(p):
    x, shape = p.pick()
    same = [t for t in p.tensors if t[1] == shape]
    z = p.r.choice(same)[0]
    y = p.fresh()
    form = p.r.choice(["{} + {}", "{} * {}", "{} - {}", "{} / (1 + {}^2)", "max({}, {})", "min({}, {})",
                       "if {} > {} then 1 else 0.5", "atan2({}, 2 + abs({}))"])
    p.add(f"{y} = tanh({form.format(x, z)})", y, shape)


def permute(p):
    x, shape = p.pick()
    if len(shape) < 2:
        return
    order = list(range(len(shape)))
    p.r.shuffle(order)
    names = left(shape)
    y = p.fresh()
    p.add(f"{y}[{', '.join(names[k] for k in order)}] = {access(x, names)}", y, tuple(shape[k] for k in order))


def outer(p):
    a, sa = p.pick()
    b, sb = p.pick()
    if len(sa) + len(sb) > 3 or not sa + sb:
        return
    ia, ib = left(sa), left(sb, len(sa))
    op = p.r.choice(["*", "+", "-"])
    y = p.fresh()
    p.add(f"{y}[{', '.join(ia + ib)}] = tanh({access(a, ia)} {op} {access(b, ib)})", y, sa + sb)


def reduce(p):
    x, shape = p.pick()
    if not shape:
        return
    names = left(shape)
    bound = p.r.sample(names, p.r.randint(1, len(names)))
    free = [n for n in names if n not in bound]
    kind = p.r.choice(["sum", "mean", "max", "min", "mean", "prod"])
    y = p.fresh()
    lhs = f"{y}[{', '.join(free)}]" if free else y
    rest = tuple(s for s, n in zip(shape, names) if n in free)
    p.add(f"{lhs} = tanh({kind}[{', '.join(bound)}] {access(x, names)})", y, rest)


def contract(p):
    x, shape = p.pick()
    if not shape:
        return
    names = left(shape)
    k = p.r.randrange(len(names))
    units = p.r.choice([1, 2, 3, 5])
    w = p.param((units, shape[k]))
    out = names[:k] + ["o"] + names[k + 1:]
    y = p.fresh()
    p.add(f"{y}[{', '.join(out)}] = sum[{names[k]}] {w}[o, {names[k]}] * {access(x, names)}", y,
          shape[:k] + (units,) + shape[k + 1:])


def pair(p):
    """A product of two tensors over an index of equal extent."""
    a, sa = p.pick()
    found = [(b, sb, k) for b, sb in p.tensors for k in range(len(sb)) if sa and sb[k] == sa[-1]]
    if not found:
        return
    b, sb, k = p.r.choice(found)
    if len(sa) + len(sb) > 5:
        return
    ia = left(sa)
    ib = [LETTERS[len(sa) + n] if n != k else ia[-1] for n in range(len(sb))]
    out = ia[:-1] + [n for n in ib if n != ia[-1]]
    y = p.fresh()
    lhs = f"{y}[{', '.join(out)}]" if out else y
    p.add(f"{lhs} = tanh(sum[{ia[-1]}] {access(a, ia)} * {access(b, ib)})", y,
          sa[:-1] + tuple(s for n, s in enumerate(sb) if n != k))


def window(p):
    x, shape = p.pick()
    if not shape:
        return
    names = left(shape)
    k = p.r.randrange(len(names))
    size, stride, pad = p.r.choice([1, 2, 3]), p.r.choice([1, 1, 2, 3]), p.r.choice([0, 1, 2])
    dilation = p.r.choice([1, 1, 2])
    count = (shape[k] + 2 * pad - dilation * (size - 1) - 1) // stride + 1
    if count < 1:
        return
    w = p.param((size,))
    inner = list(names)
    inner[k] = f"{stride} * {names[k]} + {dilation} * u - {pad}"
    lhs = [f"{n}: {count}" if n == names[k] else n for n in names]
    form = p.r.choice([f"sum[u] {w}[u] * ({access(x, inner)} else 0)", f"max[u: {size}] ({access(x, inner)} else -9)",
                       f"mean[u: {size}] ({access(x, inner)} else 0.5)"])
    y = p.fresh()
    p.add(f"{y}[{', '.join(lhs)}] = {form}", y, shape[:k] + (count,) + shape[k + 1:])


def guard(p):
    a, sa = p.pick()
    b, sb = p.pick()
    if len(sa) != 1 or len(sb) != 1:
        return
    n = sa[0]
    y = p.fresh()
    p.add(f"{y}[i: {n + sb[0]}] = if i < {n} then {a}[i] else {b}[i - {n}]", y, (n + sb[0],))


def views(p):
    x, shape = p.pick()
    if not shape:
        return
    y = p.fresh()
    size = 1
    for s in shape:
        size *= s
    choice = p.r.randrange(5)
    if choice == 0:
        p.add(f"{y} = flatten({x})", y, (size,))
    elif choice == 1:
        p.add(f"{y} = transpose({x})", y, tuple(reversed(shape)))
    elif choice == 2:
        p.add(f"{y} = concat({x}, {x} / 2, axis = 0)", y, (2 * shape[0],) + shape[1:])
    elif choice == 3 and shape[-1] > 1:
        p.lines.append(f"  {y}_parts = split({x}, [1, {shape[-1] - 1}])")
        p.add(f"{y} = {y}_parts[1]", y, shape[:-1] + (shape[-1] - 1,))
    elif len(shape) < 3:
        p.add(f"{y} = stack({x}, tanh({x}))", y, (2,) + shape)


def spread(p):
    """Quotients and remainders: what reshapes by hand."""
    x, shape = p.pick(2) or (None, None)
    if not x or shape[0] * shape[1] > 40:
        return
    y = p.fresh()
    p.add(f"{y}[k: {shape[0] * shape[1]}] = {x}[k / {shape[1]}, k % {shape[1]}]", y, (shape[0] * shape[1],))


def over_batch(p):
    x, shape = p.pick()
    if len(shape) > 2:
        return
    names = left(shape)
    m, y = p.fresh(), p.fresh()
    lhs = f"{m}[{', '.join(names)}]" if names else m
    p.lines.append(f"  {lhs} = mean[batch] {access(x, names)}")
    lhs = f"{y}[{', '.join(names)}]" if names else y
    p.add(f"{lhs} = tanh({access(x, names)} - 0.5 * {access(m, names)})", y, shape)


def others(p):
    x, shape = p.pick(1) or (None, None)
    if not x:
        return
    s, y = p.fresh(), p.fresh()
    p.lines.append(f"  {s}[m: batch] = sum[i] {x}[i] * {x}@m[i]")
    p.add(f"{y} = tanh(mean[m] {s}[m])", y, ())


def data(p):
    y = p.fresh()
    if p.r.random() < 0.5:
        units = p.r.choice([1, 3, 4])
        w = p.param((p.classes, units))
        p.add(f"{y}[j] = {w}[label, j]", y, (units,))
    else:
        x, shape = p.pick(1) or (None, None)
        if x and shape[0] >= p.classes:
            p.add(f"{y} = log_softmax({x})[label]", y, ())


def layers(p):
    x, shape = p.pick()
    y = p.fresh()
    if len(shape) == 3 and min(shape[:2]) >= 2:
        f = p.r.choice([1, 2, 3])
        p.add(f"{y} = {x} |> conv2d({f}, kernel = 2) |> tanh", y, shape[:2] + (f,))
    elif shape:
        choice = p.r.choice(["layer_norm", "batch_norm", "softmax", "dense", "dropout"])
        if choice == "dense":
            units = p.r.choice([1, 2, 4])
            p.add(f"{y} = {x} |> dense({units}) |> tanh", y, shape[:-1] + (units,))
        elif choice == "dropout":
            p.add(f"{y} = {x} |> dropout(0.3)", y, shape)
        else:
            p.add(f"{y} = {x} |> {choice}", y, shape)


def derived(p):
    """A derivative in the program itself, differentiated again by the loss."""
    x, shape = p.pick()
    u, v, y = p.fresh(), p.fresh(), p.fresh()
    p.lines.append(f"  {u} = {x} + 0")
    inner = left(shape)
    p.lines.append(f"  {v} = " + (f"sum[{', '.join(inner)}] " if inner else "") + f"sin({access(u, inner)})^3")
    p.add(f"{y} = tanh(grad({v}, {u}))", y, shape)


CONSTRUCTS = [unary, unary, binary, binary, permute, outer, reduce, reduce, contract, contract, pair, pair, window, window,
              guard, views, views, spread, over_batch, others, data, layers, layers, derived]


def generate(seed):
    p = Program(seed)
    r = p.r
    a, b, c = r.choice([1, 2, 3, 5]), r.choice([2, 3, 4, 7]), r.choice([1, 2, 3])
    # Every input is weighed first, so that whatever follows lies between a parameter and the loss.
    for name, shape in [("x", (a,)), ("z", (a, b)), ("q", (b, 3, c)), ("s", ())]:
        names = left(shape)
        w = p.param(shape)
        p.add(f"{access(name + '1', names)} = {access(name, names)} * {access(w, names)}", name + "1", shape)
    head = [f"# seed {seed}", "model program {", f"  input x[{a}] : f32", f"  input z[{a}, {b}] : f32",
            f"  input q[{b}, 3, {c}] : f32", "  input s : f32", f"  target label : class({p.classes})"]
    for _ in range(r.randint(4, 14)):
        r.choice(CONSTRUCTS)(p)
    for name, shape in p.tensors:
        names = left(shape)
        over = f"mean[{', '.join(names)}] " if names else ""
        p.lines.append(f"  loss {r.choice([1, 0.5, 2])} * ({over}{access(name, names)}^2)")
    name, shape = p.tensors[-1]
    tail = [f"  output last = {name}", "}", "", "train {", f"  batch {r.choice([1, 2, 5, 8])}",
            "  optimizer sgd(lr = 0.01)", "}"]
    return "\n".join(head + p.lines + tail) + "\n"


if __name__ == "__main__":
    sys.stdout.write(generate(int(sys.argv[1])))
