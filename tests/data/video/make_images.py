"""Makes image_*.npz: ResNet-50 on images with the names of two sources.

    PYTHONPATH=. python -m tests.data.video.make_images

with PyTorch alone. The modules are written by what torchvision's (v1.5, which
timm's resnet50 shares) and Hugging Face's ResNets compute, and their names are
those of these.
"""

import json
import pathlib

import numpy as np
import torch
from torch import nn

from tests.data.video.random_weights import weight

FOLDER = pathlib.Path(__file__).parent
SEED, WIDTH, CLASSES, SIDE = 19, 4, 7, 80
DEPTHS = (3, 4, 6, 3)


def conv(fan_in: int, filters: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    """Return a convolution without bias."""
    return nn.Conv2d(fan_in, filters, kernel, stride, kernel // 2, bias=False)


class Torchvision(nn.Module):
    """Bottleneck block of torchvision."""

    def __init__(self, fan_in: int, inner: int, stride: int):
        super().__init__()
        self.conv1, self.bn1 = conv(fan_in, inner, 1), nn.BatchNorm2d(inner)
        self.conv2 = conv(inner, inner, 3, stride)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = conv(inner, 4 * inner, 1)
        self.bn3 = nn.BatchNorm2d(4 * inner)
        if fan_in != 4 * inner or stride > 1:
            self.downsample = nn.Sequential(
                conv(fan_in, 4 * inner, 1, stride), nn.BatchNorm2d(4 * inner)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.bn1(self.conv1(x)).relu()
        y = self.bn2(self.conv2(y)).relu()
        y = self.bn3(self.conv3(y))
        return (y + getattr(self, "downsample", nn.Identity())(x)).relu()


def unit(fan_in: int, filters: int, kernel: int, stride: int = 1) -> nn.Module:
    """Return a convolution and its normalization, as Hugging Face's."""
    module = nn.Sequential()
    module.add_module("convolution", conv(fan_in, filters, kernel, stride))
    module.add_module("normalization", nn.BatchNorm2d(filters))
    return module


class HuggingFace(nn.Module):
    """Bottleneck block of Hugging Face."""

    def __init__(self, fan_in: int, inner: int, stride: int):
        super().__init__()
        self.shortcut: nn.Module = nn.Identity()
        if fan_in != 4 * inner or stride > 1:
            self.shortcut = unit(fan_in, 4 * inner, 1, stride)
        self.layer = nn.ModuleList(
            [
                unit(fan_in, inner, 1),
                unit(inner, inner, 3, stride),
                unit(inner, 4 * inner, 1),
            ]
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.layer[1](self.layer[0](x).relu()).relu()
        return (self.layer[2](y) + self.shortcut(x)).relu()


def stages(block: type) -> list[nn.Sequential]:
    """Return the residual blocks of res2 to res5."""
    fan_in, result = WIDTH, []
    for index, count in enumerate(DEPTHS):
        inner, blocks = WIDTH * 2**index, []
        for number in range(count):
            stride = 2 if index and not number else 1
            blocks.append(block(fan_in, inner, stride))
            fan_in = 4 * inner
        result.append(nn.Sequential(*blocks))
    return result


def torchvision_modules() -> dict[str, nn.Module]:
    """Return modules in order, by their names in torchvision."""
    layers = stages(Torchvision)
    return {
        "conv1": conv(3, WIDTH, 7, 2),
        "bn1": nn.BatchNorm2d(WIDTH),
        "maxpool": nn.Sequential(nn.ReLU(), nn.MaxPool2d(3, 2, 1)),
        **{f"layer{n}": layer for n, layer in enumerate(layers, 1)},
        "pool": nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        "fc": nn.Linear(32 * WIDTH, CLASSES),
    }


def huggingface_modules() -> dict[str, nn.Module]:
    """Return modules in order, by their names in Hugging Face's ResNet."""
    prefix = "resnet.encoder.stages"
    layers = stages(HuggingFace)
    return {
        "resnet.embedder.embedder": unit(3, WIDTH, 7, 2),
        "resnet.embedder.pooler": nn.Sequential(
            nn.ReLU(), nn.MaxPool2d(3, 2, 1)
        ),
        **{f"{prefix}.{n}.layers": layer for n, layer in enumerate(layers)},
        "pool": nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        "classifier.1": nn.Linear(32 * WIDTH, CLASSES),
    }


def save(source: str, modules: dict[str, nn.Module]) -> None:
    """Write names, shapes, the shape of the image and logits."""
    shapes = {}
    shape = (2, SIDE, SIDE, 3)
    image = np.random.default_rng(SEED).standard_normal(shape)
    x = torch.from_numpy(np.moveaxis(image.astype("float32"), -1, 1).copy())
    for prefix, module in modules.items():
        state = {}
        for name, value in module.state_dict().items():
            if not name.endswith("num_batches_tracked"):
                full = f"{prefix}.{name}"
                shapes[full] = json.dumps(list(value.shape))
                values = weight(full, tuple(value.shape))
                state[name] = torch.from_numpy(values)
        module.load_state_dict(state, strict=False)
        with torch.no_grad():
            x = module.eval()(x)
    np.savez_compressed(
        FOLDER / f"image_{source}.npz",
        names=list(shapes),
        shapes=list(shapes.values()),
        input=shape,
        logits=x.numpy(),
    )
    print(source, len(shapes), x.shape, x.std())


if __name__ == "__main__":
    save("torchvision", torchvision_modules())
    save("huggingface", huggingface_modules())
