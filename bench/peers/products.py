"""Times products and convolutions of a library, one after another: what OpenBLAS (by NumPy), MKL and oneDNN
(by PyTorch) need for what one kernel of gradc does.

    products.py LIBRARY THREADS KERNEL …

    matrix:NT:64x784x256         rows × depth × columns; T: the left, the right operand lies transposed
    matrix:NN:72x256x64x256      the same, 72 times
    conv:forward:64x14x14x32x64  images × height × width × channels × filters, of 3×3; also
                                 conv:weights and conv:input, its two gradients
    depthwise:forward:8x56x56x64 a filter for each channel"""
import sys

import common


def numpy_step(kind, what, sizes):
    import numpy
    random = numpy.random.default_rng(1)
    *many, rows, depth, columns = sizes

    def operand(i, j, transposed):
        if not transposed:
            return random.random((*many, i, j), numpy.float32)
        return random.random((*many, j, i), numpy.float32).swapaxes(-1, -2)

    a, b = operand(rows, depth, what[0] == "T"), operand(depth, columns, what[1] == "T")
    c = numpy.empty((*many, rows, columns), numpy.float32)
    return lambda: numpy.matmul(a, b, c)


def torch_matrix(torch, what, sizes):
    *many, rows, depth, columns = sizes

    def operand(i, j, transposed):
        return torch.rand(*many, j, i).transpose(-1, -2) if transposed else torch.rand(*many, i, j)

    a, b = operand(rows, depth, what[0] == "T"), operand(depth, columns, what[1] == "T")
    c = torch.empty(*many, rows, columns)
    return lambda: torch.matmul(a, b, out=c)


def torch_convolution(torch, what, sizes, groups, layout):
    images, height, width, channels, filters = sizes
    x = torch.rand(images, channels, height, width).to(memory_format=layout)
    dy = torch.rand(images, filters, height, width).to(memory_format=layout)
    w = torch.rand(filters, channels // groups, 3, 3).to(memory_format=layout)
    how = ([1, 1], [1, 1], [1, 1], False, [0, 0], groups)
    if what == "forward":
        return lambda: torch.ops.aten.convolution(x, w, None, *how)
    wanted = [what == "input", what == "weights", False]
    return lambda: torch.ops.aten.convolution_backward(dy, x, w, None, *how, wanted)


def torch_steps(kind, what, sizes, threads):
    """One step, or one in each layout."""
    import torch
    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    if kind == "matrix":
        return [torch_matrix(torch, what, sizes)]
    groups = sizes[3] if kind == "depthwise" else 1
    sizes = sizes + sizes[3:] if kind == "depthwise" else sizes
    return [torch_convolution(torch, what, sizes, groups, layout)
            for layout in (torch.channels_last, torch.contiguous_format)]


def faster(steps):
    """The one that a short trial prefers."""
    return min(steps, key=lambda s: common.time_steps(s, common.count_steps(s, 0.05))[0])


def main():
    library, threads = sys.argv[1], int(sys.argv[2])
    steps = []
    for kernel in sys.argv[3:]:
        kind, what, shape = kernel.split(":")
        sizes = [int(n) for n in shape.split("x")]
        if library == "numpy":
            steps.append(numpy_step(kind, what, sizes))
        else:
            steps.append(faster(torch_steps(kind, what, sizes, threads)))
    common.report(lambda: [step() for step in steps], 3, 0.1)


main()
