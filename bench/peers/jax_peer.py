"""Training steps in JAX on the CPU: one jitted function a step, its parameters donated."""
import os

import common

A = common.arguments(["iris", "mlp", "wide", "lenet", "resnet20", "mobile", "gpt", "lstm"])
# XLA sizes its pool by the processors that it sees when it starts.
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:A.threads])
os.environ["XLA_FLAGS"] = (os.environ.get("XLA_FLAGS", "") +
                           f" --xla_cpu_multi_thread_eigen={'true' if A.threads > 1 else 'false'}")
os.environ["JAX_PLATFORMS"] = "cpu"

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy  # noqa: E402

from jax_models import MODELS  # noqa: E402

each = jax.tree.map


def sgd(w, g, moments, step):
    return each(lambda w, g: w - 0.01 * g, w, g), moments


def momentum(w, g, moments, step):
    v = each(lambda v, w, g: 0.9 * v + g, moments[0], w, g)
    return each(lambda w, v: w - 0.01 * v, w, v), (v, *moments[1:])


def adam(w, g, moments, step, decay=0.0, rate=1e-3):
    m = each(lambda m, g: 0.9 * m + 0.1 * g, moments[0], g)
    v = each(lambda v, g: 0.999 * v + 0.001 * g * g, moments[1], g)
    scale_m, scale_v = 1 / (1 - 0.9 ** step), 1 / (1 - 0.999 ** step)

    def moved(w, m, v):
        return w - rate * (m * scale_m / (jnp.sqrt(v * scale_v) + 1e-8) + decay * w)

    return each(moved, w, m, v), (m, v)


def adamw(w, g, moments, step):
    return adam(w, g, moments, step, decay=0.01, rate=3e-4)


OPTIMIZERS = {"sgd": (sgd, 0), "momentum": (momentum, 1), "adam": (adam, 2), "adamw": (adamw, 2)}


def make_step(name, batch):
    """A function that does one step and waits for it, as every other peer does."""
    parameters, logits, shape, tokens, target, classes, optimizer = MODELS[name]
    update, count = OPTIMIZERS[optimizer]
    random = numpy.random.default_rng(1)
    x = jnp.asarray(random.integers(tokens, size=(batch, *shape)) if tokens
                    else random.uniform(-1, 1, (batch, *shape)).astype(numpy.float32))
    label = jnp.asarray(random.integers(classes, size=(batch, *target)))

    def loss_of(w):
        p = jax.nn.log_softmax(logits(w, x))
        return -jnp.take_along_axis(p, label[..., None], axis=-1).mean()

    def advance(w, moments, step):
        loss, g = jax.value_and_grad(loss_of)(w)
        return (*update(w, g, moments, step), step + 1, loss)

    advance = jax.jit(advance, donate_argnums=(0, 1, 2))
    w = parameters()
    now = [w, tuple(each(jnp.zeros_like, w) for _ in range(count)), jnp.float32(1)]

    def step():
        *now[:], loss = advance(*now)
        return loss.block_until_ready()

    return step


common.report(make_step(A.model, A.batch), A.blocks, A.seconds)
print("version", jax.__version__)
