import pytest

from tests.training.data.fixtures import make, read, write
from training.data.data_config import DataConfig
from training.data.manifest import Span, Video
from training.io.user_error import UserError

HEADER = "original_vido_id video_id frame_id path labels"


def frames(folder, *rows):
    """The listing of a list of frames with these rows."""
    names = write(folder / "names.txt", "run", "jump", "sit")
    data = DataConfig(
        train=write(folder / "t.csv", HEADER, *rows), classes=names
    )
    return read("slowfast_frames", data)


def test_consecutive_frames_with_a_label_are_a_span(tmp_path):
    listing = read("slowfast_frames", make("slowfast_frames", tmp_path))
    assert listing.multi_label and listing.classes == ("0", "1", "2")
    assert listing.splits["train"] == [
        Video(
            f"{tmp_path}/Charades_v1_rgb/46GP8",
            (0, 1, 2),
            (
                Span(1, 0 / 24, 1 / 24),
                Span(2, 1 / 24, 1 / 24),
                Span(2, 3 / 24, 4 / 24),
                Span(0, 4 / 24, 4 / 24),
            ),
            frames=5,
            frame_name="46GP8-{:06}.jpg",
            first_frame=1,
            fps=24.0,
        )
    ]


def test_video_without_labels_is_kept(tmp_path):
    listing = read("slowfast_frames", make("slowfast_frames", tmp_path))
    (video,) = listing.splits["validation"]
    assert (video.frames, video.labels, video.spans) == (2, (), ())
    assert listing.skips_unlabelled  # in a test, as Charades' script does


def test_frame_numbers_need_no_padding(tmp_path):
    rows = [f'v 0 {i} v/{{x}}8_{i}.jpg "0"' for i in range(9, 12)]
    (video,) = frames(tmp_path, *rows).splits["train"]
    assert (video.first_frame, video.frames) == (9, 3)
    names = [video.frame_name.format(i) for i in range(9, 12)]
    assert names == ["{x}8_9.jpg", "{x}8_10.jpg", "{x}8_11.jpg"]


def test_videos_are_those_of_the_first_column(tmp_path):
    rows = ['a 0 0 v/1.jpg "0"', 'b 0 0 v/5.jpg ""', 'a 0 1 v/2.jpg "1"']
    videos = frames(tmp_path, *rows).splits["train"]
    assert [(v.path, v.first_frame, v.frames) for v in videos] == [
        ("v", 1, 2),
        ("v", 5, 1),
    ]


def test_labels_in_more_quotes_are_read(tmp_path):
    rows = ['v 0 0 v/1.jpg """2,0"""', 'v 0 1 v/2.jpg """"']
    (video,) = frames(tmp_path, *rows).splits["train"]
    assert video.labels == (0, 2)


@pytest.mark.parametrize("path", ["v/3.jpg", "v/1.jpg", "w/2.jpg", "v/2.png"])
def test_missing_frame_raises(tmp_path, path):
    with pytest.raises(
        UserError, match=rf"t\.csv:3: .*next frame, v/2\.jpg\. .*: {path}"
    ):
        frames(tmp_path, 'v 0 0 v/1.jpg "0"', f'v 0 1 {path} "0"')


@pytest.mark.parametrize(
    "row, error",
    [
        ["v 0 0 v/1.jpg", "'original_vido_id"],
        ['v 0 0 v/1.jpg "0, 1"', "'original_vido_id"],
        ['v 0 0 v/one.jpg "0"', "a frame with a number in its name"],
        ['v 0 0 v/1.jpg "3"', "expected a label from 0 below 3"],
        ['v 0 0 v/1.jpg "x"', "expected a label from 0 below 3"],
    ],
)
def test_malformed_line_is_named(tmp_path, row, error):
    with pytest.raises(UserError, match=rf"t\.csv:2: .*{error}"):
        frames(tmp_path, row)


@pytest.mark.parametrize(
    "header", ["", "a.mp4 0", HEADER.replace("vido", "video")]
)
def test_wrong_header_raises(tmp_path, header):
    path = write(tmp_path / "t.csv", *filter(None, [header]))
    with pytest.raises(UserError, match=r"t\.csv:1: .*original_vido_id"):
        read("slowfast_frames", DataConfig(train=path))


def test_list_without_videos_raises(tmp_path):
    with pytest.raises(UserError, match=r"Expected videos in .*t\.csv"):
        frames(tmp_path)


def test_labels_of_ssv2_are_of_its_own_files(tmp_path):
    listing = read("slowfast_ssv2", make("slowfast_ssv2", tmp_path))
    assert listing.classes[1] == "Holding something next to something"
    assert listing.splits["train"] == [
        Video(
            f"{tmp_path}/frames/78687",
            (1,),
            frames=2,
            frame_name="78687_{:06}.jpg",
            fps=30.0,
        )
    ]
    assert listing.splits["validation"][0].labels == (0,)
    assert not listing.multi_label


def test_video_unknown_to_ssv2_raises(tmp_path):
    data = make("slowfast_ssv2", tmp_path)
    write(tmp_path / "val.csv", HEADER, '99 0 0 99/99_000001.jpg ""')
    with pytest.raises(
        UserError, match=r"val\.csv:2: .*v2-validation\.json\. Received: '99'"
    ):
        read("slowfast_ssv2", data)


def test_ssv2_has_no_test_list(tmp_path):
    data = DataConfig(test=write(tmp_path / "test.csv", HEADER))
    with pytest.raises(UserError, match="support data.test"):
        read("slowfast_ssv2", data)
