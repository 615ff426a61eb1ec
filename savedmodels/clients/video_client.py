"""Classify a video with a model on TensorFlow Serving.

    python savedmodels/clients/video_client.py VIDEO --model digits_nl

This folder is self-contained. It needs numpy, av and pillow, and for gRPC
grpcio and protobuf.
"""

import argparse
import os
import sys
from collections.abc import Sequence

import numpy as np
import serving_base
import serving_client
import video_frames
from serving_base import Client, ClientError, Signature

GRPC, REST = "localhost:8500", "localhost:8501"
SIGNATURES = ("serve_frames", "serving_default")
Rows = list[tuple[str, float]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns 2 after a user error."""
    options = _parser().parse_args(arguments)
    try:
        rows, sent = classify(options)
    except ClientError as error:
        print("error: " + " ".join(str(error).split()), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    print(f"{options.video}: {sent}")
    rows = [(serving_base.printable(name), score) for name, score in rows]
    width = max(len(name) for name, _ in [("class", 0), *rows])
    print(f"  {'class'.ljust(width)}  score")
    for name, score in rows:
        print(f"  {name.ljust(width)}  {score:.4f}")
    return 0


def classify(options: argparse.Namespace) -> tuple[Rows, str]:
    """Return classes and scores, best first, and a description of the request.

    Raises:
        ClientError: file, server or request are invalid.
    """
    address = options.address or (REST if options.rest else GRPC)
    client = serving_client.connect(
        address, options.model, options.rest, options.timeout, options.max_mb
    )
    try:
        name, signature = _choose(client.signatures(), options)
        if name == "serve_frames":
            return _ask_frames(client, options)
        return _ask_clip(client, signature, options)
    finally:
        client.close()


def _choose(
    signatures: dict[str, Signature], options: argparse.Namespace
) -> tuple[str, Signature]:
    """Choose the signature of the options, or one for file and model."""
    suits = [options.signature] if options.signature else list(SIGNATURES)
    if not options.signature and _is_array(options.video):
        suits = ["serving_default"]
    for name in suits:
        if name in signatures:
            return name, signatures[name]
    names = [name for name in sorted(signatures) if name[:2] != "__"]
    listed = serving_base.shorten(", ".join(names))
    raise ClientError(
        f"Model {options.model!r} has no signature {' or '.join(suits)}; it "
        f"has {listed or 'none'}."
    )


def _ask_frames(
    client: Client, options: argparse.Namespace
) -> tuple[Rows, str]:
    if _is_array(options.video):
        raise ClientError(
            "serve_frames expects a video; send an array to serving_default."
        )
    files = video_frames.encode_frames(
        options.video,
        options.start,
        options.seconds,
        options.short_side,
        options.png,
        options.max_mb,
        base64=options.rest,
        max_pixels=options.max_pixels,
        max_seconds=options.max_seconds,
    )
    batch = np.empty((1, len(files)), object)
    batch[0] = files
    answer = client.predict("serve_frames", frames_bytes=batch)
    names = _names_in(_output(answer, "top_k_classes", 2)[0])
    scores = _scores_in(answer, "top_k_scores")
    if len(names) != len(scores):
        raise ClientError(
            f"Expected as many classes as scores. Received: {len(names)} "
            f"classes, {len(scores)} scores; is it a model of nonlocal-tf?"
        )
    rows = list(zip(names, map(float, scores), strict=True))
    size = sum(map(len, files)) / 1e6
    return rows[: options.top], f"{len(files)} frames, {size:.2g} MB"


def _ask_clip(
    client: Client, signature: Signature, options: argparse.Namespace
) -> tuple[Rows, str]:
    name, shape = _clip_input(signature, options)
    pixels = _pixels(shape[1:], options)
    answer = client.predict("serving_default", **{name: pixels[None]})
    scores = _scores_in(answer, "probabilities")
    best = np.argsort(-scores, kind="stable")[: options.top]
    names = [f"class {number}" for number in range(len(scores))]
    if "class_name" in answer:
        (names[best[0]],) = _names_in(_output(answer, "class_name", 1))
    if options.classes:
        names = _names(options.classes, len(scores))
    rows = [(names[number], float(scores[number])) for number in best]
    return rows, "a clip of " + " x ".join(map(str, pixels.shape[:3]))


def _clip_input(
    signature: Signature, options: argparse.Namespace
) -> tuple[str, tuple[int, ...]]:
    """Return name and shape of the single input of clips."""
    inputs = list(signature.inputs.items())
    if len(inputs) == 1:
        name, (_, shape) = inputs[0]
        if shape is not None and len(shape) == 5 and min(shape) >= -1:
            return name, shape
    shapes = {name: shape for name, (_, shape) in inputs}
    raise ClientError(
        "Expected a model of clips (batch, time, height, width, 3). "
        f"{options.model!r} takes {serving_base.shorten(str(shapes))}"
    )


def _pixels(shape: tuple[int, ...], options: argparse.Namespace) -> np.ndarray:
    """Read the clip to send, and check its shape."""
    if _is_array(options.video):
        pixels = _read_array(options.video)
    else:
        frames = options.frames or (shape[0] if shape[0] > 0 else None)
        if frames is None:
            raise ClientError(
                "This model takes clips of any length. Give number and stride "
                "of the frames as in training: --frames 32 --stride 2"
            )
        pixels = video_frames.read_clip(
            options.video,
            frames,
            options.stride,
            options.size,
            options.start,
            options.max_pixels,
            options.max_seconds,
            options.max_mb,
        )
    if not serving_base.fits(pixels.shape, shape):
        raise ClientError(
            f"This model takes clips of {shape} (-1: any). Received: "
            f"{pixels.shape}; --size HEIGHTxWIDTH resizes the frames of videos."
        )
    return pixels


def _read_array(path: str) -> np.ndarray:
    try:
        pixels = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ClientError(f"{path} cannot be read: {error}") from error
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8:
        kind = getattr(pixels, "dtype", "several arrays")
        raise ClientError(f"Expected uint8 pixels in {path}, not {kind}.")
    return pixels


def _names(path: str, count: int) -> list[str]:
    try:
        with open(path, encoding="utf-8") as file:
            names = file.read().splitlines()
    except (OSError, ValueError) as error:
        raise ClientError(f"{path} cannot be read: {error}") from error
    if len(names) != count:
        raise ClientError(
            f"The model has {count} classes, {path} has {len(names)} lines."
        )
    return names


def _output(answer: dict, name: str, rank: int) -> np.ndarray:
    """Return an output of a batch of one video."""
    if name not in answer:
        names = serving_base.shorten(", ".join(sorted(answer)))
        raise ClientError(
            f"Expected the output {name}. Received: {names or 'none'}; is it "
            "a model of nonlocal-tf?"
        )
    array = answer[name]
    if array.ndim != rank or array.shape[0] != 1 or not array.size:
        raise ClientError(
            f"Expected {name} of one video, of {rank} dimensions. Received "
            f"the shape {array.shape}; is it a model of nonlocal-tf?"
        )
    return array


def _scores_in(answer: dict, name: str) -> np.ndarray:
    """Return the scores of the video, `(classes,)`."""
    scores = _output(answer, name, 2)[0]
    if scores.dtype.kind != "f":
        raise ClientError(f"Expected scores in {name}, not {scores.dtype}.")
    return scores


def _names_in(array: np.ndarray) -> list[str]:
    """Decode an array of class names."""
    if not all(isinstance(name, bytes) for name in array):
        raise ClientError(f"Expected class names, not {array.dtype}.")
    return [name.decode("utf-8", "replace") for name in array]


def _is_array(path: str) -> bool:
    return os.path.splitext(path)[1].lower() == ".npy"


def _positive(kind):
    def parse(text: str):
        number = kind(text)
        if not 0 < number < float("inf"):
            raise ValueError
        return number

    parse.__name__ = "number above 0"
    return parse


def _size(text: str) -> tuple[int, int]:
    height, width = map(_positive(int), text.split("x"))
    return height, width


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        epilog="example:\n  python savedmodels/clients/video_client.py "
        "jump.mp4 --model videos --short-side 256",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "video",
        type=os.path.expanduser,
        help="a video file, also a GIF, or a clip of uint8 pixels in a .npy "
        "file",
    )
    add("--model", required=True, metavar="NAME", help="on the server")
    add(
        "--address",
        metavar="HOST:PORT",
        help=f"of the server (default: {GRPC}, with --rest {REST})",
    )
    add("--rest", action="store_true", help="use REST instead of gRPC")
    add(
        "--signature",
        choices=SIGNATURES,
        help="serve_frames takes the whole video, serving_default one clip "
        "(default: the first that fits)",
    )
    add(
        "--top",
        type=_positive(int),
        default=5,
        metavar="K",
        help="number of classes (default: 5, the maximum of serve_frames)",
    )
    add(
        "--timeout",
        type=_positive(float),
        default=30.0,
        metavar="S",
        help="seconds for each request, including retries (default: 30)",
    )
    add(
        "--max-mb",
        type=_positive(float),
        default=serving_base.MAX_MB,
        metavar="MB",
        help="maximum size of a request (default: %(default)g)",
    )
    add("--start", type=float, default=0.0, metavar="S", help="start time")
    add(
        "--max-pixels",
        type=_positive(int),
        default=video_frames.MAX_PIXELS,
        metavar="N",
        help="refuse videos with larger frames (default: %(default)s)",
    )
    add(
        "--max-seconds",
        type=_positive(float),
        default=video_frames.MAX_SECONDS,
        metavar="S",
        help="refuse videos that take longer to decode (default: %(default)g)",
    )
    part = parser.add_argument_group("serve_frames")
    part.add_argument(
        "--seconds",
        type=_positive(float),
        metavar="S",
        help="send only so many seconds of the video, at full frame rate",
    )
    part.add_argument(
        "--short-side",
        type=_positive(int),
        metavar="PX",
        help="resize larger frames to this short side",
    )
    part.add_argument("--png", action="store_true", help="PNG, not JPEG")
    clip = parser.add_argument_group("serving_default")
    clip.add_argument(
        "--frames",
        type=_positive(int),
        metavar="N",
        help="of a video, from --start (default: the model's, if it has one)",
    )
    clip.add_argument(
        "--stride",
        type=_positive(int),
        default=1,
        metavar="N",
        help="frame stride (default: 1)",
    )
    clip.add_argument(
        "--size",
        type=_size,
        metavar="HEIGHTxWIDTH",
        help="resize the frames, in pixels",
    )
    clip.add_argument(
        "--classes",
        type=os.path.expanduser,
        metavar="FILE",
        help="assets/classes.txt of the model",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
