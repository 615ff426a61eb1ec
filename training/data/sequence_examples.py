"""Encode and decode videos as SequenceExamples with MediaSequence's keys.

MediaPipe and TensorFlow's Model Garden use the same keys and can read the same
files: https://ai.google.dev/edge/mediapipe. Times are whole microseconds from
the start of the video.
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from google.protobuf import message

from ..io.user_error import UserError
from . import frame_times
from .clip_reader import Probe, VideoError
from .manifest import Span

FRAMES = "image/encoded"
TIMES = "image/timestamp"
LABELS = "clip/label/index"
NAMES = "clip/label/string"
MEDIA_BYTES = "clip/encoded_media_bytes"
MICROSECONDS = 1_000_000
# Protocol buffers are limited to 2 GB.
MAX_BYTES = 2_000_000_000
JPEG = b"\xff\xd8"


@dataclasses.dataclass(frozen=True)
class RecordLabels:
    """Labels of a record.

    Attributes:
        labels: indices of its classes.
        names: names of these classes, in the same order; empty if unknown.
        spans: times of the labels, in seconds from the first frame.
    """

    labels: tuple[int, ...]
    names: tuple[str, ...] = ()
    spans: tuple[Span, ...] = ()


def encode(
    jpegs: Sequence[bytes],
    probe: Probe,
    content: RecordLabels,
    times_s: np.ndarray | None,
    end_s: float,
    texts: dict[str, str],
) -> bytes:
    """Encode a record deterministically.

    Args:
        jpegs: encoded frames.
        probe: size and rate of the frames.
        content: labels.
        times_s: start of each frame, from the start of the video; None if
            unknown.
        end_s: end of the last frame.
        texts: further string features.

    Raises:
        VideoError: the frames are too large for one record.
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


def content_of(example: tf.train.SequenceExample) -> RecordLabels:
    """Read labels and segments; missing keys mean none.

    Raises:
        VideoError: keys are inconsistent.
    """
    first = (_integers(example, "clip/start/timestamp") or [0])[0]
    segment_labels = _integers(example, "segment/label/index")
    starts, ends = _edge(example, "start", first), _edge(example, "end", first)
    if not len(segment_labels) == len(starts) == len(ends):
        raise VideoError(
            "expected as many segment/start and segment/end as "
            f"segment/label/index. Received: {len(starts)}, {len(ends)} and "
            f"{len(segment_labels)}"
        )
    clip_labels = _integers(example, LABELS)
    names: dict[int, str] = {}
    for labels, key in (
        (segment_labels, "segment/label/string"),
        (clip_labels, NAMES),
    ):
        names.update(zip(labels, _texts(example, key), strict=False))
    labels = list(dict.fromkeys([*clip_labels, *segment_labels]))
    has_names = all(label in names for label in labels)
    return RecordLabels(
        tuple(labels),
        tuple(names[label] for label in labels) if has_names else (),
        tuple(map(Span, segment_labels, starts, ends)),
    )


def learn_names(
    content: RecordLabels, names: dict[int, str], where: str
) -> None:
    """Add the class names of a record to those of other records.

    Args:
        content: labels of the record.
        names: class names by label, which are updated.
        where: shard and record, for errors.

    Raises:
        UserError: a label has another name already.
    """
    for label, name in zip(content.labels, content.names, strict=False):
        if names.setdefault(label, name) != name:
            raise UserError(
                f"{where}: expected one name a label. Received for label "
                f"{label}: {names[label]!r} and {name!r}"
            )


def context_of(start: bytes) -> tf.train.SequenceExample | None:
    """Parse the context from the first bytes of a record, if complete.

    Raises:
        VideoError: the record is not a SequenceExample.
    """
    if start[:1] != b"\x0a":  # field 1, length-delimited
        return None
    length = shift = 0
    for position, byte in enumerate(start[1:10], start=2):
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            context = start[: position + length]
            if len(context) < position + length:
                return None
            return parse(context)
    return None


def parse(record: bytes) -> tf.train.SequenceExample:
    """Parse a record.

    Raises:
        VideoError: it is not a SequenceExample.
    """
    try:
        return tf.train.SequenceExample.FromString(record)
    except message.DecodeError as error:
        raise VideoError("the record is not a SequenceExample") from error


def probe_of(example: tf.train.SequenceExample) -> Probe:
    """Return count, size and rate of the frames of a record.

    Raises:
        VideoError: it has no JPEG frames.
    """
    lists = example.feature_lists.feature_list
    frames = lists[FRAMES].feature if FRAMES in lists else ()
    if not frames or not frames[0].bytes_list.value:
        if MEDIA_BYTES in example.context.feature:
            raise VideoError(
                f"expected JPEG frames ({FRAMES}). Received: a video file "
                f"({MEDIA_BYTES})"
            )
        raise VideoError(f"the record has no frames ({FRAMES})")
    first = frames[0].bytes_list.value[0]
    if not first.startswith(JPEG):
        formats = _texts(example, "image/format")
        raise VideoError(
            "expected frames as JPEG. Received: "
            + (formats[0] if formats else "another format")
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
    """Return edges between unevenly spaced frames."""
    starts_s = (np.array(stamps) - stamps[0]) / MICROSECONDS
    if rate <= 0 or (np.diff(starts_s) <= 0).any():
        return None
    ends = _integers(example, "clip/end/timestamp") or [stamps[-1]]
    last = (ends[0] - stamps[-1]) / MICROSECONDS
    return frame_times.uneven_edges(starts_s, rate, last)


def _segments(content: RecordLabels, times_s: np.ndarray) -> dict[str, list]:
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
    """Return starts or ends of segments, in seconds from the first frame."""
    micros = _integers(example, f"segment/{edge}/timestamp")
    if micros:
        return [max((micro - first) / MICROSECONDS, 0.0) for micro in micros]
    rate = _rate(example)
    numbers = _integers(example, f"segment/{edge}/index")
    if numbers and rate <= 0:
        raise VideoError(
            "expected segment/start/timestamp, or image/frame_rate to convert "
            "segment/start/index"
        )
    return [number / rate for number in numbers]


def _nearest(times_s, targets_s):
    return [int(np.argmin(np.abs(times_s - time))) for time in targets_s]


def _micros(times_s):
    return [int(round(float(time) * MICROSECONDS)) for time in times_s]


def _stamps(example) -> list[int]:
    lists = example.feature_lists.feature_list
    features = lists[TIMES].feature if TIMES in lists else ()
    return [f.int64_list.value[0] for f in features if f.int64_list.value]


def _integers(example, key: str) -> list[int]:
    """Return the integers of a key of the context; [] without it."""
    return [int(value) for value in _values(example, key, "int64_list")]


def _texts(example, key: str) -> list[str]:
    values = _values(example, key, "bytes_list")
    return [value.decode("utf-8", "replace") for value in values]


def _rate(example) -> float:
    """Return the frame rate, a float or integer feature; 0.0 without it."""
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
