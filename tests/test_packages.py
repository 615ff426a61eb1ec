"""The packages that setup.cfg installs are those of the tree."""

import configparser
import pathlib

ROOT = pathlib.Path(__file__).parent.parent
# For a clone alone.
NOT_INSTALLED = ("training.benchmarks",)


def test_data_files_of_setup_cfg_exist():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", "utf-8")
    for package, names in config["options.package_data"].items():
        folder = package.removeprefix("nonlocal_tf.training.")
        folders = [
            ROOT / "training" / folder,
            ROOT / package.replace(".", "/"),
        ]
        for name in names.split():
            assert any(any(path.glob(name)) for path in folders), name


def test_setup_cfg_lists_every_package():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", "utf-8")
    listed = config["options"]["packages"].split()
    packages = [
        ".".join(path.parent.relative_to(ROOT).parts)
        for folder in ("nonlocal_tf", "training")
        for path in (ROOT / folder).rglob("__init__.py")
    ]
    installed = [
        f"nonlocal_tf.{name}" if name.startswith("training") else name
        for name in packages
        if not name.startswith(NOT_INSTALLED)
    ]
    assert listed == sorted([*installed, "nonlocal_tf_start"])
