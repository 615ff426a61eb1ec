"""Shapes of a run folder's JSON files, as of `json_text.matches`.

A folder may come from someone else: a value of another type is said before it
is used. Keys that older versions of the code did not write may be missing.
"""

TEXT, NUMBER, COUNT = (str, None), (float, None), (int, None)

VERSION = {
    "started": TEXT,
    "commit": TEXT,
    "python": TEXT,
    "packages": ({str: TEXT}, None),
    "machine": TEXT,
    "onednn": TEXT,
}
VERSIONS = [VERSION]
_RESULT = {
    "recipe": TEXT,
    "seed": COUNT,
    "examples": COUNT,
    "chance": NUMBER,
    "mean_average_precision": NUMBER,
    "majority_class": TEXT,
    "majority_share": NUMBER,
    "train_seconds": NUMBER,
    "commits": ([TEXT], None),
    "versions": (VERSION, None),
    "image_stage": (dict, None),
}
# Of a network of videos, or of a detector.
RESULT = (
    {**_RESULT, "accuracy": float},
    {**_RESULT, "scores": {str: float}},
)
DATA = {
    "classes": [str],
    "element_shape": ([COUNT], None),
    "multi_label": (bool, None),
    "description": TEXT,
    "summary": TEXT,
    "held_out": ({str: TEXT}, None),
    "sha256": TEXT,
}
ORIGINS = [{"file": str, "format": str}]
