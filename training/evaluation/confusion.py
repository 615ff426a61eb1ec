"""Plot the confusion matrix as an image."""

import numpy as np

from nonlocal_tf.attention.plots import fonts

from ..io import atomic_files, plots
from ..io.paths import Path
from ..io.user_error import UserError
from . import metrics
from .video_scores import VideoScores

# From dark blue over grey to yellow, ever lighter: colour-blind people see the
# same order (Nunez et al., Optimizing colormaps with consideration for color
# vision deficiency, PLOS ONE 2018).
COLOURS = "cividis"
TICKS = (0.0, 0.01, 0.1, 0.25, 0.5, 1.0)
LABELS_UP_TO = 60  # classes; of more, names would be too small to read
NUMBERS_UP_TO = 20
SIDE_PX = (240, 720)
CELL_PX = (1, 48)
LABEL_CELL_PX = 14  # for a line of text
NAME_FONT_PX = 11
NAME_PX = 180  # of a name, at the most
BAR_PX = 14
MARGIN_PX = 16


def write(path: Path, scored: VideoScores) -> str:
    """Write the confusion matrix of scores to a PNG file.

    Returns:
        A line for the terminal: the path, or why there is no file.
    """
    if scored.multi_label:
        return "No confusion.png: a video has several labels."
    try:
        content = png(shares(scored), [str(c) for c in scored.classes])
    except UserError as error:
        return f"No confusion.png: {error}"
    atomic_files.write_bytes(path, content)
    return f"Confusion matrix written to {path}"


def shares(scored: VideoScores) -> np.ndarray:
    """Normalize the confusion matrix: rows are true classes and sum to 1.

    Unreadable videos do not count; rows of classes without videos are 0.
    """
    scores = metrics.pool_views(scored.scores[scored.ok], scored.pool)
    counts = metrics.confusion_matrix(
        metrics.predicted_classes(scores),
        scored.labels[scored.ok],
        len(scored.classes),
    )
    return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)


def png(shares: np.ndarray, names: list[str]) -> bytes:
    """Draw a confusion matrix.

    Args:
        shares: from `shares`, `(classes, classes)`.
        names: class names; omitted for more than 60 classes.

    Returns:
        A PNG file.

    Raises:
        UserError: matplotlib is not installed (extra `viz`).
    """
    margin = MARGIN_PX / plots.POINTS_PER_INCH
    # The axes fill the figure; labels are outside of it.
    return plots.png(
        figure(shares, names), bbox_inches="tight", pad_inches=margin
    )


@plots.style()
def figure(shares: np.ndarray, names: list[str]):
    """Draw what `png` renders, as a `matplotlib.figure.Figure`."""
    count = len(names)
    cell = int(np.clip(round(SIDE_PX[1] / count), *CELL_PX))
    if count <= LABELS_UP_TO:
        cell = max(cell, LABEL_CELL_PX, SIDE_PX[0] // count)
    side = count * cell
    drawn = plots.figure(side, side)
    axes = drawn.add_axes((0, 0, 1, 1))
    # Square roots, so that rare confusions show.
    image = axes.imshow(
        np.sqrt(shares),
        cmap=COLOURS,
        vmin=0,
        vmax=1,
        aspect="auto",
        interpolation="nearest",
    )
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.set_xlabel(f"predicted class, of {count}", loc="left", labelpad=9)
    axes.set_ylabel("true class", loc="top")
    for axis in (axes.xaxis, axes.yaxis):
        _name(axis, names if count <= LABELS_UP_TO else [])
    axes.tick_params(axis="x", labelrotation=90)
    if count <= NUMBERS_UP_TO:
        _write_numbers(axes, shares)
    bar = drawn.add_axes((1 + MARGIN_PX / side, 0, BAR_PX / side, 1))
    drawn.colorbar(image, cax=bar)
    labels = [f"{100 * share:g} %" for share in TICKS]
    bar.set_yticks(np.sqrt(TICKS), labels, fontsize=NAME_FONT_PX)
    return drawn


def _name(axis, names: list[str]) -> None:
    """Label the rows or columns with the names of the classes."""
    short = [fonts.shortened(name, NAME_PX, NAME_FONT_PX) for name in names]
    letters = [fonts.typeset(name)[1] for name in short]
    axis.set_ticks(range(len(names)), letters, fontsize=NAME_FONT_PX)
    for label, name in zip(axis.get_ticklabels(), short, strict=True):
        plots.set_text(label, name)


def _write_numbers(axes, shares: np.ndarray) -> None:
    """Write per cent into the cells that are not empty."""
    for (row, column), share in np.ndenumerate(shares):
        if share >= 0.005:
            axes.text(
                column,
                row,
                f"{100 * share:.0f}",
                ha="center",
                va="center",
                fontsize=NAME_FONT_PX,
                color="black" if share > 0.25 else "white",
            )
