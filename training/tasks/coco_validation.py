"""Validation of a detector after each epoch of training."""

from collections.abc import Sequence

import keras

from ..coco.annotations import Annotations
from ..coco.coco_evaluation import CocoEvaluation
from ..io import finite
from ..io.user_error import UserError


class CocoValidation(CocoEvaluation):
    """Computes COCO's metrics as a validation that callbacks take part in.

    Args:
        annotations: of the validation images.
        callbacks: whose `on_test_begin` and `on_test_end` are called.
        **options: of `coco_evaluation.evaluate`.
    """

    def __init__(
        self,
        annotations: Annotations,
        callbacks: Sequence[keras.callbacks.Callback],
        **options,
    ):
        super().__init__(annotations, **options)
        self._callbacks = callbacks

    def on_epoch_end(self, epoch, logs=None):
        for callback in self._callbacks:
            callback.on_test_begin()
        try:
            super().on_epoch_end(epoch, logs)
        except finite.OutputsError as error:
            raise UserError(
                f"In the validation after epoch {epoch + 1}: {error}"
            ) from error
        finally:
            for callback in self._callbacks:
                callback.on_test_end()
