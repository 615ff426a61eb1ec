"""The command line client with the contract server, by both protocols."""

import pathlib
import socket
import subprocess
import sys
import threading

import numpy as np
import pytest
import tensorflow as tf

from tests.savedmodels import colour_model
from tests.savedmodels.contract_server import ContractServer
from tests.training.data import films, matrices
from training.data import video_decoder, video_index


@pytest.fixture(scope="module")
def client(clients):
    import video_client

    return video_client


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    return films.write_film(tmp_path_factory.mktemp("film") / "f.mp4", 11)


@pytest.fixture(params=["grpc", "rest"])
def where(request, server):
    """Options of address, protocol and model."""
    if request.param == "rest":
        return ["--rest", f"--address={server.rest_address}", "--model=shares"]
    return [f"--address={server.grpc_address}", "--model=shares"]


def table(printed):
    """Parse the rows as {class: score}."""
    rows = printed.splitlines()[2:]
    return {row[2:].rsplit(None, 1)[0]: float(row.split()[-1]) for row in rows}


def expected_of(pixels):
    """Compute the rows of the small model for a video."""
    resized = tf.image.resize(pixels, colour_model.SIZE).numpy()
    shares = colour_model.shares(resized)
    best = np.argsort(-shares)
    return {colour_model.CLASSES[n]: round(shares[n], 4) for n in best}


def error_of(client, capsys, arguments):
    code = client.main([str(argument) for argument in arguments])
    error = capsys.readouterr().err
    assert code == 2 and error.count("\n") == 1, error
    return error


def test_whole_video(client, film, where, capsys):
    assert client.main([str(film), *where, "--png"]) == 0
    printed = capsys.readouterr().out
    assert "f.mp4: 11 frames," in printed
    scores, expected = table(printed), expected_of(films.decode_all(film))
    assert list(scores) == list(expected)
    assert scores == pytest.approx(expected, abs=1e-4)


def test_jpeg_files_are_close(client, film, where, capsys):
    assert client.main([str(film), *where]) == 0
    scores = table(capsys.readouterr().out)
    expected = expected_of(films.decode_all(film))
    # Measured 2e-3: a quarter is JPEG, the rest its fast decoder.
    assert scores == pytest.approx(expected, abs=3e-3)


def test_part_of_a_video(client, film, where, capsys):
    part = ["--start=0.12", "--seconds=0.2", "--png", "--top=2"]
    assert client.main([str(film), *where, *part]) == 0
    printed = capsys.readouterr().out
    assert "f.mp4: 5 frames," in printed
    expected = expected_of(films.decode_all(film)[3:8])
    best = dict(list(expected.items())[:2])
    assert table(printed) == pytest.approx(best, abs=1e-4)


def test_array_is_sent_to_serving_default(client, where, tmp_path, capsys):
    rng = np.random.default_rng(0)
    clip = rng.integers(0, 256, (4, 5, 7, 3)).astype(np.uint8)
    np.save(tmp_path / "c.npy", clip)
    names = tmp_path / "classes.txt"
    names.write_text("\n".join(colour_model.CLASSES) + "\n")
    arguments = [str(tmp_path / "c.npy"), *where, f"--classes={names}"]
    assert client.main(arguments) == 0
    scores = table(capsys.readouterr().out)
    shares = dict(
        zip(colour_model.CLASSES, colour_model.shares(clip), strict=True)
    )
    assert scores == pytest.approx(shares, abs=1e-4)


def test_clip_of_a_video(client, film, where, capsys):
    clip = ["--signature=serving_default", "--frames=3", "--stride=4"]
    assert client.main([str(film), *where, *clip, "--size=5x7"]) == 0
    printed = capsys.readouterr().out
    assert "a clip of 3 x 5 x 7" in printed
    names = list(table(printed))
    # The response names only the best class.
    assert len(set(names) & set(colour_model.CLASSES)) == 1
    assert names[0] in colour_model.CLASSES


def test_command_runs_from_any_folder(film, server):
    script = pathlib.Path("savedmodels/clients/video_client.py").resolve()
    address = f"--address={server.grpc_address}"
    command = [sys.executable, script, film, address, "--model=shares"]
    result = subprocess.run(
        command, cwd="/", capture_output=True, text=True, check=True
    )
    assert "  class  score\n" in result.stdout and not result.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model=no"], "serves no model 'no': Servable not found"),
        (["--max-mb=0.001"], "at most 0.001 are sent. Send a part"),
        (["--start=9"], "has no frames from 9 s on"),
        (["--signature=serving_default"], "Give number and stride"),
        (
            ["--signature=serving_default", "--frames=3"],
            "Received: (3, 36, 52, 3); --size HEIGHTxWIDTH",
        ),
        (
            ["--signature=serving_default", "--frames=3", "--stride=9"],
            "need 19 frames from 0 s on",
        ),
    ],
)
def test_errors_are_one_line(client, film, where, capsys, options, message):
    assert message in error_of(client, capsys, [film, *where, *options])


def test_invalid_files_are_errors(client, where, tmp_path, capsys):
    junk, array = tmp_path / "junk.mp4", tmp_path / "float.npy"
    junk.write_bytes(b"\0" * 999)
    np.save(array, np.zeros((4, 5, 7, 3), np.float32))
    for path, message in {
        junk: "junk.mp4 is not a video: ",
        tmp_path / "no.mp4": "There is no file",
        array: "Expected uint8 pixels",
        tmp_path / "no.npy": "cannot be read",
    }.items():
        assert message in error_of(client, capsys, [path, *where])


def test_missing_signature_is_an_error(client, film, where, server, capsys):
    (servable,) = server.models.by_name.values()
    with pytest.MonkeyPatch.context() as patch:
        patch.delitem(servable.signatures, "serve_frames")
        arguments = [film, *where, "--signature=serve_frames"]
        error = error_of(client, capsys, arguments)
    assert "no signature serve_frames; it has serving_default." in error


@pytest.mark.parametrize("address", ["localhost", "http://x:1", "x:y", ":1"])
def test_invalid_addresses_are_errors(client, film, capsys, address):
    error = error_of(client, capsys, [film, "--model=x", "--address", address])
    assert (
        f"Expected HOST:PORT, such as localhost:8500. Received: {address}"
        in error
    )


@pytest.mark.parametrize("rest", [[], ["--rest"]])
def test_server_that_is_down_is_an_error(
    client, film, capsys, rest, monkeypatch
):
    import serving_base

    monkeypatch.setattr(serving_base, "WAITS_S", (0.01, 0.02))
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    address = f"--address=127.0.0.1:{port}"
    error = error_of(client, capsys, [film, "--model=x", address, *rest])
    assert f"No server at 127.0.0.1:{port}" in error


@pytest.mark.parametrize("rest", [[], ["--rest"]])
def test_silent_server_is_an_error_after_the_timeout(
    client, film, capsys, rest
):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"--address=127.0.0.1:{silent.getsockname()[1]}"
        options = ["--model=x", address, "--timeout=0.4", *rest]
        error = error_of(client, capsys, [film, *options])
    assert "within 0.4 s" in error


def test_rest_on_the_port_of_grpc_names_the_other_port(
    client, film, server, capsys
):
    address = f"--address={server.grpc_address}"
    arguments = [film, "--model=shares", address, "--rest", "--timeout=3"]
    error = error_of(client, capsys, arguments)
    assert "8501" in error


@pytest.mark.parametrize("rest", [False, True])
def test_client_waits_for_a_starting_server(clients, served, rest):
    import serving_client

    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    ports = {"rest_port" if rest else "port": port}
    servers = []
    late = threading.Timer(
        0.3, lambda: servers.append(ContractServer(*served, **ports))
    )
    late.start()
    client = serving_client.connect(f"127.0.0.1:{port}", "shares", rest)
    assert "serve_frames" in client.signatures()
    client.close()
    late.join()
    servers[0].close()


def test_home_folder_is_expanded(client, tmp_path, monkeypatch):
    import video_frames

    monkeypatch.setenv("HOME", str(tmp_path))
    words = ["~/x.mp4", "--model=m", "--classes=~/classes.txt"]
    options = client._parser().parse_args(words)
    assert options.video == f"{tmp_path}/x.mp4"
    assert options.classes == f"{tmp_path}/classes.txt"
    with pytest.raises(client.ClientError, match=f"no file {tmp_path}/y.mp4"):
        next(video_frames.read("~/y.mp4"))


@pytest.fixture(scope="module")
def frames_of(clients):
    import video_frames

    return video_frames


@pytest.mark.parametrize(
    ("start_s", "seconds", "first", "count"),
    [(0, None, 0, 55), (2.5, None, 2, 53), (5, 1, 5, 25), (0, 3, 0, 3)],
)
def test_seconds_follow_time_stamps(
    frames_of, tmp_path, start_s, seconds, first, count
):
    """A frame a second for 5 s, then 25 a second; the first at 4 s."""
    stamps = [100 + 25 * n for n in range(5)] + [225 + n for n in range(50)]
    path = films.write_film(tmp_path / "a.mp4", 55, stamps=stamps)
    got = np.stack(list(frames_of.read(str(path), start_s, seconds)))
    expected = films.decode_all(path)[first : first + count]
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("matrix", matrices.FILTERS)
def test_frames_are_rotated_and_flipped(frames_of, tmp_path, matrix):
    path = films.write_film(tmp_path / "a.mp4", 2)
    films.set_matrix(path, matrix)
    index = video_index.index_video(path)
    expected = video_decoder.read_frames(path, [1], index)[0]
    np.testing.assert_array_equal(list(frames_of.read(str(path)))[1], expected)


def test_wrong_time_stamps_print_a_note(frames_of, film, tmp_path, capsys):
    films.stamp_wrongly(film, tmp_path / "w.mkv")
    (tmp_path / "raw.h264").write_bytes(b"")
    raw = films.write_film(tmp_path / "raw.h264", 11)
    got = list(frames_of.read(str(raw), 0.2))
    assert 0 < len(got) < 11
    assert "average frame rate" in capsys.readouterr().err


def test_playlists_and_limits_are_refused(frames_of, film, tmp_path):
    import serving_client

    path = tmp_path / "a.mp4"
    path.write_text(f"ffconcat version 1.0\nfile '{film}'\n")
    with pytest.raises(serving_client.ClientError, match="is not a video"):
        list(frames_of.read(str(path)))
    with pytest.raises(serving_client.ClientError, match="--max-pixels"):
        list(frames_of.read(str(film), max_pixels=36 * 52 - 1))
    with pytest.raises(serving_client.ClientError, match="--max-seconds"):
        list(frames_of.read(str(film), max_seconds=1e-9))


def test_gifs_are_read(frames_of, tmp_path):
    clip = films.pictures(5)
    path = films.write_gif(tmp_path / "a.gif", clip, [40, 400, 40, 40, 40])
    got = np.stack(list(frames_of.read(str(path), 0.2)))
    assert got.shape == (4, *films.SIZE, 3)
    assert abs(got.astype(int) - clip[1:]).mean() < 8
