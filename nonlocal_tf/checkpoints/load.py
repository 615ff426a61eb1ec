"""From a file to a model: `from_checkpoint` and `load_weights`."""

import dataclasses
import os
from typing import Any, Literal

import keras

from nonlocal_tf.checkpoints import assign, build_model, infer_architecture
from nonlocal_tf.checkpoints.errors import CheckpointError, check_model
from nonlocal_tf.checkpoints.load_report import Report
from nonlocal_tf.checkpoints.read import opened, read
from nonlocal_tf.checkpoints.readers import hdf5, keras_archive, pytorch
from nonlocal_tf.checkpoints.size_limits import Budget
from nonlocal_tf.models.resnet_head import HeadKind


def load_weights(
    model: keras.Model, path: str | os.PathLike, new_head: bool = False
) -> Report:
    """Fills a model of `create_model` from a file of any known format.

    Kernels of images, and of single frames, are repeated in time and divided
    by their number ("inflated"). Batch normalisation goes into an affine model
    as its scale and shift, and the other way round. Either everything fits, or
    the model stays as it is, with these exceptions, which the report lists as
    `kept` and `unused`: the classifier, if the file has none or one of other
    classes; and non-local blocks, if the file has none at all.

    The weights may be under any key of the file and have any common prefix; a
    few arrays of other prefixes, such as those of a loss, are `ignored`. If
    there are several, the averaged ones (EMA) are taken, else those under
    the more usual key; the report says so as `selected`.

    Networks want the pixels they were trained on: RGB, for the authors' and
    SlowFast's as `nonlocal_tf.preprocess.normalize` has them; for mmaction2
    and torchvision less (123.675, 116.28, 103.53), over (58.395, 57.12,
    57.375); for Keras' ResNets BGR less (103.939, 116.779, 123.68). Training
    adapts a network that starts from others; testing needs them as they are.
    Keras' ResNets have the stride on the 1x1 convolutions: build the model
    with `stride_on="1x1"`, or the report's `differs` says so. The pool of all
    networks on images is padded; with `stem="slowfast"` that on clips is, too.

    Args:
        model: to fill.
        path: Caffe2 `.pkl` of the authors, SlowFast `.pyth` or `.pkl`,
            mmaction2 or torchvision `.pth`, ResNet of `keras.applications`
            (`.h5`), or our own `.keras` and `.weights.h5`. No code in the file
            is run, and reading it takes no more memory than four times the
            file and 64 MB.
        new_head: leave the classifier as it is, also if that of the file
            would fit.

    Returns:
        A `Report`; print it.

    Raises:
        CheckpointError: the file is damaged, asks to run code, or does not fit
            the model; it names the file and the weight. A ValueError.
        TypeError: it is no model.
        OSError: the file cannot be opened.
    """
    check_model(model)
    return assign.load(model, read(path), new_head)


def from_checkpoint(
    path: str | os.PathLike,
    sampling: str | None = None,
    pairwise: str | None = None,
    scale: float | Literal["rsqrt"] | None = None,
    clip_shape: tuple[int | None, ...] | None = None,
    num_classes: int | None = None,
    head: HeadKind | None = None,
    **options: Any,
) -> tuple[keras.Model, Report]:
    """Builds the network that a file has the weights of, and loads them.

    Depth, temporal kernels, places and kind of non-local blocks, normalisation
    and classes are read off the file. Not in the file are `sampling`,
    `pairwise`, `scale` and, of Caffe2 files, `stem`, unless `save_weights` has
    written it; `report.assumed` says what was taken for those not given.

    Args:
        path: as of `load_weights`.
        sampling: "8x8", "32x2", "32x4" or "128x1": which of the authors' two
            graphs, and how many frames. Default: "8x8" for SlowFast files,
            "32x4" for files without statistics (affine), else "32x2".
        pairwise: "embedded_gaussian" (default) or "dot_product", which have
            the same weights. The Gaussian and the concatenation show.
        scale: factor on the logits of the embedded Gaussian. Default: "rsqrt",
            and 1 for mmaction2.
        clip_shape: `(time, height, width, channels)`; all but the channels may
            be None. Default: the sampling's frames of 224 x 224 x 3. For a
            network on images, `(height, width, channels)`.
        num_classes: default: those of the file. With others the classifier
            stays as it is initialised.
        head: as of `create_model`. Default: "none" if the file has no
            classifier; else "classification", or "fully_convolutional" where
            the clip is known to be larger than a training crop (mmaction2
            averages larger ones too).
        **options: other arguments of `create_model`, such as `outputs`. Give
            `stem="slowfast"` for the `.pkl` files of SlowFast's model zoo,
            which have the names of the authors' files.

    Returns:
        (the model, a `Report`).

    Raises:
        CheckpointError: as of `load_weights`.
        ValueError: an argument contradicts the file.
        TypeError: an argument is unknown.
        OSError: the file cannot be opened.

    Example:

        model, report = nl.from_checkpoint(
            "i3d_nonlocal_8x8_IN_pretrain_400k.pkl",
            sampling="8x8",
            clip_shape=(8, 256, 256, 3),
            outputs="probabilities",
        )
    """
    path = os.path.expanduser(os.fspath(path))
    given = {
        "sampling": sampling,
        "pairwise": pairwise,
        "scale": scale,
        "clip_shape": clip_shape,
        "num_classes": num_classes,
        "head": head,
        **options,
    }
    given = {name: value for name, value in given.items() if value is not None}
    if _is_keras_model(path):
        return _saved_model(path, given)
    checkpoint = read(path)
    network = infer_architecture.network_of(checkpoint)
    make = (
        build_model.image_model if network.is_image else build_model.clip_model
    )
    try:
        model, assumed = make(checkpoint, network, given)
    except ValueError as error:
        # Also of what the file says itself.
        raise CheckpointError(f"{checkpoint.path}: {error}") from error
    report = assign.load(model, checkpoint)
    return model, dataclasses.replace(report, assumed=assumed)


def _is_keras_model(path: str | os.PathLike) -> bool:
    with opened(path) as file:
        if not pytorch.is_archive(file.read(4)):
            return False
        budget = Budget(os.fstat(file.fileno()).st_size)
        return hdf5.is_keras_archive(file, budget)


def _saved_model(
    path: str | os.PathLike, given: dict[str, Any]
) -> tuple[keras.Model, Report]:
    if given:
        raise ValueError(
            "A .keras file says everything of its model. To load its weights "
            "into another one, build that with create_model and call "
            f"load_weights. Received: {', '.join(given)}"
        )
    if not os.fspath(path).endswith(".keras"):
        raise CheckpointError(
            f"{path}: Keras reads such a file only if its name ends in "
            "'.keras'. Rename it."
        )
    model = keras_archive.load(path)
    loaded: dict[str, tuple[str, ...]] = {
        v.path: (v.path,) for v in model.weights
    }
    return model, Report(os.fspath(path), "keras", loaded)
