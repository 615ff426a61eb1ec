"""Settings that make a run of the recipe "small" take seconds."""

from tests.training.reproduce import synthetic_coco

SETTINGS = (
    "images.canvas_px=64,96",
    "images.short_sides_px=64",
    "images.long_side_px=96",
    "images.eval_short_side_px=64",
    "images.mask_cells=28",
    "detector.width=4",
    "detector.fpn_channels=8",
    "detector.box_units=16",
    "detector.mask_channels=8,",
    "detector.mask_deconv_channels=8",
    "detector.num_keypoints=2",
    "detector.keypoint_channels=8,8",
    "detector.pre_nms_top_n=20",
    "detector.post_nms_top_n=20",
    "detector.detections_per_image=10",
    "sampling.anchors_per_image=16",
    "sampling.rois_per_image=8",
    "optimizer.warmup_steps=0",
    "steps=3",  # the last step is an epoch of its own
    "epoch_steps=2",
)


def options(folder, *extra_settings, validation=False):
    """Write images to a folder; return options of the train command."""
    folder.mkdir(exist_ok=True)
    path = synthetic_coco.write(folder, 3)
    settings = [f"data.train={path}", f"data.images={folder}"]
    if validation:
        settings.append(f"data.validation={path}")
    settings += [*SETTINGS, *extra_settings]
    return [
        "--recipe=small",
        "--verbose=0",
        *(f"--set={setting}" for setting in settings),
    ]
