"""Training steps of the two-layer nets in NumPy, written out by hand and in place."""
import numpy

import common

# units of each layer, activation, its slope from its value
MODELS = {
    "iris": ((4, 16, 3), numpy.tanh, lambda h: 1 - h * h),
    "mlp": ((784, 256, 10), lambda z: numpy.maximum(z, 0), lambda h: h > 0),
}


def make_step(name, batch, rate=numpy.float32(0.01)):
    (inputs, hidden, classes), activate, slope = MODELS[name]
    random = numpy.random.default_rng(1)
    x = random.uniform(-1, 1, (batch, inputs)).astype(numpy.float32)
    label = random.integers(classes, size=batch)
    rows = numpy.arange(batch)
    w1 = random.uniform(-0.05, 0.05, (inputs, hidden)).astype(numpy.float32)
    w2 = random.uniform(-0.1, 0.1, (hidden, classes)).astype(numpy.float32)
    b1, b2 = numpy.zeros(hidden, numpy.float32), numpy.zeros(classes, numpy.float32)

    def step():
        h = x @ w1
        h += b1
        h = activate(h)
        p = h @ w2
        p += b2
        p -= p.max(1, keepdims=True)
        numpy.exp(p, p)
        p /= p.sum(1, keepdims=True)
        loss = -numpy.log(p[rows, label]).mean()
        p[rows, label] -= 1
        p *= rate / batch  # the update's factor, applied where the tensor is smallest
        d = p @ w2.T
        d *= slope(h)
        numpy.subtract(w2, h.T @ p, w2)
        numpy.subtract(b2, p.sum(0), b2)
        numpy.subtract(w1, x.T @ d, w1)
        numpy.subtract(b1, d.sum(0), b1)
        return loss

    return step


def main():
    a = common.arguments(MODELS)
    common.report(make_step(a.model, a.batch), a.blocks, a.seconds)
    print("version", numpy.__version__)


main()
