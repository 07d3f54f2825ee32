"""The workloads as PyTorch modules.  Parameters have the names and shapes of the .nn files'."""
import torch
from torch import nn
from torch.nn import functional as F


class Sequence(nn.Module):
    """The batch's images are NHWC, as in the .nn files; `flat` keeps their order of features."""

    @staticmethod
    def image(x):
        return x.permute(0, 3, 1, 2)

    @staticmethod
    def flat(x):
        return x.permute(0, 2, 3, 1).flatten(1)


class Iris(nn.Module):
    def __init__(self):
        super().__init__()
        self.dense_1 = nn.Linear(4, 16)
        self.dense_2 = nn.Linear(16, 3)

    def forward(self, x):
        return self.dense_2(torch.tanh(self.dense_1(x)))


class Mlp(nn.Module):
    def __init__(self):
        super().__init__()
        self.dense_1 = nn.Linear(784, 256)
        self.dense_2 = nn.Linear(256, 10)

    def forward(self, x):
        return self.dense_2(F.relu(self.dense_1(x)))


class Wide(nn.Module):
    def __init__(self):
        super().__init__()
        self.dense_1 = nn.Linear(784, 1024)
        self.dense_2 = nn.Linear(1024, 1024)
        self.dense_3 = nn.Linear(1024, 10)

    def forward(self, x):
        return self.dense_3(F.relu(self.dense_2(F.relu(self.dense_1(x)))))


class Lenet(Sequence):
    def __init__(self):
        super().__init__()
        self.conv2d_1 = nn.Conv2d(1, 32, 3, padding=1)
        self.conv2d_2 = nn.Conv2d(32, 64, 3, padding=1)
        self.dense_1 = nn.Linear(7 * 7 * 64, 128)
        self.dense_2 = nn.Linear(128, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv2d_1(self.image(x))), 2)
        x = F.max_pool2d(F.relu(self.conv2d_2(x)), 2)
        return self.dense_2(F.relu(self.dense_1(self.flat(x))))


class Residual(nn.Module):
    def __init__(self, before, filters, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(before, filters, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(filters)
        self.projects = stride != 1
        if self.projects:
            self.conv3 = nn.Conv2d(before, filters, 1, stride, bias=False)
            self.bn3 = nn.BatchNorm2d(filters)

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu_(self.bn1(self.conv1(x)))))
        return F.relu_(y + (self.bn3(self.conv3(x)) if self.projects else x))


class Resnet20(Sequence):
    def __init__(self):
        super().__init__()
        self.conv2d_1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.batch_norm_1 = nn.BatchNorm2d(16)
        widths = [(16, 16, 1)] * 3 + [(16, 32, 2), (32, 32, 1), (32, 32, 1)]
        widths += [(32, 64, 2), (64, 64, 1), (64, 64, 1)]
        self.blocks = []
        for i, shape in enumerate(widths):
            block = Residual(*shape)
            setattr(self, f"block_{i + 1}", block)
            self.blocks.append(block)
        self.dense_1 = nn.Linear(64, 10)

    def forward(self, x):
        x = F.relu_(self.batch_norm_1(self.conv2d_1(self.image(x))))
        for block in self.blocks:
            x = block(x)
        return self.dense_1(x.mean((2, 3)))


class Separable(nn.Module):
    def __init__(self, before, filters):
        super().__init__()
        self.depthwise = nn.Conv2d(before, before, 3, 1, 1, groups=before, bias=False)
        self.bn1 = nn.BatchNorm2d(before)
        self.pointwise = nn.Conv2d(before, filters, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(filters)

    def forward(self, x):
        x = F.relu_(self.bn1(self.depthwise(x)))
        return F.relu_(self.bn2(self.pointwise(x)))


class Mobile(Sequence):
    def __init__(self):
        super().__init__()
        self.block_1 = Separable(64, 128)
        self.block_2 = Separable(128, 128)
        self.dense_1 = nn.Linear(128, 10)

    def forward(self, x):
        return self.dense_1(self.block_2(self.block_1(self.image(x))).mean((2, 3)))


class Attention(nn.Module):
    """Causal self-attention by PyTorch's fused kernel, under nn.MultiheadAttention's names."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.randn(3 * width, width) * 0.02)
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)

    def forward(self, x):
        n, t, width = x.shape
        qkv = F.linear(x, self.in_proj_weight, self.in_proj_bias)
        q, k, v = qkv.view(n, t, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out_proj(y.transpose(1, 2).reshape(n, t, width))


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.self_attn = Attention(width, heads)
        self.linear1 = nn.Linear(width, 4 * width)
        self.linear2 = nn.Linear(4 * width, width)
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)

    def forward(self, x):
        x = x + self.self_attn(self.norm1(x))
        return x + self.linear2(F.gelu(self.linear1(self.norm2(x))))


class Gpt(nn.Module):
    def __init__(self, places=256, width=384, heads=6, layers=6, tokens=65):
        super().__init__()
        self.embedding_1 = nn.Embedding(tokens, width)
        self.learned_positions_1 = nn.Module()
        self.learned_positions_1.weight = nn.Parameter(torch.randn(places, width) * 0.02)
        self.blocks = []
        for i in range(layers):
            block = Block(width, heads)
            setattr(self, f"transformer_encoder_block_{i + 1}", block)
            self.blocks.append(block)
        self.layer_norm_1 = nn.LayerNorm(width)
        self.dense_1 = nn.Linear(width, tokens, bias=False)

    def forward(self, token):
        x = self.embedding_1(token) + self.learned_positions_1.weight
        for block in self.blocks:
            x = block(x)
        return self.dense_1(self.layer_norm_1(x))


class Lstm(nn.Module):
    def __init__(self, tokens=65, width=64, units=256):
        super().__init__()
        self.embedding_1 = nn.Embedding(tokens, width)
        self.lstm_1 = nn.LSTM(width, units, batch_first=True)
        self.dense_1 = nn.Linear(units, tokens)

    def forward(self, token):
        return self.dense_1(self.lstm_1(self.embedding_1(token))[0])


def sgd(**options):
    return lambda parameters, how: torch.optim.SGD(parameters, **options, **how)


def adam(**options):
    return lambda parameters, how: torch.optim.Adam(parameters, **options, **how)


def adamw(**options):
    return lambda parameters, how: torch.optim.AdamW(parameters, **options, **how)


# name: module, shape of one example's input, tokens (0: real numbers), shape of its target,
# classes, optimizer, whether its images have a layout to choose
MODELS = {
    "iris": (Iris, (4,), 0, (), 3, sgd(lr=0.01), False),
    "mlp": (Mlp, (784,), 0, (), 10, sgd(lr=0.01), False),
    "wide": (Wide, (784,), 0, (), 10, adam(lr=1e-3), False),
    "lenet": (Lenet, (28, 28, 1), 0, (), 10, adam(lr=1e-3), True),
    "resnet20": (Resnet20, (32, 32, 3), 0, (), 10,
                 sgd(lr=0.01, momentum=0.9, weight_decay=1e-4), True),
    "mobile": (Mobile, (56, 56, 64), 0, (), 10, sgd(lr=0.01, momentum=0.9), True),
    "gpt": (Gpt, (256,), 65, (256,), 65, adamw(lr=3e-4, weight_decay=0.01), False),
    "lstm": (Lstm, (64,), 65, (64,), 65, adam(lr=1e-3), False),
}
