"""The networks in plain PyTorch modules, as a careful user would write them.

3-D convolutions, batch normalization and pooling of `torch.nn`, and the
non-local block by its formula. Module names equal our layer names. The tables
of `nonlocal_tf.models.backbones` are passed as dictionaries, so that this file
needs only PyTorch.
"""

import torch
from torch import nn

EXPANSION = 4


class NonLocal(nn.Module):
    """Non-local block z = x + norm(W_z y) with the full affinity matrix.

    Args:
        channels: of x; theta, phi and g have half as many.
        pairwise: one of the paper's four functions.
        scale: factor on the logits of the embedded Gaussian.
        pool_before: pool x before phi and g, instead of their results.
        norm: whether batch normalization follows W_z.
        out_bias: whether W_z has a bias.
        group_frames: number of consecutive frames that attend to each other.
    """

    def __init__(
        self,
        channels,
        pairwise="embedded_gaussian",
        scale=1.0,
        pool_before=True,
        norm=True,
        out_bias=True,
        group_frames=None,
    ):
        super().__init__()
        d = channels // 2
        self.pairwise, self.scale = pairwise, scale
        self.pool_before, self.group_frames = pool_before, group_frames
        if pairwise != "gaussian":
            self.theta = nn.Conv3d(channels, d, 1)
            self.phi = nn.Conv3d(channels, d, 1)
        if pairwise == "concatenation":
            self.w_f = nn.Conv2d(2 * d, 1, 1, bias=False)
        self.g = nn.Conv3d(channels, d, 1)
        self.out = nn.Conv3d(d, channels, 1, bias=out_bias)
        self.bn = nn.BatchNorm3d(channels) if norm else nn.Identity()
        self.pool = nn.MaxPool3d((1, 2, 2))

    def forward(self, x):
        if self.group_frames is None:
            return self._attend(x)
        b, c, t, h, w = x.shape
        k = self.group_frames
        x = x.reshape(b, c, t // k, k, h, w).transpose(1, 2)
        z = self._attend(x.reshape(b * t // k, c, k, h, w))
        z = z.reshape(b, t // k, c, k, h, w).transpose(1, 2)
        return z.reshape(b, c, t, h, w)

    def _attend(self, x):
        embeds = self.pairwise != "gaussian"
        theta = self.theta(x) if embeds else x
        if self.pool_before:
            pooled = self.pool(x)
            phi, g = self.phi(pooled) if embeds else pooled, self.g(pooled)
        else:
            phi = self.pool(self.phi(x) if embeds else x)
            g = self.pool(self.g(x))
        theta, phi, g = (y.flatten(2).transpose(1, 2) for y in (theta, phi, g))
        y = self._weights(theta, phi) @ g  # (b, n, d)
        y = y.transpose(1, 2).reshape(x.shape[0], -1, *x.shape[2:])
        return x + self.bn(self.out(y))

    def _weights(self, theta, phi):
        n, m = theta.shape[1], phi.shape[1]
        if self.pairwise == "dot_product":
            return theta @ phi.transpose(1, 2) / m
        if self.pairwise == "concatenation":
            pairs = torch.cat(
                [
                    theta[:, :, None].expand(-1, -1, m, -1),
                    phi[:, None].expand(-1, n, -1, -1),
                ],
                dim=-1,
            )
            f = self.w_f(pairs.permute(0, 3, 1, 2))[:, 0]
            return torch.relu(f) / m
        scale = 1.0 if self.pairwise == "gaussian" else self.scale
        return torch.softmax(scale * theta @ phi.transpose(1, 2), -1)


class ResNet(nn.Module):
    """C2D, I3D or a non-local variant, to logits `(batch, classes)`.

    Args:
        spec: of `ResNetConfig`, as a dictionary.
        stem: of `Stem`, as a dictionary.
        classes: number of logits.
        width: channels of the first convolution.
        inflation: "3x1x1" or "3x3x3".
        norm: True for batch normalization, False for affine layers.
        window: (time, height, width) of average pooling before the classifier,
            applied at each position; None for global average pooling.
        block: arguments of each `NonLocal`.
        groups: number of frames per group, by stage.
    """

    def __init__(
        self,
        spec,
        stem,
        classes=400,
        width=64,
        inflation="3x1x1",
        norm=True,
        window=None,
        block=None,
        groups=None,
    ):
        super().__init__()
        self.norm, self.window = norm, window
        self.layers = nn.ModuleDict()
        kt, channels = spec["stem_kernel_t"], width
        self._conv("conv1", 3, width, (kt, 7, 7), (stem["stride_t"], 2, 2))
        pad = (0, stem["pool_padding"], stem["pool_padding"])
        self.pool1 = nn.MaxPool3d(stem["pool"], stem["pool_strides"], pad)
        self.pool2 = nn.MaxPool3d((stem.get("pool2_t", 2), 1, 1))
        self.steps = []
        for index, stage in enumerate(("res2", "res3", "res4", "res5")):
            inner = width * 2**index
            for i, kernel_t in enumerate(spec["kernels_t"][index]):
                name = f"{stage}_block{i}"
                s = 2 if i == 0 and index > 0 else 1
                first = kernel_t if inflation == "3x1x1" else 1
                second = 1 if inflation == "3x1x1" else kernel_t
                filters = EXPANSION * inner
                if s > 1 or channels != filters:
                    self._conv(
                        f"{name}_shortcut", channels, filters, (1, 1, 1), s
                    )
                self._conv(f"{name}_conv1", channels, inner, (first, 1, 1))
                self._conv(f"{name}_conv2", inner, inner, (second, 3, 3), s)
                self._conv(f"{name}_conv3", inner, filters, (1, 1, 1))
                channels = filters
                self.steps.append(("block", name))
                if i in spec["nonlocal_after"][index]:
                    self.layers[f"{name}_nonlocal"] = NonLocal(
                        channels,
                        norm=norm,
                        group_frames=(groups or {}).get(stage),
                        **(block or {}),
                    )
                    self.steps.append(("nonlocal", f"{name}_nonlocal"))
            if index == 0:
                self.steps.append(("pool2", ""))
        self.layers["logits"] = nn.Linear(channels, classes)

    def _conv(self, name, fan_in, filters, kernel, stride=1):
        strides = stride if isinstance(stride, tuple) else (1, stride, stride)
        padding = tuple(k // 2 for k in kernel)
        self.layers[name] = nn.Conv3d(
            fan_in, filters, kernel, strides, padding, bias=False
        )
        kind = nn.BatchNorm3d if self.norm else FrozenAffine
        self.layers[f"{name}_norm"] = kind(filters)

    def forward(self, x):
        x = self.pool1(torch.relu(self._step(x, "conv1")))
        for kind, name in self.steps:
            if kind == "pool2":
                x = self.pool2(x)
            elif kind == "nonlocal":
                x = self.layers[name](x)
            else:
                x = self._block(x, name)
        if self.window is None:
            return self.layers["logits"](x.mean((2, 3, 4)))
        x = nn.functional.avg_pool3d(x, self.window, 1)
        return self.layers["logits"](x.permute(0, 2, 3, 4, 1))

    def _block(self, x, name):
        shortcut = x
        if f"{name}_shortcut" in self.layers:
            shortcut = self._step(x, f"{name}_shortcut")
        y = torch.relu_(self._step(x, f"{name}_conv1"))
        y = torch.relu_(self._step(y, f"{name}_conv2"))
        return torch.relu_(self._step(y, f"{name}_conv3") + shortcut)

    def _step(self, x, name):
        norm: nn.Module = self.layers[f"{name}_norm"]
        return norm(self.layers[name](x))


class FrozenAffine(nn.Module):
    """Frozen scale and shift per channel."""

    def __init__(self, channels):
        super().__init__()
        self.register_buffer("weight", torch.ones(channels))
        self.register_buffer("bias", torch.zeros(channels))

    def forward(self, x):
        weight, bias = (b.view(-1, 1, 1, 1) for b in self.buffers())
        return x * weight + bias
