"""Networks with published weights: `create_model`."""

import os
import sys
import urllib.parse
import warnings
from typing import Any

import keras

from nonlocal_tf.checkpoints.errors import CheckpointError
from nonlocal_tf.checkpoints.load import from_checkpoint, load_weights
from nonlocal_tf.models import registry
from nonlocal_tf.pretrained import download, published_weights
from nonlocal_tf.pretrained.published_weights import PublishedWeights
from nonlocal_tf.pretrained.weights_sources import SOURCES

# Address of a copy of the published files, all in one folder.
MIRROR = "NONLOCAL_TF_WEIGHTS_MIRROR"
_shown_licenses: set[str] = set()
_accepted: set[str] = set()


def create_model(
    name: str,
    weights: str | os.PathLike | None = None,
    *,
    accept_license: bool = False,
    **arguments: Any,
) -> keras.Model:
    """Build a registered model; by default its outputs are logits.

    The paper's networks on clips, such as `c2d_r50` and `i3d_nl5_r101`, take
    the arguments of `nonlocal_tf.models.video_resnet.video_resnet`; the image
    networks `image_r50` and `image_r101` those of
    `nonlocal_tf.models.image_resnet.image_resnet`. The most common:

    - `num_classes`: number of logits;
    - `clip_shape`: `(time, height, width, channels)`, all but the channels may
      be None (image networks: `image_shape`);
    - `sampling`: "8x8", "32x2", "32x4" or "128x1", with the authors' network
      for it;
    - `inflation`: "3x1x1" or "3x3x3" (I3D);
    - `pairwise`, `scale`, `axes`, `position`, `nonlocal_places`,
      `nonlocal_groups`, `nonlocal_block`: options of the non-local blocks;
    - `head`: "classification", "fully_convolutional", "multi_label" or
      "none"; `outputs`: "logits" or "probabilities";
    - `norm`: "batch", or "affine" for scales and shifts that are not trained;
    - `stem`, `stride_on`, `crop_px`, `dropout`; and `width`, the channels of
      the first convolution (64), to build a narrow network for experiments;
    - `gradient_checkpointing`: train in less memory, in more time.

    A network classifies by what it relates. C2D ignores the order of frames,
    with non-local blocks and without, unless they have `position`; I3D relates
    a few neighbouring frames. Blocks relate distant places of a frame
    (`axes="space"`), a place in distant frames ("time") or both ("spacetime",
    the default). `docs/pages/abilities.md` shows each on clips that take it.

    The `_small` networks take `num_classes`, `clip_shape` or `image_shape`, and
    with blocks the options of `nonlocal_tf.models.small_convnet.clip_convnet`.

    Weights "made_motion" are part of the package. Others are downloaded once,
    to the folder `nonlocal_tf` in the cache of Keras (`~/.keras`, or
    `KERAS_HOME`); the variable `NONLOCAL_TF_WEIGHTS_MIRROR` is the address of a
    copy of the files. They determine the default of all arguments that their
    network needs. The classifier is new if `num_classes` is another number than
    theirs. Image weights are inflated.

    Args:
        name: name in `list_models()`.
        weights: name in `list_weights(name)`, or path of a file for
            `load_weights`. Default: initial values.
        accept_license: True to accept a license that forbids commercial use.
        **arguments: arguments of the model's builder.

    Returns:
        A functional model.

    Raises:
        ValueError: unknown model or weights, an invalid value of an argument,
            a license that was not accepted, or Keras is set to channels first.
        CheckpointError: the weights cannot be downloaded, or do not fit.
        TypeError: unknown argument.

    Example:

    >>> import nonlocal_tf as nl
    >>> model = nl.create_model("c2d_nl5_r50", num_classes=5, sampling="8x8")
    >>> model.input_shape, model.output_shape
    ((None, 8, 224, 224, 3), (None, 5))
    """
    if weights is None:
        return registry.create_model(name, **arguments)
    registry.check(name, arguments)
    if _is_file(weights):
        model = registry.create_model(name, **arguments)
        load_weights(model, weights)
        return model
    row = published_weights.find(name, os.fspath(weights))
    if row.is_included:
        own = {"num_classes": row.num_classes, **row.arguments}
        model = registry.create_model(name, **{**own, **arguments})
        load_weights(model, included_path(row))
        return model
    path = download_weights(row, accept_license)
    if row.network != name:  # of images
        model = registry.create_model(name, **arguments)
        load_weights(model, path, new_head=True)
        return model
    return _of_file(row, path, arguments)


def _is_file(weights: str | os.PathLike) -> bool:
    """Tell a path from a name, which has no extension and no folder."""
    path = os.fspath(weights)
    is_path = not isinstance(weights, str) or os.path.dirname(path)
    return bool(is_path or "." in path or os.path.exists(path))


def _of_file(
    row: PublishedWeights, path: str, arguments: dict[str, Any]
) -> keras.Model:
    """Build the network of a published file, with its weights."""
    model, report = from_checkpoint(path, **{**row.arguments, **arguments})
    if model.name != arguments.get("name", row.network):
        raise CheckpointError(
            f"{path}: Expected the weights of {row.network!r}. Received: those "
            f"of {model.name!r}. Remove the file to download it again."
        )
    if report.differences:
        warnings.warn(
            f"The model differs from the network of {row.file}: "
            f"{'; '.join(report.differences)}.",
            stacklevel=3,
        )
    return model


def download_weights(
    row: PublishedWeights, accept_license: bool = False
) -> str:
    """Download published weights, unless they are in the cache or included.

    Args:
        row: of `list_weights`.
        accept_license: True to accept a license that forbids commercial use;
            that holds for all weights of its source in this process.

    Returns:
        Path of the file.

    Raises:
        ValueError: the license has to be accepted.
        DownloadError: the file cannot be downloaded, or is another one.
    """
    if row.is_included:
        return included_path(row)
    source = SOURCES[row.source]
    if accept_license:
        _accepted.add(row.source)
    if not source.is_commercial and row.source not in _accepted:
        raise ValueError(
            f"The weights of {source.title} are {source.license}: not for "
            f"commercial use, nor is a model made from them ({source.page}). "
            "Expected accept_license=True (--accept-license of commands) to "
            "accept that."
        )
    if row.source not in _shown_licenses:
        _shown_licenses.add(row.source)
        print(
            f"Weights of {source.title}: {source.license}, {source.page}",
            file=sys.stderr,
        )
    path = cache_path(row)
    download.fetch(_address(row), path, row.sha256)
    return path


def accept_licenses() -> None:
    """Accept licenses that forbid commercial use, for this process."""
    _accepted.update(SOURCES)


def included_path(row: PublishedWeights) -> str:
    """Return the path of weights that are part of the package."""
    return os.path.join(os.path.dirname(__file__), "files", row.file)


def cache_path(row: PublishedWeights) -> str:
    """Return the path of published weights in the cache of Keras."""
    home = os.environ.get("KERAS_HOME") or os.path.join("~", ".keras")
    home = os.path.expanduser(home)
    return os.path.join(home, "nonlocal_tf", row.source, row.file)


def _address(row: PublishedWeights) -> str:
    mirror = os.environ.get(MIRROR)
    if not mirror:
        return row.address
    return f"{mirror.rstrip('/')}/{urllib.parse.quote(row.file)}"
