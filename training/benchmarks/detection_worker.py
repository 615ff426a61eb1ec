"""Worker process of `detectors.py`: this library, or torchvision.

It is a script based on `worker.py`, so that an environment needs only its own
framework.
"""

import numpy as np
import worker  # beside this file

SEED = 1
HEIGHT, WIDTH = 320, 512
CLASSES = 91
BOXES, CHANNELS = 256, 256
SCALES = (1 / 4, 1 / 8, 1 / 16, 1 / 32)
CELLS, SAMPLES = 7, 2


def test_image() -> np.ndarray:
    """Draw an image with edges at all scales, uint8."""
    random = np.random.default_rng(SEED)
    image = np.zeros((HEIGHT, WIDTH, 3))
    for cells in (4, 8, 16, 32):
        rough = random.uniform(0, 64, (HEIGHT // cells, WIDTH // cells, 3))
        image += rough.repeat(cells, axis=0).repeat(cells, axis=1)
    return image.clip(0, 255).astype("uint8")


def roi_inputs() -> tuple[list[np.ndarray], np.ndarray]:
    """Draw feature maps P2 to P5, channels last, and boxes of all sizes."""
    random = np.random.default_rng(SEED)
    maps = [
        random.standard_normal(
            (1, HEIGHT // stride, WIDTH // stride, CHANNELS), dtype="float32"
        )
        for stride in (4, 8, 16, 32)
    ]
    side = np.exp(random.uniform(np.log(12), np.log(300), (BOXES, 2)))
    start = random.uniform(0, 1, (BOXES, 2)) * [WIDTH - 20, HEIGHT - 20]
    ends = np.minimum(start + side, [WIDTH, HEIGHT])
    return maps, np.concatenate([start, ends], -1).astype("float32")


def prepare(framework, case):
    """Return a function that runs a case and counts detections or boxes."""
    ours = framework.version.startswith("TensorFlow")
    kind, _, gradient = case["pass"].partition(" with ")
    if kind == "detect":
        return (_ours if ours else _torchvision)(case["path"])
    return (_our_roi_align if ours else _their_roi_align)(bool(gradient))


def _torchvision(path: str):
    """Prepare a detection with random weights, and write these."""
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
    image = torch.from_numpy(test_image()).permute(2, 0, 1).float() / 255
    with torch.no_grad():
        for name, module in model.backbone.body.named_modules():
            if name.endswith("bn3"):  # otherwise activations grow with depth
                module.weight.fill_(0.2)
        logit_stds: list = []
        hook = model.roi_heads.box_predictor.register_forward_hook(
            lambda module, inputs, out: logit_stds.append(out[0].std())
        )
        model([image])
        hook.remove()
        predictor = model.roi_heads.box_predictor.cls_score
        predictor.weight.mul_(2.0 / logit_stds[0])  # some confident classes
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
    feature_maps = {
        str(n): torch.from_numpy(np.moveaxis(m, -1, 1).copy())
        for n, m in enumerate(maps)
    }
    for feature_map in feature_maps.values():
        feature_map.requires_grad_(backward)
    pool = MultiScaleRoIAlign(list(feature_maps), CELLS, SAMPLES)
    rois = [torch.from_numpy(boxes)]

    def run():
        with torch.set_grad_enabled(backward):
            y = pool(feature_maps, rois, [(HEIGHT, WIDTH)])
        if backward:
            for feature_map in feature_maps.values():
                feature_map.grad = None
            y.backward(torch.ones_like(y))
        return {"found": len(y)}

    return run


def _ours(path: str):
    from nonlocal_tf import detection

    model, _, normalization = detection.from_checkpoint(path)
    in_graph = model.inference_function()
    image = test_image()

    def run():
        detections = detection.detect(
            in_graph, image, HEIGHT, WIDTH, normalization
        )
        return {"found": len(detections.boxes)}

    return run


def _our_roi_align(backward: bool):
    import tensorflow as tf

    from nonlocal_tf.detection import roi_align

    maps, boxes = roi_inputs()
    maps = [tf.constant(feature_map) for feature_map in maps]
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
    worker.add_paths()
    worker.main(prepare)
