"""Times matrix products in NumPy, which is to say in its BLAS: ROWSxDEPTHxCOLUMNS …, one after another."""
import sys

import numpy

import common

random = numpy.random.default_rng(1)


def operands(shape):
    rows, depth, columns = map(int, shape.split("x"))
    return (random.random((rows, depth), numpy.float32), random.random((depth, columns), numpy.float32),
            numpy.empty((rows, columns), numpy.float32))


pairs = [operands(shape) for shape in sys.argv[1:]]


def step():
    for a, b, c in pairs:
        numpy.matmul(a, b, c)


common.report(step, 3, 0.1)
