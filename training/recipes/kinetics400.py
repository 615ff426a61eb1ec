"""Kinetics-400: every row of the paper's tables 2a to 2g, and of its code.

    nonlocal-tf train --recipe k400_i3d_nl5_r50_32x2 \\
        --set data.root=kinetics \\
        --set data.train=train.csv --set data.validation=val.csv \\
        --set model.weights=r50_pretrain_c2_model_iter450450_clean.pkl

One recipe a run: what several tables show is one recipe. Numbers are top-1 /
top-5 in % on the validation videos, 10 clips each: the paper's of whole frames
(`--views 10x1 --full-frame`), those of the README of its code of 3 crops
(`--views 10x3`), which is what these recipes test with. None of these has been
run here; they need the videos and GPUs.

The settings are those of the authors' code. It has no Gaussian, no
concatenation, no blocks along space or time alone, no 3x3x3 and no ResNet-101
beyond its placement of five blocks: these rows take what the paper says of the
network, and the settings of the rest. Two things are our choice, as neither
says them: where the ten blocks of ResNet-101 are ("the corresponding residual
blocks"; the code's LAYER_MOD=1 gives nine), and that blocks along time alone
(table 2d) do not subsample: a pool in space would mix the places that they keep
apart.

Where the paper and the code differ, or the paper is silent, the code counts:

1. theta, phi, g and W_z are drawn from N(0, 0.01), not by He's method.
2. The logits of the embedded Gaussian are scaled by d^-1/2.
3. The pool of a block comes before phi and g, and is one; in the paper it
   follows each.
4. The pools after conv1 and res2 take 2 frames, that after conv1 1 for 8x8 and
   32x4, and are not padded: maps of 55 x 55. In table 1 they take 3, and maps
   are of 56 x 56.
5. Networks for long clips start from the network without blocks, on short clips
   of the same graph, and with a new classifier. In the paper they start from
   "the corresponding models".
6. Their blocks in res3 work on groups of 4 frames.
7. Their blocks have no normalization; W_z starts at 0.
8. Nesterov's momentum, no weight decay of batch normalizations, a last scale of
   each residual block that starts at 0 (until ImageNet's is loaded), and batch
   statistics taken anew from 200 batches before each checkpoint ("precise BN").
   The paper has a momentum of 0.9 and a weight decay of 1e-4.
9. The test is on 3 crops of each clip, not on whole frames.

They differ from the code in that videos that cannot be read are left out, and
that validation reads the middle clip of each video, not a random one. Each
epoch has an order of its own, as theirs have, who shuffled their list 100 times
for 109 epochs.

`--set dataset=nonlocal_net` reads the lists of the authors' code. They have
234,643 of the 246,535 training videos, fewer than the networks of the paper and
of the README were trained on: up to half a point less is expected of them.
"""

import dataclasses

from .published import estimated_hours, publish
from .schema import (
    DataConfig,
    ModelConfig,
    NonLocalConfig,
    OptimizerConfig,
    Recipe,
    Reference,
    SamplingConfig,
    TrainingConfig,
    ViewsConfig,
)


@dataclasses.dataclass(frozen=True)
class Plan:
    """Length and learning rates of a training schedule.

    Attributes:
        base_lr: for all GPUs' clips together.
        drops_at: where the rate falls to a tenth, in thousands of steps.
        steps: in thousands.
        gpus: that the authors had.
        gpu_clips: of a step, on each.
        is_affine: normalisations stay as a network for short clips has them.
        max_short_side_px: largest short side of a training clip.
        dropout: before the classifier.
    """

    base_lr: float
    drops_at: tuple[int, ...]
    steps: int
    gpus: int = 8
    gpu_clips: int = 8
    is_affine: bool = False
    max_short_side_px: int = 320
    dropout: float = 0.5


PLANS = {
    "400k": Plan(0.01, (150, 300), 400),
    "300k": Plan(0.01, (150, 250), 300),
    "4gpu_600k": Plan(0.005, (300, 500), 600, gpus=4),
    "4gpu_300k": Plan(
        0.005, (150, 250), 300, gpus=4, max_short_side_px=256, dropout=0.0
    ),
    "affine": Plan(0.0025, (150, 300), 400, gpu_clips=2, is_affine=True),
}
# The network for short clips with the same graph.
SHORTER = {"32x4": "8x8", "128x1": "32x2"}


@dataclasses.dataclass(frozen=True)
class Row:
    """One run.

    Attributes:
        model: in `nonlocal_tf.list_models()`.
        sampling: frames of a clip times their distance.
        gmacs: billions of multiply-adds of a clip of 224 x 224.
        paper: top-1 / top-5 there.
        rows: of the paper, by table.
        readme: top-1 / top-5 in the README of the authors' code.
        variant: of the model, as the recipe's name has it.
        block: how non-local blocks differ from the default.
        inflation: of I3D.
        plan: of `PLANS`. Default: "400k", or "affine" for long clips.
    """

    model: str
    sampling: str
    gmacs: float
    paper: str = ""
    rows: dict[str, str] = dataclasses.field(default_factory=dict)
    readme: str = ""
    variant: str = ""
    block: NonLocalConfig = NonLocalConfig()
    inflation: str | None = None
    plan: str = ""

    @property
    def name(self) -> str:
        network, _, depth = self.model.rpartition("_")
        parts = ("k400", network, self.variant, depth, self.sampling, self.plan)
        return "_".join(part for part in parts if part)


def pairwise(name: str) -> NonLocalConfig:
    return NonLocalConfig(pairwise=name)


def block_in(stage: str) -> NonLocalConfig:
    return NonLocalConfig(places=stage)


def along(axes: str) -> NonLocalConfig:
    return NonLocalConfig(axes=axes)


# fmt: off
ROWS = (
    # C2D, 32 frames: 2a (which function), 2b (where), 2c (how many), 2d (along
    # what).
    Row("c2d_r50", "32x2", 20.23, "71.8 / 89.7",
        {"2a": "baseline", "2b": "baseline", "2c": "R50 baseline",
         "2d": "R50 baseline", "2f": "R50 C2D"}, "72.0 / 90.0"),
    Row("c2d_nl1_r50", "32x2", 20.98, "72.5 / 90.2", {"2a": "Gaussian"},
        variant="gaussian", block=pairwise("gaussian")),
    Row("c2d_nl1_r50", "32x2", 21.42, "72.7 / 90.5",
        {"2a": "embedded Gaussian", "2b": "res4", "2c": "R50 1 block"}),
    Row("c2d_nl1_r50", "32x2", 21.42, "72.9 / 90.3", {"2a": "dot product"},
        variant="dot_product", block=pairwise("dot_product")),
    Row("c2d_nl1_r50", "32x2", 21.34, "72.8 / 90.5", {"2a": "concatenation"},
        variant="concatenation", block=pairwise("concatenation")),
    Row("c2d_nl1_r50", "32x2", 58.33, "72.7 / 90.3", {"2b": "res2"},
        variant="res2", block=block_in("res2")),
    Row("c2d_nl1_r50", "32x2", 22.52, "72.9 / 90.4", {"2b": "res3"},
        variant="res3", block=block_in("res3")),
    Row("c2d_nl1_r50", "32x2", 21.22, "72.3 / 90.1", {"2b": "res5"},
        variant="res5", block=block_in("res5")),
    Row("c2d_nl5_r50", "32x2", 28.36, "73.8 / 91.0",
        {"2c": "R50 5 blocks", "2d": "R50 spacetime"}, "73.9 / 91.0"),
    Row("c2d_nl10_r50", "32x2", 36.49, "74.3 / 91.2", {"2c": "R50 10 blocks"}),
    Row("c2d_r101", "32x2", 35.08, "73.1 / 91.0",
        {"2c": "R101 baseline", "2d": "R101 baseline", "2e": "C2D",
         "2f": "R101 C2D"}),
    Row("c2d_nl1_r101", "32x2", 36.27, "74.3 / 91.3", {"2c": "R101 1 block"}),
    Row("c2d_nl5_r101", "32x2", 43.21, "75.1 / 91.7",
        {"2c": "R101 5 blocks", "2d": "R101 spacetime", "2e": "NL C2D"}),
    Row("c2d_nl10_r101", "32x2", 51.34, "75.1 / 91.6",
        {"2c": "R101 10 blocks"}),
    Row("c2d_nl5_r50", "32x2", 26.12, "72.9 / 90.8", {"2d": "R50 space-only"},
        variant="space", block=along("space")),
    Row("c2d_nl5_r50", "32x2", 28.48, "73.1 / 90.5", {"2d": "R50 time-only"},
        variant="time", block=along("time")),
    Row("c2d_nl5_r101", "32x2", 40.97, "74.4 / 91.3",
        {"2d": "R101 space-only"}, variant="space", block=along("space")),
    Row("c2d_nl5_r101", "32x2", 43.33, "74.4 / 90.5",
        {"2d": "R101 time-only"}, variant="time", block=along("time")),
    # 2e (3-D convolutions) and 2f (both together).
    Row("i3d_r101", "32x2", 61.86, "74.1 / 91.2", {"2e": "I3D 3x3x3"},
        variant="3x3x3", inflation="3x3x3"),
    Row("i3d_r101", "32x2", 51.38, "74.4 / 91.1",
        {"2e": "I3D 3x1x1", "2f": "R101 I3D"}),
    Row("i3d_r50", "32x2", 32.83, "73.3 / 90.7", {"2f": "R50 I3D"},
        "73.6 / 90.8"),
    Row("i3d_nl5_r50", "32x2", 40.96, "74.9 / 91.6", {"2f": "R50 NL I3D"},
        "74.9 / 91.6"),
    Row("i3d_nl5_r101", "32x2", 59.51, "76.0 / 92.1", {"2f": "R101 NL I3D"}),
    # 2g (128 frames).
    Row("c2d_r50", "128x1", 80.93, "73.8 / 91.2", {"2g": "R50 C2D"}),
    Row("i3d_r50", "128x1", 131.32, "74.9 / 91.7", {"2g": "R50 I3D"},
        "75.2 / 92.0"),
    Row("i3d_nl5_r50", "128x1", 169.49, "76.5 / 92.6", {"2g": "R50 NL I3D"},
        "76.5 / 92.7"),
    Row("c2d_r101", "128x1", 140.33, "75.3 / 91.8", {"2g": "R101 C2D"}),
    Row("i3d_r101", "128x1", 205.51, "76.4 / 92.7", {"2g": "R101 I3D"}),
    Row("i3d_nl5_r101", "128x1", 243.69, "77.7 / 93.3",
        {"2g": "R101 NL I3D"}),
    # The authors' faster networks, in their README alone.
    Row("c2d_r50", "8x8", 19.29, readme="71.9 / 90.0"),
    Row("c2d_nl5_r50", "8x8", 27.42, readme="74.4 / 91.4"),
    Row("i3d_r50", "8x8", 28.11, readme="73.4 / 90.9"),
    Row("i3d_nl5_r50", "8x8", 36.24, readme="74.7 / 91.6"),
    Row("i3d_r50", "32x4", 112.44, readme="75.5 / 92.0"),
    Row("i3d_nl5_r50", "32x4", 150.61, readme="76.5 / 92.6"),
    Row("i3d_r50", "8x8", 28.11, readme="73.2 / 90.8", plan="300k"),
    Row("i3d_r50", "8x8", 28.11, readme="73.0 / 90.4", plan="4gpu_600k"),
    Row("i3d_r50", "8x8", 28.11, readme="72.0 / 90.1", plan="4gpu_300k"),
)
# fmt: on


def recipe_of(row: Row) -> Recipe:
    """The recipe of a row."""
    plan = plan_of(row)
    frames, stride = map(int, row.sampling.split("x"))
    has_blocks = "_nl" in row.model
    batch = plan.gpus * plan.gpu_clips
    steps = 1000 * plan.steps
    return Recipe(
        name=row.name,
        description=_description(row),
        dataset="kinetics",
        data=DataConfig(),
        sampling=SamplingConfig(
            frames, stride, max_short_side_px=plan.max_short_side_px
        ),
        views=ViewsConfig(),
        model=ModelConfig(
            row.model,
            row.block if has_blocks else None,
            sampling=row.sampling,
            inflation=row.inflation,
            norm="affine" if plan.is_affine else "batch",
            dropout=plan.dropout,
            start="short clips" if plan.is_affine else "imagenet",
        ),
        optimizer=OptimizerConfig(
            base_lr=plan.base_lr,
            name="sgd",
            schedule="steps",
            drops_at_steps=tuple(1000 * drop for drop in plan.drops_at),
            weight_decay=1e-4,
            lr_batch=batch,
        ),
        training=TrainingConfig(
            precise_bn_batches=0 if plan.is_affine else 200
        ),
        batch=batch,
        steps=steps,
        epoch_steps=10_000,  # the authors' from checkpoint to checkpoint
        reference=_reference(row, plan, batch * steps),
    )


def plan_of(row: Row) -> Plan:
    """Return the training schedule of a row."""
    default = "affine" if row.sampling in SHORTER else "400k"
    return PLANS[row.plan or default]


def weights_of(row: Row) -> str:
    """Return the start weights in the command of a row."""
    network, _, depth = row.model.rpartition("_")
    if row.sampling not in SHORTER:
        return f"{depth}_pretrain_c2_model_iter450450_clean.pkl"
    backbone = network.partition("_")[0]
    return f"runs/k400_{backbone}_{depth}_{SHORTER[row.sampling]}"


def _description(row: Row) -> str:
    network, _, depth = row.model.rpartition("_")
    backbone, _, blocks = network.partition("_nl")
    words = [f"{backbone.upper()}-{depth[1:]}"]
    if row.inflation:
        words[0] += f" {row.inflation}"
    if blocks:
        words.append(f"{blocks} block" + "s" * (blocks != "1"))
        words.append(row.variant.replace("_", " "))
    words.append(f"{row.sampling} clips")
    words.append(row.plan.replace("_", " ").replace("gpu", " GPUs"))
    return ", ".join(word for word in words if word)


def _reference(row: Row, plan: Plan, clips: int) -> Reference:
    tables = ", ".join(row.rows)
    sources = [f"table{'s' * (len(row.rows) > 1)} {tables}"] * bool(row.rows)
    numbers = [f"{row.paper} %"] * bool(row.paper)
    if row.readme:
        sources.append("README of video-nonlocal-net")
        numbers.append(f"{row.readme} %" + " (README)" * bool(row.paper))
    rows = dict.fromkeys(row.rows.values()) or [_description(row)]
    return Reference(
        table=" and ".join(sources),
        row="; ".join(rows),
        expected=f"{', '.join(numbers)} top-1 / top-5",
        hardware=f"{plan.gpus} GPUs, {plan.gpu_clips} clips each",
        hours=estimated_hours(row.gmacs, clips, plan.gpus),
    )


publish(((recipe_of(row), weights_of(row)) for row in ROWS), globals())
