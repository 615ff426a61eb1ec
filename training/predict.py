"""Predict the classes of videos with a SavedModel or a run."""

import argparse
import dataclasses
import sys
from collections.abc import Iterator, Sequence

from .data import clips, frame_times
from .data.sources import VideoError
from .io import cli, outputs, remote, tables
from .io.progress import Progress
from .prediction import (
    limit_options,
    predict_options,
    prediction_output,
    predictions,
    predictor,
    timeline,
    video_inputs,
)
from .prediction.prediction_output import best
from .prediction.predictions import Prediction
from .prediction.predictor import Predictor
from .prediction.timeline import Timeline
from .prediction.video_inputs import Input

EXAMPLE = predict_options.EXAMPLE
TOP = predict_options.TOP
SHOWN_STRETCHES = 40


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of `nonlocal-tf predict`."""
    options, given = predict_options.parse(arguments)
    if not given:
        marker = "[0-9]*/saved_model.pb"
        print(cli.overview("SavedModels", "savedmodels", marker, EXAMPLE))
        return
    predict_options.check(options)
    out = options.out and prediction_output.path_of(options.out)
    inputs = video_inputs.find(options.videos)
    predict_options.check_inputs(options, inputs)
    read = [*(one.path for one in inputs), options.model]
    for path in filter(None, (out, options.plot, options.save_clip)):
        outputs.check(path, read)
    model = predictor.load(
        options.model, lambda recipe: predict_options.views_of(options, recipe)
    )
    model = dataclasses.replace(
        model, limits=limit_options.limits_of(options, model.limits)
    )
    if options.timeline is not None:
        predict_options.check_timeline(model)
    found: list[Prediction] = []
    try:
        for one in _predictions(options, model, inputs):
            found.append(one)
            _print(one, model, options, len(inputs))
    finally:  # also what was found before someone stopped it
        if out and found:
            _write(out, found, model, options)
            good = sum(one.scores is not None for one in found)
            bad = len(found) - good
            errors = f" and {tables.number_of(bad, 'error')}" * (bad > 0)
            predictions = tables.number_of(good, "prediction")
            print(f"{predictions}{errors} written to {out}")
    if options.plot:
        _plot(options, found[0], model)
    failures = [one.complaint for one in found if one.scores is None]
    cli.list_failures(failures, len(found))


def _write(
    out: remote.Path,
    found: Sequence[Prediction],
    model: Predictor,
    options: argparse.Namespace,
) -> None:
    about = {
        "model": str(model.path),
        "views": predict_options.in_words(options, model),
    }
    top = options.top or TOP
    prediction_output.write(out, found, model.classes, top, about)


def _predictions(
    options: argparse.Namespace, model: Predictor, inputs: Sequence[Input]
) -> Iterator[Prediction]:
    if options.timeline is not None:
        yield from predictions.predict_along(model, inputs, options.timeline)
    elif options.sample is not None or options.save_clip:
        yield from _of_one_clip(options, model, inputs)
    else:
        progress = Progress(len(inputs), "videos")
        found = predictions.predict(model, inputs)
        for done, one in enumerate(found, start=1):
            yield one
            progress.at(done)


def _of_one_clip(
    options: argparse.Namespace, model: Predictor, inputs: Sequence[Input]
) -> Iterator[Prediction]:
    """Of a sample, or of a file whose clip is saved."""
    if options.sample is None:
        (source,) = inputs
        origin = source.path
        try:
            pixels = model.read(source)
        except VideoError as error:
            yield Prediction(origin, reason=str(error))
            return
    else:
        example, origin = model.sample(options.split, options.sample)
        pixels = example.pixels[None]
        if example.label >= 0:
            origin += f", labelled {model.classes[example.label]}"
    yield predictions.checked(Prediction(origin, model.score(pixels)))
    if options.save_clip:
        clips.write_clip(options.save_clip, pixels[0])
        print(f"Clip written to {options.save_clip}")


def _print(
    one: Prediction, model: Predictor, options: argparse.Namespace, of: int
) -> None:
    """A table of one input, or a line for each of many."""
    if one.scores is None:
        return  # said at the end
    top = options.top or (TOP if of <= 1 else 1)
    names = [(model.classes[i], one.scores[i]) for i in best(one.scores, top)]
    if of > 1:
        classes = ", ".join(f"{name} {score:.4f}" for name, score in names)
        print(f"{one.path}: {classes}", flush=True)
    else:
        print(f"{one.path}\nmodel {model.path}")
        rows = [("class", "probability")]
        rows += [(name, f"{score:.4f}") for name, score in names]
        print(tables.render(rows))
    if one.timeline is not None:
        print(_stretches(one.timeline, model.classes))
        if not one.timeline.stamped:
            print(f"note: {frame_times.UNTRUSTED.format(path=one.path)}")


def _stretches(along: Timeline, classes: Sequence[str]) -> str:
    """The best class along a video, as a table for the screen."""
    found = list(timeline.stretches(along, classes))
    rows = [("from", "to", "class", "probability")]
    rows += [
        (f"{start:.1f} s", f"{end:.1f} s", name, f"{score:.4f}")
        for start, end, name, score in found[:SHOWN_STRETCHES]
    ]
    more = len(found) - SHOWN_STRETCHES
    text = tables.render(rows)
    return f"{text}\n  and {more} more: --out has all" if more > 0 else text


def _plot(
    options: argparse.Namespace, one: Prediction, model: Predictor
) -> None:
    if one.timeline is None:
        return  # there is nothing to draw of a bad video
    title = one.path.rpartition("/")[2]
    top = options.top or TOP
    picture = timeline.png(one.timeline, model.classes, title, top)
    outputs.write_bytes(options.plot, picture)
    print(f"Picture written to {options.plot}")


if __name__ == "__main__":
    sys.exit(cli.run(main))
