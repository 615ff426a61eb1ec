"""What happens between the epochs of a training run."""

import keras

from training.data import Dataset
from training.run_folder import RunFolder


class ListBadVideos(keras.callbacks.Callback):
    """Lists the videos that turned out bad, and stops if they are too many.

    Args:
        run: where to.
        dataset: that is trained on.
    """

    def __init__(self, run: RunFolder, dataset: Dataset):
        super().__init__()
        self._run = run
        self._dataset = dataset
        self._known = len(dataset.bad)

    def on_train_batch_end(self, batch, logs=None):
        if len(self._dataset.bad) == self._known:
            return
        self._known = len(self._dataset.bad)
        self._run.write_bad_videos(self._dataset.bad)
        self._dataset.check_bad()
