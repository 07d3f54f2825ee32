"""Compares a model compiled by gradc, in f32, with the same formulas in PyTorch, in f64."""

import numpy as np
import torch

from harness import PARAM, close


def leaves_of(instance):
    return {name: torch.tensor(np.array(instance[name], np.float64), requires_grad=True) for name in instance.names(PARAM)}


def tensors_of(values):
    """Whole numbers become indices, real ones f64 (of what f32 can hold)."""
    return {
        name: torch.tensor(v.astype(np.int64)) if v.dtype.kind in "iub" else torch.tensor(v.astype(np.float32).astype(np.float64))
        for name, v in values.items()
    }


def compare(what, instance, reference, values, tolerance=1e-5, outputs=True):
    """reference(tensors) gives the mean loss and a dictionary of outputs."""
    leaves = leaves_of(instance)
    loss, expected = reference({**leaves, **tensors_of(values)})
    loss.backward()
    close(f"{what}: loss", instance.gradient(**values), loss.item(), tolerance)
    for name, leaf in leaves.items():
        want = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
        close(f"{what}: gradient of {name}", instance.grad(name), want.numpy(), tolerance)
    if outputs and expected:
        got = instance.predict(**values)
        for name, want in expected.items():
            close(f"{what}: {name}", got[name], want.detach().numpy(), tolerance)
