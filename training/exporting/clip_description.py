"""The clips that a SavedModel is made for: assets/clips.json of a version.

{"sampling": {"frames": 8, "frame_stride": 8, ...},
 "views": null, "multi_label": false, "window_px": 224}
"""

import dataclasses
import json
from typing import Any

from ..data import frame_sampling
from ..data.sampling_config import SamplingConfig, ViewsConfig
from ..io import json_text
from ..io.paths import Path
from ..io.user_error import UserError

FILE = "clips.json"
FIELDS = ({str: (object, bool)}, None)
SHAPE = {
    "sampling": FIELDS,
    "views": FIELDS,
    "multi_label": bool,
    "window_px": (int, None),
}


@dataclasses.dataclass(frozen=True)
class ClipDescription:
    """Sampling, views and kind of labels of a SavedModel's clips.

    Attributes:
        sampling: of the frames of a clip; None for a model that is not for
            videos.
        views: clips and crops of each video in an evaluation, if chosen.
        multi_label: whether a video may have several labels.
        window_px: side of the windows that `Classifier.window_px` describes;
            None where the network scores whole views.
    """

    sampling: SamplingConfig | None
    views: ViewsConfig | None = None
    multi_label: bool = False
    window_px: int | None = None


def to_json(description: ClipDescription) -> str:
    """Format a description as the content of clips.json."""
    return json.dumps(dataclasses.asdict(description), indent=2) + "\n"


def read(version: Path) -> ClipDescription | None:
    """Read the description of a version of a SavedModel.

    Returns:
        The description; None for versions of older exports without it.

    Raises:
        UserError: the file is damaged.
    """
    path = version / "assets" / FILE
    if not path.is_file():
        return None
    try:
        return _parse(path.read_text("utf-8"))
    except (ValueError, TypeError) as error:
        raise UserError(
            f"{path} is not a description of clips by nonlocal-tf export: "
            f"{error}"
        ) from error


def _parse(content: str) -> ClipDescription:
    values: dict[str, Any] = json_text.parse_as(content, SHAPE)
    for name, kind in (("sampling", SamplingConfig), ("views", ViewsConfig)):
        if values.get(name) is not None:
            values[name] = json_text.build(kind, values[name], f"{name}.")
    description = json_text.build(ClipDescription, values)
    if description.sampling is not None:
        views = description.views
        views = views or frame_sampling.middle(description.sampling)
        frame_sampling.check(description.sampling, views)
    return description
