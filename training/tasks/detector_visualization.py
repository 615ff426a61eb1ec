"""Detections and attention maps drawn on images, for `visualize`."""

import argparse
import dataclasses
import io
from collections.abc import Iterator
from typing import Any

import numpy as np

from nonlocal_tf.attention.attention_map import AttentionMap
from nonlocal_tf.attention.block_attention import (
    BlockAttention,
    nonlocal_blocks,
)
from nonlocal_tf.attention.plots import attention_plot, image_grid
from nonlocal_tf.detection import preprocessing
from nonlocal_tf.typing import PILImage

from ..coco import drawing, image_files
from ..coco.trained_detector import TrainedDetector
from ..io import outputs
from ..io.user_error import UserError
from ..prediction import attention_options
from ..prediction.attention_options import AXES, STRONGEST, Query
from . import detector_prediction

OUT = "detections.png"


def run_command(options: argparse.Namespace) -> None:
    """Draw the images of the options below each other, in one file.

    Below each image with its detections are the attention maps of `--query`
    or `--block`.
    """
    if not options.inputs:
        raise UserError("Give images, or folders of them.")
    out = attention_options.check(options, OUT, (".png",))
    image_paths = detector_prediction.find(options.inputs)
    model = detector_prediction.load(
        options.model or options.workdir, options.weights
    )
    has_attention = bool(options.query or options.block)
    if has_attention:
        _check_attention(model)
    drawn: list[PILImage] = []
    for path in image_paths:
        image = image_files.read(path)
        detections = model.detect(image)
        line = detector_prediction.describe(
            path, detections, model.categories, options.score_threshold
        )
        print(line, flush=True)
        overlay = drawing.draw_detections(
            image, detections, model.categories, options.score_threshold
        )
        drawn.append(overlay)
        if has_attention:
            plots = list(_attention_plots(model, image, path.name, options))
            overlay.thumbnail(plots[0].size)
            drawn += plots
    content = io.BytesIO()
    image_grid.concatenate_images(drawn, "y").save(content, format="PNG")
    inputs = attention_options.inputs_of(options)
    outputs.write_bytes(out, content.getvalue(), inputs)
    print(f"Image written to {out}")


def _check_attention(model: Any) -> None:
    """Raise a UserError unless attention maps of a detector can be computed."""
    if not isinstance(model, TrainedDetector):
        raise UserError(
            "Attention maps of a detector are computed from its run: give "
            f"--workdir DIR. Received: the SavedModel {model.origin}"
        )
    if not nonlocal_blocks(model.detector.pyramid):
        raise UserError(
            f"The backbone of {model.origin} has no non-local block."
        )


def _attention_plots(
    model: TrainedDetector,
    image: np.ndarray,
    name: str,
    options: argparse.Namespace,
) -> Iterator[PILImage]:
    """Draw the attention map of each query, and print its strongest keys."""
    queries = options.query or [STRONGEST]
    try:
        for query, attention_map in zip(
            queries,
            attention_maps(model, image, queries, options.block),
            strict=True,
        ):
            print(
                attention_options.table(
                    attention_map, query == STRONGEST, options.arrows, AXES[1:]
                )
            )
            yield attention_plot.draw_clip(
                image[None],
                attention_map,
                options.arrows,
                options.style or "arrows",
                [name],
            )
    except (ValueError, ImportError) as error:
        raise UserError(str(error)) from error


def attention_maps(
    model: TrainedDetector,
    image: np.ndarray,
    queries: list[Query],
    block: str | None = None,
) -> Iterator[AttentionMap]:
    """Compute attention maps of a detector's backbone.

    The network sees the image resized and padded. Maps have the cells with
    centers on the image alone: the weights of those in the padding are left
    out.

    Args:
        model: the detector.
        image: uint8 RGB `(height, width, 3)`.
        queries: (y, x) in pixels of the image, or "strongest".
        block: layer name of the non-local block. Default: the last one.

    Yields:
        The map of each query, in pixels of the image.

    Raises:
        ValueError: there is no such block, or a query is outside the image.
    """
    pixels, size = preprocessing.preprocess(
        image, model.short_side_px, model.long_side_px, model.normalization
    )
    attention = BlockAttention(model.detector.pyramid, pixels[0], block)
    scale = np.divide(image.shape[:2], size)
    rows, columns = (
        sum(axis.center(cell) < side for cell in range(axis.size))
        for axis, side in zip(attention.axes, size, strict=True)
    )
    for query in queries:
        if isinstance(query, str):
            attention_map = attention.most_concentrated(size)
        else:
            y, x = attention_options.query_in(query, AXES[1:])
            if not (0 <= y < image.shape[0] and 0 <= x < image.shape[1]):
                raise ValueError(
                    "Expected --query Y,X inside an image of size "
                    f"{image.shape[:2]}. Received: {query}"
                )
            attention_map = attention.at_pixel(
                (int(y / scale[0]), int(x / scale[1]))
            )
        weights = attention_map.weights[:, :rows, :columns]
        yield dataclasses.replace(attention_map, weights=weights).transform(
            (0.0, 0.0, 0.0), (1.0, float(scale[0]), float(scale[1]))
        )
