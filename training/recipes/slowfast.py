"""SlowFast's schedules for C2D, I3D and NL I3D on Kinetics-400, 8x8 clips.

    nonlocal-tf train --recipe slowfast_i3d_nl5_r50_8x8 \\
        --set data.root=kinetics \\
        --set data.train=train.csv --set data.validation=val.csv

From scratch: 196 epochs at a rate that follows a cosine, under a warm-up of 34
epochs; and from ImageNet ("in1k"): 118 epochs with two drops (the third of its
settings, at epoch 118, is never reached). Epochs are steps here, those of the
234,643 training videos in the list of the paper's code, in whole batches of 64;
another list of videos is gone through more or less often.

The numbers of C2D and I3D are those of pytorchvideo's model zoo, trained with
this schedule (configs/Kinetics/pytorchvideo). The I3D and NL I3D of SlowFast's
own zoo, 73.5 / 90.8 and 74.0 / 91.1 %, were trained in Caffe2
(configs/Kinetics/c2), and say nothing of this schedule.

As there: strides are counted at 30 frames a second, a clip that is longer than
its video ends on the last frame, blocks of ResNet-101 follow the residual
blocks 1, 3 and 5 of res4, and the pool of the stem is padded. Another than
there: theta, phi, g and W_z are drawn from N(0, 0.01), not from He's.

Not here: C2D_NOPOOL, whose 67.2 / 87.8 % are of a Caffe2 file too
(`stem="slowfast_nopool"` builds its network); and C2D_NLN, C2D_IN1K and
C2D_NLN_IN1K, without a number. MMAction2's I3D is trained in none of our
ways: without Nesterov's momentum, with weight decay on normalisations, on
frames that are normalised by ImageNet's colours, and its non-local blocks pool
behind phi and g and have no bias in W_z.

None of these has been run here.
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

BATCH, GPUS = 64, 8
EPOCH_STEPS = 234_643 // BATCH  # the rest of an epoch is dropped
SCRATCH_EPOCHS, WARMUP_EPOCHS = 196, 34
IN1K_EPOCHS, IN1K_DROPS = 118, (44, 88)


@dataclasses.dataclass(frozen=True)
class ZooRow:
    """One run.

    Attributes:
        model: in `nonlocal_tf.list_models()`.
        gmacs: billions of multiply-adds of a clip of 224 x 224.
        config: its file in SlowFast, in configs/Kinetics.
        expected: top-1 / top-5 of this schedule, or of another where there
            is none.
        is_in1k: starts from ImageNet.
        places: of blocks, where they are not the paper's.
    """

    model: str
    gmacs: float
    config: str
    expected: str = "no number published"
    is_in1k: bool = False
    places: str | None = None

    @property
    def name(self) -> str:
        return f"slowfast_{self.model}_8x8" + "_in1k" * self.is_in1k


# fmt: off
ROWS = (
    ZooRow("c2d_r50", 19.49, "C2D_8x8_R50", "71.46 / 89.68 % top-1 / top-5"),
    ZooRow("i3d_r50", 28.41, "I3D_8x8_R50", "73.27 / 90.70 % top-1 / top-5"),
    ZooRow("i3d_nl5_r50", 36.54, "I3D_NLN_8x8_R50",
        "none published (74.0 / 91.1 % in Caffe2)"),
    ZooRow("i3d_r101", 46.96, "I3D_8x8_R101"),
    ZooRow("i3d_nl5_r101", 55.08, "I3D_NLN_8x8_R101",
        places="res3:1,3 res4:1,3,5"),
    ZooRow("i3d_r50", 28.41, "I3D_8x8_R50_IN1K", is_in1k=True),
    ZooRow("i3d_nl5_r50", 36.54, "I3D_NLN_8x8_R50_IN1K", is_in1k=True),
)
# fmt: on

SCRATCH = OptimizerConfig(
    base_lr=0.1,
    warmup_steps=WARMUP_EPOCHS * EPOCH_STEPS,
    warmup_lr=0.01,
    name="sgd",
    schedule="cosine_throughout",
    weight_decay=1e-4,
    lr_batch=BATCH,
)
IN1K = OptimizerConfig(
    base_lr=0.01,
    name="sgd",
    schedule="steps",
    drops_at_steps=tuple(epoch * EPOCH_STEPS for epoch in IN1K_DROPS),
    weight_decay=1e-4,
    lr_batch=BATCH,
)


def recipe_of(row: ZooRow) -> Recipe:
    """The recipe of a row."""
    steps = EPOCH_STEPS * (IN1K_EPOCHS if row.is_in1k else SCRATCH_EPOCHS)
    block = NonLocalConfig(places=row.places) if "_nl" in row.model else None
    return Recipe(
        name=row.name,
        description=f"SlowFast's {row.config.replace('_', ' ')}",
        dataset="kinetics",
        data=DataConfig(),
        sampling=SamplingConfig(fps=30.0, past_end="clamp"),
        views=ViewsConfig(starts="slowfast"),
        model=ModelConfig(
            row.model,
            block,
            sampling="8x8",
            stem="slowfast",
            dropout=0.5,
            start="imagenet" if row.is_in1k else "scratch",
        ),
        optimizer=IN1K if row.is_in1k else SCRATCH,
        training=TrainingConfig(precise_bn_batches=200),
        batch=BATCH,
        steps=steps,
        epoch_steps=EPOCH_STEPS,
        reference=Reference(
            table="SlowFast's configs/Kinetics",
            row=row.config,
            expected=row.expected,
            hardware=f"{GPUS} GPUs, {BATCH // GPUS} clips each",
            hours=estimated_hours(row.gmacs, BATCH * steps, GPUS),
        ),
    )


def weights_of(row: ZooRow) -> str:
    """Return the start weights in the command of a row."""
    depth = row.model.rpartition("_")[2]
    is_in1k = row.is_in1k
    return f"{depth}_pretrain_c2_model_iter450450_clean.pkl" * is_in1k


publish(((recipe_of(row), weights_of(row)) for row in ROWS), globals())
