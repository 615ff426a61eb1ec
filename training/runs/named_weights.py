"""Weights of a recipe: a file, a run folder, or published ones by name."""

from collections.abc import Mapping

from nonlocal_tf.choices import unknown
from nonlocal_tf.models.backbones import DEPTHS
from nonlocal_tf.pretrained import download_weights, published_weights
from nonlocal_tf.pretrained.published_weights import PublishedWeights

from ..io import paths, weight_errors
from ..io.user_error import UserError
from ..recipes.detection_schema import DetectionRecipe
from ..recipes.schema import INCLUDED_STARTS


def path_for_model(weights: str, network: str) -> paths.Path:
    """Return the path of a network's weights; download published ones.

    Args:
        weights: a path, a URL, or a name in `nl.list_weights(network)`.
        network: name of the network.

    Raises:
        UserError: there are no such weights, their license has to be accepted,
            or they cannot be downloaded.
    """
    rows = published_weights.of_network(network)
    return _path("model.weights", weights, rows)


def path_for_detector(weights: str, recipe: DetectionRecipe) -> paths.Path:
    """Return the path of a detector's weights; see `path_for_model`.

    Args:
        weights: a path, a URL, or a name of image weights of the backbone's
            depth, or of a detector with the same heads.
        recipe: of the detector.
    """
    layers = recipe.detector.layers
    networks = [
        f"image_r{depth}"
        for depth, blocks in DEPTHS.items()
        if blocks == layers
    ]
    if layers == DEPTHS[50]:
        has_keypoints = bool(recipe.detector.num_keypoints)
        kind = "keypoint" if has_keypoints else "mask"
        networks.append(f"{kind}_rcnn_r50")
    rows = {
        name: row
        for network in networks
        for name, row in published_weights.of_network(network).items()
    }
    return _path("start.weights", weights, rows)


def _path(
    setting: str, weights: str, rows: Mapping[str, PublishedWeights]
) -> paths.Path:
    path = paths.as_path(weights)
    is_path = set(weights) & set("./\\") or path.exists()
    if is_path:
        return path
    if weights not in rows:
        remedy = ""
        if weights in INCLUDED_STARTS.values():
            remedy = ". For random weights: --set model.start=scratch"
        names = unknown("weights", weights, rows) if rows else "No such file."
        raise UserError(
            f"{setting}: Expected a file, a run folder or the name of "
            f"published weights. {names} Received: {weights}{remedy}"
        )
    with weight_errors.shown(setting, lambda _: ""):
        return paths.as_path(download_weights(rows[weights]))
