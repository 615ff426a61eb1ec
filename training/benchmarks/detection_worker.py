"""One process of `detectors.py`: ours, or torchvision.

It is run as a file, as `worker.py` is, so that an environment needs nothing but
its own framework.
"""

import pathlib
import sys

import numpy as np
import worker  # beside this file

SEED = 1
HEIGHT, WIDTH = 320, 512
CLASSES = 91
BOXES, CHANNELS = 256, 256
SCALES = (1 / 4, 1 / 8, 1 / 16, 1 / 32)
CELLS, SAMPLES = 7, 2


def picture() -> np.ndarray:
    """Something with edges of all sizes, uint8."""
    random = np.random.default_rng(SEED)
    image = np.zeros((HEIGHT, WIDTH, 3))
    for cells in (4, 8, 16, 32):
        rough = random.uniform(0, 64, (HEIGHT // cells, WIDTH // cells, 3))
        image += rough.repeat(cells, axis=0).repeat(cells, axis=1)
    return image.clip(0, 255).astype("uint8")


def roi_inputs() -> tuple[list[np.ndarray], np.ndarray]:
    """Maps P2 to P5, channels last, and boxes of all sizes."""
    random = np.random.default_rng(SEED)
    maps = [
        random.standard_normal(
            (1, HEIGHT // stride, WIDTH // stride, CHANNELS), dtype="float32"
        )
        for stride in (4, 8, 16, 32)
    ]
    side = np.exp(random.uniform(np.log(12), np.log(300), (BOXES, 2)))
    start = random.uniform(0, 1, (BOXES, 2)) * [WIDTH - 20, HEIGHT - 20]
    end = np.minimum(start + side, [WIDTH, HEIGHT])
    return maps, np.concatenate([start, end], -1).astype("float32")


def prepare(framework, case):
    """What runs a case; it says how many objects or boxes there were."""
    ours = framework.version.startswith("TensorFlow")
    kind, _, gradient = case["pass"].partition(" with ")
    if kind == "detect":
        return (_ours if ours else _torchvision)(case["path"])
    return (_our_roi_align if ours else _their_roi_align)(bool(gradient))


def _torchvision(path: str):
    """A detection; writes the weights, which are made up, too."""
    import torch
    import torchvision
    from torchvision.models import detection

    about = f"torchvision {torchvision.__version__}"
    model = detection.maskrcnn_resnet50_fpn(
        weights=None,
        weights_backbone=None,
        num_classes=CLASSES,
        min_size=HEIGHT,
        max_size=WIDTH,
    ).eval()
    image = torch.from_numpy(picture()).permute(2, 0, 1).float() / 255
    with torch.no_grad():
        for name, module in model.backbone.body.named_modules():
            if name.endswith("bn3"):  # or the sums would grow with depth
                module.weight.fill_(0.2)
        found: list = []
        hook = model.roi_heads.box_predictor.register_forward_hook(
            lambda module, given, out: found.append(out[0].std())
        )
        model([image])
        hook.remove()
        predictor = model.roi_heads.box_predictor.cls_score
        predictor.weight.mul_(2.0 / found[0])  # some classes are sure
    torch.save(model.state_dict(), path)

    def run():
        with torch.no_grad():
            return {"found": len(model([image])[0]["boxes"]), "by": about}

    return run


def _their_roi_align(backward: bool):
    import torch
    import torchvision
    from torchvision.ops import MultiScaleRoIAlign

    if not torchvision.extension._has_ops():
        raise RuntimeError("torchvision has no compiled operators here")
    maps, boxes = roi_inputs()
    given = {
        str(n): torch.from_numpy(np.moveaxis(m, -1, 1).copy())
        for n, m in enumerate(maps)
    }
    for one in given.values():
        one.requires_grad_(backward)
    pool = MultiScaleRoIAlign(list(given), CELLS, SAMPLES)
    rois = [torch.from_numpy(boxes)]

    def run():
        with torch.set_grad_enabled(backward):
            y = pool(given, rois, [(HEIGHT, WIDTH)])
        if backward:
            for one in given.values():
                one.grad = None
            y.backward(torch.ones_like(y))
        return {"found": len(y)}

    return run


def _ours(path: str):
    from nonlocal_tf import detection

    model, _, normalization = detection.from_checkpoint(path)
    in_graph = model.inference_function()
    image = picture()

    def run():
        found = detection.detect(in_graph, image, HEIGHT, WIDTH, normalization)
        return {"found": len(found.boxes)}

    return run


def _our_roi_align(backward: bool):
    import tensorflow as tf

    from nonlocal_tf.detection import roi_align

    maps, boxes = roi_inputs()
    maps = [tf.constant(one) for one in maps]
    rois = tf.constant(boxes[None])

    def value(*maps):
        return roi_align.roi_align_fused(maps, rois, SCALES, CELLS, SAMPLES)

    def with_gradient(*maps):
        with tf.GradientTape() as tape:
            tape.watch(maps)
            y = value(*maps)
        return y, tape.gradient(y, maps)

    chosen = with_gradient if backward else value
    in_graph = tf.function(chosen, autograph=False)

    def run():
        y = in_graph(*maps)
        return {"found": (y[0] if backward else y).shape[1]}

    return run


if __name__ == "__main__":
    root = pathlib.Path(__file__).resolve().parent.parent.parent
    sys.path[0] = str(root)  # for nonlocal_tf, also where it is not installed
    worker.main(prepare)
