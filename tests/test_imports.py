"""Import rules of the architecture: nothing imports what is above it."""

import ast
import pathlib
import subprocess
import sys

import keras
import pytest

ROOT = pathlib.Path(__file__).parent.parent
# What all packages may import of ours.
SHARED = ["nonlocal_tf.choices", "nonlocal_tf.typing"]
# A package and what else it may import: itself and what is below it.
BELOW = {
    "nonlocal_tf.ops": [],
    "nonlocal_tf.layers": ["nonlocal_tf.ops"],
    "nonlocal_tf.models": [
        "nonlocal_tf.layers",
        "nonlocal_tf.ops",
    ],
    "nonlocal_tf.detection": [
        "nonlocal_tf.checkpoints",
        "nonlocal_tf.models",
        "nonlocal_tf.layers",
        "nonlocal_tf.ops",
    ],
    "nonlocal_tf.attention": ["nonlocal_tf.layers", "nonlocal_tf.models"],
    "nonlocal_tf.attention.plots": ["nonlocal_tf.attention.attention_map"],
    "nonlocal_tf.checkpoints": [
        "nonlocal_tf.models",
        "nonlocal_tf.layers",
    ],
    "nonlocal_tf.pretrained": [
        "nonlocal_tf.checkpoints",
        "nonlocal_tf.models",
    ],
}
# The same in training; what is not listed may import all of it.
TRAINING_BELOW = {
    "training.io": [],
    "training.coco": ["training.io"],
    "training.data": ["training.coco", "training.io"],
    "training.loop": ["training.io"],
    "training.evaluation": [
        "training.coco",
        "training.data",
        "training.io",
        "training.loop.checkpoint_arrays",
    ],
    "training.exporting": [
        "training.coco",
        "training.data",
        "training.evaluation",
        "training.io",
    ],
    "training.prediction": [
        "training.data",
        "training.evaluation",
        "training.io",
    ],
    "training.page": [
        "training.coco",
        "training.data",
        "training.exporting",
        "training.io",
    ],
}
# Imported in the one file that needs it, inside a function; matplotlib's fonts
# are the library's, its figures those of training.
OPTIONAL = {
    "ai_edge_litert": "training/exporting/file_formats.py",
    "apache_beam": "training/data/beam.py",
    "av": "training/data/video_container.py",
    "PIL": "nonlocal_tf/attention/plots/fonts.py",
    "faster_coco_eval": "training/coco/coco_api.py",
    "fsspec": "training/io/paths.py",
    "huggingface_hub": "training/publish.py",
    "h5py": "nonlocal_tf/checkpoints/readers/hdf5.py",
    "matplotlib": [
        "nonlocal_tf/attention/plots/fonts.py",
        "training/io/plots.py",
    ],
    "onnxruntime": "training/exporting/file_formats.py",
    "tf2onnx": "training/exporting/file_formats.py",
    "pycocotools": "training/coco/coco_api.py",
    "sklearn": "training/data/handwriting.py",
    "tensorflow_io": "training/io/tensorflow_plugins.py",
}
# The package that uses TensorFlow; nothing that `import nonlocal_tf` pulls in.
TENSORFLOW = ROOT / "nonlocal_tf" / "detection"
ALLOWED = {
    "keras",
    "numpy",
    "nonlocal_tf",
    "PIL",
    "h5py",
    "matplotlib",
} | sys.stdlib_module_names


def files(folder):
    return sorted((ROOT / folder).rglob("*.py"))


def absolute(node, path):
    """Return the module of `from module import ...`, without leading dots."""
    if not node.level:
        return node.module
    folder = path.relative_to(ROOT).parts[: -node.level]
    return ".".join([*folder, node.module] if node.module else folder)


def imported(path):
    """(module, is it inside a function) of each import of a file."""
    tree = ast.parse(path.read_text("utf-8"))
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)]
    inside = {id(node) for f in functions for node in ast.walk(f)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, id(node) in inside
        elif isinstance(node, ast.ImportFrom):
            module = absolute(node, path)
            for alias in node.names:
                yield f"{module}.{alias.name}", id(node) in inside


def is_in(module, package):
    return module == package or module.startswith(package + ".")


@pytest.mark.parametrize("path", files("nonlocal_tf"), ids=str)
def test_library_uses_keras_numpy_and_itself(path):
    allowed = ALLOWED | (
        {"tensorflow"} if TENSORFLOW in path.parents else set()
    )
    for module, _ in imported(path):
        assert module.split(".")[0] in allowed, module


def registers(path):
    """Return True if importing a file adds to a table of its package."""
    names = {
        node.id
        for statement in ast.parse(path.read_text("utf-8")).body
        for root in getattr(statement, "decorator_list", [statement])
        for node in ast.walk(root)
        if isinstance(node, ast.Name)
    }
    return any(name.startswith("register_") for name in names) or bool(
        names & {"add_model", "publish"}
    )


@pytest.mark.parametrize(
    "folder",
    [
        "nonlocal_tf/layers",
        "nonlocal_tf/models",
        "training/data",
        "training/recipes",
    ],
)
def test_modules_that_fill_a_table_are_imported_by_their_package(folder):
    init = ROOT / folder / "__init__.py"
    names = [module for module, _ in imported(init)]
    package = folder.replace("/", ".")
    modules = [f"{package}.{p.stem}" for p in files(folder) if registers(p)]
    assert modules
    for module in modules:
        assert any(is_in(name, module) for name in names), (
            f"import {module} in {folder}/__init__.py, or nobody finds what it "
            "registers"
        )


def test_library_names_the_training_program_in_one_place():
    # For `nonlocal_tf.predict`, which imports it when it is used.
    homes = [
        path.name
        for path in files("nonlocal_tf")
        if ".training" in path.read_text("utf-8")
        and "import_module" in path.read_text("utf-8")
    ]
    assert homes == ["__init__.py"]


@pytest.mark.parametrize("package", [*BELOW, *TRAINING_BELOW])
def test_packages_import_downwards(package):
    below = {**BELOW, **TRAINING_BELOW}[package]
    root = package.split(".")[0]
    for path in files(package.replace(".", "/")):
        for module, _ in imported(path):
            if is_in(module, root):
                allowed = [package, *SHARED, *below]
                # `from nonlocal_tf import ops` is an import of the package.
                assert any(is_in(module, name) for name in allowed), (
                    path,
                    module,
                )


def test_optional_packages_have_one_place_inside_a_function():
    for folder in ("nonlocal_tf", "training"):
        for path in files(folder):
            for module, in_function in imported(path):
                home = OPTIONAL.get(module.split(".")[0])
                if home is not None:
                    homes = [home] if isinstance(home, str) else home
                    assert path in [ROOT / place for place in homes], module
                    assert in_function, module


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow",
    reason="the process that it starts is the same whatever runs the tests",
)
def test_library_imports_where_tensorflow_cannot_be():
    pytest.importorskip("jax")
    code = (
        "import sys\n"
        "sys.modules['tensorflow'] = None\n"  # makes any import of it fail
        "import nonlocal_tf\n"
        "nonlocal_tf.NonLocalBlock()\n"
        "assert 'training' not in sys.modules\n"
    )
    subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={"KERAS_BACKEND": "jax", "PATH": ""},
        check=True,
    )


@pytest.mark.parametrize("folder", ["nonlocal_tf", "training"])
def test_imports_are_absolute_in_the_library_and_relative_in_training(folder):
    for path in files(folder):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom):
                inside = absolute(node, path).split(".")[0] == folder
                relative = folder == "training" and inside
                assert bool(node.level) == relative, (path, node.lineno)
