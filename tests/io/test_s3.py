"""Paths and commands on an S3 store (moto), through s3fs."""

import json

import numpy as np
import pytest

from tests.io.conftest import command, environment, keys, web_server
from tests.training.conftest import TINY
from training.exporting.saved_model import SavedModel
from training.io import atomic_files, paths
from training.io.user_error import UserError

S3FS_LEAST_PART_BYTES = 50 << 20


@pytest.fixture
def folder(bucket):
    return paths.as_path(f"s3://{bucket}/folder")


def one_line_error(process):
    assert process.returncode == 2, process.stderr
    assert process.stderr.count("\n") == 1, process.stderr
    return process.stderr


def test_objects_are_replaced(folder, s3, bucket):
    (folder / "a").write_text("a longer text")
    (folder / "a").write_text("short")
    body = s3.get_object(Bucket=bucket, Key="folder/a")["Body"]
    assert body.read() == (folder / "a").read_bytes() == b"short"


def test_objects_of_other_programs_are_listed(folder, s3, bucket):
    assert not folder.exists()
    (folder / "deep").mkdir()
    assert keys(s3, bucket) == []
    for key in ("folder/", "folder/deep/10/a", "folder/notes"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    assert folder.is_dir() and (folder / "deep" / "10" / "a").is_file()
    assert not (folder / "deep" / "1").exists()
    assert {p.name for p in folder.iterdir()} == {"deep", "notes"}
    s3.delete_object(Bucket=bucket, Key="folder/notes")
    assert [p.name for p in folder.iterdir()] == ["deep"]


def test_listings_of_several_pages_are_complete(folder, s3, bucket):
    for index in range(1001):  # a page of S3 has 1000
        s3.put_object(Bucket=bucket, Key=f"folder/{index:04}", Body=b"")
    assert len(list(folder.iterdir())) == 1001


def test_removing_a_folder_leaves_its_neighbours(folder, s3, bucket):
    for key in ("1/a", "1/b/c", "10/a", "1x"):
        s3.put_object(Bucket=bucket, Key=f"folder/{key}", Body=b"x")
    (folder / "1").rmtree()
    assert keys(s3, bucket) == ["folder/10/a", "folder/1x"]


def test_multipart_uploads_are_complete(folder, tmp_path):
    content = np.random.default_rng(0).bytes(S3FS_LEAST_PART_BYTES + 10_007)
    (tmp_path / "a").write_bytes(content)
    (folder / "a").upload(tmp_path / "a")
    assert atomic_files.sha256(folder / "a") == atomic_files.sha256(
        tmp_path / "a"
    )
    with (folder / "a").open() as file:
        file.seek(-10_007, 2)
        assert file.read() == content[-10_007:]


def test_missing_buckets_are_an_error_before_any_work(s3):
    path = paths.as_path("s3://nobody-made-it/run")
    with pytest.raises(UserError, match="no bucket s3://nobody-made-it"):
        atomic_files.check_writable_folder(path)
    with pytest.raises(FileNotFoundError):
        path.write_bytes(b"x")
    assert "nobody-made-it" not in str(s3.list_buckets()["Buckets"])


def test_a_run_and_its_export_are_written_to_s3(s3, bucket, tmp_path):
    process = command(
        "train",
        "--recipe=digits_image",
        f"--workdir=s3://{bucket}/run",
        f"--export=s3://{bucket}/model",
        "--verbose=0",
        *TINY[:4],
    )
    assert (process.returncode, process.stderr) == (0, "")
    written = keys(s3, bucket)
    body = s3.get_object(Bucket=bucket, Key="run/result.json")["Body"]
    assert json.loads(body.read())["examples"]
    assert "run/checkpoints/epoch_0002/state.json" in written
    times = {
        key: s3.head_object(Bucket=bucket, Key=key)["LastModified"]
        for key in written
        if key.startswith("model/1/")
    }
    assert times["model/1/saved_model.pb"] == max(times.values())
    model = SavedModel(f"s3://{bucket}/model")
    assert model.probabilities(np.zeros((1, 32, 32, 3), "uint8")).shape[0] == 1


def test_denied_access_is_a_one_line_error(tmp_path):
    pytest.importorskip("s3fs", reason="needs the extra url")
    with web_server(403, tmp_path / "log") as endpoint:
        variables = environment(endpoint)
        arguments = ("--recipe=digits_c2d", "--workdir=s3://bucket/run")
        process = command("train", *arguments, **variables)
    error = one_line_error(process)
    assert "s3://bucket/run" in error and "AWS_ACCESS_KEY_ID" in error
    assert variables["AWS_SECRET_ACCESS_KEY"] not in error


def test_an_unreachable_store_is_a_one_line_error():
    pytest.importorskip("s3fs", reason="needs the extra url")
    variables = environment("http://127.0.0.1:9")
    process = command("report", "--workdir=s3://bucket/run", **variables)
    assert "http://127.0.0.1:9" in one_line_error(process)
