import pytest

from tests.training.data.fixtures import make, read, touch, write
from training.data.data_config import DataConfig
from training.data.manifest import Video
from training.io.user_error import UserError

HEADER = "label,youtube_id,time_start,time_end,split"


def paths(listing, split, root):
    return [v.path.removeprefix(f"{root}/") for v in listing.splits[split]]


def test_labels_follow_sorted_names(tmp_path):
    listing = read("kinetics", make("kinetics", tmp_path))
    assert listing.classes == ("air drumming", "petting cat", "yoga")
    assert [v.labels for v in listing.splits["train"]] == [(2,), (1,), (0,)]
    assert [v.labels for v in listing.splits["validation"]] == [(0,)]


def test_folder_names_may_have_underscores_for_spaces(tmp_path):
    listing = read("kinetics", make("kinetics", tmp_path))
    assert paths(listing, "train", tmp_path / "videos") == [
        "yoga/Zz9_000000_000010.mp4",
        "petting cat/-3B32lodo2M_000059_000069.mp4",
        "air_drumming/0wR5jVB-WPk_000007_000017.mp4",
    ]


def test_test_videos_have_no_labels_and_a_folder_of_their_own(tmp_path):
    listing = read("kinetics", make("kinetics", tmp_path))
    path = f"{tmp_path}/videos/test/AbC_000120_000130.mp4"
    assert listing.splits["test"] == [Video(path)]


@pytest.mark.parametrize("place", ["val", "validation", "validate"])
def test_folders_of_labels_may_be_in_one_of_the_split(tmp_path, place):
    touch(tmp_path / place / "air_drumming" / "x.mp4")
    touch(tmp_path / "train" / "air drumming" / "x.mp4")
    row = "air drumming,abc,3,13,"
    data = DataConfig(
        root=str(tmp_path),
        train=write(tmp_path / "train.csv", HEADER, f"{row}train"),
        validation=write(tmp_path / "val.csv", HEADER, f"{row}val"),
    )
    listing = read("kinetics", data)
    video = "abc_000003_000013.mp4"
    assert paths(listing, "train", tmp_path) == [f"train/air drumming/{video}"]
    assert paths(listing, "validation", tmp_path) == [
        f"{place}/air_drumming/{video}"
    ]


def test_missing_folder_is_named_after_the_class(tmp_path):
    data = DataConfig(
        root="s",
        train=write(tmp_path / "t.csv", HEADER, "air drumming,abc,3,13,train"),
    )
    (video,) = read("kinetics", data).splits["train"]
    assert video.path == "s/air drumming/abc_000003_000013.mp4"


def test_json_equals_csv(tmp_path):
    data = make("kinetics", tmp_path)
    train = write(
        tmp_path / "train.json",
        '{"Zz9": {"annotations": {"label": "yoga", "segment": [0.0, 10.0]},',
        '         "duration": 10.0, "subset": "train", "url": "u"},',
        ' "-3B32lodo2M": {"annotations": {"label": "petting cat",',
        '                                 "segment": [59, 69]}},',
        ' "0wR5jVB-WPk": {"annotations": {"label": "air drumming",',
        '                                 "segment": [7.2, 17.2]}}}',
    )
    test = write(
        tmp_path / "test.json",
        '{"AbC": {"annotations": {"segment": [120.0, 130.0]},',
        '         "subset": "test"}}',
    )
    as_json = DataConfig(root=data.root, train=train, test=test)
    expected = read("kinetics", data)
    manifest = read("kinetics", as_json)
    assert manifest.classes == expected.classes
    assert manifest.splits["train"] == expected.splits["train"]
    assert manifest.splits["test"] == expected.splits["test"]


def test_names_may_come_from_a_file(tmp_path):
    data = DataConfig(
        validation=write(tmp_path / "v.csv", HEADER, "yoga,abc,3,13,val"),
        classes=write(tmp_path / "names.txt", "air drumming", "yoga"),
    )
    listing = read("kinetics", data)
    assert listing.classes == ("air drumming", "yoga")
    assert listing.splits["validation"][0].labels == (1,)


def test_missing_names_raise(tmp_path):
    path = write(tmp_path / "v.csv", HEADER, "yoga,abc,3,13,val")
    with pytest.raises(UserError, match="Expected data.train or data.classes"):
        read("kinetics", DataConfig(validation=path))


def test_names_are_sorted_as_if_spaces_were_underscores(tmp_path):
    rows = [f"{name},abc,3,13,train" for name in ("a b", "aB", "a")]
    path = write(tmp_path / "t.csv", HEADER, *rows)
    # "B" comes before "_" and after " ".
    assert read("kinetics", DataConfig(train=path)).classes == (
        "a",
        "aB",
        "a b",
    )


@pytest.mark.parametrize(
    "row, error",
    [
        ["yoga,abc,3,13", "v.csv:2: expected 5 cells. Received: 4"],
        ["yoga,abc,x,13,val", "v.csv:2: expected seconds. Received: 'x'"],
        [",abc,3,13,val", "v.csv:2: expected a label. Received: none"],
        ["run,abc,3,13,val", "v.csv:2: expected a class of "],
    ],
)
def test_malformed_row_is_named(tmp_path, row, error):
    data = DataConfig(
        train=write(tmp_path / "t.csv", HEADER, "yoga,abc,3,13,train"),
        validation=write(tmp_path / "v.csv", HEADER, row),
    )
    with pytest.raises(UserError) as caught:
        read("kinetics", data)
    assert str(caught.value).startswith(f"{tmp_path}/{error}")


@pytest.mark.parametrize("split", ["train", "test"])
def test_misspelt_column_is_refused(tmp_path, split):
    path = write(tmp_path / "x.csv", HEADER.replace("label", "lable"))
    with pytest.raises(UserError, match=r"x\.csv:1: expected a header"):
        read("kinetics", DataConfig(**{split: path}))


@pytest.mark.parametrize(
    "text", ["[]", '{"a": 3}', '{"a": {}}', '{"a": {"annotations": {}}}']
)
def test_malformed_json_raises(tmp_path, text):
    path = write(tmp_path / "t.json", text)
    with pytest.raises(UserError, match=r"t\.json: (a: )?expected"):
        read("kinetics", DataConfig(train=path))
