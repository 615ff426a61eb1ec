"""The commands with their folders in an S3 store, and models on the web."""

import csv
import io
import json

import numpy as np
import pytest
import tensorflow as tf

import nonlocal_tf as nl
from tests.io.conftest import (
    command,
    download,
    environment,
    keys,
    make_bucket,
    web_server,
)
from tests.models.tiny import tiny
from tests.training.conftest import TINY
from training import convert, export, predict, train, visualize
from training.exporting.saved_model import SavedModel
from training.io import cli
from training.runs.run_folder import RunFolder
from training.tasks import video_evaluation, video_export

KEPT = ("epoch_0001", "epoch_0002")
LAST = "run/checkpoints/epoch_0002"


@pytest.fixture(scope="module")
def trained(s3):
    """The name of a bucket with a run and its SavedModel."""
    bucket = make_bucket(s3, "trained")
    train.main(
        [
            "--recipe=digits_nl",
            f"--workdir=s3://{bucket}/run",
            f"--export=s3://{bucket}/models/x",
            "--verbose=0",
            *TINY,
        ]
    )
    return bucket


def copy(s3, source, target):
    """Copies a whole bucket within the store."""
    for key in keys(s3, source):
        place = {"Bucket": source, "Key": key}
        s3.copy_object(Bucket=target, Key=key, CopySource=place)


def read(s3, bucket, key):
    return s3.get_object(Bucket=bucket, Key=key)["Body"].read()


def variables(s3, bucket):
    with np.load(io.BytesIO(read(s3, bucket, f"{LAST}/variables.npz"))) as file:
        return [file[name] for name in file.files]


def one_line_error(done):
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


def test_the_run_folder_is_in_the_store(trained, s3):
    written = keys(s3, trained, "run/")
    for name in ("recipe.json", "versions.json", "result.json"):
        assert json.loads(read(s3, trained, f"run/{name}"))
    table = read(s3, trained, "run/metrics.csv").decode()
    assert [row["epoch"] for row in csv.DictReader(io.StringIO(table))] == [
        "1",
        "2",
    ]
    for epoch in KEPT:
        for stage in ("run", "run/image_stage"):
            assert f"{stage}/checkpoints/{epoch}/state.json" in written
    assert not [key for key in written if ".unfinished" in key or "lock" in key]


def test_tensorboard_events_are_there_and_whole(trained, s3):
    pytest.importorskip("tensorboard")
    events = keys(s3, trained, "run/tensorboard/validation/")
    assert len(events) == 1
    records = tf.data.TFRecordDataset(f"s3://{trained}/{events[0]}")
    steps = [
        tf.compat.v1.Event.FromString(record).step
        for record in records.as_numpy_iterator()
    ]
    assert steps[-1] == 1  # the second epoch


def test_a_stopped_run_goes_on_exactly(trained, s3, bucket, capsys):
    copy(s3, trained, bucket)
    for key in [*keys(s3, bucket, LAST), "run/result.json"]:
        s3.delete_object(Bucket=bucket, Key=key)
    train.main([f"--workdir=s3://{bucket}/run", "--verbose=0"])
    assert "after 2 of 4 steps" in capsys.readouterr().out
    expected = variables(s3, trained)
    for a, b in zip(variables(s3, bucket), expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_finished_run_is_left(trained, capsys):
    train.main([f"--workdir=s3://{trained}/run"])
    assert "is trained: nothing to do" in capsys.readouterr().out


def test_evaluate_finds_what_training_found(trained, s3):
    result = json.loads(read(s3, trained, "run/result.json"))
    scores = video_evaluation.evaluate_run(
        RunFolder(f"s3://{trained}/run"), "test"
    )
    assert (scores.examples, scores.accuracy) == (
        result["examples"],
        result["accuracy"],
    )


def test_the_saved_model_is_whole_anywhere(trained, s3, tmp_path):
    local = download(s3, trained, "models/x/1", tmp_path / "1")
    clips = np.zeros((1, 8, 32, 32, 3), "uint8")
    here = SavedModel(local)
    far = SavedModel(f"s3://{trained}/models/x")
    assert str(far.path) == f"s3://{trained}/models/x/1"
    assert far.classes == here.classes == [str(n) for n in range(10)]
    np.testing.assert_array_equal(
        far.probabilities(clips), here.probabilities(clips)
    )


def test_the_same_weights_are_exported_once(trained, s3):
    run = RunFolder(f"s3://{trained}/run")
    path = video_export.export_run(run, f"s3://{trained}/models/x")
    assert str(path) == f"s3://{trained}/models/x/1"


def test_half_an_export_is_replaced(trained, s3, bucket):
    s3.put_object(Bucket=bucket, Key="out/1/assets/left", Body=b"x")
    run = RunFolder(f"s3://{trained}/run")
    export.main([f"--workdir={run.path}", f"--out=s3://{bucket}/out"])
    made = keys(s3, bucket, "out/1/")
    assert "out/1/saved_model.pb" in made and "out/1/assets/left" not in made
    assert "out/README.md" in keys(s3, bucket)
    expected = keys(s3, trained, "models/x/1/")
    assert [k.removeprefix("out/") for k in made] == [
        k.removeprefix("models/x/") for k in expected
    ]


def test_predict_from_the_store_and_from_the_web(
    trained, s3, served, tmp_path, capsys
):
    folder, address = served
    download(s3, trained, "models/x/1", folder / "x" / "1")
    copies = (folder / "x", f"{address}/x/1", f"s3://{trained}/models/x")
    tables = []
    for model in copies:
        predict.main([f"--model={model}", "--sample=3"])
        tables.append(capsys.readouterr().out.split("probability\n")[1])
    assert tables[0].count("\n") == 5 and len(set(tables)) == 1


def test_a_clip_may_be_at_a_url(trained, served, bucket, s3, capsys):
    folder, address = served
    model = f"--model=s3://{trained}/models/x"
    clip = f"s3://{bucket}/clip.npy"
    predict.main([model, "--sample=3", f"--save-clip={clip}"])
    (folder / "clip.npy").write_bytes(read(s3, bucket, "clip.npy"))
    capsys.readouterr()
    tables = []
    for path in (clip, f"{address}/clip.npy", folder / "clip.npy"):
        predict.main([model, str(path)])
        tables.append(capsys.readouterr().out.split("probability\n")[1])
    assert len(set(tables)) == 1


def test_a_picture_is_written_to_the_store(trained, bucket, s3):
    pytest.importorskip("PIL")
    out = f"--out=s3://{bucket}/deep/looks.png"
    visualize.main([f"--workdir=s3://{trained}/run", "--sample=0", out])
    assert read(s3, bucket, "deep/looks.png").startswith(b"\x89PNG")


def test_the_web_lists_no_versions(served, capsys):
    arguments = [f"--model={served[1]}/x", "--sample=0"]
    assert cli.run(predict.main, arguments) == 2
    assert "cannot be listed" in capsys.readouterr().err


def test_the_web_is_no_place_for_a_run(served, capsys):
    arguments = ["--recipe=digits_c2d", f"--workdir={served[1]}/run", *TINY[:4]]
    assert cli.run(train.main, arguments) == 2
    error = capsys.readouterr().err
    assert "http:// is read-only" in error and error.count("\n") == 1


def test_a_process_ends_well_after_it_used_the_store(trained):
    done = command("predict", "--sample=0", f"--model=s3://{trained}/models/x")
    assert (done.returncode, done.stderr) == (0, "")
    assert "probability" in done.stdout


def test_a_process_ends_in_one_line_after_it_used_the_store(bucket):
    done = command("evaluate", f"--workdir=s3://{bucket}/none")
    error = one_line_error(done)
    assert "is not a run folder" in error and "AWS_*" in error


def test_a_store_that_refuses_us_is_one_line(tensorflow_io, tmp_path):
    with web_server(403, tmp_path / "log") as endpoint:
        arguments = ("--recipe=digits_c2d", "--workdir=s3://bucket/run")
        done = command("train", *arguments, **environment(endpoint))
    error = one_line_error(done)
    assert "s3://bucket/run/recipe.json" in error
    assert "AWS_ACCESS_KEY_ID" in error


def test_a_web_server_that_is_gone_is_one_line(tensorflow_io, tmp_path):
    with web_server(tmp_path, tmp_path / "log") as address:
        pass
    done = command("predict", f"--model={address}/x/1", "--sample=0")
    assert address in one_line_error(done)


def test_convert_reads_and_writes_urls(trained, bucket, s3, tmp_path, capsys):
    nl.save_weights(tiny("c2d_nl1_r50"), tmp_path / "a.pkl", "caffe2")
    s3.upload_file(str(tmp_path / "a.pkl"), bucket, "a.pkl")
    there, again = f"s3://{bucket}/a.pyth", f"s3://{bucket}/b.pkl"
    convert.main([f"s3://{bucket}/a.pkl", there, "--to=slowfast"])
    convert.main([there, again, "--to=caffe2"])
    assert read(s3, bucket, "b.pkl") == (tmp_path / "a.pkl").read_bytes()
    assert cli.run(convert.main, [there, again, "--to=caffe2"]) == 2
    assert f"{again} exists" in capsys.readouterr().err
