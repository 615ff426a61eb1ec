"""Writes what TensorFlow Serving needs to serve SavedModels of export."""

import hashlib
import json
import os
import pathlib
import re
import shlex
import sys
from collections.abc import Sequence

from training import cli, files, remote
from training.errors import UserError
from training.serving import saved_model, serving_files
from training.url_path import UrlPath

EXAMPLE = "python -m training.serve_config --model savedmodels/digits_nl"
OUT = "savedmodels/serving"
# What was written, so that a user's own files are told apart.
DIGESTS = ".written.json"
# What is neither special in a URL nor in the files that name models.
PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
PLAIN_PATH = re.compile(r"[A-Za-z0-9._/-]+")


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of `python -m training.serve_config`."""
    parser = cli.parser(
        "training.serve_config",
        "Writes the configuration, image and manifests to serve models on\n"
        "TensorFlow Serving. Without arguments: lists the SavedModels.",
        EXAMPLE,
    )
    parser.add_argument(
        "--model",
        action="append",
        metavar="DIR",
        help="a directory of versions; several times for several models",
    )
    parser.add_argument(
        "--out",
        default=OUT,
        metavar="DIR",
        help=f"folder for the files (default: {OUT}, which Git ignores)",
    )
    parser.add_argument(
        "--batching",
        action="store_true",
        help="let the server put requests together: only where all clients "
        "send clips of one size",
    )
    options, given = cli.parse(parser, arguments)
    if not given:
        marker = "[0-9]*/saved_model.pb"
        print(cli.overview("SavedModels", "savedmodels", marker, EXAMPLE))
        return
    if not options.model:
        raise UserError("Give --model DIR, a directory of versions.")
    written = write(options.model, options.out, options.batching)
    print("\n".join(f"Written: {path}" for path in written))
    readme = remote.as_path(options.out) / "README.md"
    print(f"How to use them is in {readme}")


def write(
    models: Sequence[str], out: str, batching: bool = False
) -> list[pathlib.Path]:
    """Writes all files of a deployment.

    Args:
        models: directories of versions, each with another name.
        out: folder for the files, made if needed.
        batching: whether the server puts requests together.

    Returns:
        The files.

    Raises:
        UserError: a model cannot be served so, or not together with another;
            or a file is in the way that this command did not write, or that
            was changed since.
    """
    deployment = plan(models, out, batching)
    texts = {
        name: text_of(deployment)
        for name, text_of in serving_files.FILES.items()
    }
    folder = pathlib.Path(os.path.expanduser(out))
    _check_own_files(folder, texts)
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        files.write_text(folder / name, text)
    digests = {name: _digest(text.encode()) for name, text in texts.items()}
    files.write_text(folder / DIGESTS, json.dumps(digests, indent=1) + "\n")
    return [folder / name for name in texts]


def _check_own_files(folder: pathlib.Path, texts: dict[str, str]) -> None:
    """Raises a UserError if files would be lost that are not this command's."""
    digests = _read_digests(folder)
    foreign = []
    for name, text in texts.items():
        path = folder / name
        if path.is_file():
            content = path.read_bytes()
            is_own = _digest(content) == digests.get(name)
            if not is_own and content != text.encode():
                foreign.append(path)
        elif os.path.lexists(path):
            foreign.append(path)
    if foreign:
        raise UserError(
            f"{', '.join(map(str, foreign))}: not written by this command, or "
            "changed since. Nothing was written. Move or delete, or give "
            "another folder: --out DIR"
        )


def _read_digests(folder: pathlib.Path) -> dict[str, str]:
    """SHA-256 of what this command wrote into a folder, by names of files."""
    try:
        digests = json.loads((folder / DIGESTS).read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return {}
    return digests if isinstance(digests, dict) else {}


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def plan(
    models: Sequence[str], out: str, batching: bool
) -> serving_files.Deployment:
    """What is deployed, with all paths from one folder that holds it.

    Raises:
        UserError: as `write` does.
    """
    named: dict[str, pathlib.Path] = {}
    for model in models:
        path = _checked(model)
        if path.name in named:
            raise UserError(
                f"Two models are called {path.name!r}: {named[path.name]} and "
                f"{path}. Rename the directory of one."
            )
        named[path.name] = path
    folder = _absolute(out, "--out")
    parents = [path.parent for path in (*named.values(), folder)]
    context = pathlib.Path(os.path.commonpath(parents))
    if context == context.parent:
        raise UserError(
            f"{', '.join(map(str, named.values()))} and {folder} have no "
            "folder in common for an image to be built from. Give --out beside "
            "the models."
        )
    return serving_files.Deployment(
        models={name: _below(path, context) for name, path in named.items()},
        context=pathlib.Path(os.path.relpath(context)).as_posix(),
        folder=_below(folder, context),
        batching=batching,
        command=_command(models, out, batching),
    )


def _checked(model: str) -> pathlib.Path:
    """The absolute path of a directory of versions that can be served."""
    path = _absolute(model, "--model")
    if (path / saved_model.SAVED_MODEL).is_file():
        raise UserError(
            f"{model} is one version. The server takes the directory of "
            f"versions: --model {path.parent}"
        )
    if not PLAIN_NAME.fullmatch(path.name):
        raise UserError(
            f"The server calls a model as its directory is called, in URLs "
            f"too. Expected letters, digits, '.', '_' and '-'. Received: "
            f"{path.name!r}; rename the directory."
        )
    versions = [
        version
        for version in saved_model.versions(path)
        if (version / saved_model.SAVED_MODEL).is_file()
    ]
    if not versions:
        raise UserError(
            f"{model} has no versions, such as {model}/1/saved_model.pb. "
            f"{saved_model.how_to_make(path)}"
        )
    return path


def _absolute(path: str, option: str) -> pathlib.Path:
    local = remote.as_path(path)
    if isinstance(local, UrlPath):
        raise UserError(
            f"An image is built from local folders. Received: {option} {path}; "
            "copy it to a local directory."
        )
    return pathlib.Path(os.path.abspath(local))


def _below(path: pathlib.Path, context: pathlib.Path) -> str:
    relative = path.relative_to(context).as_posix()
    if not PLAIN_PATH.fullmatch(relative):
        raise UserError(
            "Paths in these files are of letters, digits, '.', '_', '-' and "
            f"'/'. Received: {relative!r} below {context}; rename it."
        )
    return relative


def _command(models: Sequence[str], out: str, batching: bool) -> str:
    words = ["python", "-m", "training.serve_config"]
    for model in models:
        words += ["--model", model.rstrip("/")]
    words += ["--out", out] if out.rstrip("/") != OUT else []
    return shlex.join(words + (["--batching"] if batching else []))


if __name__ == "__main__":
    sys.exit(cli.run(main))
