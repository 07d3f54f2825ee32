"""Weights from PyTorch to gradc and back.  README.md beside it says when to run what.

    python3 exchange.py make                      # pretrained.safetensors, image.npy, pictures.npz, probs.npy
    python3 exchange.py compare FILE PROBS.npy    # a network from gradc's FILE gives the same
"""

import sys

import numpy as np
import torch
from safetensors.torch import load_file, save_file


class Pictures(torch.nn.Module):
    """What pictures.nn says; axes and names of the parameters are equal."""

    def __init__(self):
        super().__init__()
        self.stem = torch.nn.Conv2d(3, 8, 3, padding="same")
        self.norm = torch.nn.BatchNorm2d(8)
        self.layer_norm_1 = torch.nn.LayerNorm(8)
        self.head = torch.nn.Linear(8, 4)

    def forward(self, image):
        h = torch.relu(self.norm(self.stem(image))).mean(dim=(2, 3))
        return self.head(self.layer_norm_1(h))


def probs(net, image):
    """Images are (n, 16, 16, 3) in gradc, (n, 3, 16, 16) in PyTorch."""
    net.eval()
    with torch.no_grad():
        return torch.softmax(net(torch.tensor(image).permute(0, 3, 1, 2)), dim=1).numpy()


def make():
    torch.manual_seed(1)
    net, image = Pictures(), torch.randn(48, 16, 16, 3)
    net.train()
    net(image.permute(0, 3, 1, 2))  # moves the running statistics away from 0 and 1
    save_file(net.state_dict(), "pretrained.safetensors")
    np.savez("pictures.npz", image=image.numpy(), label=np.arange(48, dtype=np.uint8) % 4)
    np.save("image.npy", image.numpy())
    np.save("probs.npy", probs(net, image.numpy()))


def compare(file, theirs):
    net = Pictures()
    weights = {name: tensor for name, tensor in load_file(file).items() if not name.startswith("optimizer.")}
    net.load_state_dict(weights)
    off = np.abs(probs(net, np.load("image.npy")) - np.load(theirs)).max()
    print(f"largest difference {off:.1e}")
    sys.exit(int(off > 1e-5))


if sys.argv[1:2] == ["make"]:
    make()
elif sys.argv[1:2] == ["compare"]:
    compare(*sys.argv[2:])
else:
    sys.exit(__doc__)
