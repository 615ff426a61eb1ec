"""Export a single file for inference without TensorFlow: LiteRT or ONNX.

The model takes one uint8 clip or image of the training size and returns
probabilities. FILE.classes.txt has the class names, FILE.licence.md the license
of the weights.
"""

import importlib.util
import tempfile
import warnings
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from ..io import atomic_files, outputs, quoting
from ..io.paths import Path
from ..io.user_error import UserError
from . import comparison
from .comparison import Examples
from .inference_model import InferenceModel

SIGNATURE = "serving_default"
CLASSES, LICENSE = ".classes.txt", ".licence.md"  # suffixes after FILE
OPSET = 17  # of ONNX


def write(
    served: InferenceModel,
    path: Path,
    examples: Examples,
    dtype: str = "float32",
) -> tuple[int, str]:
    """Convert the model, compare its outputs, and write the file.

    Args:
        served: the network.
        path: ends in .tflite or .onnx.
        examples: to compare the outputs on.
        dtype: of the weights: "float32"; for .tflite also "int8", of the
            convolutions and matrices that LiteRT computes in int8.

    Returns:
        Size in bytes, and a description of the largest difference of its
        probabilities from the network's.

    Raises:
        UserError: the format does not support the dtype, or a package is not
            installed.
    """
    check(path, dtype)
    make, load, *_ = FORMATS[path.suffix.lower()]
    content = make(served, dtype)
    error = comparison.largest_difference(
        load(content),
        served.classifier.probabilities,
        examples.pixels,
    )
    written = outputs.Outputs(path.parent)
    written.write_bytes(path.name, content)
    written.write_text(path.name + CLASSES, quoting.lines(served.classes))
    difference = f"of {examples.name}, at most {error:.1e} from the network's"
    return len(content), difference


def check(path: Path, dtype: str) -> None:
    """Check format, dtype, packages and path before the export.

    Raises:
        UserError: the format does not support the dtype, a package is not
            installed, or the path cannot be written.
    """
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise UserError(
            f"Expected a file that ends in {' or '.join(FORMATS)}. Received: "
            f"{path}"
        )
    *_, dtypes, packages = FORMATS[suffix]
    if dtype not in dtypes:
        raise UserError(
            f"Expected weights in {' or '.join(dtypes)} for {suffix}. "
            f"Received: {dtype}"
        )
    for package in packages:
        if importlib.util.find_spec(package) is None:
            raise _missing(package)
    atomic_files.check_writable(path)


def _function(served: InferenceModel):
    """Make a `tf.function` from one clip to probabilities."""
    shape = (1, *served.info.element_shape)
    classifier = served.classifier

    def classify(pixels):
        outputs = classifier.outputs(pixels)
        return {"probabilities": classifier.scores(outputs)}

    spec = tf.TensorSpec(shape, tf.uint8, served.input_name)
    return tf.function(classify, [spec], autograph=False)


def _tflite(served: InferenceModel, dtype: str) -> bytes:
    module = tf.Module()
    module.weights = [variable.value for variable in served.variables]
    module.classify = _function(served)
    with tempfile.TemporaryDirectory() as scratch:
        tf.saved_model.save(module, scratch, {SIGNATURE: module.classify})
        converter = tf.lite.TFLiteConverter.from_saved_model(scratch)
        if dtype == "int8":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        return converter.convert()


def _load_tflite(content: bytes) -> Callable[[np.ndarray], np.ndarray]:
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        Interpreter = tf.lite.Interpreter
    with warnings.catch_warnings():
        # TensorFlow's own warns that it moved to ai_edge_litert.
        warnings.simplefilter("ignore", UserWarning)
        interpreter = Interpreter(model_content=content)
    runner = interpreter.get_signature_runner(SIGNATURE)
    (name,) = runner.get_input_details()
    return lambda pixels: runner(**{name: pixels})["probabilities"]


def _onnx(served: InferenceModel, dtype: str) -> bytes:
    del dtype
    try:
        import tf2onnx
    except ImportError as error:
        raise _missing("tf2onnx") from error
    function = _function(served)
    model, _ = tf2onnx.convert.from_function(
        function, function.input_signature, opset=OPSET
    )
    return model.SerializeToString()


def _load_onnx(content: bytes) -> Callable[[np.ndarray], np.ndarray]:
    try:
        import onnxruntime
    except ImportError as error:
        raise _missing("onnxruntime") from error
    session = onnxruntime.InferenceSession(content)
    (name,) = (value.name for value in session.get_inputs())
    return lambda pixels: session.run(["probabilities"], {name: pixels})[0]


def _missing(package: str) -> UserError:
    return UserError(
        f"ONNX files need {package} (extra onnx). Install it with: "
        "pip install tf2onnx onnxruntime"
    )


# Converter, loader, dtypes of weights, and packages of a format.
Format = tuple[Callable, Callable, tuple[str, ...], tuple[str, ...]]
FORMATS: dict[str, Format] = {
    ".tflite": (_tflite, _load_tflite, ("float32", "int8"), ()),
    ".onnx": (_onnx, _load_onnx, ("float32",), ("tf2onnx", "onnxruntime")),
}
