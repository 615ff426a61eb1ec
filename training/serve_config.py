"""Write the files that deploy SavedModels on TensorFlow Serving."""

import os
import pathlib
import re
import shlex
import sys
from collections.abc import Sequence

from .exporting import saved_model, server_configs
from .io import cli, outputs, paths, quoting
from .io.paths import UrlPath
from .io.user_error import UserError

EXAMPLE = "nonlocal-tf serve_config --model savedmodels/digits_nl"
OUT = "savedmodels/serving"
# What is neither special in a URL nor in the files that name models.
PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
PLAIN_PATH = re.compile(r"[A-Za-z0-9._][A-Za-z0-9._/-]*")


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of `nonlocal-tf serve_config`."""
    parser = cli.parser(
        "serve_config",
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
        help=f"folder for the files (default: {OUT})",
    )
    parser.add_argument(
        "--batching",
        action="store_true",
        help="let the server batch requests: only if all clients send clips "
        "of one size",
    )
    options, has_arguments = cli.parse(parser, arguments)
    if not has_arguments:
        marker = "[0-9]*/saved_model.pb"
        print(cli.overview("SavedModels", "savedmodels", marker, EXAMPLE))
        return
    if not options.model:
        raise UserError("Give --model DIR, a directory of versions.")
    written = write(options.model, options.out, options.batching)
    print("\n".join(f"Written: {path}" for path in written))
    readme = paths.as_path(options.out) / "README.md"
    print(f"How to use them is in {readme}")


def write(
    models: Sequence[str], out: str, batching: bool = False
) -> list[paths.Path]:
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
        for name, text_of in server_configs.FILES.items()
    }
    folder = pathlib.Path(os.path.expanduser(out))
    written = outputs.Outputs(folder)
    _check_own_files(written, texts)
    return [written.write_text(name, text) for name, text in texts.items()]


def _check_own_files(written: outputs.Outputs, texts: dict[str, str]) -> None:
    """Raise a UserError if a file is in the way that no command wrote."""
    foreign = [name for name in texts if not written.is_replaceable(name)]
    if foreign:
        paths = ", ".join(str(written.folder / name) for name in foreign)
        raise UserError(
            f"{paths}: not written by a command, or changed since. Nothing was "
            "written. Move or delete, or give another folder: --out DIR"
        )


def plan(
    models: Sequence[str], out: str, batching: bool
) -> server_configs.Deployment:
    """Plan a deployment, with all paths relative to one folder.

    Raises:
        UserError: as `write` does.
    """
    for folder_name in (*models, out):
        _check_plain(folder_name)
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
    place = pathlib.Path(os.path.relpath(context)).as_posix()
    _check_plain(place)
    return server_configs.Deployment(
        models={name: _below(path, context) for name, path in named.items()},
        # Else commands take it for an option.
        context=f"./{place}" if place.startswith("-") else place,
        folder=_below(folder, context),
        batching=batching,
        command=_command(models, out, batching),
    )


def _check_plain(path: str) -> None:
    """Raise a UserError for a path that would be several lines of a file."""
    if not quoting.is_plain(path):
        raise UserError(
            "Expected paths without line breaks and control characters. "
            f"Received: {path!r}; rename the folder."
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
    local = paths.as_path(path)
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
            "'/', and do not begin with '-'. Received: "
            f"{relative!r} below {context}; rename it."
        )
    return relative


def _command(models: Sequence[str], out: str, batching: bool) -> str:
    words = ["nonlocal-tf", "serve_config"]
    for model in models:
        words += ["--model", model.rstrip("/")]
    words += ["--out", out] if out.rstrip("/") != OUT else []
    return shlex.join(words + (["--batching"] if batching else []))


if __name__ == "__main__":
    sys.exit(cli.run(main))
