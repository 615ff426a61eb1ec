"""Makes pytorchvideo_*.npz with pytorchvideo's own modules and made-up weights.

    PYTHONPATH=. python -m tests.data.video.make_pytorchvideo

in an environment with PyTorch and pytorchvideo, whose source at commit f3142bb
these are of.
"""

import json
import pathlib

import numpy as np
import torch
from pytorchvideo.models.hub import resnet

from tests.data.video.random_weights import weight

FOLDER = pathlib.Path(__file__).parent
SEED = 17
SMALL = {
    "stem_dim_out": 4,
    "model_num_class": 7,
    "head_pool_kernel_size": (4, 2, 2),
}


def main() -> None:
    """Write a file per network: of the hub, and with four channels."""
    for name in ("c2d_r50", "i3d_r50"):
        build = getattr(resnet, name)
        save(f"pytorchvideo_{name}_8x8", build(), 224)
        # Larger than a training crop: the head averages the logits.
        save(f"pytorchvideo_{name}_small", build(**SMALL), 96)


def save(name: str, network: torch.nn.Module, side: int) -> None:
    """Write names, shapes, the shape of the clip and logits."""
    state = {
        key: torch.from_numpy(weight(key, tuple(value.shape)))
        for key, value in network.state_dict().items()
        if not key.endswith("num_batches_tracked")
    }
    network.load_state_dict(state, strict=False)
    shape = (1, 8, side, side, 3)
    clip = np.random.default_rng(SEED).standard_normal(shape)
    x = torch.from_numpy(np.moveaxis(clip.astype("float32"), -1, 1).copy())
    with torch.no_grad():
        logits = network.eval()(x).numpy()
    np.savez_compressed(
        FOLDER / f"{name}.npz",
        names=list(state),
        shapes=[json.dumps(list(value.shape)) for value in state.values()],
        input=shape,
        logits=logits,
    )
    print(name, shape, logits.shape, logits.std())


if __name__ == "__main__":
    main()
