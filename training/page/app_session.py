"""What `training.app` knows: the model, and the film that was dropped last."""

import base64
import math
import pathlib
import re
import secrets
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import tensorflow as tf

from nonlocal_tf.attention.attention_map import AttentionMap

from ..data import Dataset, clips, datasets
from ..data.video_limits import Limits
from ..exporting.saved_model import SavedModel
from ..io.user_error import UserError
from . import app_films, app_upload
from .app_films import Film, Progress
from .app_upload import Refused

TOP = 5
STRONGEST = 5
SAMPLES = 8
LARGEST = 4  # clip, in those that were trained on
USUAL_SHAPE = (32, 224, 224)  # of them, where the model does not say
LOSSLESS_PX = 64  # larger frames go to the page as JPEG
NO_BLOCK = (
    "This model has no signature 'attention': it has no non-local block, or "
    "was exported before there was one. Export it again to see where it looks."
)


class Session:
    """A model, and one film at a time.

    Not for several threads at once, but for `progress`.

    Args:
        model: of clips, loaded.

    Attributes:
        samples: how many samples of its dataset the page offers.

    Raises:
        UserError: it is a model of images.
    """

    def __init__(self, model: SavedModel):
        if model.input_name != "clips":
            raise UserError(
                f"The app shows models of clips; {model.path} takes "
                f"{model.input_name}. Use nonlocal-tf predict."
            )
        self.model = model
        self.blocks = model.blocks
        self.looks = "attention" in model.signatures
        recipe = model.recipe
        self.sampling = recipe.sampling if recipe else None
        self._limits = Limits.of(recipe.data if recipe else None)
        made = recipe is not None and self.sampling is None
        self.samples = SAMPLES if made else 0
        self._data: Dataset | None = None
        self._film: Film | None = None
        self._id = ""
        self._progress: tuple[str, int, int] = ("", 0, 0)

    @property
    def suffixes(self) -> tuple[str, ...]:
        """The endings of names of files that can be read."""
        return app_upload.suffixes(videos=self.sampling is not None)

    def content_of(self, suffix: str) -> str:
        """The ending of a name, or "" for one of a video."""
        videos = self.sampling is not None
        return suffix if clips.is_clip(suffix, videos) else ""

    def about(self) -> dict:
        """What the page shows before there is a film."""
        return {
            "model": "/".join(self.model.path.parts[-2:]),
            "classes": len(self.model.classes),
            "suffixes": self.suffixes,
            "samples": self.samples,
            "blocks": self.blocks,
            "no_looks": "" if self.looks else NO_BLOCK,
        }

    def progress(self) -> dict:
        """What is being done, and how far it is."""
        what, done, of = self._progress
        return {"what": what, "done": done, "of": of}

    def open_file(
        self, path: pathlib.Path, still_wanted: Callable[[], None]
    ) -> dict:
        """Classifies the clips of a file; that film is then the one.

        Args:
            path: with one of `suffixes`.
            still_wanted: is called every now and then, to raise if nobody
                waits for the answer any more.

        Raises:
            UserError: it cannot be read, or is not for this model.
            Refused: it is a clip that is too large.
        """

        def tell(what: str, done: int, of: int) -> None:
            still_wanted()
            self._progress = what, done, of

        try:
            if self.sampling is None or clips.is_clip(path, videos=True):
                film = app_films.clip_of_file(path, self._check_shape)
            else:
                film = app_films.clips_of_video(
                    path, self.sampling, tell, self._limits
                )
            return self._open(film, tell)
        finally:
            self._progress = "", 0, 0

    def open_sample(self, asked: Mapping) -> dict:
        """Classifies test sample `number` of the model's dataset.

        Raises:
            UserError: the dataset cannot be loaded.
            Refused: there is no such sample.
        """
        number = app_upload.whole(asked, "number", self.samples)
        example = self._dataset().example("test", number)
        label = self.model.classes[example.label]
        film = app_films.one_clip(
            example.pixels, f"Test sample {number}, labelled {label}."
        )
        return {**self._open(film), "query": example.query}

    def frames(self, asked: Mapping) -> dict:
        """The frames of a clip, as addresses with the picture in them.

        Args:
            asked: `film`, its identity from `open_file` or `open_sample`, and
                `clip`, the number of one of its clips.

        Raises:
            Refused: there is none, or the film has gone.
        """
        pixels = self._clip(asked)
        height, width = pixels.shape[1:3]
        return {
            "height": height,
            "width": width,
            "frames": [_picture(frame) for frame in pixels],
        }

    def look(self, asked: Mapping) -> dict:
        """Where the cell at a pixel of a clip looks.

        Args:
            asked: `film` and `clip` as for `frames`; `frame`, `y` and `x` in
                pixels; `block`, the name of one, or "" for the last.

        Raises:
            UserError: the model has no block, or refuses the clip.
            Refused: what is asked for is not there.
        """
        if not self.looks:
            raise UserError(NO_BLOCK)
        pixels = self._clip(asked)
        block = app_upload.choice(asked, "block", ("", *self.blocks))
        query = [
            app_upload.whole(asked, name, side)
            for name, side in zip(
                ("frame", "y", "x"), pixels.shape, strict=False
            )
        ]
        answer = self.model.ask(
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
        found = AttentionMap(block, cell, weights, stride, first)
        content = weights.astype("<f4").tobytes()
        return {
            "cell": cell,
            "stride": stride,
            "first": first,
            "grid": weights.shape,
            "weights": base64.b64encode(content).decode(),
            "strongest": _strongest(found),
        }

    def close(self) -> None:
        """Forgets the film."""
        if self._film is not None:
            self._film.frames.close()
        self._film = None

    def _open(self, film: Film, tell: Progress = lambda *_: None) -> dict:
        try:
            scores = np.stack(list(self._ask(film, tell)))
        except BaseException:
            film.frames.close()
            raise
        self.close()
        self._film, self._id = film, secrets.token_urlsafe(8)
        # Of one label a video they add up to one. Several are pooled as in
        # testing: what is in one clip is in the video.
        several = not np.allclose(scores.sum(axis=1), 1, atol=1e-2)
        pooled = scores.max(axis=0) if several else scores.mean(axis=0)
        best = np.argsort(-pooled, kind="stable")[:TOP]
        return {
            "film": self._id,
            "about": film.about,
            "pooled": "largest" if several else "mean",
            "seconds": film.seconds,
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
        """Raise for a clip much larger than those that were trained on.

        Answers would take minutes, in which nobody else gets any: a non-local
        block compares all positions with all. A long side costs as much as if
        the others were as long as in training.

        Raises:
            Refused: it is too large.
        """
        if len(shape) != 4:
            return  # it is no clip, as is said elsewhere
        trained, sizes = self._trained_shape(), shape[:3]
        sides = map(max, sizes, trained)
        if math.prod(sides) > LARGEST * math.prod(trained):
            raise Refused(
                413,
                f"Expected a clip of about {_sizes(trained)} (frames, height, "
                f"width), as in training. Received: {_sizes(sizes)}, more than "
                f"{LARGEST} times as much. Cut or shrink it.",
            )

    def _trained_shape(self) -> tuple[int, ...]:
        """Frames, height and width of the clips that were trained on."""
        if self.sampling is not None:
            side = self.sampling.crop_px
            return self.sampling.frames, side, side
        if self.model.recipe is not None:
            return tuple(self._dataset().element_shape[:3])
        return USUAL_SHAPE

    def _ask(self, film: Film, tell: Progress) -> Iterator[np.ndarray]:
        """Probabilities of each clip, `(classes,)`; one at a time."""
        for clip in range(len(film.numbers)):
            tell("Asking the network", clip + 1, len(film.numbers))
            yield _finite(self.model.probabilities(film.clip(clip)[None])[0])

    def _dataset(self) -> Dataset:
        if self._data is None and self.model.recipe is not None:
            self._data = datasets.load(
                self.model.recipe.dataset,
                self.model.recipe.data,
                self.model.recipe.sampling,
            )
        if self._data is None:
            raise UserError("The model does not say what it was trained on.")
        return self._data

    def _clip(self, asked: Mapping) -> np.ndarray:
        """Pixels of the clip that is asked for."""
        if self._film is None or asked.get("film") != self._id:
            raise Refused(
                410, "Another film was dropped since; drop this one again."
            )
        count = len(self._film.numbers)
        return self._film.clip(app_upload.whole(asked, "clip", count))


def _sizes(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def _strongest(look: AttentionMap) -> list[dict]:
    """The cells that are looked at most, and the pixels of their middles."""
    return [
        {
            "cell": cell,
            "pixel": look.center_pixel(cell),
            "weight": float(look.weights[cell]),
        }
        for cell in look.salient_cells(STRONGEST)
    ]


def _finite(numbers: np.ndarray) -> np.ndarray:
    """The numbers, if they are.

    Raises:
        UserError: some are not.
    """
    if not np.isfinite(numbers).all():
        raise UserError("The network's answer has numbers that are not finite.")
    return numbers


def one_line(error: Exception, *secret: object) -> str:
    """What a browser is told of an error: a line, and no path of ours."""
    text = str(error)
    for path in secret:
        text = text.replace(str(path), "(here)")
    first = text.strip().splitlines()[0] if text.strip() else "no reason given"
    return re.sub(r"(?<![\w.])/[\w.-]+(?:/[\w.-]+)+", "(a path)", first)[:300]


def _picture(frame: np.ndarray) -> str:
    """A frame as a data: address."""
    if max(frame.shape[:2]) <= LOSSLESS_PX:
        kind, content = "png", tf.io.encode_png(frame)
    else:
        kind, content = "jpeg", tf.io.encode_jpeg(frame, quality=92)
    text = base64.b64encode(content.numpy()).decode()
    return f"data:image/{kind};base64,{text}"
