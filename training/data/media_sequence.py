"""Shards of SequenceExamples: ours, MediaPipe's, the TF Model Garden's.

    shards/train-00000-of-00012.tfrecord
    shards/validation-00000-of-00002.tfrecord

    --set dataset=media_sequence --set data.root=shards

The files of a split are those whose names begin with it, or those that a
pattern matches: `--set data.train='shards/kinetics_train*'`. How to make
shards: `nonlocal-tf shards`. Those of other programs are read
through at the start of each run, to see how long their records are; once for
all, with `nonlocal-tf shards --index 'shards/*'`.

Frames are JPEGs in `image/encoded`, labels are in `clip/label/index`, and
where in time each is seen is in `segment/`. Names of classes come from a file,
a name a line (`data.classes`), from our `index.json` or from
`clip/label/string`.
"""

import os

import tensorflow as tf

from ..io.user_error import UserError
from ..recipes.schema import DataConfig
from . import listing, records, sequence_examples, shard_index, tfrecords
from .classes import read_classes
from .datasets import register_dataset
from .listing import SPLITS, Listing, Video
from .settings import check_settings, need
from .sources import VideoError
from .videos import VideoDataset

# Labels, segments and names are rarely more.
CONTEXT_BYTES = 16384


@register_dataset("media_sequence")
class MediaSequence(VideoDataset):
    description = "TFRecord shards of JPEG frames, MediaSequence's keys"
    source = "records"

    @staticmethod
    def read_lists(data: DataConfig) -> Listing:
        check_settings(data, "root", *SPLITS, "classes")
        if not (data.root or data.train):
            need(data, "root", "the folder of the shards")
        found = {split: _files(data, split) for split in SPLITS}
        indices = shard_index.Indices()
        names: dict[int, str] = {}
        splits: dict[str, list[Video]] = {}
        for split, paths in found.items():
            if paths:
                splits[split] = [
                    video
                    for path in paths
                    for video in _videos(path, indices, names)
                ]
        ours = [indices.of(path) for paths in found.values() for path in paths]
        known = [index for index in ours if index is not None]
        every = [video for videos in splits.values() for video in videos]
        classes = _classes(data, known, names, every)
        several = any(len(video.labels) > 1 for video in every)
        multi_label = known[0].multi_label if known else several
        return Listing(
            classes,
            splits,
            multi_label,
            any(index.skips_unlabelled for index in known),
        )


def _files(data: DataConfig, split: str) -> list[str]:
    """The shards of a split; none of one that is neither there nor given."""
    given = getattr(data, split)
    if given is None and not data.root:
        return []
    pattern = listing.inside(data.root, given or f"{split}-*")
    paths = listing.matching(pattern)
    if not paths and (given or split == "train"):
        raise UserError(
            f"Expected shards of the {split} split as {pattern}. Give their "
            f"pattern: --set data.{split}='FOLDER/NAME*'"
        )
    return paths


def _videos(
    path: str, indices: shard_index.Indices, names: dict[int, str]
) -> list[Video]:
    """The records of a shard; names of classes they tell come into `names`."""
    shard = indices.shard(path)
    if shard is None:
        return [
            _video(path, place, names)
            for place in tfrecords.places(path, CONTEXT_BYTES)
        ]
    size = tf.io.gfile.stat(path).length
    if size != shard.size_bytes:
        raise UserError(
            f"{path} is damaged. Expected {shard.size_bytes} bytes. "
            f"Received: {size}. Delete it and make it again."
        )
    return [
        Video(
            path,
            record.labels,
            record.spans,
            frames=record.frames,
            fps=record.fps or None,
            offset=record.offset,
        )
        for record in shard.records
    ]


def _video(path: str, place: tfrecords.Place, names: dict[int, str]) -> Video:
    """A record of a shard without index."""
    where = f"{path}, record {place.number}"
    try:
        example = sequence_examples.context_of(place.start)
        if example is None:
            example = records.read_record(Video(path, offset=place.offset))
        content = sequence_examples.content_of(example)
    except VideoError as error:
        raise UserError(f"{where}: {error}") from error
    sequence_examples.learn_names(content, names, where)
    return Video(path, content.labels, content.spans, offset=place.offset)


def _classes(
    data: DataConfig,
    known: list[shard_index.Index],
    names: dict[int, str],
    videos: list[Video],
) -> tuple[str, ...]:
    labels = {label for video in videos for label in video.labels}
    if data.classes is not None:
        classes = read_classes(data.classes)
    elif known:
        classes = known[0].classes
    else:
        count = max(labels, default=-1) + 1
        classes = tuple(names.get(label, str(label)) for label in range(count))
    if any(index.classes != known[0].classes for index in known):
        raise UserError(
            "Expected all shards to be of one data set. Received several: "
            "their index.json have different classes."
        )
    if not classes:
        raise UserError(
            "Expected labels in clip/label/index. Received: none in any record."
        )
    for video in videos:
        for label in video.labels:
            if not 0 <= label < len(classes):
                raise UserError(
                    f"{os.path.basename(video.path)}: expected labels below "
                    f"{len(classes)}, the number of classes. "
                    f"Received: {label}"
                )
    return classes
