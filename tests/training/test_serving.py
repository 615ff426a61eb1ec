"""An exported run with generated configuration, server and clients."""

import io
import pathlib
import shutil
import sys

import numpy as np
import pytest
from PIL import Image

from tests.savedmodels import hostile
from tests.savedmodels.contract_server import ContractServer
from tests.training import video_run
from tests.training.data import films
from training import serve_config, train
from training.exporting.saved_model import SavedModel

CLIENTS = pathlib.Path(__file__).parents[2] / "savedmodels" / "clients"


@pytest.fixture(scope="module")
def model(tiny):
    """The SavedModel, loaded in this process."""
    return SavedModel(tiny[1])


@pytest.fixture(scope="module")
def server(tiny, tmp_path_factory):
    """A server with the configuration of training.serve_config."""
    models = tmp_path_factory.mktemp("deployed")
    shutil.copytree(tiny[1], models / "digits_nl" / "1")
    serve_config.write([str(models / "digits_nl")], str(models / "serving"))
    config = models / "serving" / "models.config"
    with ContractServer(config, models) as server:
        yield server


@pytest.fixture(params=["grpc", "rest"])
def client(request, server, monkeypatch):
    """A client of that server, for each protocol."""
    monkeypatch.syspath_prepend(CLIENTS)
    import serving_client

    rest = request.param == "rest"
    address = server.rest_address if rest else server.grpc_address
    client = serving_client.connect(address, "digits_nl", rest)
    yield client
    client.close()


def clips(count=2):
    rng = np.random.default_rng(5)
    return rng.integers(0, 256, (count, 8, 32, 32, 3)).astype(np.uint8)


def pngs(pixels):
    row = np.empty((1, len(pixels)), object)
    for number, frame in enumerate(pixels):
        file = io.BytesIO()
        Image.fromarray(frame).save(file, "PNG")
        row[0, number] = file.getvalue()
    return row


def same(outputs, expected):
    assert outputs.keys() == expected.keys()
    for name, right in expected.items():
        assert outputs[name].shape == right.shape
        if right.dtype == object:
            assert (outputs[name] == right).all()
        else:
            np.testing.assert_allclose(outputs[name], right, rtol=0, atol=1e-5)


def test_the_server_warms_up_the_model(server):
    assert server.models.by_name["digits_nl"].warmed_by >= 1


def test_served_probabilities_equal_local_ones(client, model):
    outputs = client.predict("serving_default", clips=clips())
    same(outputs, model.run("serving_default", clips=clips()))
    assert outputs["probabilities"].shape == (2, 10)


def test_served_scores_of_whole_videos_equal_local_ones(client, model):
    frames = pngs(np.concatenate(clips())[:11])
    outputs = client.predict("serve_frames", frames_bytes=frames)
    same(outputs, model.run("serve_frames", frames_bytes=frames))


def test_features_and_attention_are_served(client, model):
    inputs = {"clips": clips(1)}
    outputs = client.predict("features", **inputs)
    same(outputs, model.run("features", **inputs))
    inputs["block"] = np.array([b""], object)
    inputs["query"] = np.array([[3, 9, 20]], np.int32)
    outputs = client.predict("attention", **inputs)
    same(outputs, model.run("attention", **inputs))


def test_errors_of_a_signature_reach_the_client(client):
    error = sys.modules["serving_client"].ClientError
    with pytest.raises(error, match=r"\(frame, y, x\).* in pixels"):
        client.predict(
            "attention",
            clips=clips(1),
            block=np.array([b""], object),
            query=np.array([[8, 0, 0]], np.int32),
        )


# By default, test_video_client.py tests the client, the others the server.
@pytest.mark.full
def test_a_run_on_videos_is_served_to_the_video_client(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(CLIENTS)
    import video_client

    videos, models = tmp_path / "videos", tmp_path / "models"
    video_run.write_videos(videos)
    film = videos / "walk slöwly" / "clip 4 ü.mkv"
    train.main(
        [
            f"--set=data.root={videos}",
            f"--workdir={tmp_path / 'run'}",
            *video_run.OPTIONS,
        ]
        + [f"--export={models / 'acts'}"]
    )
    card = (models / "acts" / "README.md").read_text("utf-8")
    assert "data.root=videos" in card and str(tmp_path) not in card
    serve_config.write([str(models / "acts")], str(models / "serving"))
    frames = pngs(films.decode_all(film))
    model = SavedModel(models / "acts")
    expected = model.run("serve_frames", frames_bytes=frames)
    rows = [
        f"{name.decode()} {score:.4f}"
        for name, score in zip(
            expected["top_k_classes"][0],
            expected["top_k_scores"][0],
            strict=True,
        )
    ]
    capsys.readouterr()
    config = models / "serving" / "models.config"
    with ContractServer(config, models) as server:
        for where in (
            [f"--address={server.grpc_address}"],
            ["--rest", f"--address={server.rest_address}"],
        ):
            arguments = [str(film), "--model=acts", "--png", *where]
            assert video_client.main(arguments) == 0
            printed = capsys.readouterr().out.splitlines()[2:]
            assert [" ".join(row.split()) for row in printed] == rows


# In CI, a smaller model does: tests/savedmodels/test_hostile.py.
@pytest.mark.full
def test_an_export_survives_hostile_requests(tiny, tmp_path):
    shutil.copytree(tiny[1], tmp_path / "digits_nl" / "1")
    assert hostile.run(200, 6, tmp_path / "digits_nl").total() == 200
