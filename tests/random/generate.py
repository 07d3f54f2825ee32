"""Random well-typed programs: any construct may meet any other.

    generate.py SEED          prints the program of that seed
"""
import random
import sys

import library
from body import BATCH, Body, Program
from constructs import fill, subscripts


def inputs(p, body):
    """Inputs of every type.  Reals are weighed first, so that whatever follows lies between a parameter and the loss."""
    r, layout = p.r, []
    shapes = [(), (r.choice(p.extents),), (r.choice(p.extents), r.choice(p.extents)),
              (r.choice([2, 3, 4]), r.choice([1, 3, 4]), r.choice([1, 2, 4]))]
    for name, shape in zip("sxzq", shapes):
        if r.random() < 0.8 or name == "x":
            body.put(f"input {name}{subscripts(map(str, shape))} : f32")
            layout.append((name, "f", shape))
            t = body.know(name, shape, True, ())
            w = body.parameter(shape)
            body.let(f"{name} * {w.name}", shape, t, w)
    if r.random() < 0.3:
        shape = (3, 4)
        body.put(f"input image{subscripts(map(str, shape))} : {r.choice(['u8', 'u16', 'i32'])}")
        layout.append(("image", {"u8": "B", "u16": "H", "i32": "i"}[body.lines[-1].split()[-1]], shape))
        body.put("pixels = f32(image) / 128")
        body.know("pixels", shape, True, ())
    if r.random() < 0.5:
        count, shape = r.choice([2, 5, 11]), r.choice([(), (3,), (r.choice(p.extents),)])
        body.put(f"input token{subscripts(map(str, shape))} : token({count})")
        layout.append(("token", count, shape))
        body.know("token", shape, True, (), whole=count)
    count = r.choice([2, 3, 5])
    body.put(f"target label : class({count})")
    layout.append(("label", count, ()))
    body.know("label", (), True, (), whole=count)
    return layout


def losses(p, body):
    """Everything made counts, so that nothing is left out as unused."""
    r = p.r
    label = next(t for t in body.whole if t.name == "label")
    for k, t in enumerate(body.tensors):
        if t.name in ("s", "x", "z", "q", "pixels") or t.name in p.parameters and r.random() < 0.7:
            continue
        names = [p.index() for _ in t.shape]
        over = ", ".join(f"{n}: batch" if e == BATCH else n for n, e in zip(names, t.shape))
        same = [v for v in body.tensors if v.shape == t.shape and BATCH not in t.shape]
        if t.shape and t.shape[-1:] == (label.whole,) and len(t.shape) == 1 and r.random() < 0.6:
            text = r.choice(library.CLASS_LOSSES).format(a=t.name, t="label")
        elif same and t.shape and BATCH not in t.shape and r.random() < 0.25:
            text = r.choice(library.LOSSES).format(a=t.name, b=r.choice(same).name)
            if len(t.shape) > 1 and ("triplet" in text or "kl_div" in text):
                text = f"mse({t.name}, 0.5 * {t.name})"
        else:
            text = (f"mean[{over}] " if over else "") + f"{t.name}{subscripts(names)}^2"
        body.put(f"loss{r.choice(['', f' l{k} =']) } {r.choice(['1', '0.5', '2'])} * ({text})")


def reports(p, body):
    r = p.r
    plain = [t for t in body.tensors if BATCH not in t.shape and t.batched]
    shift = subscripts(["0"] * len(next(t.shape for t in body.tensors if t.name == "x")))
    for k in range(r.randint(1, 3)):
        body.put(f"output o{k} = {r.choice(plain[-5:]).name} + x{shift}")
    for k in range(r.randint(0, 2) if not p.batch_statistics else 0):
        t = r.choice(plain)
        same = [v for v in plain if v.shape == t.shape]
        if t.shape:
            body.put(f"metric m{k} = {r.choice(library.METRICS).format(a=t.name, b=r.choice(same).name)}")


OWN_OPTIMIZER = """optimizer follow(lr = 0.02, keep = 0.9) {
  state m = 0
  state most = 1e-3
  m <- keep * m + (1 - keep) * g
  most <- max(keep * most, abs(g))
  length = sqrt(sum[...] w[...]^2 + 1e-6)
  w <- w - lr * m / most * min(length, 1) / (1 + 0.1 * step)
}"""
OWN_SCHEDULE = """schedule rise_and_fall(peak, part = 0.4) {
  done = step / total_steps
  return peak * (if done < part then done / part else (1 - done) / (1 - part))
}"""
OWN = ["follow", "follow(lr = rise_and_fall(peak = 0.05))", "adam(lr = rise_and_fall(peak = 0.01))"]


def optimizer(p):
    text = p.r.choice(library.OPTIMIZERS + OWN + library.OPTIMIZERS[:4] * 2)
    p.definitions += [d for d in (OWN_OPTIMIZER, OWN_SCHEDULE) if d.split("(")[0].split()[1] in text and d not in p.definitions]
    return text


def train(p, layout):
    r = p.r
    batch = r.choice([1, 2, 3, 5, 8]) if r.random() < 0.75 else r.choice([16, 33, 70])
    words = [f"{name}:u8" if isinstance(kind, int) else name for name, kind, _ in layout]
    lines = [f'  data records("data.bin", layout = "{" ".join(words)}")']
    accumulate = r.choice(["", "", "", " accumulate 2"])
    lines += [f"  batch {batch}{accumulate}", "  steps 4", f"  optimizer {optimizer(p)}"]
    if r.random() < 0.25 and len(p.parameters) > 1:
        over = r.sample(p.parameters, 1)
        lines.append(f"  optimizer {optimizer(p)} over {over[0]}{r.choice(['', ' every 2 steps', ' clip_norm 0.5'])}")
    lines += r.choice([[], [], ["  clip_norm 1"], ["  clip_value 0.5"]])
    lines += r.choice([[], [], ["  shuffle false"], ["  seed 3"], ["  holdout 0.2"]])
    return lines, batch


class Generated:
    """A program's text, and what a check has to know of it."""


def generate(seed):
    p = Program(seed)
    p.held = p.r.random() < 0.08
    body = Body(p, "model")
    made = Generated()
    made.layout = inputs(p, body)
    fill(body, p.r.randint(3, 14))
    losses(p, body)
    reports(p, body)
    lines, made.batch = train(p, made.layout)
    if p.parameters and p.r.random() < 0.1:
        body.put(f"freeze {p.r.choice(p.parameters)}")
    made.text = "\n".join([f"# seed {seed}", *p.definitions, "model program {", *body.lines, "}", "", "train {", *lines, "}"]) + "\n"
    made.seed, made.held, made.scans, made.draws = seed, p.held, p.scans, p.draws
    made.numbers = random.Random(seed)
    return made


if __name__ == "__main__":
    sys.stdout.write(generate(int(sys.argv[1])).text)
