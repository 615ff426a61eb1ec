"""Start a command: prepare TensorFlow before anything imports it.

Importing nonlocal_tf imports Keras and with it TensorFlow, so the command
`nonlocal-tf` starts here: this folder is installed as `nonlocal_tf_start` too.

TensorFlow 2.21 prints some lines on every start that no setting turns off
(they come before its logging is set up), and they would bury the one line that
a command prints.
"""

import gc
import importlib
import os
import sys
import tempfile

NOTES = (
    "All log messages before absl::InitializeLog()",
    "oneDNN custom operations are on",
    "This TensorFlow binary is optimized to use available CPU instructions",
    "To enable the following instructions:",
    "Could not find cuda drivers on your machine",
    # Of TensorFlow 2.17, at each start.
    "Unable to register cuFFT factory",
    "Unable to register cuDNN factory",
    "Unable to register cuBLAS factory",
    # No NVIDIA driver at all; other failures of cuInit are worth reading.
    "Failed call to cuInit: UNKNOWN ERROR (303)",
)


def main() -> int:
    """Run the installed command `nonlocal-tf`."""
    prepare()
    return importlib.import_module("nonlocal_tf.training.__main__").main()


def prepare() -> None:
    """Set what TensorFlow reads once, and import it."""
    # Convolutions through oneDNN: 1.2 to 1.7 times faster on common CPUs.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # errors only
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    if "tensorflow" not in sys.modules:
        _import_tensorflow()


def _import_tensorflow() -> None:
    """Import it; lines other than the notes are printed afterwards."""
    sys.stderr.flush()
    real_stderr = os.dup(2)  # the notes come from C++: sys.stderr is too high
    collects = gc.isenabled()
    gc.disable()  # imports leave no garbage, and take a second less
    with tempfile.TemporaryFile() as printed:
        os.dup2(printed.fileno(), 2)
        try:
            import tensorflow

            # Looks for GPUs now, which is when it notes that there is none.
            tensorflow.config.list_physical_devices()
        finally:
            if collects:
                gc.enable()
            os.dup2(real_stderr, 2)
            os.close(real_stderr)
            printed.seek(0)
            for line in printed.read().decode(errors="replace").splitlines():
                if not any(note in line for note in NOTES):
                    print(line, file=sys.stderr)
