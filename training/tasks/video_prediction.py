"""Prediction of the classes of videos, for the command `predict`."""

import argparse
import dataclasses
import functools
from collections.abc import Iterator, Sequence

from ..data import clip_files, frame_times
from ..data.clip_reader import VideoError
from ..io import cli, outputs, paths, tables
from ..io.progress import Progress
from ..prediction import (
    limit_options,
    predict_options,
    prediction_output,
    predictions,
    timeline,
    video_inputs,
)
from ..prediction.prediction_output import top_classes
from ..prediction.predictions import Prediction
from ..prediction.predictor import Predictor
from ..prediction.timeline import Timeline
from ..prediction.video_inputs import Input
from ..runs import trained_predictor

TOP = predict_options.TOP
SHOWN_SEGMENTS = 40


def run_command(options: argparse.Namespace) -> None:
    """Predict the classes of the videos of the options."""
    predict_options.check(options)
    out = options.out and prediction_output.path_of(options.out)
    inputs = video_inputs.list_inputs(options.inputs)
    predict_options.check_inputs(options, inputs)
    read = [*(result.path for result in inputs), options.model]
    for path in filter(None, (out, options.plot, options.save_clip)):
        outputs.check(path, read)
    model = trained_predictor.load(
        options.model, functools.partial(predict_options.views_of, options)
    )
    model = dataclasses.replace(
        model, limits=limit_options.limits_of(options, model.limits)
    )
    if options.timeline is not None:
        predict_options.check_timeline(model)
    results: list[Prediction] = []
    try:
        for result in _predictions(options, model, inputs):
            results.append(result)
            _print(result, model, options, len(inputs))
    finally:  # also after Ctrl-C
        if out and results:
            _write(out, results, model, options)
            good = sum(result.scores is not None for result in results)
            bad = len(results) - good
            errors = f" and {tables.number_of(bad, 'error')}" * (bad > 0)
            predictions = tables.number_of(good, "prediction")
            print(f"{predictions}{errors} written to {out}")
    if options.plot:
        _plot(options, results[0], model)
    failures = [
        result.error_line for result in results if result.scores is None
    ]
    cli.list_failures(failures, len(results))


def _write(
    out: paths.Path,
    results: Sequence[Prediction],
    model: Predictor,
    options: argparse.Namespace,
) -> None:
    about = {
        "model": str(model.path),
        "views": predict_options.describe_views(options, model),
    }
    top = options.top or TOP
    prediction_output.write(out, results, model.classes, top, about)


def _predictions(
    options: argparse.Namespace, model: Predictor, inputs: Sequence[Input]
) -> Iterator[Prediction]:
    if options.timeline is not None:
        yield from predictions.predict_timelines(
            model, inputs, options.timeline
        )
    elif options.sample is not None or options.save_clip:
        yield from predict_clip(options, model, inputs)
    else:
        progress = Progress(len(inputs), "videos")
        results = predictions.predict(model, inputs)
        for number, result in enumerate(results, start=1):
            yield result
            progress.update(number)


def predict_clip(
    options: argparse.Namespace, model: Predictor, inputs: Sequence[Input]
) -> Iterator[Prediction]:
    """Predict a sample, or a file whose clip is saved."""
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
    yield predictions.check_finite(Prediction(origin, model.score(pixels)))
    if options.save_clip:
        clip_files.write_clip(options.save_clip, pixels[0])
        print(f"Clip written to {options.save_clip}")


def _print(
    result: Prediction,
    model: Predictor,
    options: argparse.Namespace,
    count: int,
) -> None:
    """Print a table for one input, or a line for each of several."""
    if result.scores is None:
        return  # said at the end
    top = options.top or (TOP if count <= 1 else 1)
    names = [
        (model.classes[i], result.scores[i])
        for i in top_classes(result.scores, top)
    ]
    if count > 1:
        classes = ", ".join(f"{name} {score:.4f}" for name, score in names)
        print(f"{result.path}: {classes}", flush=True)
    else:
        print(f"{result.path}\nmodel {model.path}")
        rows = [("class", "probability")]
        rows += [(name, f"{score:.4f}") for name, score in names]
        print(tables.render(rows))
    if result.timeline is not None:
        print(_segments(result.timeline, model.classes))
        if not result.timeline.stamped:
            print(f"note: {frame_times.UNTRUSTED.format(path=result.path)}")


def _segments(along: Timeline, classes: Sequence[str]) -> str:
    """Format the best class along a video as a table."""
    segments = list(timeline.segments(along, classes))
    rows = [("from", "to", "class", "probability")]
    rows += [
        (f"{start:.1f} s", f"{stop:.1f} s", name, f"{score:.4f}")
        for start, stop, name, score in segments[:SHOWN_SEGMENTS]
    ]
    rest = len(segments) - SHOWN_SEGMENTS
    text = tables.render(rows)
    return f"{text}\n  and {rest} more: --out has all" if rest > 0 else text


def _plot(
    options: argparse.Namespace, result: Prediction, model: Predictor
) -> None:
    if result.timeline is None:
        return  # there is nothing to draw of a bad video
    title = result.path.rpartition("/")[2]
    top = options.top or TOP
    plot = timeline.png(result.timeline, model.classes, title, top)
    outputs.write_bytes(options.plot, plot)
    print(f"Plot written to {options.plot}")
