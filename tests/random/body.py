"""Bodies of statements, and what their names stand for."""
import random

from expression import BATCH


class Tensor:
    """What a name stands for.  `whole`: it holds whole numbers below that."""

    def __init__(self, name, shape, batched=True, parents=(), whole=0):
        self.name, self.shape, self.batched, self.whole = name, tuple(shape), batched, whole
        self.parents = frozenset(parents)

    def size(self):
        total = 1
        for extent in self.shape:
            total *= 4 if extent == BATCH else extent
        return total


class Program:
    def __init__(self, seed):
        self.r = r = random.Random(seed)
        self.seed, self.count, self.indices_made = seed, 0, 0
        self.definitions = []  # texts of layers and functions
        self.callable = []     # (name, shapes of the arguments, shape, batched as its arguments)
        self.random = r.random() < 0.6
        self.batch_statistics = r.random() < 0.6
        self.draws = self.pairs = self.scans = self.held = False
        self.extents = r.choice([[1, 2, 3, 4, 5], [2, 3, 4, 6, 7], [1, 3, 8, 16, 17], [1, 2, 4, 33], [1, 5, 40, 64, 70]])
        self.most = {7: 300, 5: 300, 17: 900, 33: 1200, 70: 5000}[max(self.extents)]
        self.parameters = []

    def fresh(self):
        self.count += 1
        return f"v{self.count}"

    def index(self):
        self.indices_made += 1
        return f"{'abcdefgijklnopqrs'[self.indices_made % 17]}{self.indices_made}"


class Body:
    """The statements between a pair of braces.  `kind` is model, layer, fn, repeat or scan."""

    def __init__(self, p, kind, outer=None):
        self.p, self.kind, self.lines = p, kind, []
        self.tensors = list(outer.tensors) if outer else []
        self.whole = list(outer.whole) if outer else []
        self.step = outer.step if outer else None  # (name, steps) of the scan around
        self.in_scan = outer is not None and outer.in_scan  # or in what is applied in one
        self.stepped = set(outer.stepped) if outer else set()  # names that differ from step to step
        self.depth = outer.depth + 1 if outer else 0
        self.parameters = kind != "fn" and (outer is None or outer.parameters)  # may hold layers
        self.declares = self.parameters and (outer is None or outer.declares)  # may state a parameter

    def put(self, text):
        self.lines += ["  " + line for line in text.split("\n")]

    def enclose(self, head, inner):
        self.put(head + " {")
        self.lines += ["  " + line for line in inner.lines]
        self.put("}")

    def know(self, name, shape, batched, parents, whole=0):
        t = Tensor(name, shape, batched, parents, whole)
        self.forget(name)
        self.stepped.discard(name)
        made = self.lines[-1] if self.lines else ""
        if self.step and (self.stepped & t.parents or self.step[0] in made or "random" in made or "dropout" in made):
            self.stepped.add(name)
        (self.whole if whole else self.tensors).append(t)
        return t

    def forget(self, name):
        self.tensors = [t for t in self.tensors if t.name != name]
        self.whole = [t for t in self.whole if t.name != name]

    def let(self, text, shape, *inputs):
        """A whole tensor made of others."""
        name = self.name_for(inputs)
        self.put(f"{name} = {text}")
        parents = {name_ for t in inputs for name_ in t.parents | {t.name}}
        return self.know(name, shape, any(t.batched for t in inputs), parents)

    def name_for(self, inputs):
        """Mostly a new name; now and then one that is thereby no longer what it was."""
        if self.kind == "model" and self.depth == 0 and self.p.r.random() < 0.05 and inputs and inputs[0].name.startswith("v"):
            return inputs[0].name
        return self.p.fresh()

    def pick(self, rank=None, least=0, pairs=False, smooth=False):
        fitting = [t for t in self.tensors if (rank is None or len(t.shape) == rank) and len(t.shape) >= least
                   and (pairs or BATCH not in t.shape)]
        if not fitting:
            return None
        return self.p.r.choice(fitting[-5:] if self.p.r.random() < 0.5 else fitting)

    def parameter(self, shape):
        name = self.p.fresh()
        r = self.p.r
        dims = f"[{', '.join(map(str, shape))}]" if shape else ""
        start = r.choice(["~ normal(0, 0.5)", "~ uniform(-1, 1)", "~ glorot_uniform(fan_in = 3, fan_out = 4)"])
        if not shape and r.random() < 0.3:
            start = "= 0.3"  # equal elements would tie in every max
        if len(shape) == 2 and r.random() < 0.2:
            start = "~ orthogonal"
        self.put(f"param {name}{dims} {start}")
        if self.kind == "model" and self.depth == 0:
            self.p.parameters.append(name)
        return self.know(name, shape, False, ())
