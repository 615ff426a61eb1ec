"""Write a trained network as a folder for a hub, and upload it.

The folder has the network (config.json), its weights (model.safetensors), what
comes before it (preprocessor_config.json) and a card (README.md); in Python,
`nl.save_pretrained` writes one and `nl.from_pretrained` loads it. Without
--upload, nothing leaves this machine.
"""

import argparse
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import nonlocal_tf as nl

from .io import cli, quoting, tables
from .io.user_error import UserError
from .runs import provenance, run_model
from .runs.run_folder import RunFolder

EXAMPLE = "nonlocal-tf publish published/videos --workdir runs/videos"
HUB = "hf://"


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of `nonlocal-tf publish`."""
    parser = cli.parser("publish", (__doc__ or "").strip(), EXAMPLE)
    parser.add_argument(
        "folder", help="folder of the model; made if --workdir is given"
    )
    parser.add_argument(
        "--workdir", metavar="DIR", help="run whose network is written first"
    )
    parser.add_argument(
        "--license",
        default="",
        metavar="NAME",
        help="of the weights, as hubs abbreviate it, such as apache-2.0 "
        "(default: that of the published weights that the run started from)",
    )
    parser.add_argument(
        "--to",
        metavar="hf://USER/MODEL",
        help="where to upload the folder on Hugging Face",
    )
    parser.add_argument(
        "--upload",
        action="store_true",
        help="upload, which needs the package huggingface_hub and its login",
    )
    options, _ = cli.parse(parser, arguments)
    _check(options)
    folder = pathlib.Path(options.folder).expanduser()
    if options.workdir is not None:
        write(RunFolder(options.workdir), folder, options.license)
    if not folder.is_dir():
        raise UserError(
            f"Expected a folder of nl.save_pretrained, or --workdir DIR to "
            f"write it. Received: {folder}"
        )
    files = sorted(path for path in folder.iterdir() if path.is_file())
    rows = [(f.name, f"{f.stat().st_size / 1e3:,.0f} kB") for f in files]
    print(f"{folder}\n{tables.render(rows)}")
    if options.upload:
        print(f"Uploaded to {_upload(str(folder), options.to)}")
    else:
        to = options.to or f"{HUB}USER/MODEL"
        command = f"nonlocal-tf publish {quoting.shell(folder)} --to {to}"
        print(f"Nothing was uploaded. To do so: {command} --upload")


def write(run: RunFolder, folder: pathlib.Path, license: str = "") -> None:
    """Write the network of a run as a folder for a hub.

    Args:
        run: a run of video classification.
        folder: a new or empty one.
        license: of the weights. Default: that of the published weights that
            the run started from.

    Raises:
        UserError: the run has no checkpoint, the folder has files, or the
            license is not that of the weights it started from.
    """
    trained, recipe, info = run_model.load_trained(run)
    sources = run.read_provenance() or []
    license = _license(sources, license)
    stride = recipe.sampling and recipe.sampling.frame_stride
    try:
        nl.save_pretrained(
            trained,
            str(folder),
            license=license,
            description=f"{recipe.description}. "
            + provenance.licences(run.read_provenance()),
            classes=info.classes,
            frame_stride=stride if isinstance(stride, int) else None,
            metrics=_metrics(run.read_result() or {}, info.multi_label),
        )
    except FileExistsError as error:
        raise UserError(str(error)) from error


def _metrics(result: Mapping[str, Any], multi_label: bool) -> dict[str, float]:
    """Return the metrics of a test, by the names that hubs show."""
    names = ["accuracy", "top5", "mean_class_accuracy"]
    if multi_label:  # `accuracy` is the mean average precision then
        names = ["mean_average_precision"]
    return {n: result[n] for n in names if result.get(n) is not None}


def _license(sources: Sequence[provenance.WeightSource], given: str) -> str:
    """Return the license of a run's weights, as hubs abbreviate it."""
    inherited = {
        published.license.lower().replace(" ", "-")
        for published in nl.list_weights()
        if any(source.file == published.file for source in sources)
    }
    restricted = [name for name in inherited if "-nc-" in name]
    if restricted and given not in ("", *restricted):
        raise UserError(
            f"The run started from weights under {restricted[0]}, which holds "
            f"for it too. Expected --license {restricted[0]}, or none. "
            f"Received: {given}"
        )
    return given or next(iter([*restricted, *inherited]), "")


def _check(options: argparse.Namespace) -> None:
    if options.to is not None and (
        not options.to.startswith(HUB)
        or options.to.removeprefix(HUB).count("/") != 1
    ):
        raise UserError(
            f"Expected --to hf://USER/MODEL. Received: {options.to}"
        )
    if options.upload and options.to is None:
        raise UserError("Give --to hf://USER/MODEL, where to upload.")
    if options.license and options.workdir is None:
        raise UserError(
            "--license is for --workdir DIR, whose card is written. Received: "
            "--license alone"
        )


def _upload(folder: str, address: str) -> str:
    """Upload a folder to Hugging Face; return the address of its page."""
    try:
        import huggingface_hub
    except ImportError as error:
        raise UserError(
            "--upload needs the package huggingface_hub: pip install "
            "huggingface_hub, and log in with its command."
        ) from error
    hub = huggingface_hub.HfApi(library_name="nonlocal_tf")
    name = address.removeprefix(HUB)
    try:
        hub.create_repo(name, exist_ok=True)
        return str(hub.upload_folder(repo_id=name, folder_path=folder))
    except Exception as error:  # those of its connections share no base
        reason = " ".join(str(error).split())
        raise UserError(f"{address} was not uploaded: {reason}") from error


if __name__ == "__main__":
    sys.exit(cli.run(main))
