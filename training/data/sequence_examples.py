"""Videos as SequenceExamples with the keys of MediaSequence.

These are the keys of MediaPipe and of TensorFlow's Model Garden, so that each
reads the other's files: https://ai.google.dev/edge/mediapipe. Times are whole
microseconds from the start of the video that a record was made of.
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from google.protobuf import message

from ..io.user_error import UserError
from . import frame_times
from .listing import Span
from .sources import Probe, VideoError

FRAMES = "image/encoded"
TIMES = "image/timestamp"
LABELS = "clip/label/index"
NAMES = "clip/label/string"
MEDIA_BYTES = "clip/encoded_media_bytes"
MICROSECONDS = 1_000_000
# Protocol buffers end at 2 GB.
MAX_BYTES = 2_000_000_000
JPEG = b"\xff\xd8"


@dataclasses.dataclass(frozen=True)
class Content:
    """What a record says, except for its frames.

    Attributes:
        labels: indices of its classes.
        names: of these classes, in the same order; empty where not known.
        spans: where each label is seen, in seconds from the first frame.
    """

    labels: tuple[int, ...]
    names: tuple[str, ...] = ()
    spans: tuple[Span, ...] = ()


def encode(
    jpegs: Sequence[bytes],
    probe: Probe,
    content: Content,
    times_s: np.ndarray | None,
    end_s: float,
    texts: dict[str, str],
) -> bytes:
    """Makes a record; the same bytes from the same arguments.

    Args:
        jpegs: its frames.
        probe: of them.
        content: the rest.
        times_s: of each frame from the start of the video; None if not known.
        end_s: when the last frame ends.
        texts: further keys.

    Raises:
        VideoError: it is too large for a record.
    """
    if sum(map(len, jpegs)) > MAX_BYTES:
        raise VideoError("it has too many frames for one record")
    example = tf.train.SequenceExample()
    images = example.feature_lists.feature_list[FRAMES]
    for jpeg in jpegs:
        images.feature.add().bytes_list.value.append(jpeg)
    context: dict[str, list] = {
        "image/format": ["JPEG"],
        "image/channels": [3],
        "image/colorspace": ["RGB"],
        "image/height": [probe.height],
        "image/width": [probe.width],
        **{key: [text] for key, text in texts.items()},
    }
    if content.labels:
        context[LABELS] = list(content.labels)
        context[NAMES] = list(content.names)
    if times_s is not None:
        micros = _micros(times_s)
        stamps = example.feature_lists.feature_list[TIMES]
        for micro in micros:
            stamps.feature.add().int64_list.value.append(micro)
        context["image/frame_rate"] = [float(probe.fps)]
        context["clip/start/timestamp"] = [micros[0]]
        context["clip/end/timestamp"] = _micros([end_s])
        context |= _segments(content, times_s)
    for key, values in context.items():
        _set(example.context.feature[key], values)
    return example.SerializeToString(deterministic=True)


def content_of(example: tf.train.SequenceExample) -> Content:
    """Reads labels and segments; where a key is missing, there are none.

    Raises:
        VideoError: keys do not fit together.
    """
    first = (_whole(example, "clip/start/timestamp") or [0])[0]
    of_segments = _whole(example, "segment/label/index")
    starts, ends = _edge(example, "start", first), _edge(example, "end", first)
    if not len(of_segments) == len(starts) == len(ends):
        raise VideoError(
            "expected as many segment/start and segment/end as "
            f"segment/label/index. Received: {len(starts)}, {len(ends)} and "
            f"{len(of_segments)}"
        )
    of_clip = _whole(example, LABELS)
    names: dict[int, str] = {}
    for labels, key in (
        (of_segments, "segment/label/string"),
        (of_clip, NAMES),
    ):
        names.update(zip(labels, _texts(example, key), strict=False))
    labels = list(dict.fromkeys([*of_clip, *of_segments]))
    known = all(label in names for label in labels)
    return Content(
        tuple(labels),
        tuple(names[label] for label in labels) if known else (),
        tuple(map(Span, of_segments, starts, ends)),
    )


def learn_names(content: Content, names: dict[int, str], where: str) -> None:
    """Adds the names of a record's classes to those of the others.

    Args:
        content: of the record.
        names: of labels so far.
        where: the record is, for the message.

    Raises:
        UserError: a class has another name there.
    """
    for label, name in zip(content.labels, content.names, strict=False):
        if names.setdefault(label, name) != name:
            raise UserError(
                f"{where}: expected one name a label. Received for label "
                f"{label}: {names[label]!r} and {name!r}"
            )


def context_of(start: bytes) -> tf.train.SequenceExample | None:
    """The context alone, if it is whole in the first bytes of a record.

    Raises:
        VideoError: it is none of a SequenceExample.
    """
    if start[:1] != b"\x0a":  # the first field, of some length
        return None
    length = shift = 0
    for place, byte in enumerate(start[1:10], start=2):
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            whole = start[: place + length]
            if len(whole) < place + length:
                return None
            return parse(whole)
    return None


def parse(record: bytes) -> tf.train.SequenceExample:
    """A record's content.

    Raises:
        VideoError: it is none of a SequenceExample.
    """
    try:
        return tf.train.SequenceExample.FromString(record)
    except message.DecodeError as error:
        raise VideoError("the record is no SequenceExample") from error


def probe_of(example: tf.train.SequenceExample) -> Probe:
    """Counts and measures the frames of a record.

    Raises:
        VideoError: it has none, or not as JPEG.
    """
    lists = example.feature_lists.feature_list
    frames = lists[FRAMES].feature if FRAMES in lists else ()
    if not frames or not frames[0].bytes_list.value:
        if MEDIA_BYTES in example.context.feature:
            raise VideoError(
                f"the record holds a video file ({MEDIA_BYTES}) where frames "
                f"as JPEG were expected ({FRAMES})"
            )
        raise VideoError(f"the record has no frames ({FRAMES})")
    first = frames[0].bytes_list.value[0]
    if not first.startswith(JPEG):
        stated = _texts(example, "image/format")
        raise VideoError(
            "expected frames as JPEG. Received: "
            + (stated[0] if stated else "others")
        )
    try:
        height, width, _ = tf.io.extract_jpeg_shape(first).numpy()
    except tf.errors.OpError as error:
        raise VideoError(f"its first frame is damaged: {error}") from error
    rate = _rate(example)
    stamps = _stamps(example)
    if rate <= 0 and len(stamps) > 1 and stamps[-1] > stamps[0]:
        rate = (len(stamps) - 1) * MICROSECONDS / (stamps[-1] - stamps[0])
    edges_s = None
    if len(stamps) == len(frames):
        edges_s = _edges(example, stamps, rate)
    return Probe(len(frames), int(height), int(width), max(rate, 0.0), edges_s)


def _edges(example, stamps: list[int], rate: float) -> np.ndarray | None:
    """Edges between frames where a constant rate would be wrong."""
    starts_s = (np.array(stamps) - stamps[0]) / MICROSECONDS
    if rate <= 0 or (np.diff(starts_s) <= 0).any():
        return None
    ends = _whole(example, "clip/end/timestamp") or [stamps[-1]]
    last = (ends[0] - stamps[-1]) / MICROSECONDS
    return frame_times.uneven_edges(starts_s, rate, last)


def _segments(content: Content, times_s: np.ndarray) -> dict[str, list]:
    if not content.spans:
        return {}
    starts = [span.start_s + float(times_s[0]) for span in content.spans]
    ends = [span.end_s + float(times_s[0]) for span in content.spans]
    names = dict(zip(content.labels, content.names, strict=True))
    return {
        "segment/start/timestamp": _micros(starts),
        "segment/end/timestamp": _micros(ends),
        "segment/start/index": _nearest(times_s, starts),
        "segment/end/index": _nearest(times_s, ends),
        "segment/label/index": [span.label for span in content.spans],
        "segment/label/string": [names[span.label] for span in content.spans],
    }


def _edge(example, edge: str, first: int) -> list[float]:
    """Starts or ends of segments, in seconds from the first frame."""
    micros = _whole(example, f"segment/{edge}/timestamp")
    if micros:
        return [max((micro - first) / MICROSECONDS, 0.0) for micro in micros]
    rate = _rate(example)
    numbers = _whole(example, f"segment/{edge}/index")
    if numbers and rate <= 0:
        raise VideoError(
            "expected segment/start/timestamp, or image/frame_rate to tell "
            "it from segment/start/index"
        )
    return [number / rate for number in numbers]


def _nearest(times_s, wanted):
    return [int(np.argmin(np.abs(times_s - time))) for time in wanted]


def _micros(times_s):
    return [int(round(float(time) * MICROSECONDS)) for time in times_s]


def _stamps(example) -> list[int]:
    lists = example.feature_lists.feature_list
    features = lists[TIMES].feature if TIMES in lists else ()
    return [f.int64_list.value[0] for f in features if f.int64_list.value]


def _whole(example, key: str) -> list[int]:
    """Whole numbers of a key of the context; [] without it."""
    return [int(value) for value in _values(example, key, "int64_list")]


def _texts(example, key: str) -> list[str]:
    values = _values(example, key, "bytes_list")
    return [value.decode("utf-8", "replace") for value in values]


def _rate(example) -> float:
    """Frames a second, which some write as a whole number; 0.0 without."""
    kinds = ("float_list", "int64_list")
    rate = float((_values(example, "image/frame_rate", *kinds) or [0])[0])
    return rate if math.isfinite(rate) else 0.0


def _values(example, key: str, *kinds: str) -> list:
    if key not in example.context.feature:
        return []
    feature = example.context.feature[key]
    kind = feature.WhichOneof("kind")
    if kind is not None and kind not in kinds:
        raise VideoError(f"expected {key} as {kinds[0]}. Received: {kind}")
    return list(getattr(feature, kind).value) if kind else []


def _set(feature, values: list) -> None:
    if isinstance(values[0], str):
        feature.bytes_list.value.extend(v.encode("utf-8") for v in values)
    elif isinstance(values[0], float):
        feature.float_list.value.extend(values)
    else:
        feature.int64_list.value.extend(values)
