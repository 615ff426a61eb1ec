"""A small SavedModel of clips, the app's server of it, and requests."""

import contextlib
import dataclasses
import http.client
import json
import pathlib
import socket
import threading

import tensorflow as tf

from training import app
from training.data.sampling_config import SamplingConfig
from training.recipes import overrides
from training.recipes.videos import finetune

CLASSES = ("red", "green", "blue <b>&amp;</b>")
SAMPLING = SamplingConfig(
    frames=4,
    frame_stride=3,
    min_short_side_px=32,
    max_short_side_px=36,
    crop_px=32,
    eval_short_side_px=32,
)
CELL_PX = 8
BLOCKS = ("res2/nonlocal", "res3/nonlocal")


def write_model(
    folder: pathlib.Path, has_attention: bool = True
) -> pathlib.Path:
    """Save a model of mean colours; cells attend to cells of their colour."""
    module = tf.Module()
    clips = tf.TensorSpec((None, None, None, None, 3), tf.uint8, "clips")

    @tf.function(input_signature=[clips], autograph=False)
    def serve(clips):
        means = tf.reduce_mean(tf.cast(clips, tf.float32), (1, 2, 3))
        logits = means / 16
        return {"probabilities": tf.nn.softmax(logits), "logits": logits}

    @tf.function(
        input_signature=[
            clips,
            tf.TensorSpec((None,), tf.string, "block"),
            tf.TensorSpec((None, 3), tf.int32, "query"),
        ],
        autograph=False,
    )
    def attention(clips, block, query):
        clip = tf.cast(clips[0], tf.float32)
        cells = tf.nn.avg_pool2d(clip, CELL_PX, CELL_PX, "VALID")
        cell = query[0] // [1, CELL_PX, CELL_PX]
        off = tf.reduce_sum((cells - tf.gather_nd(cells, cell)) ** 2, -1)
        # The block that is asked for shows in the sharpness.
        sharp = tf.where(block[0] == BLOCKS[0], 1e-2, 1e-3)
        weights = tf.nn.softmax(-sharp * tf.reshape(off, [-1]))
        weights = tf.reshape(weights, tf.shape(off))
        side = float(CELL_PX)
        return {
            "weights": weights[None],
            "cell": cell[None],
            "stride": tf.constant([[1.0, side, side]]),
            "first": tf.constant([[0.5, side / 2, side / 2]]),
        }

    signatures = {"serving_default": serve}
    if has_attention:
        signatures["attention"] = attention
    path = folder / "colours" / "1"
    tf.saved_model.save(module, str(path), signatures)
    (path / "assets" / "classes.txt").write_text("\n".join(CLASSES), "utf-8")
    (path / "assets.extra").mkdir()
    if has_attention:
        (path / "assets.extra" / "blocks.txt").write_text("\n".join(BLOCKS))
    recipe = dataclasses.replace(finetune(), sampling=SAMPLING, views=None)
    text = overrides.to_json(recipe)
    (path / "assets" / "recipe.json").write_text(text, "utf-8")
    return path


@contextlib.contextmanager
def running(model: pathlib.Path, max_mb: float = 1.0):
    """Run the app's server of a model in this process."""
    with app.serve(str(model), 0, max_mb) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
            server.session.close()


def send(server, path, body=b"", token=True, method="POST", **headers):
    """Send a request as the page does; return response and content."""
    port = server.server_address[1]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    if token:
        named.setdefault("X-Token", server.token)
    if isinstance(body, dict):
        body = json.dumps(body)
    with contextlib.closing(connection):
        connection.request(method, path, body, named)
        answer = connection.getresponse()
        content = answer.read()
    if answer.headers["Content-Type"] == "application/json":
        content = json.loads(content)
    return answer, content


def raw(server, lines, body=b"", then=None):
    """Send raw bytes; return the status and the error message."""
    with socket.create_connection(server.server_address[:2], 30) as connection:
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        with contextlib.suppress(ConnectionError):
            connection.sendall(head + body)
            if then is not None:
                then(connection)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        content = answer.read()
    return answer.status, json.loads(content)["error"]


def upload(server, *headers, name="f.mp4"):
    return [
        "POST /file HTTP/1.1",
        f"Host: {server.hosts[0]}",
        f"X-Token: {server.token}",
        f"X-File-Name: {name}",
        *headers,
    ]
