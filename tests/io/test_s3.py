"""UrlPath, checkpoints and exports on an S3 store."""

import keras
import numpy as np
import pytest

from tests.io.conftest import keys
from training.exporting import saved_model
from training.io import atomic_files, paths
from training.io.user_error import UserError
from training.loop import checkpointing
from training.recipes import get_recipe
from training.runs.run_folder import RunFolder


@pytest.fixture
def folder(bucket):
    return paths.as_path(f"s3://{bucket}/folder")


@pytest.fixture
def run(bucket):
    run = RunFolder(f"s3://{bucket}/run")
    with run.opened(get_recipe("digits_c2d")):
        yield run


def make_model(units=3):
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(units)])
    model.compile("adam", "mse", jit_compile=False)
    return model


def rows(count):
    return [{"epoch": epoch + 1, "loss": 0.5} for epoch in range(count)]


def test_the_store_holds_what_was_written_last(folder, s3, bucket):
    (folder / "a").write_text("a longer text")
    (folder / "a").write_text("short")
    body = s3.get_object(Bucket=bucket, Key="folder/a")["Body"]
    assert body.read() == b"short"
    assert (folder / "a").read_text() == "short"


def test_folders_are_where_files_are(folder, s3, bucket):
    (folder / "deep").mkdir(exist_ok=True)
    assert not (folder / "deep").exists() and keys(s3, bucket) == []
    s3.put_object(Bucket=bucket, Key="folder/deep/10/a", Body=b"x")
    assert folder.exists() and folder.is_dir()
    assert (folder / "deep" / "10" / "a").is_file()
    assert not (folder / "deep" / "1").exists()
    assert not (folder / "deep" / "10" / "a").is_dir()
    assert [p.name for p in folder.iterdir()] == ["deep"]


def test_globs_find_what_is_directly_below(folder, s3, bucket):
    for key in ("epoch_1/a", "epoch_2/b/c", "notes", "other/epoch_3"):
        s3.put_object(Bucket=bucket, Key=f"folder/{key}", Body=b"x")
    names = {path.name for path in folder.glob("epoch_*")}
    assert names == {"epoch_1", "epoch_2"}
    assert list((folder / "none").glob("*")) == []


def test_more_than_one_page_of_a_listing(folder, s3, bucket):
    for index in range(1001):  # a page of S3 has 1000
        s3.put_object(Bucket=bucket, Key=f"folder/{index:04}", Body=b"")
    assert len(list(folder.iterdir())) == 1001


def test_a_folder_is_removed_and_its_neighbours_are_not(folder, s3, bucket):
    for key in ("1/a", "1/b/c", "10/a", "1x"):
        s3.put_object(Bucket=bucket, Key=f"folder/{key}", Body=b"x")
    (folder / "1").rmtree()
    assert keys(s3, bucket) == ["folder/10/a", "folder/1x"]


def test_a_file_of_many_parts_arrives_whole(folder, tmp_path):
    # Parts are 5 MB at the least.
    content = np.random.default_rng(0).bytes(12_000_011)
    (tmp_path / "a").write_bytes(content)
    (folder / "a").copy_from(tmp_path / "a")
    assert (folder / "a").read_bytes() == content
    assert atomic_files.sha256(folder / "a") == atomic_files.sha256(
        tmp_path / "a"
    )


def test_a_missing_key_is_named(folder):
    with pytest.raises(FileNotFoundError) as error:
        (folder / "none").read_bytes()
    assert error.value.filename == str(folder / "none")


def test_a_missing_bucket_is_named(s3):
    with pytest.raises(UserError, match="has no bucket 'nobody-made-it'"):
        paths.as_path("s3://nobody-made-it/run")


def test_a_checkpoint_comes_back(run):
    model, other = make_model(), make_model()
    checkpointing.save(model, run.checkpoints, rows(1))
    checkpointing.restore(other, checkpointing.latest(run.checkpoints))
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_checkpoint_without_its_state_does_not_count(run, s3, bucket):
    for epoch in (1, 2):
        checkpointing.save(make_model(), run.checkpoints, rows(epoch))
    state = "run/checkpoints/epoch_0002/state.json"
    s3.delete_object(Bucket=bucket, Key=state)
    assert checkpointing.latest(run.checkpoints).epoch == 1
    checkpointing.save(make_model(), run.checkpoints, rows(2))
    assert checkpointing.latest(run.checkpoints).epoch == 2


def test_old_checkpoints_and_halves_of_such_are_removed(run, s3, bucket):
    half = "run/checkpoints/epoch_0001/variables.npz"
    s3.put_object(Bucket=bucket, Key=half, Body=b"x")
    for epoch in (2, 3, 4):
        checkpointing.save(make_model(), run.checkpoints, rows(epoch))
    kept = {key.split("/")[2] for key in keys(s3, bucket, "run/checkpoints/")}
    assert kept == {"epoch_0003", "epoch_0004"}


def test_damage_is_passed_over(run, s3, bucket, capsys):
    checkpointing.save(make_model(), run.checkpoints, rows(1))
    key = "run/checkpoints/epoch_0001/variables.npz"
    s3.put_object(Bucket=bucket, Key=key, Body=b"damaged")
    assert checkpointing.latest(run.checkpoints) is None
    assert "epoch_0001, which is damaged" in capsys.readouterr().out


def test_versions_without_their_graph_do_not_count(folder, s3, bucket):
    for key in ("9/saved_model.pb", "10/saved_model.pb", "11/variables/x"):
        s3.put_object(Bucket=bucket, Key=f"folder/{key}", Body=b"x")
    names = [path.name for path in saved_model.versions(folder)]
    assert names == ["9", "10"]


def test_a_folder_with_something_else_is_refused(s3, bucket):
    s3.put_object(Bucket=bucket, Key="notes/a", Body=b"x")
    with pytest.raises(UserError, match="neither empty nor a run folder"):
        RunFolder(f"s3://{bucket}/notes").check(get_recipe("digits_c2d"))
