import json

import pytest

from training.data.sampling_config import SamplingConfig, ViewsConfig
from training.exporting import clip_description
from training.exporting.clip_description import ClipDescription
from training.io.user_error import UserError

DESCRIPTION = ClipDescription(
    SamplingConfig(frames=3, frame_stride=5, crop_px=70, flip=False),
    ViewsConfig(clips=2, crops=1, short_side_px=80, crop_px=70),
    multi_label=True,
    window_px=70,
)


def write(version, content):
    (version / "assets").mkdir(exist_ok=True)
    (version / "assets" / "clips.json").write_text(content)


@pytest.mark.parametrize("description", [DESCRIPTION, ClipDescription(None)])
def test_written_description_is_read(tmp_path, description):
    write(tmp_path, clip_description.to_json(description))
    assert clip_description.read(tmp_path) == description


def test_older_exports_have_none(tmp_path):
    assert clip_description.read(tmp_path) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"sampling": {"frames": "8"}},
        {"sampling": {"frames": 0}},
        {"sampling": {"stride": 3}},
        {"views": {"starts": "nowhere"}},
        {"views": [1]},
        {"multi_label": 1},
        {"window_px": "70"},
    ],
)
def test_damaged_description_is_an_error(tmp_path, changes):
    values = json.loads(clip_description.to_json(DESCRIPTION))
    write(tmp_path, json.dumps({**values, **changes}))
    with pytest.raises(UserError, match=r"clips.json is not a description"):
        clip_description.read(tmp_path)
