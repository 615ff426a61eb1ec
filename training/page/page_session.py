"""Session of `training.app`: a model, and the video uploaded last."""

import base64
import functools
import math
import pathlib
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from typing import BinaryIO

import numpy as np
import tensorflow as tf

from nonlocal_tf.attention.attention_map import AttentionMap

from ..data import Dataset, clip_files
from ..data.sampling_config import SamplingConfig
from ..data.video_limits import Limits
from ..exporting.saved_model import SavedModel
from ..io.user_error import UserError
from . import uploads, video_clips
from .uploads import RequestError
from .video_clips import Progress, VideoClips

TOP = 5
STRONGEST = 5
SAMPLES = 8
WAIT_SECONDS = 10.0  # of a question, for the job before it
MAX_SIZE_RATIO = 4  # of a clip to training clips
DEFAULT_SHAPE = (32, 224, 224)  # of training clips, if unknown
LOSSLESS_PX = 64  # larger frames are sent as JPEG
NO_ATTENTION = (
    "This model has no signature 'attention': it has no non-local block, or "
    "is of an older version. Export it again to see attention maps."
)


class PageSession:
    """A model and one uploaded video at a time.

    Only `progress` may be called from other threads.

    Args:
        model: a SavedModel of clips.
        sampling: of training clips; None for models that are not trained on
            videos.
        limits: on reading a video; None for the defaults.
        load_dataset: loads the data set of the samples that the page offers.

    Attributes:
        page: path of the page.
        samples: number of samples of its data set that the page offers.

    Raises:
        UserError: it is a model of images.
    """

    page = pathlib.Path(__file__).with_name("page.html")

    def __init__(
        self,
        model: SavedModel,
        sampling: SamplingConfig | None = None,
        limits: Limits | None = None,
        load_dataset: Callable[[], Dataset] | None = None,
    ):
        if model.input_name != "clips":
            raise UserError(
                f"The app expects a model of clips; {model.path} takes "
                f"{model.input_name}. Use nonlocal-tf predict."
            )
        self.model = model
        self.blocks = model.blocks
        self.has_attention = "attention" in model.signatures
        self.sampling = sampling
        self._limits = limits or Limits()
        self._load_dataset = load_dataset
        self.samples = SAMPLES if load_dataset is not None else 0
        self._video: VideoClips | None = None
        self._id = ""
        self._progress: tuple[str, int, int] = ("", 0, 0)

    @property
    def answers(self) -> Mapping[str, tuple[Callable[[dict], dict], float]]:
        """Methods that answer questions by path, with the seconds to wait."""
        return {
            "/sample": (self.open_sample, 0.0),
            "/clip": (self.frames, WAIT_SECONDS),
            "/look": (self.attention, WAIT_SECONDS),
        }

    @property
    def suffixes(self) -> tuple[str, ...]:
        """The suffixes of supported files."""
        return uploads.suffixes(videos=self.sampling is not None)

    def check_file(self, file: BinaryIO, suffix: str) -> None:
        """Check the header of an upload before it is decoded.

        Raises:
            RequestError: the content contradicts the suffix, or is a
                decompression bomb.
        """
        is_clip = clip_files.is_clip(suffix, videos=self.sampling is not None)
        uploads.check_content(file, suffix if is_clip else "")

    def about(self) -> dict:
        """Describe the model, before any upload."""
        return {
            "model": "/".join(self.model.path.parts[-2:]),
            "classes": len(self.model.classes),
            "suffixes": self.suffixes,
            "samples": self.samples,
            "blocks": self.blocks,
            "no_looks": "" if self.has_attention else NO_ATTENTION,
        }

    def progress(self) -> dict:
        """Return the current activity and its progress."""
        what, count, total = self._progress
        return {"what": what, "done": count, "of": total}

    def open_file(
        self, path: pathlib.Path, check_connected: Callable[[], None]
    ) -> dict:
        """Classify the clips of a file, which becomes the current video.

        Args:
            path: with one of `suffixes`.
            check_connected: called repeatedly; raises a ConnectionError if
                the client disconnected.

        Raises:
            UserError: it cannot be read, or does not fit the model.
            RequestError: the clip is too large.
        """

        def tell(what: str, count: int, total: int) -> None:
            check_connected()
            self._progress = what, count, total

        try:
            if self.sampling is None or clip_files.is_clip(path, videos=True):
                video = video_clips.read_clip_file(path, self._check_shape)
            else:
                video = video_clips.read_video(
                    path, self.sampling, tell, self._limits
                )
            return self.classify(video, tell)
        finally:
            self._progress = "", 0, 0

    def open_sample(self, question: Mapping) -> dict:
        """Classify test sample `number` of the model's data set.

        Raises:
            UserError: the data set cannot be loaded.
            RequestError: there is no such sample.
        """
        number = uploads.int_field(question, "number", self.samples)
        example = self._dataset.example("test", number)
        label = self.model.classes[example.label]
        video = video_clips.single_clip(
            example.pixels, f"Test sample {number}, labelled {label}."
        )
        return {**self.classify(video), "query": example.query}

    def frames(self, question: Mapping) -> dict:
        """Return the frames of a clip as data URLs.

        Args:
            question: `film`, the identifier from `open_file` or `open_sample`,
                and `clip`, the number of one of its clips.

        Raises:
            RequestError: there is no such clip, or another video was opened.
        """
        pixels = self._clip(question)
        height, width = pixels.shape[1:3]
        return {
            "height": height,
            "width": width,
            "frames": [_data_url(frame) for frame in pixels],
        }

    def attention(self, question: Mapping) -> dict:
        """Compute the attention map of a query pixel.

        Args:
            question: `film` and `clip` as for `frames`; `frame`, `y` and `x` of
                the query in pixels; `block`, a name, or "" for the last block.

        Raises:
            UserError: the model has no block, or refuses the clip.
            RequestError: a value of `question` is out of range.
        """
        if not self.has_attention:
            raise UserError(NO_ATTENTION)
        pixels = self._clip(question)
        block = uploads.choice_field(question, "block", ("", *self.blocks))
        query = [
            uploads.int_field(question, name, side)
            for name, side in zip(
                ("frame", "y", "x"), pixels.shape, strict=False
            )
        ]
        answer = self.model.run(
            "attention",
            **{self.model.input_name: pixels[None]},
            block=np.array([block.encode()]),
            query=np.array([query], np.int32),
        )
        weights = _finite(answer["weights"][0])
        cell, stride, first = (
            tuple(answer[name][0].tolist())
            for name in ("cell", "stride", "first")
        )
        attention_map = AttentionMap(block, cell, weights, stride, first)
        content = weights.astype("<f4").tobytes()
        return {
            "cell": cell,
            "stride": stride,
            "first": first,
            "grid": weights.shape,
            "weights": base64.b64encode(content).decode(),
            "strongest": _strongest(attention_map),
        }

    def close(self) -> None:
        """Delete the current video."""
        if self._video is not None:
            self._video.frames.close()
        self._video = None

    def classify(
        self, video: VideoClips, tell: Progress = lambda *_: None
    ) -> dict:
        try:
            scores = np.stack(list(self._scores(video, tell)))
        except BaseException:
            video.frames.close()
            raise
        self.close()
        self._video, self._id = video, secrets.token_urlsafe(8)
        # Single-label scores sum to one. Multi-label scores are max-pooled as
        # in evaluation: a class of any clip is a class of the video.
        multi_label = not np.allclose(scores.sum(axis=1), 1, atol=1e-2)
        pooled = scores.max(axis=0) if multi_label else scores.mean(axis=0)
        best = np.argsort(-pooled, kind="stable")[:TOP]
        return {
            "film": self._id,
            "about": video.about,
            "pooled": "largest" if multi_label else "mean",
            "seconds": video.seconds,
            "classes": [
                {
                    "name": self.model.classes[i],
                    "probability": float(pooled[i]),
                    "along": scores[:, i].tolist(),
                }
                for i in best
            ],
        }

    def _check_shape(self, shape: tuple[int, ...]) -> None:
        """Raise for a clip much larger than training clips.

        A non-local block is quadratic in the number of positions and would
        block the server for minutes. Each side counts as at least as long as
        in training.

        Raises:
            RequestError: the clip is too large.
        """
        if len(shape) != 4:
            return  # not a clip: checked elsewhere
        trained, sizes = self._trained_shape(), shape[:3]
        sides = map(max, sizes, trained)
        if math.prod(sides) > MAX_SIZE_RATIO * math.prod(trained):
            raise RequestError(
                413,
                f"Expected a clip of about {_sizes(trained)} (frames, height, "
                f"width), as in training. Received: {_sizes(sizes)}, more than "
                f"{MAX_SIZE_RATIO} times as much. Cut or resize it.",
            )

    def _trained_shape(self) -> tuple[int, ...]:
        """Return frames, height and width of training clips."""
        if self.sampling is not None:
            side = self.sampling.crop_px
            return self.sampling.frames, side, side
        if self._load_dataset is not None:
            return tuple(self._dataset.element_shape[:3])
        return DEFAULT_SHAPE

    def _scores(
        self, video: VideoClips, tell: Progress
    ) -> Iterator[np.ndarray]:
        """Yield the probabilities of each clip, `(classes,)`."""
        for clip in range(len(video.numbers)):
            tell("Running the network", clip + 1, len(video.numbers))
            yield _finite(self.model.probabilities(video.clip(clip)[None])[0])

    @functools.cached_property
    def _dataset(self) -> Dataset:
        if self._load_dataset is None:
            raise UserError("The data set of the model is unknown.")
        return self._load_dataset()

    def _clip(self, question: Mapping) -> np.ndarray:
        """Return the pixels of the requested clip."""
        if self._video is None or question.get("film") != self._id:
            raise RequestError(
                410, "Another video was opened since; upload this one again."
            )
        count = len(self._video.numbers)
        return self._video.clip(uploads.int_field(question, "clip", count))


def _sizes(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def _strongest(attention_map: AttentionMap) -> list[dict]:
    """List the cells of largest attention weight, with their centre pixels."""
    return [
        {
            "cell": cell,
            "pixel": attention_map.center_pixel(cell),
            "weight": float(attention_map.weights[cell]),
        }
        for cell in attention_map.salient_cells(STRONGEST)
    ]


def _finite(numbers: np.ndarray) -> np.ndarray:
    """Check that all numbers are finite.

    Raises:
        UserError: some are not.
    """
    if not np.isfinite(numbers).all():
        raise UserError("The outputs of the network are not finite.")
    return numbers


def public_message(error: Exception, *secret: object) -> str:
    """Shorten an error to one line without paths, for the browser."""
    text = str(error)
    for path in secret:
        text = text.replace(str(path), "(here)")
    first = text.strip().splitlines()[0] if text.strip() else "no reason given"
    return re.sub(r"(?<![\w.])/[\w.-]+(?:/[\w.-]+)+", "(a path)", first)[:300]


def _data_url(frame: np.ndarray) -> str:
    """Encode a frame as a data URL."""
    if max(frame.shape[:2]) <= LOSSLESS_PX:
        kind, content = "png", tf.io.encode_png(frame)
    else:
        kind, content = "jpeg", tf.io.encode_jpeg(frame, quality=92)
    text = base64.b64encode(content.numpy()).decode()
    return f"data:image/{kind};base64,{text}"
