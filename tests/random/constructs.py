"""Statements of every kind: each takes the body it stands in and adds tensors to it, or gives up."""
from body import BATCH, Body
from expression import BROKEN, PAIRS, SMOOTH, Expression, stands_alone
import library


def subscripts(names):
    names = list(names)
    return f"[{', '.join(names)}]" if names else ""


def product(shape):
    total = 1
    for extent in shape:
        total *= 3 if extent == BATCH else extent
    return total


# ---- index notation -------------------------------------------------------------------------------------

def free_indices(body, most=3):
    r, p = body.p.r, body.p
    found = {}
    for _ in range(r.randint(0, most)):
        extent = r.choice(p.extents)
        if product(list(found.values()) + [extent]) <= (60 if max(p.extents) < 10 else 600):
            found[p.index()] = extent
    return found


def elements(body, smooth=False):
    """y[i, j] = an expression over indices, perhaps under a reduction."""
    r, p = body.p.r, body.p
    free = free_indices(body)
    if r.random() < 0.12 and body.kind == "model" and p.batch_statistics and len(free) < 3:
        free[p.index()] = BATCH
        p.pairs = True
    ambient = dict([body.step]) if body.step else {}
    bound = {p.index(): r.choice(p.extents) for _ in range(r.choice([0, 0, 1, 2]))}
    if product([*free.values(), *bound.values()]) > 2000:
        bound = {}
    e = Expression(body, {**free, **ambient, **bound}, smooth)
    text = e.number(r.randint(1, 3))
    if bound:
        over = ", ".join(n if stands_alone(n, text) and r.random() < 0.5 else f"{n}: {x}" for n, x in bound.items())
        text = e.reduce(over, text, product(bound.values()))
    names = [n if stands_alone(n, text) and x != BATCH and r.random() < 0.6 else f"{n}: {x}" for n, x in free.items()]
    name = p.fresh()
    body.put(f"{name}{subscripts(names)} = tanh({text})" if r.random() < 0.7 else f"{name}{subscripts(names)} = {text}")
    body.know(name, free.values(), e.batched, e.parents)


def contract(body):
    """A product of two or three tensors, some of their dimensions summed over."""
    r, p = body.p.r, body.p
    a, b = body.pick(least=1), body.pick(least=1)
    if not a:
        return
    if r.random() < 0.5 and body.declares:
        b = body.parameter((r.choice(p.extents),) + (r.choice(a.shape),))
    names = {id(t): [] for t in (a, b)}
    free, bound, at = {}, {}, [[], []]
    for extent in a.shape:
        n = p.index()
        (bound if r.random() < 0.5 else free)[n] = extent
        at[0].append(n)
    for extent in b.shape:
        same = [n for n, x in {**free, **bound}.items() if x == extent and n not in at[1]]
        n = r.choice(same) if same and r.random() < 0.7 else p.index()
        if n not in free and n not in bound:
            (free if len(free) < 3 and r.random() < 0.8 else bound)[n] = extent
        at[1].append(n)
    if product([*free.values()]) > p.most or len(free) > 4 or product([*free.values(), *bound.values()]) > 10 * p.most:
        return
    text = f"{a.name}{subscripts(at[0])} * {b.name}{subscripts(at[1])}"
    if bound:
        text = f"sum[{', '.join(bound)}] {text}"
    scale = r.choice(["", " / 2", f" / {max(1, product(bound.values()))}"])
    order = list(free)
    r.shuffle(order)
    name = p.fresh()
    epilogue = r.choice(["tanh({})", "relu({})", "tanh({}) + 0.1", "sigmoid({})", "tanh({})"])
    body.put(f"{name}{subscripts(order)} = {epilogue.format(f'({text}){scale}')}")
    body.know(name, [free[n] for n in order], a.batched or b.batched, a.parents | b.parents | {a.name, b.name})


def window(body):
    """A kernel slid along a dimension, with stride, dilation and padding."""
    r, p = body.p.r, body.p
    x = body.pick(least=1)
    if not x:
        return
    names = [p.index() for _ in x.shape]
    k = r.randrange(len(names))
    size, stride, pad, dilation = r.choice([1, 2, 3]), r.choice([1, 1, 2, 3]), r.choice([0, 1, 2]), r.choice([1, 1, 2])
    count = (x.shape[k] + 2 * pad - dilation * (size - 1) - 1) // stride + 1
    if count < 1:
        return
    inner = list(names)
    inner[k] = f"{stride} * {names[k]} + {dilation} * u - {pad}"
    read = f"({x.name}{subscripts(inner)} else {r.choice(['0', '0.5'])})"
    left = [f"{n}: {count}" if n == names[k] else n for n in names]
    parents = x.parents | {x.name}
    if body.declares and r.random() < 0.6:
        w = body.parameter((size,))
        text = f"sum[u] {w.name}[u] * {read}"
        parents |= {w.name}
    else:
        text = r.choice(["max", "min", "mean", "prod", "sum"]) + f"[u: {size}] {read}"
    name = p.fresh()
    body.put(f"{name}{subscripts(left)} = tanh({text})")
    body.know(name, x.shape[:k] + (count,) + x.shape[k + 1:], x.batched, parents)


def position(body):
    """Whole numbers from the data's own values, fit to be subscripts."""
    x = body.pick(least=1)
    if not x or body.step:
        return
    names = [body.p.index() for _ in x.shape]
    name = body.p.fresh()
    body.put(f"{name}{subscripts(names[:-1])} = {body.p.r.choice(['argmax', 'argmin'])}[{names[-1]}] {x.name}{subscripts(names)}")
    body.know(name, x.shape[:-1], x.batched, x.parents | {x.name}, whole=x.shape[-1])


def gather(body):
    """A row that data choose: of a parameter, of a tensor."""
    r, p = body.p.r, body.p
    fitting = [t for t in body.whole if BATCH not in t.shape]
    if not fitting:
        return
    w = r.choice(fitting)
    if r.random() < 0.4 and w.size() <= 40:
        wide = r.choice([1, 2, 3])
        text, shape = r.choice([(f"one_hot({w.name}, {w.whole})", (*w.shape, w.whole)),
                                (f"embedding({w.name}, {w.whole + r.choice([0, 2])}, {wide})", (*w.shape, wide)),
                                (f"embedding_bag({w.name}, {w.whole}, {wide}, mode = {r.choice(['mean', 'sum', 'max'])})",
                                 (*w.shape[:-1], wide))])
        if ("bag" not in text or w.shape) and (body.parameters or "one_hot" in text):
            body.let(text, shape, w)
        return
    names = [p.index() for _ in w.shape]
    tables = [t for t in body.tensors if t.shape and t.shape[0] != BATCH and t.shape[0] >= w.whole and BATCH not in t.shape]
    if tables and r.random() < 0.5:
        t = r.choice(tables)
    elif body.declares:
        t = body.parameter((w.whole, *([r.choice(p.extents)] if r.random() < 0.8 else [])))
    else:
        return
    rest = [p.index() for _ in t.shape[1:]]
    name = p.fresh()
    at = f"{w.name}{subscripts(names)}"
    if product(w.shape + t.shape[1:]) > p.most or len(w.shape + t.shape) > 5:
        return
    body.put(f"{name}{subscripts(names + rest)} = {t.name}{subscripts([at] + rest)}")
    body.know(name, w.shape + t.shape[1:], w.batched or t.batched, w.parents | t.parents | {t.name, w.name})


# ---- whole tensors ----------------------------------------------------------------------------------------

def whole(body):
    r = body.p.r
    x = body.pick(pairs=True)
    if not x:
        return
    if r.random() < 0.5:
        body.let(r.choice(SMOOTH + BROKEN).format(x.name), x.shape, x)
        return
    same = [t for t in body.tensors if t.shape == x.shape or not t.shape]
    z = r.choice(same)
    form = r.choice(PAIRS + ["max({}, {})", "min({}, {})", "if {} > {} then 1 else 0.5"])
    body.let(f"tanh({form.format(x.name, z.name)})", x.shape, x, z)


def views(body):
    r, p = body.p.r, body.p
    x = body.pick(least=1)
    if not x:
        return
    s, n = x.shape, len(x.shape)
    axis = r.randrange(n)
    kind = r.randrange(7)
    if kind == 0:
        body.let(f"flatten({x.name})", (product(s),), x)
    elif kind == 1:
        order = list(range(n))
        r.shuffle(order)
        body.let(f"transpose({x.name}, [{', '.join(map(str, order))}])", [s[k] for k in order], x)
    elif kind == 2 and x.size() * 2 <= p.most:
        others = [t for t in body.tensors if len(t.shape) == n and t.shape[:axis] + t.shape[axis + 1:] == s[:axis] + s[axis + 1:]
                  and BATCH not in t.shape and t.shape[axis] <= 20]
        z = r.choice(others) if others else x
        a = axis if r.random() < 0.5 else axis - n
        body.let(f"concat({x.name}, {z.name}, axis = {a})", s[:axis] + (s[axis] + z.shape[axis],) + s[axis + 1:], x, z)
    elif kind == 3 and s[axis] > 1:
        first = r.randrange(1, s[axis])
        parts = p.fresh()
        body.put(f"{parts} = split({x.name}, [{first}, {s[axis] - first}], axis = {axis})")
        chosen = r.randrange(2)
        body.let(f"{parts}[{chosen}]", s[:axis] + ((first, s[axis] - first)[chosen],) + s[axis + 1:], x)
    elif kind == 4 and n < 4 and x.size() * 2 <= p.most:
        same = [t for t in body.tensors if t.shape == s]
        z = r.choice(same)
        at = r.randrange(n + 1)
        body.let(f"stack({x.name}, {z.name}, axis = {at})", s[:at] + (2,) + s[at:], x, z)
    elif kind == 5:
        total = product(s)
        divisors = [d for d in range(1, total + 1) if total % d == 0]
        d = r.choice(divisors)
        shape = r.choice([(d, total // d), (total,), (1, d, total // d)])
        body.let(f"reshape({x.name}, {list(shape)})", shape, x)
    elif kind == 6 and s[axis] % 2 == 0:
        parts = p.fresh()
        body.put(f"{parts} = split({x.name}, 2, axis = {axis})")
        body.let(f"{parts}[1] - {parts}[0]", s[:axis] + (s[axis] // 2,) + s[axis + 1:], x)


def stretch(body):
    """More of a small tensor: by an outer product, or by a quotient or remainder."""
    r, p = body.p.r, body.p
    x = body.pick(least=1)
    if not x or x.size() > 100:
        return
    names = [p.index() for _ in x.shape]
    new, extent = p.index(), r.choice(p.extents)
    name = p.fresh()
    if r.random() < 0.5 and extent * x.size() <= p.most:
        body.put(f"{name}{subscripts([f'{new}: {extent}'] + names)} = {x.name}{subscripts(names)} * cos({new} / 3)")
        body.know(name, (extent, *x.shape), x.batched, x.parents | {x.name})
        return
    n = x.shape[-1]
    read = r.choice([f"{new} % {n}", f"{new} / {r.choice([2, 3])} % {n}", f"(2 * {new} + 1) % {n}", f"min({new}, {n - 1})"])
    if "min" in read:
        read, extent = f"{new} / {-(-extent // n)}", extent
    body.put(f"{name}{subscripts(names[:-1] + [f'{new}: {extent}'])} = tanh({x.name}{subscripts(names[:-1] + [read])} + {new} / {extent})")
    body.know(name, (*x.shape[:-1], extent), x.batched, x.parents | {x.name})


def over_batch(body):
    r = body.p.r
    x = body.pick()
    if not x or not x.batched or len(x.shape) > 3 or not body.p.batch_statistics:
        return
    names = [body.p.index() for _ in x.shape]
    kind = r.choice(["mean", "mean", "max", "min"])
    more = [n for n in names if r.random() < 0.3]
    free = [n for n in names if n not in more]
    m = body.p.fresh()
    body.put(f"{m}{subscripts(free)} = {kind}[{', '.join(['batch'] + more)}] {x.name}{subscripts(names)}")
    shape = [e for e, n in zip(x.shape, names) if n in free]
    t = body.know(m, shape, False, x.parents | {x.name})
    y = body.p.fresh()
    body.put(f"{y}{subscripts(names)} = tanh({x.name}{subscripts(names)} - 0.5 * {m}{subscripts(free)})")
    body.know(y, x.shape, x.batched, t.parents | {m})


def pair_sum(body):
    """What was made for each pair of examples, brought back to one for each."""
    fitting = [t for t in body.tensors if BATCH in t.shape]
    if not fitting:
        return
    x = body.p.r.choice(fitting)
    names = [body.p.index() for _ in x.shape]
    over = [f"{n}: batch" for n, e in zip(names, x.shape) if e == BATCH]
    free = [n for n, e in zip(names, x.shape) if e != BATCH]
    name = body.p.fresh()
    body.put(f"{name}{subscripts(free)} = mean[{', '.join(over)}] {x.name}{subscripts(names)}")
    body.know(name, [e for e in x.shape if e != BATCH], x.batched, x.parents | {x.name})


def from_library(body):
    r, p = body.p.r, body.p
    x = body.pick()
    if not x or len(x.shape) not in library.ROWS or x.size() > p.most:
        return
    made = r.choice(library.ROWS[len(x.shape)])(r, x.name, x.shape)
    if not made or product(made[1]) > p.most:
        return
    text, shape = made
    recurrent = any(f"|> {n}(" in text for n in ("rnn", "lstm", "gru"))
    statistics = "batch_norm" in text or "_block" in text and "transformer" not in text
    draws = any(n in text for n in ("dropout", "drop_path", "rrelu", "gumbel"))
    if recurrent and body.in_scan or statistics and not p.batch_statistics or draws and not p.random:
        return
    if not body.parameters and any(n in text for n in NEED_PARAMETERS):
        return
    p.scans |= recurrent
    p.draws |= draws
    y = body.let(text, shape, x)
    y.batched = y.batched or draws  # each example has draws of its own


NEED_PARAMETERS = ("dense", "conv", "norm", "prelu", "rnn", "lstm", "gru", "attention", "block", "experts", "swiglu", "excite")


# ---- derivatives ---------------------------------------------------------------------------------------------

def derived(body):
    """The derivative of a number made of what was computed from a tensor, by that tensor."""
    r, p = body.p.r, body.p
    known = {t.name: t for t in body.tensors}
    found = [(y, known[x]) for y in body.tensors if BATCH not in y.shape for x in sorted(y.parents)
             if x in known and BATCH not in known[x].shape
             and (known[x].batched or not y.batched or p.batch_statistics) and (x in body.stepped or y.name not in body.stepped)]
    if not found:
        return
    y, x = r.choice(found[-12:])
    names = [p.index() for _ in y.shape]
    number = p.fresh()
    form = r.choice(["sin({})", "({})^2", "{}", "tanh({})^2"])
    shared = y.batched and not x.batched  # by what all examples have in common
    over = f"mean[{', '.join(['batch'] + names)}] " if shared else f"sum[{', '.join(names)}] " if names else ""
    body.put(f"{number} = {over}{form.format(y.name + subscripts(names))}")
    name = p.fresh()
    if r.random() < 0.75:
        body.put(f"{name} = tanh(grad({number}, {x.name}))")
        shape = x.shape
    else:
        body.put(f"{name} = tanh(jvp({number}, {x.name}, {r.choice([x.name, 'cos(' + x.name + ')'])}))")
        shape = ()
    body.know(name, shape, x.batched or y.batched and not shared, y.parents | {y.name})


STATED = [("tanh({x})", "{x}: 1 - tanh({x})^2"), ("{x}^3 / 3", "{x}: {x}^2"), ("sin({x}) * 2", "{x}: 2 * cos({x})"),
          ("if {x} > 0 then {x} else {x} / 2", "{x}: if {x} > 0 then 1 else 0.5")]


def stated(body):
    """A function that states its derivative, rightly."""
    p = body.p
    x = body.pick()
    if not x:
        return
    name, (value, derivative) = f"f{p.fresh()}", p.r.choice(STATED)
    p.definitions.append(f"fn {name}(x) {{\n  return {value.format(x='x')}\n}} derivative {{ {derivative.format(x='x')} }}")
    body.let(f"{name}({x.name})", x.shape, x)


def held(body):
    """stop_gradient: differences do not see it, so it counts for what does not depend on parameters only."""
    x = body.pick()
    if x and body.p.held:
        body.let(f"{x.name} * stop_gradient(cos({x.name}))", x.shape, x)


# ---- bodies within bodies ------------------------------------------------------------------------------------------

def fill(body, count):
    for _ in range(count):
        body.p.r.choice(CONSTRUCTS)(body)


def reach(body, shape):
    """An expression of the shape, made of a late tensor of the body."""
    r = body.p.r
    same = [t for t in body.tensors[-4:] if t.shape == tuple(shape)]
    if same:
        t = r.choice(same)
        return t.name, t
    t = body.tensors[-1]
    names = [body.p.index() for _ in t.shape]
    over = [f"{n}: batch" if e == BATCH else n for n, e in zip(names, t.shape)]
    number = body.p.fresh()
    body.put(f"{number} = " + (f"mean[{', '.join(over)}] " if over else "") + t.name + subscripts(names))
    return number, body.know(number, (), t.batched, t.parents | {t.name})


def define(body):
    """A layer or function with a body of its own, applied; now and then once more, or as an instance."""
    r, p = body.p.r, body.p
    if body.depth > 1:
        return
    kind = r.choice(["layer", "fn"]) if body.parameters else "fn"
    arguments = [t for t in (body.pick(), body.pick()) if t][:r.choice([1, 1, 2])]
    if not arguments or any(t.size() > p.most for t in arguments):
        return
    name = f"{kind[0]}{p.fresh()}"
    inner = Body(p, kind)
    inner.depth = body.depth + 1
    inner.in_scan = body.in_scan
    heads, parents = [], set()
    for t in arguments:
        own = p.fresh()
        dims = [p.index() for _ in t.shape]
        pattern = r.choice([f"[{', '.join(dims)}]", "", f"[..., {dims[-1]}]"]) if dims else ""
        heads.append(own + pattern)
        inner.know(own, t.shape, t.batched, ())
        parents |= t.parents | {t.name}
    scale = p.fresh()
    heads.append(f"{scale} = 0.5")
    fill(inner, r.randint(1, 4))
    last = [t for t in inner.tensors if BATCH not in t.shape][-1]
    inner.put(f"return {last.name}{r.choice(['', f' * {scale}'])}")
    p.definitions.append("\n".join([f"{kind} {name}({', '.join(heads)}) {{", *inner.lines, "}"]))
    given = ", ".join(t.name for t in arguments)
    options = r.choice(["", f", {scale} = 0.7"])
    batched = last.batched
    if kind == "layer" and r.random() < 0.4 and heads[0].endswith("]") and heads[-2].endswith("]") and body.kind in ("model", "layer") and not body.step:
        instance = p.fresh()
        body.put(f"{instance} = {name}({options[2:]})")
        calls = [f"{instance}({given})"]
        others = [t for t in body.tensors if t.shape == arguments[0].shape and t.batched == arguments[0].batched]
        if len(arguments) == 1:
            calls.append(f"{instance}({r.choice(others).name})")
            parents |= {q for t in others for q in t.parents | {t.name}}
    else:
        calls = [f"{name}({given}{options})"] * r.choice([1, 1, 2])
    for call in calls:
        y = p.fresh()
        body.put(f"{y} = {call}")
        body.know(y, last.shape, batched, parents)


def repeat(body):
    r, p = body.p.r, body.p
    x = body.pick()
    if not x or body.depth > 1 or body.kind == "scan":
        return
    h = p.fresh()
    body.put(f"{h} = {x.name} / 2")
    inner = Body(p, "repeat", body)
    inner.declares = False
    inner.know(h, x.shape, True, x.parents | {x.name})
    fill(inner, r.randint(1, 3))
    text, t = reach(inner, x.shape)
    counter = p.index()
    first = r.choice(["", f" * (if {counter} == 0 then 0.5 else 1)"])
    inner.put(f"{h} = tanh({h} + {text}{first})")
    times = r.choice([1, 2, 2, 3])
    body.enclose(r.choice([f"repeat {times} as {counter}", f"for {counter} in {list(range(times))}"]), inner)
    body.know(h, x.shape, x.batched or t.batched, x.parents | {x.name} | t.parents)


def choice(body):
    """Statements that a compile-time condition chooses."""
    r, p = body.p.r, body.p
    x = body.pick()
    if not x or body.depth > 1:
        return
    y = p.fresh()
    one, other = Body(p, body.kind, body), Body(p, body.kind, body)
    fill(one, r.randint(1, 2))
    text, t = reach(one, x.shape)
    one.put(f"{y} = tanh({x.name} + {text})")
    other.put(f"{y} = {x.name} * 0.5")
    body.put(f"if {r.choice(['training', 'training', 'true', f'shape({x.name})[0] > 0' if x.shape else 'true'])} {{")
    body.lines += ["  " + line for line in one.lines] + ["  } else {"] + ["  " + line for line in other.lines] + ["  }"]
    body.know(y, x.shape, x.batched or t.batched, x.parents | {x.name})


def scan(body):
    r, p = body.p.r, body.p
    if body.in_scan or body.depth > 1:
        return
    p.scans = True
    x = body.pick(least=1)
    t = p.index()
    steps = x.shape[0] if x and x.shape[0] <= 17 else r.choice([1, 2, 3, 5])
    inner = Body(p, "scan", body)
    inner.step, inner.in_scan = (t, steps), True
    carries = []
    for _ in range(r.choice([1, 1, 2, 3])):
        name = p.fresh()
        starts = [s for s in body.tensors if s.size() <= 64 and BATCH not in s.shape and len(s.shape) < 3]
        if starts and r.random() < 0.4:
            s = r.choice(starts)
            carries.append((name, f"{name} = {s.name}", s.shape))
        else:
            shape = tuple(r.choice(p.extents) for _ in range(r.choice([0, 1, 1, 2])))
            carries.append((name, f"{name}{subscripts(map(str, shape))} = {r.choice(['0', '0.5'])}", shape))
        inner.know(name, carries[-1][2], True, ())
        inner.stepped.add(name)
    if x and x.shape[0] == steps:
        names = [p.index() for _ in x.shape[1:]]
        now = p.fresh()
        inner.put(f"{now}{subscripts(names)} = {x.name}{subscripts([t] + names)}")
        inner.know(now, x.shape[1:], True, x.parents | {x.name})
    fill(inner, r.randint(1, 4))
    for name, _, shape in carries:
        if shape and r.random() < 0.5:
            free = {p.index(): e for e in shape}
            e = Expression(inner, {**free, t: steps})
            text = e.number(2)
            left = subscripts([f"{n}: {x_}" for n, x_ in free.items()])
            inner.put(f"{name}{left} <- tanh({text} + 0.5 * {name}{subscripts(list(free))})")
        else:
            text, _ = reach(inner, shape)
            inner.put(f"{name} <- tanh(0.5 * {name} + {text})")
        if r.random() < 0.3:
            fill(inner, 1)
    own = [v for v in inner.tensors if v not in body.tensors and v.name not in inner_parameters(inner)]
    body.enclose(f"scan {t}: {steps}{r.choice(['', '', ' reversed'])} with {', '.join(c[1] for c in carries)}", inner)
    result = [v for v in own if v.shape.count(BATCH) == 0 and v.size() * steps <= p.most]
    parents = {q for v in own for q in v.parents | {v.name}} | ({x.name} if x else set())
    for name, _, shape in carries:
        chosen = r.choice(["last", "all"])
        if chosen == "last":
            body.know(name, shape, True, parents)
        else:
            y = p.fresh()
            body.put(f"{y} = {name} over {t}")
            body.know(y, (steps, *shape), True, parents)
    if result and r.random() < 0.5:
        v = r.choice(result)
        y = p.fresh()
        body.put(f"{y} = {v.name} over {t}" if r.random() < 0.6 else f"{y} = {v.name} + 0")
        body.know(y, (steps, *v.shape) if " over " in body.lines[-1] else v.shape, True, parents)


def inner_parameters(inner):
    return {line.split()[1].split("[")[0] for line in inner.lines if line.strip().startswith("param ")}


def state(body):
    """A state that follows the batch, read after its update."""
    r, p = body.p.r, body.p
    if body.kind not in ("model", "layer") or body.in_scan or body.depth > 1 or not p.batch_statistics:
        return
    x = body.pick()
    if not x or not x.batched or len(x.shape) > 2:
        return
    names = [p.index() for _ in x.shape]
    s = p.fresh()
    dims = subscripts(map(str, x.shape))
    body.put(f"state {s}{dims} = 0.2")
    body.put(f"if training {{\n  {s}{subscripts(names)} <- 0.9 * {s}{subscripts(names)} + 0.1 * mean[batch] {x.name}{subscripts(names)}\n}}")
    body.know(s, x.shape, False, x.parents | {x.name})
    body.let(f"tanh({x.name} - {s})", x.shape, x)


CONSTRUCTS = ([elements] * 9 + [contract] * 4 + [window] * 3 + [position] + [gather] * 2 + [whole] * 4 + [views] * 4
              + [stretch] * 2 + [over_batch] * 2 + [pair_sum] * 2 + [from_library] * 7 + [derived] * 3 + [stated] + [held] + [define] * 2 + [repeat]
              + [choice] + [scan] * 2 + [state])
