"""Our Mask R-CNN beside torchvision's: a whole detection, and ROIAlign.

    python -m training.benchmarks.detectors --torch-python OTHER/bin/python

`OTHER` is an environment with torch and torchvision, whose compiled operators
are what is compared with; its python runs this file alone. Each process has one
core. Both networks are a ResNet-50 with the same made-up weights, look at the
same picture of 512 x 320 and find the same number of objects; a detection is
from its pixels to boxes and pasted masks. A ratio is the median over the rounds
of (time of torchvision) / (time of ours) in the same round: above 1 ours is
faster. Times are of the process's CPU.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
import typing

import numpy as np

SEED = 1
HEIGHT, WIDTH = 320, 512
CLASSES = 91
BOXES, CHANNELS = 256, 256
CASES = ("detect", "roi_align", "roi_align with gradient")


def main() -> None:
    """Command line, also of the processes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--torch-python", required=True)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", choices=CASES)
    parser.add_argument("--out", type=pathlib.Path, help="JSON of all figures")
    parser.add_argument("--work", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        _work(*options.work)
        return
    result = measure(options)
    if options.out:
        text = json.dumps(result, indent=1) + "\n"
        options.out.write_text(text, "utf-8")
    print(render(result))


def measure(options) -> dict:
    """Lets the processes take turns."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/detector.pth"
        # PyTorch first: it makes the weights.
        processes = {
            name: _Process(python, name, path)
            for name, python in (
                ("torchvision", options.torch_python),
                ("ours", sys.executable),
            )
        }
        cases = [options.only] if options.only else CASES
        result: dict = {
            "versions": {n: p.version for n, p in processes.items()},
            "cases": {},
        }
        for case in cases:
            found = {n: p.ask(["prepare", case]) for n, p in processes.items()}
            seconds: dict[str, list[float]] = {name: [] for name in processes}
            for _ in range(options.rounds):
                for name, process in processes.items():
                    seconds[name].append(process.ask(["run", case]))
            result["cases"][case] = {"found": found, "seconds": seconds}
    return result


def render(result: dict) -> str:
    """The figures as a table in Markdown."""
    lines = [
        "| | torchvision, ms | ours, ms | x |",
        "|---|---|---|---|",
    ]
    for case, of in result["cases"].items():
        theirs, ours = (of["seconds"][n] for n in ("torchvision", "ours"))
        pairs = zip(theirs, ours, strict=True)
        ratio = statistics.median(slow / fast for slow, fast in pairs)
        lines.append(
            f"| {case} | {1e3 * min(theirs):.0f} | {1e3 * min(ours):.0f} "
            f"| {ratio:.2f} |"
        )
    return "\n".join([*lines, "", ", ".join(result["versions"].values())])


class _Process:
    """One of the two, which waits for what to do."""

    def __init__(self, python: str, name: str, path: str):
        module = ["-m", "training.benchmarks.detectors"]
        if name == "torchvision":  # without our package
            module = [__file__]
        self._process = subprocess.Popen(
            [python, *module, "--torch-python=", "--work", name, path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.version = self._answer()

    def ask(self, request):
        to = typing.cast(typing.TextIO, self._process.stdin)
        print(json.dumps(request), file=to, flush=True)
        return self._answer()

    def _answer(self):
        line = typing.cast(typing.TextIO, self._process.stdout).readline()
        if not line:
            raise SystemExit("A process died; run it with --work to see why.")
        return json.loads(line)


def _work(name: str, path: str) -> None:
    answers = os.dup(1)
    os.dup2(2, 1)  # what a framework prints must not mix with the answers
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"
    os.environ["OMP_NUM_THREADS"] = "1"
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    framework = {"torchvision": _torchvision, "ours": _ours}[name](path)

    def answer(value) -> None:
        os.write(answers, json.dumps(value).encode() + b"\n")

    answer(framework["version"])
    prepared = {}
    for line in sys.stdin:
        do, case = json.loads(line)
        if do == "prepare":
            prepared = {case: framework[case]()}
            answer(int(prepared[case]()))
        else:
            began = time.process_time()
            prepared[case]()
            answer(time.process_time() - began)


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


def _torchvision(path: str) -> dict:
    import torch
    import torchvision
    from torchvision.models import detection
    from torchvision.ops import MultiScaleRoIAlign

    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    if not torchvision.extension._has_ops():
        raise SystemExit("torchvision has no compiled operators here")
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

    def detect():
        def run():
            with torch.no_grad():
                return len(model([image])[0]["boxes"])

        return run

    def roi_align(backward):
        maps, boxes = roi_inputs()
        given = {
            str(n): torch.from_numpy(np.moveaxis(m, -1, 1).copy())
            for n, m in enumerate(maps)
        }
        for one in given.values():
            one.requires_grad_(backward)
        pool = MultiScaleRoIAlign(list(given), 7, 2)
        rois = [torch.from_numpy(boxes)]

        def run():
            with torch.set_grad_enabled(backward):
                y = pool(given, rois, [(HEIGHT, WIDTH)])
            if backward:
                for one in given.values():
                    one.grad = None
                y.backward(torch.ones_like(y))
            return len(y)

        return run

    return {
        "version": f"torch {torch.__version__}, torchvision "
        f"{torchvision.__version__}",
        "detect": detect,
        "roi_align": lambda: roi_align(False),
        "roi_align with gradient": lambda: roi_align(True),
    }


def _ours(path: str) -> dict:
    import keras
    import tensorflow as tf

    from nonlocal_tf import detection
    from nonlocal_tf.detection import tf_ops

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    scales = (1 / 4, 1 / 8, 1 / 16, 1 / 32)

    def detect():
        model, _, pixels = detection.detector_of(path)
        in_graph = model.in_graph()
        image = picture()

        def run():
            found = detection.detect(in_graph, image, HEIGHT, WIDTH, pixels)
            return len(found.boxes)

        return run

    def roi_align(backward):
        maps, boxes = roi_inputs()
        maps = [tf.constant(one) for one in maps]
        rois = tf.constant(boxes[None])

        @tf.function(autograph=False)
        def value(*maps):
            return tf_ops.roi_align(maps, rois, scales, 7)

        @tf.function(autograph=False)
        def gradient(*maps):
            with tf.GradientTape() as tape:
                tape.watch(maps)
                y = tf_ops.roi_align(maps, rois, scales, 7)
            return y, tape.gradient(y, maps)

        def run():
            if backward:
                y, _ = gradient(*maps)
            else:
                y = value(*maps)
            return y.shape[1]

        return run

    return {
        "version": f"TensorFlow {tf.__version__}, Keras {keras.__version__}",
        "detect": detect,
        "roi_align": lambda: roi_align(False),
        "roi_align with gradient": lambda: roi_align(True),
    }


if __name__ == "__main__":
    main()
