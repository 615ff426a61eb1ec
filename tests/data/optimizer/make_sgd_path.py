"""Writes sgd_path.npz: 50 steps of PyTorch's SGD with Nesterov's momentum.

    python tests/data/optimizer/make_sgd_path.py

Needs PyTorch, which no test does. Float32 throughout, as in training. The
last weight is left out of L2, as scales and shifts are.
"""

import pathlib

import numpy as np
import torch

SHAPES = {"kernel": (2, 3, 5), "bias": (7,), "gamma": (11,)}
BASE_LR, DROPS, FACTOR = 0.1, (20, 37), 0.1
MOMENTUM, L2, STEPS = 0.9, 0.02, 50


def main():
    random = np.random.default_rng(0)
    arrays = {}
    weights = {}
    for name, shape in SHAPES.items():
        start = random.normal(size=shape).astype("float32")
        gradients = random.normal(size=(STEPS, *shape)).astype("float32")
        arrays |= {f"{name}/start": start, f"{name}/gradients": gradients}
        weights[name] = torch.nn.Parameter(torch.tensor(start))
    optimizer = torch.optim.SGD(
        [
            {"params": [weights["kernel"], weights["bias"]]},
            {"params": [weights["gamma"]], "weight_decay": 0.0},
        ],
        lr=BASE_LR,
        momentum=MOMENTUM,
        weight_decay=L2,
        nesterov=True,
    )
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, DROPS, FACTOR)
    path = {name: [] for name in SHAPES}
    for step in range(STEPS):
        for name, weight in weights.items():
            weight.grad = torch.tensor(arrays[f"{name}/gradients"][step])
        optimizer.step()
        schedule.step()
        for name, weight in weights.items():
            path[name].append(weight.detach().numpy().copy())
    arrays |= {f"{name}/weights": np.stack(w) for name, w in path.items()}
    np.savez_compressed(pathlib.Path(__file__).parent / "sgd_path", **arrays)


if __name__ == "__main__":
    main()
