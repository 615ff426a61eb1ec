"""Probe the videos of a manifest, and check that each split has some."""

from collections.abc import Mapping, Sequence

from ..io.user_error import UserError
from . import bad_videos
from .bad_videos import BadVideo, BadVideoLog, abbreviated
from .clip_reader import ClipReader, Probe
from .manifest import Manifest, Video

ProbedVideos = list[tuple[Video, Probe]]


def probe(
    manifest: Manifest, reader: ClipReader, log: BadVideoLog
) -> dict[str, ProbedVideos]:
    """Probe all videos and return the readable ones of each split.

    Args:
        manifest: the listed videos.
        reader: reader of their storage.
        log: record of bad videos, which are added.
    """
    splits = manifest.splits
    distinct = list(dict.fromkeys(v for s in splits.values() for v in s))
    probes = bad_videos.probe_all(reader, distinct)
    probe_of = dict(zip(distinct, probes, strict=True))
    pairs: dict[str, ProbedVideos] = {}
    for name, videos in splits.items():
        pairs[name] = []
        for index, video in enumerate(videos):
            probed = probe_of[video]
            if isinstance(probed, Probe):
                pairs[name].append((video, probed))
            else:
                log.add(name, "listed", index, video.path, probed)
    return pairs


def check(
    pairs: Mapping[str, ProbedVideos], bad: Sequence[BadVideo], trains: bool
) -> None:
    """Raise a UserError if a split that is needed has no readable video.

    Args:
        pairs: the readable videos of each split.
        bad: the other videos.
        trains: whether a network is trained, not only evaluated.
    """
    if not trains:
        if not any(pairs.values()):
            raise UserError(
                f"None of the {len(bad)} videos can be read.{abbreviated(bad)}"
            )
        return
    if not pairs.get("train"):
        raise UserError(
            f"The data set has no video to train on.{abbreviated(bad)}"
        )
    if not (pairs.get("validation") or pairs.get("test")):
        raise UserError(
            "The data set has no validation or test video. Give "
            "data.validation or data.test for a data set with lists; in "
            "class folders, one class needs at least two videos, not all of "
            f"one group.{abbreviated(bad)}"
        )
