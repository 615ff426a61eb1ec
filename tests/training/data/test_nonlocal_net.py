import pytest

from tests.training.data.fixtures import make, read, write
from training.data.data_config import DataConfig
from training.data.manifest import Video
from training.io.user_error import UserError


def test_lists_and_names_with_quotes_in_them(tmp_path):
    listing = read("nonlocal_net", make("nonlocal_net", tmp_path))
    assert listing.classes == ("abseiling", "petting cat")
    assert listing.splits == {
        "train": [Video(f"{tmp_path}/train_256/abseiling/x.mp4", (0,))],
        "validation": [Video(f"{tmp_path}/val_256/petting_cat/y.mp4", (1,))],
    }


def test_path_with_spaces_is_read(tmp_path):
    path = write(tmp_path / "l.txt", "/data/petting cat/y.mp4 0")
    listing = read("nonlocal_net", DataConfig(validation=path))
    assert listing.splits["validation"] == [
        Video("/data/petting cat/y.mp4", (0,))
    ]


def test_label_without_a_name_raises(tmp_path):
    data = make("nonlocal_net", tmp_path)
    write(tmp_path / "vallist.txt", "a.mp4 0", "b.mp4 2")
    with pytest.raises(UserError, match=r"vallist\.txt:2: .*below 2"):
        read("nonlocal_net", data)


def test_separator_is_a_setting(tmp_path):
    path = write(tmp_path / "l.txt", "/data/petting, cat/y.mp4,0")
    listing = read("nonlocal_net", DataConfig(train=path, separator=","))
    assert listing.splits["train"] == [Video("/data/petting, cat/y.mp4", (0,))]
