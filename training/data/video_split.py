"""Videos of one split as columns of tensors, for input pipelines."""

import functools
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from ..io.user_error import UserError
from .clip_reader import ClipReader, Probe
from .manifest import Manifest, Video
from .sampling_config import SamplingConfig

NAMED = 5  # classes without a video


class VideoSplit:
    """The readable videos of a split, as columns of tensors."""

    def __init__(
        self,
        name: str,
        pairs: list[tuple[Video, Probe]],
        source: ClipReader,
        manifest: Manifest,
    ):
        self.name = name
        self.pairs = pairs
        self.videos = [video for video, _ in pairs]
        fields = [source.fields(video) for video in self.videos]
        self.field_names = tuple(fields[0])
        self._columns = {
            name: tf.constant([row[name] for row in fields])
            for name in self.field_names
        }
        probes = [probe for _, probe in pairs]
        for key, dtype in (
            ("frames", tf.int64),
            ("height", tf.int32),
            ("width", tf.int32),
        ):
            self._columns[key] = tf.constant(
                [getattr(probe, key) for probe in probes], dtype
            )
        # The rate of the data set has precedence over that of the file.
        rates = [video.fps or probe.fps for video, probe in pairs]
        self._columns["fps"] = tf.constant(rates, tf.float64)
        if any(probe.edges_s is not None for probe in probes):
            # Empty for evenly spaced frames, as most videos have.
            edges_s = [
                np.zeros(0) if probe.edges_s is None else probe.edges_s
                for probe in probes
            ]
            self._columns["edges_s"] = tf.RaggedTensor.from_row_lengths(
                np.concatenate(edges_s), [len(row) for row in edges_s]
            )
        self._classes = manifest.classes
        self._multi_label = manifest.multi_label
        labels = [video.labels for video in self.videos]
        if manifest.multi_label:
            self._labels = tf.ragged.constant(
                [list(row) for row in labels], tf.int64, ragged_rank=1
            )
            spans = [video.spans for video in self.videos]
            self._spans = tf.ragged.constant(
                [[(s.start_s, s.end_s) for s in row] for row in spans],
                tf.float64,
                ragged_rank=1,
                inner_shape=(2,),
            )
            self._span_labels = tf.ragged.constant(
                [[s.label for s in row] for row in spans],
                tf.int64,
                ragged_rank=1,
            )
            self._has_spans = any(spans)
        else:
            self._labels = tf.constant(
                [row[0] if row else -1 for row in labels], tf.int64
            )

    def check_labels(self) -> None:
        """Raise a UserError if videos have no labels to train on."""
        if self._multi_label:  # a video may have none of the classes
            if not any(v.labels for v in self.videos):
                raise UserError(
                    "Expected a video with a class. Received: a list for "
                    f"{self.name} without any."
                )
        elif not all(v.labels for v in self.videos):
            raise UserError(
                "Expected a label for each video. Received: a list for "
                f"{self.name} without labels."
            )

    def check_training(self, sampling: SamplingConfig) -> None:
        """Raise a UserError if clips cannot be drawn as the settings ask."""
        if sampling.balanced:
            _ = self.of_classes
        if sampling.flip_pairs:
            flip_table(sampling.flip_pairs, self._classes)

    @functools.cached_property
    def of_classes(self) -> tf.RaggedTensor:
        """Indices of the videos of each class that has any, int64.

        Raises:
            UserError: videos have several labels, or none.
        """
        if self._multi_label or not all(v.labels for v in self.videos):
            raise UserError(
                "sampling.balanced is for videos of one class each. Received: "
                f"a split {self.name} with several labels, or none, a video"
            )
        members: dict[int, list[int]] = {}
        for index, video in enumerate(self.videos):
            members.setdefault(video.labels[0], []).append(index)
        with tf.init_scope():  # it outlives the graph that asks first
            rows = [members[label] for label in sorted(members)]
            return tf.ragged.constant(rows, tf.int64)

    def __len__(self) -> int:
        return len(self.videos)

    def row(self, index) -> dict:
        """Return the row of a video as tensors, scalar except "edges_s"."""
        row = {name: column[index] for name, column in self._columns.items()}
        return {**row, "index": index}

    def label(self, index, frames=None):
        """Return the label of a video, or of the clip with some frames.

        A class with spans holds for clips that overlap one of them; a class
        without spans holds for the whole video.
        """
        if not self._multi_label:
            return self._labels[index]
        labels = self._labels[index]
        if frames is None or not self._has_spans:
            return self._multi_hot(labels)
        first, last = self._seconds(
            index, tf.stack([tf.reduce_min(frames), tf.reduce_max(frames)])
        )
        spans, span_labels = self._spans[index], self._span_labels[index]
        overlaps = ~((spans[:, 0] > last) | (spans[:, 1] < first))
        without_span = self._multi_hot(labels) * (
            1 - self._multi_hot(span_labels)
        )
        return tf.maximum(
            without_span,
            self._multi_hot(tf.boolean_mask(span_labels, overlaps)),
        )

    def flipped(self, label, pairs: str):
        """Return the label of a flipped clip.

        Args:
            label: of the clip.
            pairs: names of classes, as `sampling.flip_pairs`.
        """
        other = tf.constant(flip_table(pairs, self._classes), tf.int64)
        if self._multi_label:
            return tf.gather(label, other)
        return other[label]

    def _seconds(self, index, frames):
        """Return display times of two frames; NaN if the rate is unknown."""
        fps = self._columns["fps"][index]
        fps = tf.where(fps > 0, fps, np.nan)
        seconds = tf.cast(frames, tf.float64) / fps
        if "edges_s" in self._columns:
            edges_s = self._columns["edges_s"][index]
            seconds = tf.cond(
                tf.size(edges_s) > 0,
                lambda: tf.gather(edges_s, frames),
                lambda: seconds,
            )
        return seconds[0], seconds[1]

    def missing_classes(self) -> str:
        """Name the classes without a video in the split; "" if none or all."""
        counts = self.class_counts()
        empty = [
            n
            for n, count in zip(self._classes, counts, strict=True)
            if count == 0
        ]
        if not 0 < len(empty) < len(self._classes):
            return ""
        named = ", ".join(empty[:NAMED]) + " and others" * (len(empty) > NAMED)
        return f"Without a video in {self.name}: {named}."

    def class_counts(self) -> np.ndarray:
        """Count the videos of each class, int64 `(classes,)`."""
        counts = np.zeros(len(self._classes), np.int64)
        for video in self.videos:
            for label in set(video.labels):
                counts[label] += 1
        return counts

    def _multi_hot(self, labels):
        hot = tf.one_hot(labels, len(self._classes))  # (labels, classes)
        return tf.reduce_max(
            tf.concat([hot, tf.zeros((1, len(self._classes)))], 0), axis=0
        )


def flip_table(pairs: str, classes: Sequence[str]) -> list[int]:
    """Return the class of the flipped videos of each class.

    Args:
        pairs: such as "turn left:turn right,wave left:wave right".
        classes: all names.

    Raises:
        UserError: the text is not that of pairs, a class is unknown, or in two
            pairs.
    """
    table = list(range(len(classes)))
    for pair in pairs.split(","):
        names = [name.strip() for name in pair.split(":")]
        unknown_names = [name for name in names if name not in classes]
        is_pair = len(names) == len(set(names)) == 2
        if not is_pair or unknown_names:
            raise UserError(
                "Expected sampling.flip_pairs such as left:right,up:down, of "
                f"the classes {', '.join(classes)}. Received: {pair!r}"
            )
        first, second = map(classes.index, names)
        if (table[first], table[second]) != (first, second):
            raise UserError(
                "Expected each class in one of sampling.flip_pairs. Received: "
                f"{pairs!r}"
            )
        table[first], table[second] = second, first
    return table
