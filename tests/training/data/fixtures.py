"""A tiny data set of each format, with lists as the real ones have them.

`make` writes one and returns the settings that read it. Videos and frames are
empty files, unless the caller has something better to write.
"""

import pathlib
from collections.abc import Callable

from tests.training.data import record_files
from training.data import DATASETS
from training.data.data_config import DataConfig
from training.data.manifest import Manifest

WriteVideo = Callable[[pathlib.Path], None]
WriteFrames = Callable[[pathlib.Path, str, int, int], None]
FIXTURES: dict[str, Callable[..., DataConfig]] = {}


def touch(path: pathlib.Path) -> None:
    """Create an empty file and its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def touch_frames(
    folder: pathlib.Path, template: str, first: int, count: int
) -> None:
    """Create empty files of the frames `first` to `first + count - 1`."""
    for number in range(first, first + count):
        touch(folder / template.format(number))


def make(
    name: str,
    folder: pathlib.Path,
    write_video: WriteVideo = touch,
    write_frames: WriteFrames = touch_frames,
) -> DataConfig:
    """Write the fixture of a data set into a folder."""
    if name not in FIXTURES:
        raise KeyError(
            f"Expected a fixture of the data set {name!r}. Add a function with "
            f"@fixture_of({name!r}) to tests/training/data/fixtures.py."
        )
    return FIXTURES[name](folder, write_video, write_frames)


def read(name: str, data: DataConfig) -> Manifest:
    """Read the manifest of a data set."""
    return DATASETS[name].read_lists(data)


def write(path: pathlib.Path, *lines: str) -> str:
    """Write a text file and return its path, for settings."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return str(path)


def fixture_of(name: str):
    """Register a fixture of a data set, as a decorator."""

    def register(function):
        FIXTURES[name] = function
        return function

    return register


@fixture_of("folder")
def folder(root, write_video, write_frames):
    for video in (
        "train/jump/a.mp4",
        "train/jump/long takes/b c.AVI",
        "train/läuft/d.webm",
        "val/jump/e.mp4",
        "val/läuft/f.mov",
        "test/läuft/g.mkv",
    ):
        write_video(root / video)
    write(root / "train" / "jump" / "notes.txt", "not a video")
    return DataConfig(root=str(root))


@fixture_of("media_sequence")
def media_sequence(root, write_video, write_frames):
    root.mkdir(parents=True, exist_ok=True)
    for split, labels in (("train", [0, 2, 1]), ("test", [1])):
        contents = [
            record_files.example(
                record_files.jpegs(5 + label, 36, 52, seed=label),
                clip__label__index=[label],
            )
            for label in labels
        ]
        path = root / f"{split}-00000-of-00001.tfrecord"
        record_files.write(path, contents)
    return DataConfig(root=str(root))


@fixture_of("slowfast")
def slowfast(root, write_video, write_frames):
    for video in ("a/1.mp4", "a/two words.mp4", "b/3.mp4"):
        write_video(root / "videos" / video)
    return DataConfig(
        root=str(root / "videos"),
        train=write(root / "train.csv", "a/1.mp4 0", "b/3.mp4 2"),
        validation=write(root / "val.csv", "a/two words.mp4 0"),
        test=write(root / "test.csv", "b/3.mp4 2", "a/1.mp4 0"),
    )


@fixture_of("slowfast_frames")
def slowfast_frames(root, write_video, write_frames):
    rgb = root / "Charades_v1_rgb"
    write_frames(rgb / "46GP8", "46GP8-{:06}.jpg", 1, 5)
    write_frames(rgb / "N11GT", "N11GT-{:06}.jpg", 1, 2)
    header = "original_vido_id video_id frame_id path labels"
    return DataConfig(
        root=str(rgb),
        train=write(
            root / "train.csv",
            header,
            '46GP8 0 0 46GP8/46GP8-000001.jpg "1"',
            '46GP8 0 1 46GP8/46GP8-000002.jpg "1,2"',
            '46GP8 0 2 46GP8/46GP8-000003.jpg ""',
            '46GP8 0 3 46GP8/46GP8-000004.jpg "2"',
            '46GP8 0 4 46GP8/46GP8-000005.jpg "0,2"',
        ),
        validation=write(
            root / "val.csv",
            header,
            'N11GT 0 0 N11GT/N11GT-000001.jpg ""',
            'N11GT 0 1 N11GT/N11GT-000002.jpg ""',
        ),
    )


@fixture_of("slowfast_ssv2")
def slowfast_ssv2(root, write_video, write_frames):
    videos = ssv2(root, touch, write_frames)
    header = "original_vido_id video_id frame_id path labels"
    write_frames(root / "frames" / "78687", "78687_{:06}.jpg", 1, 2)
    write_frames(root / "frames" / "42326", "42326_{:06}.jpg", 1, 1)
    return DataConfig(
        root=str(root / "frames"),
        classes=videos.classes,
        train=write(
            root / "train.csv",
            header,
            '78687 0 0 78687/78687_000001.jpg ""',
            '78687 0 1 78687/78687_000002.jpg ""',
        ),
        validation=write(
            root / "val.csv", header, '42326 0 0 42326/42326_000001.jpg ""'
        ),
    )


@fixture_of("nonlocal_net")
def nonlocal_net(root, write_video, write_frames):
    for video in ("train_256/abseiling/x.mp4", "val_256/petting_cat/y.mp4"):
        write_video(root / video)
    return DataConfig(
        train=write(
            root / "trainlist.txt", f"{root}/train_256/abseiling/x.mp4 0"
        ),
        validation=write(
            root / "vallist.txt", f"{root}/val_256/petting_cat/y.mp4 1"
        ),
        classes=write(
            root / "classids.json", r'{"\"petting cat\"": 1, "abseiling": 0}'
        ),
    )


@fixture_of("kinetics")
def kinetics(root, write_video, write_frames):
    videos = root / "videos"
    for video in (
        "petting cat/-3B32lodo2M_000059_000069.mp4",
        "air_drumming/0wR5jVB-WPk_000007_000017.mp4",
        "val/yoga/--nQbRBEz2s_000104_000114.mp4",
        "yoga/Zz9_000000_000010.mp4",
        "test/AbC_000120_000130.mp4",
    ):
        write_video(videos / video)
    return DataConfig(
        root=str(videos),
        train=write(
            root / "train.csv",
            "label,youtube_id,time_start,time_end,split,is_cc",
            "yoga,Zz9,0,10,train,0",
            '"petting cat",-3B32lodo2M,59,69,train,0',
            "air drumming,0wR5jVB-WPk,7.0,17.0,train,1",
        ),
        validation=write(
            root / "validate.csv",
            "label,youtube_id,time_start,time_end,split",
            "air drumming,0wR5jVB-WPk,7,17,validate",
        ),
        test=write(
            root / "test.csv",
            "youtube_id,time_start,time_end,split",
            "AbC,120,130,test",
        ),
    )


@fixture_of("mmaction2")
def mmaction2(root, write_video, write_frames):
    for video in ("some/000.mp4", "some/001.mp4", "some/002.mp4"):
        write_video(root / video)
    return DataConfig(
        root=str(root),
        train=write(root / "train.txt", "some/000.mp4 1", "some/001.mp4 0 2"),
        validation=write(root / "val.txt", "some/002.mp4 2"),
        test=write(root / "test.txt", "some/000.mp4"),
    )


@fixture_of("mmaction2_frames")
def mmaction2_frames(root, write_video, write_frames):
    write_frames(root / "d-1", "img_{:05}.jpg", 1, 3)
    write_frames(root / "d-2", "img_{:05}.jpg", 1, 5)
    return DataConfig(
        root=str(root),
        train=write(root / "train.txt", "d-1 3 1", "d-2 5 0"),
        validation=write(root / "val.txt", "d-2 5 1"),
    )


@fixture_of("mmaction2_frames_offset")
def mmaction2_frames_offset(root, write_video, write_frames):
    write_frames(root / "d-1", "img_{:05}.jpg", 1, 7)
    return DataConfig(
        root=str(root),
        train=write(root / "train.txt", "d-1 0 2 0", "d-1 2 5 1"),
        validation=write(root / "val.txt", "d-1 1 3 1"),
    )


@fixture_of("ucf101")
def ucf101(root, write_video, write_frames):
    lists = root / "ucfTrainTestlist"
    for number in (1, 2, 3):
        makeup = f"ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c0{number}.avi"
        yoyo = f"YoYo/v_YoYo_g0{number}_c01.avi"
        write_video(root / "UCF-101" / makeup)
        write_video(root / "UCF-101" / yoyo)
        write(lists / f"trainlist0{number}.txt", f"{yoyo} 2", f"{makeup} 1")
        write(lists / f"testlist0{number}.txt", yoyo)
    return DataConfig(
        root=str(root / "UCF-101"),
        classes=write(
            lists / "classInd.txt", "1 ApplyEyeMakeup", "2 YoYo", "3 Archery"
        ),
        split=2,
    )


@fixture_of("hmdb51")
def hmdb51(root, write_video, write_frames):
    lists = root / "testTrainMulti_7030_splits"
    # The order of the files is not that of the classes.
    for name in ("sword", "sword_exercise"):
        for file in "abc":
            write_video(root / "hmdb51_org" / name / f"{file}_#1_{name}.avi")
        for number, uses in ((1, "120"), (2, "201"), (3, "012")):
            write(
                lists / f"{name}_test_split{number}.txt",
                *(
                    f"{file}_#1_{name}.avi {use} "
                    for file, use in zip("abc", uses, strict=True)
                ),
            )
    return DataConfig(root=str(root / "hmdb51_org"), classes=str(lists))


@fixture_of("ssv2")
def ssv2(root, write_video, write_frames):
    for video in ("78687", "42326", "1420"):
        write_video(root / "videos" / f"{video}.webm")
    return DataConfig(
        root=str(root / "videos"),
        classes=write(
            root / "something-something-v2-labels.json",
            '{"Holding something next to something": "1",',
            ' "Dropping something": "0"}',
        ),
        train=write(
            root / "something-something-v2-train.json",
            '[{"id": "78687", "label": "holding potato next to bottle",',
            '  "template": "Holding [something] next to [something]",',
            '  "placeholders": ["potato", "bottle"]}]',
        ),
        validation=write(
            root / "something-something-v2-validation.json",
            '[{"id": "42326", "label": "dropping a pen",',
            '  "template": "Dropping [something]",',
            '  "placeholders": ["a pen"]}]',
        ),
        test=write(
            root / "something-something-v2-test.json", '[{"id": "1420"}]'
        ),
    )


@fixture_of("ssv1")
def ssv1(root, write_video, write_frames):
    write_frames(root / "videos" / "100218", "{:05}.jpg", 1, 3)
    write_frames(root / "videos" / "24413", "{:05}.jpg", 1, 2)
    write_frames(root / "videos" / "1420", "{:05}.jpg", 1, 5)
    name = "something-something-v1"
    return DataConfig(
        root=str(root / "videos"),
        classes=write(
            root / f"{name}-labels.csv",
            "Holding something",
            "Dropping something, then leaving it",
        ),
        train=write(
            root / f"{name}-train.csv",
            "100218;Dropping something, then leaving it",
        ),
        validation=write(
            root / f"{name}-validation.csv", "24413;Holding something"
        ),
        test=write(root / f"{name}-test.csv", "1420"),
    )


CHARADES_HEADER = (
    "id,subject,scene,quality,relevance,verified,script,objects,descriptions,"
    "actions,length"
)


def charades_lists(root, videos):
    return DataConfig(
        root=str(videos),
        classes=write(
            root / "Charades_v1_classes.txt",
            "c000 Holding some clothes",
            "c001 Putting clothes somewhere",
            "c002 Taking some clothes from somewhere",
        ),
        train=write(
            root / "Charades_v1_train.csv",
            CHARADES_HEADER,
            '46GP8,HR43,Kitchen,6,7,Yes,"A person cooks, and ""eats"".",food,'
            "Someone cooks.,c002 11.90 21.20;c000 0.00 12.60;c002 0.5 1,24.83",
        ),
        test=write(
            root / "Charades_v1_test.csv",
            CHARADES_HEADER,
            "N11GT,0KZ7,Stairs,6,7,Yes,A person sits.,,Someone sits.,,18.33",
        ),
    )


@fixture_of("charades")
def charades(root, write_video, write_frames):
    for video in ("46GP8", "N11GT"):
        write_video(root / "Charades_v1_480" / f"{video}.mp4")
    return charades_lists(root, root / "Charades_v1_480")


@fixture_of("charades_frames")
def charades_frames(root, write_video, write_frames):
    rgb = root / "Charades_v1_rgb"
    write_frames(rgb / "46GP8", "46GP8-{:06}.jpg", 1, 5)
    write_frames(rgb / "N11GT", "N11GT-{:06}.jpg", 1, 3)
    return charades_lists(root, rgb)
