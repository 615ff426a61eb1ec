"""Settings that make a run of the recipe "small" take seconds."""

from tests.training.reproduce import made_composites

SETTINGS = (
    "pictures.canvas_px=64,96",
    "pictures.short_sides_px=64",
    "pictures.long_side_px=96",
    "pictures.eval_short_side_px=64",
    "pictures.mask_cells=28",
    "detector.width=4",
    "detector.fpn_channels=8",
    "detector.box_units=16",
    "detector.mask_channels=8,",
    "detector.mask_deconv_channels=8",
    "detector.keypoints=2",
    "detector.keypoint_channels=8,8",
    "detector.proposals_a_level=20",
    "detector.proposals=20",
    "detector.detections=10",
    "examples.anchors=16",
    "examples.rois=8",
    "optimizer.warmup_steps=0",
    "steps=3",  # of which the last is an epoch
    "epoch_steps=2",
)


def options(folder, *more, validation=False):
    """Of the command, on pictures that are written to a folder."""
    folder.mkdir(exist_ok=True)
    path = made_composites.write(folder, 3)
    settings = [f"data.train={path}", f"data.pictures={folder}"]
    if validation:
        settings.append(f"data.validation={path}")
    settings += [*SETTINGS, *more]
    return [
        "--recipe=small",
        "--verbose=0",
        *(f"--set={setting}" for setting in settings),
    ]
