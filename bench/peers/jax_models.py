"""The workloads in plain JAX: a tree of parameters from random numbers, and the logits of a batch.
Images are NHWC and weights HWIO, the layout that XLA's convolutions on the CPU take best."""
import jax
import jax.numpy as jnp
import numpy
from jax import lax

random = numpy.random.default_rng(1)


def weight(*shape):
    return jnp.asarray(random.normal(0, 0.05, shape), jnp.float32)


def dense(i, o):
    return {"w": weight(i, o), "b": jnp.zeros(o)}


def apply(p, x):
    return x @ p["w"] + p["b"]


def chain(*widths):
    return [dense(i, o) for i, o in zip(widths, widths[1:])]


def perceptron(activate):
    def logits(layers, x):
        for p in layers[:-1]:
            x = activate(apply(p, x))
        return apply(layers[-1], x)
    return logits


def conv(x, w, stride=1, groups=1, pad=1):
    return lax.conv_general_dilated(x, w, (stride, stride), [(pad, pad), (pad, pad)],
                                    dimension_numbers=("NHWC", "HWIO", "NHWC"),
                                    feature_group_count=groups)


def max_pool(x):
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def scale_shift(width):
    return {"scale": jnp.ones(width), "shift": jnp.zeros(width)}


def normalize(p, x, axes):
    """Over these axes, with mean 0 and variance 1."""
    mean = x.mean(axes, keepdims=True)
    variance = jnp.square(x - mean).mean(axes, keepdims=True)
    return (x - mean) * lax.rsqrt(variance + 1e-5) * p["scale"] + p["shift"]


def batch_norm(p, x):
    return normalize(p, x, (0, 1, 2))


def layer_norm(p, x):
    return normalize(p, x, (-1,))


# ---- lenet -------------------------------------------------------------------------------------------


def lenet_parameters():
    return {"c1": weight(3, 3, 1, 32), "b1": jnp.zeros(32), "c2": weight(3, 3, 32, 64),
            "b2": jnp.zeros(64), "dense": chain(3136, 128, 10)}


def lenet(p, x):
    x = max_pool(jax.nn.relu(conv(x, p["c1"]) + p["b1"]))
    x = max_pool(jax.nn.relu(conv(x, p["c2"]) + p["b2"]))
    return perceptron(jax.nn.relu)(p["dense"], x.reshape(x.shape[0], -1))


# ---- resnet20 ----------------------------------------------------------------------------------------

RESNET = [(16, 16, 1)] * 3 + [(16, 32, 2), (32, 32, 1), (32, 32, 1)] + [
    (32, 64, 2), (64, 64, 1), (64, 64, 1)]


def residual_parameters(before, filters, stride):
    p = {"c1": weight(3, 3, before, filters), "n1": scale_shift(filters),
         "c2": weight(3, 3, filters, filters), "n2": scale_shift(filters)}
    if stride != 1:
        p.update(c3=weight(1, 1, before, filters), n3=scale_shift(filters))
    return p


def resnet20_parameters():
    return {"stem": weight(3, 3, 3, 16), "norm": scale_shift(16), "dense": chain(64, 10),
            "blocks": [residual_parameters(*shape) for shape in RESNET]}


def residual(p, x, stride):
    y = jax.nn.relu(batch_norm(p["n1"], conv(x, p["c1"], stride)))
    y = batch_norm(p["n2"], conv(y, p["c2"]))
    if "c3" in p:
        x = batch_norm(p["n3"], conv(x, p["c3"], stride, pad=0))
    return jax.nn.relu(x + y)


def resnet20(p, x):
    x = jax.nn.relu(batch_norm(p["norm"], conv(x, p["stem"])))
    for block, (_, _, stride) in zip(p["blocks"], RESNET):
        x = residual(block, x, stride)
    return apply(p["dense"][0], x.mean((1, 2)))


# ---- mobile ------------------------------------------------------------------------------------------


def separable_parameters(before, filters):
    return {"depthwise": weight(3, 3, 1, before), "n1": scale_shift(before),
            "pointwise": weight(1, 1, before, filters), "n2": scale_shift(filters)}


def mobile_parameters():
    return {"blocks": [separable_parameters(64, 128), separable_parameters(128, 128)],
            "dense": chain(128, 10)}


def mobile(p, x):
    for block in p["blocks"]:
        x = conv(x, block["depthwise"], groups=x.shape[-1])
        x = jax.nn.relu(batch_norm(block["n1"], x))
        x = jax.nn.relu(batch_norm(block["n2"], conv(x, block["pointwise"], pad=0)))
    return apply(p["dense"][0], x.mean((1, 2)))


# ---- gpt ---------------------------------------------------------------------------------------------


def block_parameters(width):
    return {"qkv": dense(width, 3 * width), "out": dense(width, width), "up": dense(width, 4 * width),
            "down": dense(4 * width, width), "n1": scale_shift(width), "n2": scale_shift(width)}


def gpt_parameters(places=256, width=384, layers=6, tokens=65):
    return {"table": weight(tokens, width), "places": weight(places, width), "norm": scale_shift(width),
            "blocks": [block_parameters(width) for _ in range(layers)], "head": weight(width, tokens)}


def attention(p, x, heads):
    n, t, width = x.shape
    q, k, v = jnp.split(apply(p["qkv"], x).reshape(n, t, heads, -1), 3, axis=-1)
    y = jax.nn.dot_product_attention(q, k, v, is_causal=True)
    return apply(p["out"], y.reshape(n, t, width))


def gpt(p, token):
    x = p["table"][token] + p["places"]
    for block in p["blocks"]:
        x = x + attention(block, layer_norm(block["n1"], x), 6)
        h = jax.nn.gelu(apply(block["up"], layer_norm(block["n2"], x)), approximate=False)
        x = x + apply(block["down"], h)
    return layer_norm(p["norm"], x) @ p["head"]


# ---- lstm --------------------------------------------------------------------------------------------


def lstm_parameters(tokens=65, width=64, units=256):
    return {"table": weight(tokens, width), "x": dense(width, 4 * units), "h": weight(units, 4 * units),
            "dense": dense(units, tokens)}


def lstm(p, token):
    projected = apply(p["x"], p["table"][token]).transpose(1, 0, 2)
    start = jnp.zeros((token.shape[0], p["h"].shape[0]))

    def step(carry, x):
        h, c = carry
        i, f, g, o = jnp.split(x + h @ p["h"], 4, axis=-1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    return apply(p["dense"], lax.scan(step, (start, start), projected)[1].transpose(1, 0, 2))


# name: parameters, logits, shape of one example's input, tokens (0: real numbers), shape of its
# target, classes, optimizer
MODELS = {
    "iris": (lambda: chain(4, 16, 3), perceptron(jnp.tanh), (4,), 0, (), 3, "sgd"),
    "mlp": (lambda: chain(784, 256, 10), perceptron(jax.nn.relu), (784,), 0, (), 10, "sgd"),
    "wide": (lambda: chain(784, 1024, 1024, 10), perceptron(jax.nn.relu), (784,), 0, (), 10, "adam"),
    "lenet": (lenet_parameters, lenet, (28, 28, 1), 0, (), 10, "adam"),
    "resnet20": (resnet20_parameters, resnet20, (32, 32, 3), 0, (), 10, "momentum"),
    "mobile": (mobile_parameters, mobile, (56, 56, 64), 0, (), 10, "momentum"),
    "gpt": (gpt_parameters, gpt, (256,), 65, (256,), 65, "adamw"),
    "lstm": (lstm_parameters, lstm, (64,), 65, (64,), 65, "adam"),
}
