"""Convert a data set to shards: plan, write, verify and index them."""

import concurrent.futures
import dataclasses
import hashlib
import json
import multiprocessing
import random
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool

from ..io import atomic_files, paths, tables
from ..io.progress import Progress
from ..io.user_error import UserError
from . import (
    bad_videos,
    dataset_options,
    manifest_warnings,
    shard_index,
    shard_writer,
)
from .bad_videos import BadVideo
from .data_config import DataConfig
from .folder_paths import join_path, list_folder
from .manifest import Manifest, Video
from .shard_index import Shard, ShardIndex
from .shard_writer import ShardTask
from .video_limits import Limits

ORDER_SEED = 2018
SETTINGS = f"{shard_index.NOTES}/settings.json"
Run = Callable[[Sequence[ShardTask]], Iterable[Shard]]


@dataclasses.dataclass(frozen=True)
class ShardsConfig:
    """Settings of shards.

    Attributes:
        data: location of the data set.
        short_side_px: short side to which larger frames are resized.
        quality: JPEG quality, up to 100.
        shard_videos: number of videos per shard.
        max_frames: longer training videos become several records.
        limit: number of videos per split, for a trial; None for all.
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
    """Write the shards of a data set that are not written yet.

    Args:
        dataset: name of the data set.
        config: location of the data set and settings of the shards.
        out: output folder, created if needed.
        run: function that runs tasks, in any order.
        retry_bad: write shards with bad videos again.

    Returns:
        A summary for the screen.

    Raises:
        UserError: the folder has shards with other settings, or too many
            videos are bad.
    """
    kind = dataset_options.video_dataset(dataset)
    if kind.storage == "records":
        raise UserError(f"The data set {dataset!r} already consists of shards.")
    _check_folder(out)
    manifest = kind.read_lists(config.data)
    tasks = plan(dataset, kind.storage, manifest, config, out)
    settings = settings_of(dataset, manifest, config)
    for note in manifest_warnings.notes(manifest):
        print(f"note: {note}")
    notes = paths.as_path(out) / shard_index.NOTES
    atomic_files.check_inside(notes, paths.as_path(out))
    notes.mkdir(parents=True, exist_ok=True)
    with atomic_files.locked(paths.as_path(out)):
        _check_settings(out, settings)
        shard_writer.discard(tasks)  # scratch files of killed processes
        finished = {task.name: shard_writer.finished(task) for task in tasks}
        pending = [
            task
            for task in tasks
            if (shard := finished[task.name]) is None
            or (retry_bad and shard.bad)
        ]
        print(
            f"{len(tasks)} shards, {len(tasks) - len(pending)} of them "
            "finished."
        )
        if pending:  # outdated until all are written
            index_path = paths.as_path(join_path(out, shard_index.NAME))
            index_path.unlink(missing_ok=True)
        progress = Progress(len(pending), "shards")
        for count, shard in enumerate(run(pending) if pending else (), 1):
            finished[shard.name] = shard
            progress.update(count)
            print(
                f"{shard.name}: "
                f"{tables.number_of(shard.videos - len(shard.bad), 'video')}, "
                f"{len(shard.bad)} bad, {shard.size_bytes / 1e6:.1f} MB",
                flush=True,
            )
        shards = [shard for shard in finished.values() if shard is not None]
        return _finish(out, manifest, settings, shards, config)


def plan(
    dataset: str,
    source: str,
    manifest: Manifest,
    config: ShardsConfig,
    out: str,
) -> list[ShardTask]:
    """Return the tasks of all shards."""
    tasks = []
    for split, videos in _chosen(manifest, config).items():
        size = config.shard_videos
        count = -(-len(videos) // size)
        for number in range(count):
            tasks.append(
                ShardTask(
                    name=f"{split}-{number:05}-of-{count:05}.tfrecord",
                    folder=out,
                    split=split,
                    videos=tuple(videos[number * size : (number + 1) * size]),
                    source=source,
                    root=config.data.root,
                    dataset=dataset,
                    classes=manifest.classes,
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
    """Return a function that runs tasks in worker processes.

    With one worker, tasks run in this process.
    """

    def run(tasks: Sequence[ShardTask]) -> Iterator[Shard]:
        if workers == 1:
            yield from map(shard_writer.run, tasks)
            return
        # TensorFlow's threads do not survive a fork.
        context = multiprocessing.get_context("spawn")
        pool = concurrent.futures.ProcessPoolExecutor(
            workers, context, _ignore_interrupts
        )
        try:
            futures = [pool.submit(shard_writer.run, task) for task in tasks]
            for future in concurrent.futures.as_completed(futures):
                yield future.result()
        except BrokenProcessPool as error:
            raise UserError(
                "A worker process was killed, probably out of memory. Run the "
                "same command again with fewer --workers."
            ) from error
        except BaseException:
            # Unfinished shards are written again; waiting would take minutes.
            for child in multiprocessing.active_children():
                child.terminate()
            raise
        finally:
            pool.shutdown(cancel_futures=True)
            shard_writer.discard(tasks)

    return run


def _ignore_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def verify(out: str) -> str:
    """Compare the checksums of all shards with the index.

    Raises:
        UserError: a shard is missing or damaged, or there is no index.
    """
    index = shard_index.read(out)
    if index is None:
        raise UserError(f"There is no {shard_index.NAME} of shards in {out}.")
    damaged = []
    progress = Progress(len(index.shards), "shards verified")
    for number, shard in enumerate(index.shards):
        progress.update(number)
        try:
            path = paths.as_path(join_path(out, shard.name))
            if atomic_files.sha256(path) != shard.sha256:
                damaged.append(f"{shard.name} is damaged")
        except OSError:
            damaged.append(f"{shard.name} cannot be read")
    if damaged:
        raise UserError(
            f"{len(damaged)} of {len(index.shards)} shards: "
            f"{'; '.join(damaged)}. Delete them and run the command that wrote "
            "them again."
        )
    return f"{len(index.shards)} shards verified."


def settings_of(dataset: str, manifest: Manifest, config: ShardsConfig) -> dict:
    """Return all settings that determine the bytes of the shards."""
    root = config.data.root
    lists = [
        [split, shard_writer.relative(video.path, root), *rest]
        for split, videos in manifest.splits.items()
        for video in videos
        for rest in [list(dataclasses.asdict(video).values())[1:]]
    ]
    digest = hashlib.sha256(json.dumps([manifest.classes, lists]).encode())
    settings = dataclasses.asdict(config)
    del settings["data"]
    return {"dataset": dataset, **settings, "lists": digest.hexdigest()[:16]}


def _chosen(manifest: Manifest, config: ShardsConfig) -> dict[str, list[Video]]:
    """Return the videos of each split in the order of the records."""
    chosen = {}
    for split, videos in manifest.splits.items():
        videos = list(videos)
        if split == "train":
            random.Random(ORDER_SEED).shuffle(videos)
        chosen[split] = videos[: config.limit]
    return chosen


def _check_folder(out: str) -> None:
    """Raise a UserError for a folder with other files."""
    atomic_files.check_writable_folder(paths.as_path(out))
    folder = paths.as_path(out)
    if (folder / SETTINGS).exists() or not folder.is_dir():
        return
    if names := list_folder(out):
        raise UserError(
            f"Expected {out} to be empty or a folder of shards. Received: "
            f"{names[0]} in it. Give another --out."
        )


def _check_settings(out: str, settings: dict) -> None:
    """Store the settings, or raise a UserError if others are stored."""
    path = paths.as_path(join_path(out, SETTINGS))
    if not path.exists():
        atomic_files.write_text(path, json.dumps(settings))
        return
    stored = json.loads(path.read_bytes())
    changed = [
        f"{key}: {stored.get(key)!r}, now {value!r}"
        for key, value in settings.items()
        if stored.get(key) != value
    ]
    if changed:
        raise UserError(
            f"The shards in {out} were written with other settings "
            f"({'; '.join(changed)}). Give another --out, or delete it."
        )


def _finish(
    out: str,
    manifest: Manifest,
    settings: dict,
    shards: list[Shard],
    config: ShardsConfig,
) -> str:
    """Write the list of bad videos and the index; return a summary."""
    rows, listed = [], 0
    for split, videos in _chosen(manifest, config).items():
        split_shards = [shard for shard in shards if shard.split == split]
        bad_count = sum(len(shard.bad) for shard in split_shards)
        if sum(shard.videos for shard in split_shards) != len(videos):
            raise RuntimeError(f"Videos of {split} are missing in the shards.")
        records = sum(len(shard.records) for shard in split_shards)
        written = len(videos) - bad_count
        rows.append((split, len(videos), written, bad_count, records))
        listed += len(videos)
    path = join_path(out, bad_videos.FILE_NAME)
    bad = [BadVideo(s.split, *row) for s in shards for row in s.bad]
    atomic_files.write_text(paths.as_path(path), bad_videos.as_csv(bad))
    bad_videos.check_share(
        bad,
        listed,
        config.data.max_bad_share,
        f"All are in {path}. Repair them and add --retry-bad, or raise the "
        "share with --set data.max_bad_share=SHARE.",
    )
    index = ShardIndex(
        manifest.classes,
        manifest.multi_label,
        settings,
        tuple(sorted(shards, key=lambda shard: shard.name)),
        manifest.skips_unlabelled,
    )
    path = join_path(out, shard_index.NAME)
    atomic_files.write_text(paths.as_path(path), shard_index.to_json(index))
    head = ("split", "listed", "written", "bad", "records")
    return f"{tables.render([head, *rows])}\n{path}"
