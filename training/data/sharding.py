"""Dividing a data set among shards, having them written, and counting."""

import concurrent.futures
import dataclasses
import hashlib
import json
import multiprocessing
import random
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool

import tensorflow as tf

from ..io import atomic_files, remote, tables
from ..io.progress import Progress
from ..io.user_error import UserError
from ..recipes.schema import DataConfig
from . import command, listing_notes, scan, shard_index, shard_task
from .datasets import BadVideo
from .listing import Listing, Video, inside, list_folder
from .shard_index import Index, Shard
from .shard_task import Task
from .video_limits import Limits

ORDER_SEED = 2018
SETTINGS = f"{shard_index.NOTES}/settings.json"
Run = Callable[[Sequence[Task]], Iterable[Shard]]


@dataclasses.dataclass(frozen=True)
class ShardsConfig:
    """How shards are made.

    Attributes:
        data: where the data set is.
        short_side_px: that larger frames are scaled to.
        quality: of the JPEGs, up to 100.
        shard_videos: how many videos come into one file.
        max_frames: videos to train on that are longer become several records.
        limit: how many videos of each split, to try things; None for all.
    """

    data: DataConfig = DataConfig()
    short_side_px: int = 256
    quality: int = 90
    shard_videos: int = 32
    max_frames: int = 320
    limit: int | None = None


def make(
    dataset: str,
    config: ShardsConfig,
    out: str,
    run: Run,
    retry_bad: bool = False,
) -> str:
    """Writes the shards of a data set that are not written yet.

    Args:
        dataset: its name.
        config: where it is, and how they are made.
        out: the folder they come into, made if needed.
        run: does the tasks, in any order.
        retry_bad: makes those again that bad videos were left out of.

    Returns:
        What was done, as text.

    Raises:
        UserError: the folder has shards that were made otherwise, or too many
            videos are bad.
    """
    kind = command.video_dataset(dataset)
    if kind.source == "records":
        raise UserError(f"The data set {dataset!r} is of shards already.")
    _check_folder(out)
    listing = kind.read_lists(config.data)
    tasks = plan(dataset, kind.source, listing, config, out)
    settings = settings_of(dataset, listing, config)
    for note in listing_notes.notes(listing):
        print(f"note: {note}")
    notes = remote.as_path(out) / shard_index.NOTES
    atomic_files.check_inside(notes, remote.as_path(out))
    tf.io.gfile.makedirs(str(notes))
    with atomic_files.locked(remote.as_path(out)):
        _check_settings(out, settings)
        shard_task.discard(tasks)  # what killed processes left
        done = {task.name: shard_task.finished(task) for task in tasks}
        left = [
            task
            for task in tasks
            if (shard := done[task.name]) is None or (retry_bad and shard.bad)
        ]
        print(
            f"{len(tasks)} shards, {len(tasks) - len(left)} of them finished."
        )
        path = inside(out, shard_index.NAME)
        if left and tf.io.gfile.exists(path):
            tf.io.gfile.remove(path)  # until it is right again
        shown = Progress(len(left), "shards")
        for count, shard in enumerate(run(left) if left else (), start=1):
            done[shard.name] = shard
            shown.at(count)
            print(
                f"{shard.name}: "
                f"{tables.number_of(shard.videos - len(shard.bad), 'video')}, "
                f"{len(shard.bad)} bad, {shard.size_bytes / 1e6:.1f} MB",
                flush=True,
            )
        shards = [shard for shard in done.values() if shard is not None]
        return _finish(out, listing, settings, shards, config)


def plan(
    dataset: str,
    source: str,
    listing: Listing,
    config: ShardsConfig,
    out: str,
) -> list[Task]:
    """Divides the videos of a data set among shards."""
    tasks = []
    for split, videos in _chosen(listing, config).items():
        size = config.shard_videos
        count = -(-len(videos) // size)
        for number in range(count):
            tasks.append(
                Task(
                    name=f"{split}-{number:05}-of-{count:05}.tfrecord",
                    folder=out,
                    split=split,
                    videos=tuple(videos[number * size : (number + 1) * size]),
                    source=source,
                    root=config.data.root,
                    dataset=dataset,
                    classes=listing.classes,
                    short_side_px=config.short_side_px,
                    quality=config.quality,
                    max_frames=config.max_frames if split == "train" else None,
                    limits=Limits.of(config.data),
                )
            )
    if not tasks:
        raise UserError("The data set has no videos.")
    return tasks


def in_processes(workers: int) -> Run:
    """Does tasks in so many processes; in this one if it is one."""

    def run(tasks: Sequence[Task]) -> Iterator[Shard]:
        if workers == 1:
            yield from map(shard_task.run, tasks)
            return
        # TensorFlow's threads do not survive a fork.
        context = multiprocessing.get_context("spawn")
        pool = concurrent.futures.ProcessPoolExecutor(
            workers, context, _leave_ctrl_c_to_the_parent
        )
        try:
            waiting = [pool.submit(shard_task.run, task) for task in tasks]
            for future in concurrent.futures.as_completed(waiting):
                yield future.result()
        except BrokenProcessPool as error:
            raise UserError(
                "A worker was killed, most often for want of memory. Run the "
                "same command again, with fewer --workers."
            ) from error
        except BaseException:
            # What they are at will be made again; waiting would take minutes.
            for child in multiprocessing.active_children():
                child.terminate()
            raise
        finally:
            pool.shutdown(cancel_futures=True)
            shard_task.discard(tasks)

    return run


def _leave_ctrl_c_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def verify(out: str) -> str:
    """Reads all shards and compares them with the index.

    Raises:
        UserError: one is missing or damaged, or there is no index.
    """
    index = shard_index.read(out)
    if index is None:
        raise UserError(f"There is no {shard_index.NAME} of shards in {out}.")
    wrong = []
    shown = Progress(len(index.shards), "shards compared")
    for done, shard in enumerate(index.shards):
        shown.at(done)
        try:
            path = remote.as_path(inside(out, shard.name))
            if atomic_files.sha256(path) != shard.sha256:
                wrong.append(f"{shard.name} is damaged")
        except OSError:
            wrong.append(f"{shard.name} cannot be read")
    if wrong:
        raise UserError(
            f"{len(wrong)} of {len(index.shards)} shards: {'; '.join(wrong)}. "
            "Delete them and run the command that made them again."
        )
    return f"{len(index.shards)} shards are as they were written."


def settings_of(dataset: str, listing: Listing, config: ShardsConfig) -> dict:
    """All that decides the shards' bytes except for the videos' own."""
    root = config.data.root
    lists = [
        [split, shard_task.relative(video.path, root), *rest]
        for split, videos in listing.splits.items()
        for video in videos
        for rest in [list(dataclasses.asdict(video).values())[1:]]
    ]
    digest = hashlib.sha256(json.dumps([listing.classes, lists]).encode())
    settings = dataclasses.asdict(config)
    del settings["data"]
    return {"dataset": dataset, **settings, "lists": digest.hexdigest()[:16]}


def _chosen(listing: Listing, config: ShardsConfig) -> dict[str, list[Video]]:
    """The videos of each split, in the order in which they are written."""
    chosen = {}
    for split, videos in listing.splits.items():
        videos = list(videos)
        if split == "train":
            random.Random(ORDER_SEED).shuffle(videos)
        chosen[split] = videos[: config.limit]
    return chosen


def _check_folder(out: str) -> None:
    """Raises for a folder of other files, before anything is written there."""
    atomic_files.check_writable_folder(remote.as_path(out))
    if tf.io.gfile.exists(inside(out, SETTINGS)) or not tf.io.gfile.isdir(out):
        return
    if names := list_folder(out):
        raise UserError(
            f"{out} is neither empty nor a folder of shards: it has "
            f"{names[0]}. Give another --out."
        )


def _check_settings(out: str, settings: dict) -> None:
    """Remembers the settings, or raises if the folder has others."""
    path = inside(out, SETTINGS)
    if not tf.io.gfile.exists(path):
        atomic_files.write_text(remote.as_path(path), json.dumps(settings))
        return
    with tf.io.gfile.GFile(path, "r") as file:
        there = json.loads(file.read())
    other = [
        f"{key}: {there.get(key)!r}, now {value!r}"
        for key, value in settings.items()
        if there.get(key) != value
    ]
    if other:
        raise UserError(
            f"The shards in {out} were made with other settings "
            f"({'; '.join(other)}). Give another --out, or delete it."
        )


def _finish(
    out: str,
    listing: Listing,
    settings: dict,
    shards: list[Shard],
    config: ShardsConfig,
) -> str:
    """Counts, writes the list of bad videos and the index."""
    rows, listed = [], 0
    for split, videos in _chosen(listing, config).items():
        of = [shard for shard in shards if shard.split == split]
        left_out = sum(len(shard.bad) for shard in of)
        if sum(shard.videos for shard in of) != len(videos):
            raise RuntimeError(f"Videos of {split} are missing in the shards.")
        records = sum(len(shard.records) for shard in of)
        written = len(videos) - left_out
        rows.append((split, len(videos), written, left_out, records))
        listed += len(videos)
    path = inside(out, scan.BAD_VIDEOS)
    found = [BadVideo(s.split, *row) for s in shards for row in s.bad]
    atomic_files.write_text(remote.as_path(path), scan.as_csv(found))
    scan.check_share(
        found,
        listed,
        config.data.max_bad_share,
        f"All are in {path}. Mend them and add --retry-bad, or raise the share "
        "with --set data.max_bad_share=SHARE.",
    )
    index = Index(
        listing.classes,
        listing.multi_label,
        settings,
        tuple(sorted(shards, key=lambda shard: shard.name)),
        listing.skips_unlabelled,
    )
    path = inside(out, shard_index.NAME)
    atomic_files.write_text(remote.as_path(path), shard_index.to_json(index))
    head = ("split", "listed", "written", "bad", "records")
    return f"{tables.render([head, *rows])}\n{path}"
