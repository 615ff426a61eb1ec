"""Commands check their outputs before long computations.

Each command gets an invalid output and a model that does not exist, and its
error must be about the output.
"""

import argparse
import os

import numpy as np
import pytest

from training import (
    check,
    convert,
    evaluate,
    export,
    predict,
    shards,
    train,
    visualize,
)
from training.benchmarks import command
from training.exporting import file_formats, saved_model
from training.io import cli
from training.recipes import get_recipe, overrides

# FILE is a file; RUN is a folder of a run without a checkpoint.
COMMANDS = [
    (predict, "--model=gone --sample=0 --save-clip=FILE/a.npy"),
    (predict, "--model=gone CLIP --out=FILE/a/b.json"),
    (predict, "--model=gone CLIP --out=FOLDER.json"),
    (predict, "--model=gone CLIP --timeline --plot=FILE/a.png"),
    (visualize, "--workdir=gone --sample=0 --out=FILE/a.png"),
    (evaluate, "--workdir=RUN --scores=FILE"),
    (evaluate, "--workdir=RUN --scores=FILE/a/b"),
    (export, "--workdir=RUN --out=FILE"),
    (export, "--workdir=RUN --out=FILE/a"),
    (export, "--workdir=RUN --out=FILE/a.tflite"),
    (train, "--recipe=digits_nl --workdir=new --export=FILE/a"),
    (train, "--recipe=digits_nl --workdir=FILE/a"),
    (train, "--recipe=small --workdir=new --export=FILE/a"),
    (train, "--recipe=small --workdir=FILE/a"),
    (evaluate, "--weights=gone --annotations=gone --out=FILE/a.json"),
    (predict, "CLIP --weights=gone --out=FILE"),
    (export, "--weights=gone --out=FILE/a"),
    (check, "--dataset=folder --set=data.root=gone --out=FILE"),
    (shards, "--dataset=folder --set=data.root=gone --out=FILE/a"),
]
# One recipe per task.
RECIPES = ("digits_nl", "small")


@pytest.fixture
def places(tmp_path):
    (tmp_path / "FILE").touch()
    (tmp_path / "FOLDER.json").mkdir()
    (tmp_path / "RUN").mkdir()
    text = overrides.to_json(get_recipe("digits_image"))
    (tmp_path / "RUN" / "recipe.json").write_text(text)
    np.save(tmp_path / "CLIP", np.zeros((2, 3, 5, 3), "uint8"))
    return tmp_path


def in_folder(arguments, folder):
    for name in ("FILE", "FOLDER", "RUN"):
        arguments = arguments.replace(f"={name}", f"={folder / name}")
    arguments = arguments.replace("=new", f"={folder / 'new'}")
    return arguments.replace("CLIP", str(folder / "CLIP.npy")).split()


@pytest.mark.parametrize(("command", "arguments"), COMMANDS)
def test_an_invalid_output_is_rejected_first(
    command, arguments, places, capsys
):
    before = sorted(places.rglob("*"))
    code = cli.run(command.main, in_folder(arguments, places))
    error = capsys.readouterr().err
    assert code == cli.USER_ERROR
    assert "is a file" in error or "is a folder" in error, error
    assert sorted(places.rglob("*")) == before


@pytest.mark.parametrize("recipe", RECIPES)
def test_an_export_into_the_run_folder_is_rejected(recipe, places, capsys):
    new = places / "new"
    arguments = [f"--recipe={recipe}", f"--workdir={new}", f"--export={new}"]
    assert cli.run(train.main, arguments) == cli.USER_ERROR
    assert "is the --workdir, which holds the run" in capsys.readouterr().err
    assert not new.exists()


@pytest.mark.parametrize("name", ["videos", "videos/model"])
def test_an_export_into_the_class_folders_is_rejected(name, places, capsys):
    (places / "videos").mkdir()
    arguments = [
        "--recipe=finetune",
        f"--set=data.root={places / 'videos'}",
        f"--workdir={places / 'new'}",
        f"--export={places / name}",
    ]
    assert cli.run(train.main, arguments) == cli.USER_ERROR
    assert "where every folder is a class" in capsys.readouterr().err


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("name", ["a.tflite", "a.onnx", "RUN"])
def test_an_export_to_an_invalid_directory_is_rejected(
    recipe, name, places, capsys
):
    arguments = [f"--recipe={recipe}", f"--workdir={places / 'new'}"]
    code = cli.run(train.main, [*arguments, f"--export={places / name}"])
    assert code == cli.USER_ERROR
    assert "Expected a directory" in capsys.readouterr().err
    assert not (places / "new").exists()


@pytest.mark.parametrize(
    ("recipe", "asset", "message"),
    [
        ("digits_nl", saved_model.CATEGORIES, "versions of a detector"),
        ("small", saved_model.RECIPE, "no detectors"),
    ],
)
def test_versions_of_another_task_are_rejected(
    recipe, asset, message, places, capsys
):
    assets = places / "models" / "1" / saved_model.ASSETS
    assets.mkdir(parents=True)
    (assets / asset).write_text("[]")
    arguments = [f"--recipe={recipe}", f"--workdir={places / 'new'}"]
    code = cli.run(train.main, [*arguments, f"--export={places / 'models'}"])
    assert code == cli.USER_ERROR
    assert message in capsys.readouterr().err


def test_packages_of_a_format_are_checked_first(places, monkeypatch, capsys):
    monkeypatch.setattr(
        file_formats.importlib.util, "find_spec", lambda name: None
    )
    arguments = [f"--workdir={places / 'RUN'}", f"--out={places / 'a.onnx'}"]
    assert cli.run(export.main, arguments) == cli.USER_ERROR
    assert "need tf2onnx" in capsys.readouterr().err


@pytest.mark.skipif(
    not os.path.isdir("/sys"), reason="needs a folder that nobody can write to"
)
def test_a_conversion_without_permission_is_rejected_first(places, capsys):
    arguments = ["gone.pkl", "/sys/a.keras", "--to=keras"]
    assert cli.run(convert.main, arguments) == cli.USER_ERROR
    assert "permission" in capsys.readouterr().err.lower()


def test_an_output_of_a_benchmark_is_checked_by_its_parser(places):
    with pytest.raises(argparse.ArgumentTypeError, match="is a file"):
        command.output_file(str(places / "FILE" / "a.json"))
    assert command.output_file(str(places / "b" / "a.json")).name == "a.json"


def test_the_name_of_a_clip_to_save_is_checked_first(capsys):
    arguments = ["--model=gone", "--sample=0", "--save-clip=a.gif"]
    assert cli.run(predict.main, arguments) == cli.USER_ERROR
    assert "*.npy" in capsys.readouterr().err
