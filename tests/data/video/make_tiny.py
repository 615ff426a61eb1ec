"""Writes tiny.npz, with PyTorch; see README.md.

    python -m tests.data.video.make_tiny

Names come from the tables of the sources, not from the code under test.
"""

import dataclasses
import json
import pathlib
import re

import numpy as np
import torch

from nonlocal_tf.models import backbones
from tests.data.video.random_weights import weight
from training.benchmarks.torch_networks import NonLocal, ResNet

HERE = pathlib.Path(__file__).parent
SEED, WIDTH, CLASSES = 5, 4, 7
COLUMNS = {"caffe2": 0, "slowfast": 2, "mmaction2": 3}
NORM = {"s": "weight", "b": "bias", "rm": "running_mean", "riv": "running_var"}
FIVE = {depth: backbones.PLACES[5, depth] for depth in (50, 101)}


@dataclasses.dataclass(frozen=True)
class Case:
    """A network, a clip, and the arguments that its file does not say."""

    source: str
    backbone: str = "i3d"
    depth: int = 50
    blocks: bool = True
    clip: tuple[int, ...] = (1, 8, 64, 64, 3)
    sampling: str = "8x8"
    pairwise: str = "embedded_gaussian"
    norm: str = "batch"
    inflation: str = "3x1x1"
    window: int = 2  # of a training crop of 64
    stem: str | None = None  # None for the source's usual one


CASES = {
    "caffe2 i3d nl5 r50, larger": Case("caffe2", clip=(1, 8, 96, 96, 3)),
    "caffe2 c2d r50 32x2": Case(
        "caffe2", "c2d", blocks=False, clip=(2, 16, 64, 64, 3), sampling="32x2"
    ),
    "caffe2 c2d nl5 r101": Case("caffe2", "c2d", 101),
    "caffe2 i3d r101 32x2": Case(
        "caffe2",
        depth=101,
        blocks=False,
        clip=(1, 16, 64, 64, 3),
        sampling="32x2",
    ),
    "caffe2 affine i3d nl5 r50 32x4": Case(
        "caffe2", clip=(1, 16, 64, 64, 3), sampling="32x4", norm="affine"
    ),
    "caffe2 affine i3d r50 128x1, larger": Case(
        "caffe2",
        blocks=False,
        clip=(1, 16, 96, 96, 3),
        sampling="128x1",
        norm="affine",
    ),
    "caffe2 i3d 3x3x3 nl5 r50": Case("caffe2", inflation="3x3x3"),
    "slowfast c2d nl5 r50": Case("slowfast", "c2d"),
    "slowfast i3d r101, larger": Case(
        "slowfast", depth=101, blocks=False, clip=(1, 8, 96, 96, 3)
    ),
    "slowfast dot product": Case("slowfast", pairwise="dot_product"),
    "mmaction2 gaussian": Case(
        "mmaction2", clip=(1, 16, 64, 64, 3), pairwise="gaussian"
    ),
    "mmaction2 embedded gaussian": Case("mmaction2", clip=(1, 16, 64, 64, 3)),
    "mmaction2 dot product, larger": Case(
        "mmaction2", clip=(1, 16, 96, 80, 3), pairwise="dot_product"
    ),
    "mmaction2 concatenation": Case(
        "mmaction2", clip=(1, 16, 64, 64, 3), pairwise="concatenation"
    ),
    "mmaction2 c2d r50": Case("mmaction2", "c2d", blocks=False),
    "mmaction2 c2d r50, no pools over time": Case(
        "mmaction2", "c2d", blocks=False, stem="slowfast_nopool"
    ),
    "mmaction2 heavy i3d r50": Case(
        "mmaction2", "i3d_heavy", blocks=False, stem="slowfast"
    ),
}


def main() -> None:
    arrays = {"cases": json.dumps({k: vars(c) for k, c in CASES.items()})}
    for name, case in CASES.items():
        shapes, logits = compute(case)
        arrays[f"{name}/names"] = np.array(list(shapes))
        arrays[f"{name}/shapes"] = np.array(
            [json.dumps(shape) for shape in shapes.values()]
        )
        arrays[f"{name}/logits"] = logits
    np.savez_compressed(HERE / "tiny.npz", **arrays)


def compute(case: Case):
    """Shapes of the weights by the source's names, and the logits."""
    network = build(case)
    state = network.state_dict()
    shapes, values = {}, {}
    for blob, name, shape in rows(case):
        shapes[name] = shape
        ours = module_of(blob)
        values[ours] = torch.tensor(weight(name, shape)).reshape(
            state[ours].shape
        )
    left = set(state) - set(values)
    if any("num_batches" not in name for name in left):
        raise SystemExit(f"no weights for {sorted(left)[:3]}")
    network.load_state_dict(values, strict=False)
    network.eval()
    clip = np.random.default_rng(SEED).standard_normal(case.clip)
    clip = clip.astype("float32").transpose(0, 4, 1, 2, 3)
    with torch.inference_mode():
        logits = network(torch.tensor(clip.copy())).numpy()
    return {name: list(shape) for name, shape in shapes.items()}, logits


def build(case: Case) -> ResNet:
    places = FIVE[case.depth] if case.blocks else {}
    spec = backbones.resnet_config(case.backbone, case.depth, places)
    stem = (
        case.stem
        or {
            "caffe2": backbones.SAMPLINGS[case.sampling].stem,
            "slowfast": "slowfast",
            "mmaction2": "mmaction2" if case.backbone == "i3d" else "official",
        }[case.source]
    )
    strides = backbones.STEMS[stem]
    stride_t = strides.stride_t * strides.pool_strides[0] * strides.pool2_t
    frames = case.clip[1] // stride_t
    is_mm = case.source == "mmaction2"
    network = ResNet(
        dataclasses.asdict(spec),
        dataclasses.asdict(strides),
        classes=CLASSES,
        width=WIDTH,
        inflation=case.inflation,
        norm=case.norm == "batch",
        window=None if is_mm else (frames, case.window, case.window),
        block={
            "pairwise": case.pairwise,
            "pool_before": not is_mm,
            "out_bias": not is_mm,
        },
        groups={"res3": 4} if case.norm == "affine" else None,
    )
    for module in network.modules():
        if isinstance(module, NonLocal):
            channels = module.g.out_channels
            module.scale = 1.0 if is_mm else channels**-0.5
    return network


def rows(case: Case):
    """(the authors' name, the source's name, shape) of each weight."""
    table = (HERE / f"names_r{case.depth}.tsv").read_text("utf-8")
    lines = [line.split("\t") for line in table.splitlines()[1:]]
    frames = {
        line[0][: -len("2a_w")]: int(line[1].split("x")[2])
        for line in lines
        if line[0].endswith("branch2a_w")
    }
    for line in lines:
        blob, name = line[0], line[COLUMNS[case.source]]
        is_block = "nonlocal" in blob
        if is_block and not case.blocks:
            continue
        if case.norm == "affine" and (
            blob.endswith(("_rm", "_riv")) or (is_block and "_bn_" in blob)
        ):
            continue
        if name.startswith("("):  # mmaction2 has no bias there
            continue
        if case.pairwise == "gaussian" and re.search("theta|phi", blob):
            continue
        shape = narrow(blob, [int(n) for n in line[1].split("x")])
        yield blob, name, tuple(inflate(case, blob, shape, frames))
        if case.pairwise == "concatenation" and blob.endswith("theta_w"):
            name = name.replace("theta.conv", "concat_project.conv")
            yield blob.replace("theta_w", "w_f"), name, (1, 2 * shape[0], 1, 1)


def narrow(blob, shape):
    """The channels of a network of WIDTH instead of 64."""
    if blob.startswith("pred_"):
        return [CLASSES, *(n * WIDTH // 64 for n in shape[1:])]
    channels = 1 if blob == "conv1_w" else min(len(shape), 2)
    return [
        n * WIDTH // 64 if index < channels else n
        for index, n in enumerate(shape)
    ]


def inflate(case: Case, blob, shape, frames):
    """The time axis of a kernel, or none."""
    if len(shape) != 5 or "nonlocal" in blob:
        return shape
    out, fan_in, time, height, width = shape
    if case.backbone == "c2d":
        time = 1
    elif case.backbone == "i3d_heavy":
        time = 3 if blob.endswith("2a_w") else time
    elif case.inflation == "3x3x3" and blob.endswith(("2a_w", "2b_w")):
        time = 1 if blob.endswith("2a_w") else frames[blob[: -len("2b_w")]]
    if case.source == "mmaction2" and case.backbone == "c2d":
        return [out, fan_in, height, width]
    return [out, fan_in, time, height, width]


def module_of(blob: str) -> str:
    """The name in `ResNet` of one of the authors' blobs."""
    if blob in ("pred_w", "pred_b"):
        return "layers.logits." + ("weight" if blob == "pred_w" else "bias")
    if blob == "conv1_w":
        return "layers.conv1.weight"
    if match := re.fullmatch(r"res_conv1_bn_(\w+)", blob):
        return f"layers.conv1_norm.{NORM[match[1]]}"
    if match := re.fullmatch(r"nonlocal_conv(\d)_(\d+)_w_f", blob):
        return f"layers.res{match[1]}_block{match[2]}_nonlocal.w_f.weight"
    if match := re.fullmatch(r"nonlocal_conv(\d)_(\d+)_(\w+?)_(\w+)", blob):
        stage, block, part, suffix = match.groups()
        name = f"layers.res{stage}_block{block}_nonlocal.{part}."
        kinds = NORM if part == "bn" else {"w": "weight", "b": "bias"}
        return name + kinds[suffix]
    pattern = r"res(\d)_(\d+)_branch(1|2a|2b|2c)_(bn_)?(\w+)"
    stage, block, branch, norm, suffix = re.fullmatch(pattern, blob).groups()
    branches = {"1": "shortcut", "2a": "conv1", "2b": "conv2", "2c": "conv3"}
    name = f"layers.res{stage}_block{block}_{branches[branch]}"
    return f"{name}_norm.{NORM[suffix]}" if norm else f"{name}.weight"


if __name__ == "__main__":
    main()
