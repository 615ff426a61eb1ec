"""Errors of files of weights, as the user of a command needs them."""

import contextlib
from collections.abc import Callable, Iterator

import nonlocal_tf as nl
from nonlocal_tf.checkpoints.errors import MismatchError

from .user_error import UserError


@contextlib.contextmanager
def shown(
    setting: str,
    remedy: Callable[[str], str],
    copy: str = "",
    original: str = "",
) -> Iterator[None]:
    """Turns errors of the block into one line for the command line.

    Args:
        setting: that names the file, for the beginning of the line.
        remedy: a sentence for a file that does not fit, by the name of the
            file's network, which may be "".
        copy: path of a temporary copy of the file.
        original: what the user knows it by.

    Raises:
        UserError: for a ValueError, such as a CheckpointError.
    """

    def line(text: str) -> UserError:
        if copy:
            text = text.replace(copy, original)
        return UserError(f"{setting}: {text}" if setting else text)

    try:
        yield
    except MismatchError as error:
        text = f"{error.reason} {remedy(error.network)}"
        raise line(text) from error
    except ValueError as error:
        raise line(str(error)) from error


def of_recipe(own: str, network: str) -> str:
    """Advice on a file that does not fit a recipe's network.

    Args:
        own: the name of the recipe's network.
        network: the name of the file's network, or "".
    """
    if network == own:
        return (
            "The recipe builds it otherwise: set model.norm, model.width or "
            "model.nonlocal_block.places as the file has them, or give "
            "another file."
        )
    if network in nl.list_models():
        return (
            f"Choose that network with --set model.name={network}, or give "
            "another file."
        )
    return (
        "Choose the network of the file with --set model.name=NAME "
        "(nonlocal-tf models lists them), or give another file."
    )


def of_start(network: str) -> str:
    """Advice on a network that the weights of its start do not fit."""
    return "For random weights: --set model.start=scratch"


def of_detector(network: str) -> str:
    """Advice on a file that does not fit a recipe's detector."""
    return (
        "Give the detector the layers and heads of the file, such as with "
        "--set detector.layers=3,4,23,3, or another file."
    )


def of_detector_file(network: str) -> str:
    """Advice on a file that is not of a detector that is built here."""
    return (
        "Give a Mask or Keypoint R-CNN with a feature pyramid, of torchvision "
        "or detectron2."
    )


def of_conversion(network: str) -> str:
    """Advice on a file whose network does not show."""
    return (
        "Other networks are converted in Python alone, by nl.load_weights and "
        "nl.checkpoints.save_weights."
    )
