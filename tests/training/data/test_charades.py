import dataclasses

import pytest

from tests.training.data.fixtures import CHARADES_HEADER, make, read, write
from training.data.manifest import Span, Video
from training.io.user_error import UserError

SPANS = (Span(2, 11.9, 21.2), Span(0, 0.0, 12.6), Span(2, 0.5, 1.0))


def with_actions(folder, actions):
    """Settings whose list to train on has one video with these actions."""
    data = make("charades", folder)
    write(
        folder / "Charades_v1_train.csv",
        CHARADES_HEADER,
        f"46GP8,HR43,Kitchen,6,7,Yes,,,,{actions},24.83",
    )
    return data


def test_video_has_spans_and_the_labels_of_all_of_them(tmp_path):
    listing = read("charades", make("charades", tmp_path))
    assert listing.multi_label
    assert listing.classes == (
        "Holding some clothes",
        "Putting clothes somewhere",
        "Taking some clothes from somewhere",
    )
    path = f"{tmp_path}/Charades_v1_480/46GP8.mp4"
    assert listing.splits["train"] == [Video(path, (0, 2), SPANS)]


@pytest.mark.parametrize("name", ["charades", "charades_frames"])
def test_tests_skip_videos_without_an_action(name, tmp_path):
    assert read(name, make(name, tmp_path)).skips_unlabelled


def test_video_may_have_no_actions(tmp_path):
    listing = read("charades", make("charades", tmp_path))
    path = f"{tmp_path}/Charades_v1_480/N11GT.mp4"
    assert listing.splits["test"] == [Video(path)]


def test_frames_are_24_a_second_from_1(tmp_path):
    listing = read("charades_frames", make("charades_frames", tmp_path))
    assert listing.splits["train"] == [
        Video(
            f"{tmp_path}/Charades_v1_rgb/46GP8",
            (0, 2),
            SPANS,
            frame_name="46GP8-{:06}.jpg",
            first_frame=1,
            fps=24.0,
        )
    ]


def test_validation_list_is_read(tmp_path):
    data = make("charades", tmp_path)
    data = dataclasses.replace(data, validation=data.test, test=None)
    assert set(read("charades", data).splits) == {"train", "validation"}


@pytest.mark.parametrize(
    "actions, error",
    [
        ["c003 1.0 2.0", "expected a label from 0 below 3"],
        ["x001 1.0 2.0", "expected 'c000 START END'. Received: 'x001"],
        ["c001 1.0", "expected 'c000 START END'"],
        ["c001 1.0 2.0;c001 -1 2", "expected seconds. Received: '-1'"],
        ["c001 1.0 late", "expected seconds. Received: 'late'"],
        ["c00x 1.0 2.0", "expected a label from 0 below 3. Received: '00x'"],
    ],
)
def test_malformed_action_is_named(tmp_path, actions, error):
    data = with_actions(tmp_path, actions)
    with pytest.raises(UserError) as caught:
        read("charades", data)
    assert str(caught.value).startswith(f"{data.train}:2: {error}")


def test_video_without_a_name_is_refused(tmp_path):
    data = make("charades", tmp_path)
    write(tmp_path / "Charades_v1_test.csv", CHARADES_HEADER, "," * 10)
    with pytest.raises(UserError, match=r"test\.csv:2: expected an id"):
        read("charades", data)


def test_missing_column_is_named(tmp_path):
    data = make("charades", tmp_path)
    write(tmp_path / "Charades_v1_test.csv", "id,length", "46GP8,3")
    with pytest.raises(
        UserError, match=r"test\.csv:1: .* id, actions .*Received: id, length"
    ):
        read("charades", data)


@pytest.mark.parametrize("line", ["c002 Sitting", "Sitting", "c001"])
def test_malformed_class_is_named(tmp_path, line):
    data = make("charades", tmp_path)
    write(tmp_path / "Charades_v1_classes.txt", "c000 Eating", line)
    with pytest.raises(
        UserError, match=r"classes\.txt:2: expected 'c001 CLASS'"
    ):
        read("charades", data)
