"""Options of short runs on videos, and videos for them."""

from tests.training.data import films

CLASSES = ("jump", "walk slöwly")
OPTIONS = (
    "--recipe=finetune",
    "--set=steps=4",
    "--set=epoch_steps=2",
    "--set=batch=3",
    "--set=optimizer.warmup_steps=1",
    "--set=sampling.frames=2",
    "--set=sampling.min_short_side_px=36",
    "--set=sampling.max_short_side_px=40",
    "--set=sampling.crop_px=32",
    "--set=sampling.eval_short_side_px=36",
    "--set=views=None",
    "--verbose=0",
)


def write_videos(folder, frames=9):
    """Write five videos per class, each one frame longer than the last."""
    for label, name in enumerate(CLASSES):
        for number in range(5):
            clip = films.pictures(frames + number, seed=label)
            films.write_film(folder / name / f"clip {number} ü.mkv", clip)
    return folder
