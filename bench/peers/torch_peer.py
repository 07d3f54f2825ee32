"""Training steps in PyTorch on the CPU, at its best settings: fused or foreach optimizer, and for
images either layout; a short trial chooses.  Also repeats the steps that bench/step wrote down."""
import glob
import itertools
import os

import numpy
import torch
from torch.nn import functional as F

import common
from torch_models import MODELS


def make_step(name, layout, how, compiled, x, label):
    """A function that does one step on (x, label)."""
    module, _, _, _, classes, optimizer, _ = MODELS[name]
    torch.manual_seed(1)
    net = module().to(memory_format=layout)
    optimize = optimizer(net.parameters(), how)
    if layout == torch.contiguous_format and x.dim() == 4:
        # NCHW in memory, seen as NHWC: the module turns it back for nothing
        x = x.permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1)

    def loss_of(x, label):
        return F.cross_entropy(net(x).reshape(-1, classes), label.reshape(-1))

    if compiled:
        loss_of = torch.compile(loss_of)

    def step():
        optimize.zero_grad(set_to_none=True)
        loss = loss_of(x, label)
        loss.backward()
        optimize.step()
        return loss

    return step


def variants(name):
    layouts = [torch.channels_last, torch.contiguous_format] if MODELS[name][6] else [
        torch.contiguous_format]
    return itertools.product(layouts, [{"fused": True}, {"foreach": True}])


def random_data(name, batch):
    _, shape, tokens, target, classes, _, _ = MODELS[name]
    x = torch.randint(tokens, (batch, *shape)) if tokens else torch.rand(batch, *shape) * 2 - 1
    return x, torch.randint(classes, (batch, *target))


def time_model(a):
    x, label = random_data(a.model, a.batch)
    best = None
    for layout, how in variants(a.model):
        step = make_step(a.model, layout, how, False, x, label)
        count = common.count_steps(step, min(a.seconds, 0.2))
        took = common.time_steps(step, count)[0]
        if best is None or took < best[0]:
            best = took, layout, how
    print("settings", str(best[1]).replace("torch.", ""), *best[2], "compile" * a.compile)
    common.report(make_step(a.model, best[1], best[2], a.compile, x, label), a.blocks, a.seconds)


def load_parameters(net, folder):
    """By name; returns those of either side that the other lacks."""
    files = {os.path.basename(f)[:-4]: f for f in glob.glob(os.path.join(folder, "*.npy"))}
    own = dict(net.named_parameters())
    for key in own.keys() & files.keys():
        with torch.no_grad():
            own[key].copy_(torch.from_numpy(numpy.load(files[key])))
    return own.keys() ^ files.keys()


def load_batch(folder, step):
    files = sorted(glob.glob(os.path.join(folder, str(step), "*.npy")))
    arrays = {os.path.basename(f)[:-4]: torch.from_numpy(numpy.load(f)) for f in files}
    x = arrays.get("x", arrays.get("image", arrays.get("token")))
    label = arrays.get("label", arrays.get("next")).long()
    return x if x.is_floating_point() else x.long(), label


def repeat_trace(a):
    module, _, _, _, classes, optimizer, _ = MODELS[a.model]
    net = module()
    missing = load_parameters(net, a.trace)
    if missing:
        raise SystemExit("parameters that only one side has: " + ", ".join(sorted(missing)))
    optimize = optimizer(net.parameters(), {})
    for step in range(a.steps):
        x, label = load_batch(a.trace, step)
        optimize.zero_grad()
        loss = F.cross_entropy(net(x).reshape(-1, classes), label.reshape(-1))
        loss.backward()
        optimize.step()
        print("loss %.9g" % loss.item())


def main():
    a = common.arguments(MODELS)
    torch.set_num_threads(a.threads)
    torch.set_num_interop_threads(1)
    if a.trace:
        repeat_trace(a)
    else:
        time_model(a)
    print("version", torch.__version__)


main()
