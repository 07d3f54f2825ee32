"""Runs models through the C ABI: compiles .nn text, loads the object, and shows its tensors as NumPy
arrays.  The structs mirror runtime/gradrt.h.

    m = build('model a { … }', sys.argv[1])     # gradc -c, cc -shared
    a = m.instance(seed=1)
    a['dense_1.weight'][:] = …                  # parameters, states, moments, hyper-parameters
    loss = a.gradient(x=…, label=…)             # then a.grad('dense_1.weight')
    y = a.predict(x=…)['y']
"""

import ctypes as c
import os
import subprocess

import numpy as np

PARAM, STATE, MOMENT, GRADIENT, HYPER, AVERAGE = range(6)
DTYPES = [np.bool_, np.uint8, np.uint16, np.int32, np.float32, np.float64]

pointer = c.c_void_p
shape_t = c.POINTER(c.c_int64)


class Tensor(c.Structure):
    _fields_ = [("name", c.c_char_p), ("type", c.c_int), ("role", c.c_int), ("rank", c.c_int), ("shape", shape_t),
                ("offset", c.c_uint64), ("count", c.c_uint64), ("frozen", c.c_int), ("initial", c.c_double),
                ("of", c.c_int), ("loss", c.c_int)]


class Port(c.Structure):
    _fields_ = [("name", c.c_char_p), ("type", c.c_int), ("domain", c.c_int), ("classes", c.c_int64), ("rank", c.c_int),
                ("shape", shape_t), ("count", c.c_uint64), ("is_target", c.c_int), ("for_predict", c.c_int)]


class Metric(c.Structure):
    _fields_ = [("name", c.c_char_p), ("rank", c.c_int), ("shape", shape_t), ("count", c.c_uint64), ("slot", c.c_uint64)]


class Train(c.Structure):
    _fields_ = [("data", pointer), ("holdout", pointer), ("holdout_fraction", c.c_double), ("batch", c.c_uint64),
                ("accumulate", c.c_uint64), ("epochs", c.c_uint64), ("steps", c.c_uint64),
                ("evaluate_every", c.c_uint64), ("evaluate_in_epochs", c.c_int), ("best_by", c.c_char_p),
                ("best_is_larger", c.c_int), ("patience", c.c_uint64), ("seed", c.c_uint64), ("shuffle", c.c_int)]


class Descriptor(c.Structure):
    _fields_ = [
        ("abi", c.c_uint32), ("name", c.c_char_p), ("source", c.c_char_p), ("real", c.c_int),
        ("tensors", c.POINTER(Tensor)), ("tensor_count", c.c_int),
        ("inputs", c.POINTER(Port)), ("input_count", c.c_int),
        ("outputs", c.POINTER(Port)), ("output_count", c.c_int),
        ("losses", c.POINTER(c.c_char_p)), ("loss_count", c.c_int),
        ("metrics", c.POINTER(Metric)), ("metric_count", c.c_int),
        ("layers", pointer), ("layer_count", c.c_int),
        ("train", c.POINTER(Train)), ("inits", pointer), ("init_count", c.c_int),
        ("instance_bytes", c.c_uint64), ("scratch_bytes", c.c_uint64),
        ("persistent_bytes", c.c_uint64), ("workspace_bytes", c.c_uint64), ("accumulator_count", c.c_int),
        ("value_count", c.c_int),
        ("fit_count", c.c_uint64), ("fit_passes", c.c_int),
        ("generated", c.c_int), ("endless", c.c_int),
        ("bytes", c.CFUNCTYPE(c.c_size_t, c.c_size_t)),
        ("init", c.CFUNCTYPE(pointer, pointer, c.c_uint64)),
        ("threads", c.CFUNCTYPE(None, pointer, pointer, pointer, c.c_size_t)),
        ("step", c.CFUNCTYPE(c.c_double, pointer, pointer, c.c_size_t)),
        ("gradient", c.CFUNCTYPE(c.c_double, pointer, pointer, c.c_size_t, c.c_double, c.c_int)),
        ("update", c.CFUNCTYPE(None, pointer)),
        ("loss", c.CFUNCTYPE(c.c_double, pointer, pointer, c.c_size_t, c.POINTER(c.c_double))),
        ("evaluate", c.CFUNCTYPE(None, pointer, pointer, c.c_size_t, c.POINTER(c.c_double))),
        ("finish", c.CFUNCTYPE(None, pointer, c.POINTER(c.c_double), c.c_uint64, c.POINTER(c.c_double))),
        ("fit", c.CFUNCTYPE(None, pointer, pointer, c.c_size_t, c.POINTER(c.c_double))),
        ("fitted", c.CFUNCTYPE(None, pointer, c.POINTER(c.c_double), c.c_uint64)),
        ("predict", c.CFUNCTYPE(None, pointer, pointer, c.c_size_t, pointer)),
        ("generate", c.CFUNCTYPE(None, pointer, c.c_size_t, c.c_uint32, pointer)),
        ("diagnose", c.CFUNCTYPE(c.c_char_p, pointer, pointer, c.c_size_t)),
        ("get_step", c.CFUNCTYPE(c.c_uint64, pointer)),
        ("set_step", c.CFUNCTYPE(None, pointer, c.c_uint64)),
        ("kernels", pointer), ("kernel_count", c.c_int), ("profile", pointer), ("peak", pointer), ("read", pointer),
    ]


def shape_of(thing):
    return tuple(thing.shape[i] for i in range(thing.rank))


class Instance:
    """One model in memory of its own."""

    def __init__(self, model, seed):
        self.model, self.d = model, model.d
        size = self.d.bytes(1)
        # What lies in the block before must not matter.
        self.block = np.full(size + 64, 0xA5, np.uint8)
        self.base = -self.block.ctypes.data % 64
        self.me = self.d.init(self.block.ctypes.data + self.base, seed)
        self.tensors = {}
        self.gradients = {}
        for i in range(self.d.tensor_count):
            t = self.d.tensors[i]
            start = self.base + t.offset
            view = self.block[start:start + t.count * np.dtype(DTYPES[t.type]).itemsize]
            view = view.view(DTYPES[t.type]).reshape(shape_of(t))
            if t.role == GRADIENT:
                self.gradients[self.d.tensors[t.of].name.decode()] = view
            else:
                assert t.name.decode() not in self.tensors, t.name
                self.tensors[t.name.decode()] = view

    def __getitem__(self, name):
        return self.tensors[name]

    def names(self, role):
        return [self.d.tensors[i].name.decode() for i in range(self.d.tensor_count) if self.d.tensors[i].role == role]

    def grad(self, name):
        return self.gradients[name]

    def inputs(self, values, need_targets=True):
        """An array of pointers in the order of the ports, and the number of examples."""
        self.kept, n = [], None
        pointers = (pointer * max(self.d.input_count, 1))()
        for i in range(self.d.input_count):
            port = self.d.inputs[i]
            name = port.name.decode()
            if name not in values and port.is_target and not need_targets:
                continue
            given = np.asarray(values[name])
            rows = np.ascontiguousarray(given, DTYPES[port.type])
            n = rows.shape[0] if n is None else n
            assert rows.shape == (n,) + shape_of(port), (name, rows.shape, (n,) + shape_of(port))
            self.kept.append(rows)
            pointers[i] = rows.ctypes.data
        return pointers, n

    def step(self, **values):
        return self.d.step(self.me, *self.inputs(values))

    def gradient(self, scale=1, first=1, **values):
        return self.d.gradient(self.me, *self.inputs(values), scale, first)

    def update(self):
        self.d.update(self.me)

    def loss(self, **values):
        return self.d.loss(self.me, *self.inputs(values), None)

    def predict(self, **values):
        pointers, n = self.inputs(values, need_targets=False)
        outputs, result = (pointer * max(self.d.output_count, 1))(), {}
        for i in range(self.d.output_count):
            port = self.d.outputs[i]
            rows = np.full((n,) + shape_of(port), 77, DTYPES[port.type])
            result[port.name.decode()] = rows
            outputs[i] = rows.ctypes.data
        self.d.predict(self.me, pointers, n, outputs)
        return result

    def generate(self, position, token):
        """The log-odds of the token that follows this one."""
        logits = np.full(self.d.inputs[self.d.generated].classes, 77, DTYPES[self.d.real])
        self.d.generate(self.me, position, int(token), logits.ctypes.data)
        return logits

    def spoil_workspace(self):
        """Every number in it becomes a NaN."""
        start = self.base + self.d.persistent_bytes
        self.block[start:start + self.d.workspace_bytes] = 0xFF

    def evaluate(self, batch, **values):
        """Losses and metrics over all rows, `batch` at a time."""
        sums = (c.c_double * max(self.d.accumulator_count, 1))()
        total = len(next(iter(values.values())))
        for start in range(0, total, batch):
            part = {k: v[start:start + batch] for k, v in values.items()}
            self.d.evaluate(self.me, *self.inputs(part), sums)
        out = (c.c_double * self.d.value_count)()
        self.d.finish(self.me, sums, total, out)
        result = {self.d.losses[i].decode(): out[i] for i in range(self.d.loss_count)}
        for m in (self.d.metrics[i] for i in range(self.d.metric_count)):
            result[m.name.decode()] = np.array(out[m.slot:m.slot + m.count]).reshape(shape_of(m))
        return result

    def fit(self, batch, **values):
        """States fitted to all rows, `batch` at a time."""
        total = len(next(iter(values.values())))
        for _ in range(self.d.fit_passes):
            sums = (c.c_double * self.d.fit_count)()
            for start in range(0, total, batch):
                self.d.fit(self.me, *self.inputs({k: v[start:start + batch] for k, v in values.items()}), sums)
            self.d.fitted(self.me, sums, total)

    def diagnose(self, **values):
        name = self.d.diagnose(self.me, *self.inputs(values))
        return name and name.decode()

    def bytes(self):
        return self.block[self.base:].tobytes()


class Model:
    def __init__(self, library, name):
        self.library = c.CDLL(os.path.abspath(library))
        self.d = Descriptor.in_dll(self.library, name + "_model")
        assert self.d.abi == 1

    def instance(self, seed=1):
        return Instance(self, seed)


def build(text, stem, *options):
    """The first model of the text, compiled."""
    name = next(line.split()[1] for line in text.splitlines() if line.startswith("model "))
    stem = f"{stem}.{name}"
    with open(stem + ".nn", "w") as file:
        file.write(text)
    subprocess.run(["gradc", "-c", *options, stem + ".nn", "-o", stem + ".o"], check=True)
    subprocess.run([*os.environ.get("CC", "cc").split(), "-shared", "-nostdlib", "-o", stem + ".so", stem + ".o"], check=True)
    return Model(stem + ".so", name)


def close(what, got, want, tolerance=1e-5, least=1e-3):
    """Fails unless every element lies within tolerance, relative to the largest in `want` or to `least`."""
    got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
    assert got.shape == want.shape, f"{what}: shape {got.shape}, not {want.shape}"
    if got.size == 0:
        return
    assert np.isfinite(want).all(), f"{what}: the reference is not finite"
    off = np.abs(got - want) / max(np.abs(want).max(), least)
    worst = np.unravel_index(np.argmax(np.where(np.isfinite(off), off, np.inf)), off.shape)
    assert off[worst] <= tolerance, f"{what}{[int(i) for i in worst]}: {got[worst]:.9g}, not {want[worst]:.9g} ({off[worst]:.2g})"
