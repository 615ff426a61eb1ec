"""Writes 50 steps of PyTorch's optimizers: sgd_path.npz, adamw_path.npz.

    python tests/data/optimizer/make_paths.py

Needs PyTorch, which no test does. Float32 throughout, as in training. SGD has
Nesterov's momentum; the last weight is left out of L2, as scales and shifts
are. AdamW takes the same gradients; its decay is of the kernel alone, and the
rate of the bias is half of the others'.
"""

import pathlib

import numpy as np
import torch

SHAPES = {"kernel": (2, 3, 5), "bias": (7,), "gamma": (11,)}
BASE_LR, DROPS, FACTOR = 0.1, (20, 37), 0.1
MOMENTUM, L2, STEPS = 0.9, 0.02, 50
DECAY = 0.3
FOLDER = pathlib.Path(__file__).parent


def main():
    random = np.random.default_rng(0)
    arrays = {}
    for name, shape in SHAPES.items():
        start = random.normal(size=shape).astype("float32")
        gradients = random.normal(size=(STEPS, *shape)).astype("float32")
        arrays |= {f"{name}/start": start, f"{name}/gradients": gradients}
    path = walk(arrays, sgd)
    np.savez_compressed(FOLDER / "sgd_path", **arrays, **path)
    np.savez_compressed(FOLDER / "adamw_path", **walk(arrays, adamw))


def sgd(weights):
    return torch.optim.SGD(
        [
            {"params": [weights["kernel"], weights["bias"]]},
            {"params": [weights["gamma"]], "weight_decay": 0.0},
        ],
        lr=BASE_LR,
        momentum=MOMENTUM,
        weight_decay=L2,
        nesterov=True,
    )


def adamw(weights):
    return torch.optim.AdamW(
        [
            {"params": [weights["kernel"]], "weight_decay": DECAY},
            {"params": [weights["bias"]], "lr": BASE_LR / 2},
            {"params": [weights["gamma"]]},
        ],
        lr=BASE_LR,
        weight_decay=0.0,
    )


def walk(arrays, make):
    """Return the weights after each step."""
    weights = {
        name: torch.nn.Parameter(torch.tensor(arrays[f"{name}/start"]))
        for name in SHAPES
    }
    optimizer = make(weights)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, DROPS, FACTOR)
    path = {name: [] for name in SHAPES}
    for step in range(STEPS):
        for name, weight in weights.items():
            weight.grad = torch.tensor(arrays[f"{name}/gradients"][step])
        optimizer.step()
        schedule.step()
        for name, weight in weights.items():
            path[name].append(weight.detach().numpy().copy())
    return {f"{name}/weights": np.stack(w) for name, w in path.items()}


if __name__ == "__main__":
    main()
