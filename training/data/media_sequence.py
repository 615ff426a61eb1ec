"""TFRecord shards of SequenceExamples, as MediaPipe's and TF Model Garden's.

    shards/train-00000-of-00012.tfrecord
    shards/validation-00000-of-00002.tfrecord

    --set dataset=media_sequence --set data.root=shards

The files of a split are those whose names begin with it, or those that match a
pattern: `--set data.train='shards/kinetics_train*'`. Make shards with
`nonlocal-tf shards`. Shards of other programs are scanned at the
start of each run for the lengths of their records, or only once with
`nonlocal-tf shards --index 'shards/*'`.

Frames are JPEGs in `image/encoded`, labels are in `clip/label/index`, and
their start and end times in `segment/`. Class names come from a file with one
name per line (`data.classes`), from `index.json` or from `clip/label/string`.
"""

import os

from ..io.paths import as_path
from ..io.user_error import UserError
from . import (
    folder_paths,
    sequence_examples,
    shard_index,
    shard_reader,
    tfrecords,
)
from .class_names import read_classes
from .clip_reader import VideoError
from .data_config import SPLITS, DataConfig, check_fields, need
from .datasets import register_dataset
from .manifest import Manifest, Video
from .video_dataset import VideoDataset

# Labels, segments and names rarely take more.
CONTEXT_BYTES = 16384


@register_dataset("media_sequence")
class MediaSequence(VideoDataset):
    description = "TFRecord shards of JPEG frames, MediaSequence's keys"
    storage = "records"

    @staticmethod
    def read_lists(data: DataConfig) -> Manifest:
        check_fields(data, "root", *SPLITS, "classes")
        if not (data.root or data.train):
            need(data, "root", "the folder of the shards")
        files = {split: _files(data, split) for split in SPLITS}
        cache = shard_index.ShardIndexReader()
        names: dict[int, str] = {}
        splits: dict[str, list[Video]] = {}
        for split, paths in files.items():
            if paths:
                splits[split] = [
                    video
                    for path in paths
                    for video in _videos(path, cache, names)
                ]
        paths = [path for split in files.values() for path in split]
        indices = [index for path in paths if (index := cache.of(path))]
        videos = [video for split in splits.values() for video in split]
        classes = _classes(data, indices, names, videos)
        multi_label = (
            indices[0].multi_label
            if indices
            else any(len(video.labels) > 1 for video in videos)
        )
        return Manifest(
            classes,
            splits,
            multi_label,
            any(index.skips_unlabelled for index in indices),
        )


def _files(data: DataConfig, split: str) -> list[str]:
    """List the shards of a split; [] for an optional split without shards."""
    files = getattr(data, split)
    if files is None and not data.root:
        return []
    pattern = folder_paths.join_path(data.root, files or f"{split}-*")
    paths = folder_paths.glob_files(pattern)
    if not paths and (files or split == "train"):
        raise UserError(
            f"Expected shards of the {split} split as {pattern}. Give their "
            f"pattern: --set data.{split}='FOLDER/NAME*'"
        )
    return paths


def _videos(
    path: str, cache: shard_index.ShardIndexReader, names: dict[int, str]
) -> list[Video]:
    """List the records of a shard; adds their class names to `names`."""
    shard = cache.shard(path)
    if shard is None:
        return [
            _video(path, location, names)
            for location in tfrecords.locate(path, CONTEXT_BYTES)
        ]
    size = as_path(path).stat().st_size
    if size != shard.size_bytes:
        raise UserError(
            f"{path} is damaged. Expected {shard.size_bytes} bytes. "
            f"Received: {size}. Delete it and write it again."
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


def _video(
    path: str, location: tfrecords.RecordLocation, names: dict[int, str]
) -> Video:
    """Read labels and spans of a record in a shard without index."""
    where = f"{path}, record {location.number}"
    try:
        example = sequence_examples.context_of(location.start)
        if example is None:
            example = shard_reader.read_record(
                Video(path, offset=location.offset)
            )
        content = sequence_examples.content_of(example)
    except VideoError as error:
        raise UserError(f"{where}: {error}") from error
    sequence_examples.learn_names(content, names, where)
    return Video(path, content.labels, content.spans, offset=location.offset)


def _classes(
    data: DataConfig,
    indices: list[shard_index.ShardIndex],
    names: dict[int, str],
    videos: list[Video],
) -> tuple[str, ...]:
    labels = {label for video in videos for label in video.labels}
    if data.classes is not None:
        classes = read_classes(data.classes)
    elif indices:
        classes = indices[0].classes
    else:
        count = max(labels, default=-1) + 1
        classes = tuple(names.get(label, str(label)) for label in range(count))
    if any(index.classes != indices[0].classes for index in indices):
        raise UserError(
            "Expected shards of one data set. Received several: their "
            "index.json have different classes."
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
