import pytest

from tests.training.data.fixtures import write
from training.data import data_config
from training.data.data_config import DataConfig
from training.io.user_error import UserError


def test_lists_are_read_in_the_order_of_splits(tmp_path):
    paths = {s: write(tmp_path / s, s) for s in ("test", "train")}
    read = data_config.read_splits(
        DataConfig(**paths), lambda path, split: [(path, split)]
    )
    assert list(read.items()) == [
        ("train", [(paths["train"], "train")]),
        ("test", [(paths["test"], "test")]),
    ]


def test_missing_lists_raise():
    with pytest.raises(UserError, match="--set data.train=FILE"):
        data_config.read_splits(DataConfig(), lambda path, split: [])


def test_empty_list_raises():
    with pytest.raises(UserError, match=r"Expected videos in .*val\.txt"):
        data_config.read_splits(
            DataConfig(validation="val.txt"), lambda path, split: []
        )


def test_unsupported_setting_raises():
    data = DataConfig(root="clips", split=2)
    with pytest.raises(
        UserError,
        match=r"does not support data\.split.*only: data\.root\..*split=2",
    ):
        data_config.check_fields(data, "root")


def test_supported_settings_are_accepted():
    data = DataConfig(root="clips", split=2, max_bad_share=0.5, cache="c")
    assert data_config.check_fields(data, "split", "root") is None


@pytest.mark.parametrize("split", [0, 4, -1])
def test_unknown_split_number_raises(split):
    with pytest.raises(UserError, match=rf"from 1 to 3\. Received: {split}"):
        data_config.check_split_number(DataConfig(split=split), 3)
