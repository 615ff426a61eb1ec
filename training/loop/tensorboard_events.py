"""Events of TensorBoard in a run folder, which may be a URL."""

import atexit
import importlib.util
import pathlib
import shutil
import tempfile

import keras

from ..io.paths import Path, UrlPath


def callbacks(directory: Path) -> list[keras.callbacks.Callback]:
    """Return the callback of TensorBoard if the package is installed."""
    if importlib.util.find_spec("tensorboard") is None:
        return []
    if isinstance(directory, UrlPath):
        return [_UploadedTensorBoard(directory)]
    return [keras.callbacks.TensorBoard(str(directory))]


class _UploadedTensorBoard(keras.callbacks.TensorBoard):
    """Write events locally and upload them after each epoch."""

    def __init__(self, directory: UrlPath):
        self._scratch = pathlib.Path(tempfile.mkdtemp())
        atexit.register(shutil.rmtree, self._scratch, ignore_errors=True)
        super().__init__(str(self._scratch))
        self._directory = directory

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs)
        self._upload()

    def on_train_end(self, logs=None):
        super().on_train_end(logs)  # closes the files
        self._upload()

    def _upload(self) -> None:
        for file in self._scratch.rglob("events.*"):
            name = file.relative_to(self._scratch).as_posix()
            (self._directory / name).upload(file)
