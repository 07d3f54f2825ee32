"""The workloads and their floors.

A floor is what no program can beat: the arithmetic of the contractions at the machine's
multiply-add rate, or the bytes that must move at the bandwidth of the memory that holds them,
whichever takes longer.  The counts below are by hand, from the formulas beside them.

  flops   of the products alone: forward once, backward once for the weights and once for the
          layer's input, except for a first layer, whose input needs no gradient
  bytes   each weight read once forward, read and written by the update, each moment read and
          written; each activation that the backward pass needs written once and read once
"""
from collections import namedtuple

Workload = namedtuple("Workload", "name model batch flops parameters moments activations why")

# of one example: multiply and add count as two


def dense(i, o):
    return 2 * i * o


def conv(h, w, depth, filters):
    return 2 * h * w * depth * filters


def first(flops):
    return 2 * flops


def later(flops):
    return 3 * flops


def dense_parameters(*widths):
    return sum(i * o + o for i, o in zip(widths, widths[1:]))


def mlp(batch):
    return Workload(f"mlp-{batch}", "mlp", batch,
                    batch * (first(dense(784, 256)) + later(dense(256, 10))),
                    dense_parameters(784, 256, 10), 0, 784 + 256,
                    "784-256-10, SGD")


def lenet():
    flops = (first(conv(28, 28, 9, 32)) + later(conv(14, 14, 9 * 32, 64))
             + later(dense(3136, 128)) + later(dense(128, 10)))
    return Workload("lenet", "lenet", 64, 64 * flops,
                    9 * 32 + 32 + 9 * 32 * 64 + 64 + dense_parameters(3136, 128, 10), 2,
                    784 + 14 * 14 * 32 + 7 * 7 * 64 + 128, "2 convolutions, 2 dense layers, Adam")


def resnet20():
    """Each stage of 3 blocks: 6 convolutions of 3×3, and from the second on a projection."""
    flops = first(conv(32, 32, 9 * 3, 16)) + later(dense(64, 10))
    parameters, activations = 9 * 3 * 16 + 650, 32 * 32 * 3 + 32 * 32 * 16
    before = 16
    for side, width in (32, 16), (16, 32), (8, 64):
        flops += later(conv(side, side, 9 * before, width)
                       + 5 * conv(side, side, 9 * width, width))
        parameters += 9 * before * width + 5 * 9 * width * width + 14 * width
        activations += 6 * side * side * width
        if before != width:
            flops += later(conv(side, side, before, width))
            parameters += before * width
            activations += side * side * width
        before = width
    return Workload("resnet20", "resnet20", 64, 64 * flops, parameters, 1, activations,
                    "32×32 images, batch norm, momentum")


def mobile():
    area = 56 * 56
    flops = (first(2 * area * 9 * 64) + later(conv(56, 56, 64, 128))
             + later(2 * area * 9 * 128) + later(conv(56, 56, 128, 128)) + later(dense(128, 10)))
    return Workload("mobile", "mobile", 8, 8 * flops,
                    9 * 64 + 64 * 128 + 9 * 128 + 128 * 128 + 1290 + 2 * (64 + 3 * 128), 1,
                    area * (64 + 64 + 128 + 128 + 128),
                    "2 depthwise-separable blocks on 56×56×64, batch norm, momentum")


def gpt(layers=6, width=384, places=256, tokens=65):
    """A place sees (places + 1) / 2 others on average: the causal half is counted, no more."""
    seen = (places + 1) / 2
    token = layers * (2 * 12 * width * width + 2 * 2 * width * seen) + dense(width, tokens)
    parameters = layers * (12 * width * width + 13 * width) + 2 * tokens * width + places * width
    # of a layer: its input, normed, q k v, attention's result, normed, 4 hidden
    activations = places * width * (layers * 14 + 2)
    return Workload("gpt", "gpt", 12, later(12 * places * token), parameters, 2, activations,
                    "6 layers, 6 heads, width 384, context 256, AdamW; causal half")


def lstm(places=64, width=64, units=256, tokens=65):
    place = dense(width + units, 4 * units) + dense(units, tokens)
    return Workload("lstm", "lstm", 32, later(32 * places * place),
                    4 * units * (width + units + 2) + tokens * width + dense_parameters(units, tokens),
                    2, places * (width + 6 * units), "65-64-256, 64 steps, Adam")


WORKLOADS = [
    Workload("iris", "iris", 16, 16 * (first(dense(4, 16)) + later(dense(16, 3))),
             dense_parameters(4, 16, 3), 0, 4 + 16, "4-16-3, SGD"),
    mlp(1), mlp(64), mlp(1024),
    Workload("wide", "wide", 128,
             128 * (first(dense(784, 1024)) + later(dense(1024, 1024)) + later(dense(1024, 10))),
             dense_parameters(784, 1024, 1024, 10), 2, 784 + 2 * 1024,
             "784-1024-1024-10, Adam"),
    lenet(), resnet20(), lstm(), gpt(), mobile(),
]


def moved_bytes(w):
    return 4 * (w.parameters * (3 + 2 * w.moments) + 2 * w.batch * w.activations)


def resident_bytes(w):
    return 4 * (w.parameters * (1 + w.moments) + w.batch * w.activations)


def floor(w, limits):
    """(seconds, what sets them); `limits` as bench/limits prints them for so many threads."""
    level = next((l for l in ("L1", "L2", "L3") if resident_bytes(w) <= limits["size"][l]), "DRAM")
    compute = w.flops / (limits["fma"] * 1e9)
    memory = moved_bytes(w) / (limits[level] * 1e9)
    return (compute, "flops") if compute >= memory else (memory, level)
