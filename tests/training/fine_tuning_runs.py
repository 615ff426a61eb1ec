"""Short runs with all settings of fine-tuning, on small videos."""

from tests.training import video_run
from tests.training.data import films, fixtures
from training.recipes import get_recipe, overrides

SMALL = (
    *("steps=4", "epoch_steps=2", "batch=8", "optimizer.warmup_steps=1"),
    *("sampling.frames=2", "sampling.frame_stride=2", "sampling.crop_px=32"),
    *("sampling.min_short_side_px=36", "sampling.max_short_side_px=40"),
    *("sampling.eval_short_side_px=36", "views=None"),
    "training.synchronized_bn=true",
)
AUGMENTED = (
    *("sampling.crop_area=0.3,1", "sampling.crop_ratio=0.5,2"),
    *("sampling.rand_augment=2", "sampling.magnitude=9", "sampling.flip=true"),
    *("sampling.color_jitter=0.3", "sampling.grey=0.5", "sampling.erase=0.5"),
    *("sampling.time_jitter=0.5", "sampling.reversal=0.5"),
    "sampling.repeats=2",
)
SETTINGS = {
    "one label": (
        *SMALL,
        *AUGMENTED,
        f"sampling.flip_pairs={':'.join(video_run.CLASSES)}",
        *("sampling.balanced=true", "training.class_weights=balanced"),
        *("training.mixup=0.8", "training.cutmix=1"),
        *("optimizer.name=adamw", "optimizer.weight_decay=0.05"),
        *("optimizer.layer_decay=0.75", "optimizer.part_rates=logits=10"),
        *("model.frozen=stage1", "model.gradient_checkpointing=true"),
        *("training.ema_decay=0.5", "training.precise_bn_batches=1"),
        *("training.keep=best", "training.patience=2"),
        *("data.folds=3", "data.fold=1"),
    ),
    # Lion takes the sign of all gradients, also of those that are 0 but for
    # rounding, as of biases of blocks, which the next layer removes.
    "several labels": (
        *SMALL,
        *AUGMENTED,
        *("model.name=i3d_strided_small", "optimizer.part_rates=head=3"),
        *("optimizer.name=lion", "optimizer.weight_decay=0.1"),
        *("optimizer.base_lr=3e-4", "training.focal_gamma=2"),
        *("training.keep=best", "training.metric=val_loss"),
    ),
}


def settings(case, folder):
    """Write videos, unless they are there; return the settings of a run."""
    videos = folder / case
    is_new = not videos.exists()
    if case == "several labels":
        return [*_charades(videos, is_new), *SETTINGS[case]]
    if is_new:
        video_run.write_videos(videos)
        (videos / video_run.CLASSES[0] / "clip 4 ü.mkv").unlink()
    return [f"data.root={videos}", *SETTINGS[case]]


def recipe(case, folder):
    return overrides.override(get_recipe("finetune"), settings(case, folder))


def _charades(folder, is_new):
    """Write five videos with several labels, or none."""
    names = ["46GP8", "N11GT", "0KZ7A", "7UPGB", "3PQRC"]
    actions = ["c000 0 9;c002 0 9", "c001 0 9", "", "c002 0 0.2;c001 0 9"]
    rows = [
        f"{name},HR43,Kitchen,6,7,Yes,A person.,food,Someone.,{text},9.0"
        for name, text in zip(names, [*actions, actions[0]], strict=True)
    ]
    if is_new:
        for seed, name in enumerate(names):
            clip = films.pictures(9 + seed, seed=seed)
            film = films.write_film(folder / f"{name}.mkv", clip)
            film.rename(folder / f"{name}.mp4")
    header = fixtures.CHARADES_HEADER
    classes = [f"c00{label} Class {label}" for label in range(3)]
    lists = {
        "classes": fixtures.write(folder / "classes.txt", *classes),
        "train": fixtures.write(folder / "train.csv", header, *rows[:4]),
        "test": fixtures.write(folder / "test.csv", header, *rows[4:]),
    }
    data = [f"data.{name}={path}" for name, path in lists.items()]
    return ["dataset=charades", f"data.root={folder}", *data]
