"""Writes torch_archive.pth and torch_legacy.pth, with PyTorch.

python -m tests.data.video.make_torch
"""

import pathlib

import numpy as np
import torch

HERE = pathlib.Path(__file__).parent


def numbers(*shape):
    count = int(np.prod(shape))
    return np.arange(1, count + 1, dtype="float32").reshape(shape) / 8


def saved() -> dict:
    """What tests expect: tests/checkpoints/readers/test_pytorch.py."""
    base = torch.tensor(numbers(4, 3))
    layer = torch.nn.Conv3d(2, 3, (1, 3, 3))
    layer.load_state_dict(
        {
            "weight": torch.tensor(numbers(3, 2, 1, 3, 3)),
            "bias": torch.tensor(numbers(3)),
        }
    )
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1, momentum=0.9)
    return {
        "state_dict": layer.state_dict(),
        "optimizer": optimizer.state_dict(),
        "transposed": base.t(),
        "view": base[1:3],
        "half": base.half(),
        "bfloat16": base.bfloat16(),
        "double": base.double(),
        "integers": torch.arange(5),
        "parameter": torch.nn.Parameter(base.clone()),
        "scalar": torch.tensor(2.5),
        "expanded": torch.tensor([1.5]).expand(3),
        "epoch": 3,
        "meta": {"text": "résumé", "size": base.shape, "dtype": base.dtype},
    }


if __name__ == "__main__":
    torch.save(saved(), HERE / "torch_archive.pth")
    torch.save(
        saved(),
        HERE / "torch_legacy.pth",
        _use_new_zipfile_serialization=False,
    )
