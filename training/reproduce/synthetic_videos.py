"""Write a folder of synthetic videos that differ in few properties.

    python -m training.reproduce.synthetic_videos motion --out videos

A disc, square or triangle moves over a background. Everything but the property
that names the class is drawn at random: background, colour, size, shape,
position, direction, speed and phase. So a network that learns a task has
learned that property:

motion      moving left, moving up, circling. Single frames are alike.
speed       slow, medium, fast: 12, 30 or 75 pixels a second, times 0.8 to
            1.25.
appearance  a disc, a square or a triangle of the same area, slightly tilted.
order       it turns red and 1 s later blue, or blue and then red, each for
            0.3 s.
mixed       of all that turn red and blue as above and move left or up: small
            ones are told by where they move, large ones by their colours.

A video is a function of (seed, task, class, number), so `--first 24` gives
videos that a folder of the first 24 does not have. MODEL_ZOO.md has what
`--recipe finetune` reaches; `training.reproduce.finetune_tasks` measures it.
"""

import dataclasses
import math
import sys
from collections.abc import Callable, Sequence

import numpy as np

from ..data import video_encoder
from ..io import atomic_files, cli, paths
from ..io.user_error import UserError

EXAMPLE = "python -m training.reproduce.synthetic_videos motion --out videos"
HEIGHT_PX, WIDTH_PX = 120, 160
FPS = 25
FRAMES = 60
# Maximum tilt where the shape is the class; otherwise the angle is random.
TILT_RAD = 0.25
SHAPES = ("disc", "square", "triangle")
# Side of the square and circumradius of the triangle with the area of a disc
# of radius 1.
SQUARE_SIDE = math.sqrt(math.pi)
TRIANGLE_RADIUS = math.sqrt(4 * math.pi / (3 * math.sqrt(3)))
SPEEDS_PX_S = {"slow": 12.0, "medium": 30.0, "fast": 75.0}
EVENT_S, BETWEEN_EVENTS_S = 0.3, 1.0
DIRECTIONS, ORDERS = ("left", "up"), ("red_then_blue", "blue_then_red")
RADII_PX = {"small": (8.0, 11.0), "large": (17.0, 22.0)}  # in "mixed"
RED, BLUE = (225, 30, 30), (30, 60, 230)


@dataclasses.dataclass(frozen=True)
class Scene:
    """Moving shape of one video.

    Attributes:
        shape: one of `SHAPES`.
        radius_px: of a disc of the same area.
        angle: by which it is rotated, in radians.
        centers: (x, y) in pixels, `(frames, 2)`; the frame is a torus.
        colors: RGB, `(frames, 3)`.
    """

    shape: str
    radius_px: float
    angle: float
    centers: np.ndarray
    colors: np.ndarray


@dataclasses.dataclass(frozen=True)
class SyntheticTask:
    """A set of classes.

    Attributes:
        classes: their names.
        scene: function of (random generator, class) to a `Scene`.
    """

    classes: tuple[str, ...]
    scene: Callable[[np.random.Generator, str], Scene]


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of `python -m training.reproduce.synthetic_videos`."""
    parser = cli.parser(
        "reproduce.synthetic_videos",
        (__doc__ or "").strip(),
        EXAMPLE,
    )
    parser.add_argument(
        "task", choices=TASKS, help="property that differs between classes"
    )
    parser.add_argument(
        "--out", required=True, metavar="DIR", help="new folder"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    parser.add_argument(
        "--count",
        type=cli.count,
        default=24,
        metavar="N",
        help="videos of each class (default: 24)",
    )
    parser.add_argument(
        "--first",
        type=int,
        default=0,
        metavar="N",
        help="number of the first video (default: 0)",
    )
    options, _ = cli.parse(parser, arguments)
    out = paths.as_path(options.out)
    write(options.task, out, options.seed, options.count, options.first)
    count = options.count * len(TASKS[options.task].classes)
    print(f"{count} videos written to {out}")


def write(
    task: str,
    folder: paths.Path,
    seed: int,
    count: int | Sequence[int],
    first: int = 0,
) -> None:
    """Write `folder`/CLASS/NUMBER.mp4.

    Args:
        task: a name in `TASKS`.
        folder: that does not exist, or is empty.
        seed: of all videos.
        count: videos of each class; several numbers for one of each.
        first: number of the first.

    Raises:
        UserError: there is something in the folder, or PyAV is not installed.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"Expected a new or empty folder. Received: {folder}")
    classes = TASKS[task].classes
    counts = [count] * len(classes) if isinstance(count, int) else count
    for name, videos in zip(classes, counts, strict=True):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(first, first + videos):
            content = video_encoder.encode_mp4(
                frames(task, name, seed, number), 1000 // FPS
            )
            atomic_files.write_bytes(
                folder / name / f"{number:03}.mp4", content
            )


def frames(task: str, name: str, seed: int, number: int) -> np.ndarray:
    """Draw a video.

    Args:
        task: a name in `TASKS`.
        name: of a class of it.
        seed: of all videos.
        number: of the video in its class.

    Returns:
        uint8 RGB `(FRAMES, HEIGHT_PX, WIDTH_PX, 3)`.
    """
    task_index = list(TASKS).index(task)
    label = TASKS[task].classes.index(name)
    random = np.random.default_rng([seed, task_index, label, number])
    return draw(TASKS[task].scene(random, name), background(random))


def background(random: np.random.Generator) -> np.ndarray:
    """Draw a smooth texture of two colours with noise, `(height, width, 3)`."""
    size = HEIGHT_PX, WIDTH_PX
    cells = int(random.integers(2, 9))
    texture = random.uniform(size=(cells + 1, cells + 1))
    rows, columns = (np.linspace(0, cells, side) for side in size)
    mix = _interpolated(texture, rows, columns)[..., None]
    dark, light = random.uniform(20, 150, 3), random.uniform(60, 200, 3)
    return dark + (light - dark) * mix + random.normal(0, 4, (*size, 3))


def _interpolated(grid, rows, columns) -> np.ndarray:
    """Interpolate a grid bilinearly at rows and columns."""
    top, column = (
        np.minimum(np.floor(place).astype(int), len(grid) - 2)
        for place in (rows, columns)
    )
    down, right = (rows - top)[:, None], (columns - column)[None]
    upper, lower = grid[top], grid[top + 1]
    lines = upper + (lower - upper) * down
    return lines[:, column] + (lines[:, column + 1] - lines[:, column]) * right


def draw(scene: Scene, backdrop: np.ndarray) -> np.ndarray:
    """Draw a shape over a background, with soft edges.

    Returns:
        uint8 RGB `(frames, height, width, 3)`.
    """
    height, width = backdrop.shape[:2]
    x = np.arange(width) - scene.centers[:, :1]
    y = np.arange(height) - scene.centers[:, 1:]
    x = (x + width / 2) % width - width / 2  # leaves at one side, enters
    y = (y + height / 2) % height - height / 2  # at the other
    x, y = x[:, None, :], y[:, :, None]
    sine, cosine = math.sin(scene.angle), math.cos(scene.angle)
    outside_px = _distance(
        scene.shape, cosine * x + sine * y, cosine * y - sine * x
    )(scene.radius_px)
    share = np.clip(0.5 - outside_px, 0, 1)[..., None]
    colors = scene.colors[:, None, None, :]
    pixels = backdrop + (colors - backdrop) * share
    return np.clip(pixels + 0.5, 0, 255).astype(np.uint8)


def _distance(shape: str, x, y) -> Callable[[float], np.ndarray]:
    """Return the signed distance to a shape as a function of its radius."""
    if shape == "disc":
        return lambda radius: np.hypot(x, y) - radius
    if shape == "square":
        side = np.maximum(np.abs(x), np.abs(y))
        return lambda radius: side - radius * SQUARE_SIDE / 2
    sides = [
        math.cos(angle) * x + math.sin(angle) * y
        for angle in np.arange(3) * 2 * math.pi / 3
    ]
    return lambda radius: (
        np.maximum.reduce(sides) - (radius * TRIANGLE_RADIUS / 2)
    )


def _scene(
    random: np.random.Generator, centers, shape=None, colors=None
) -> Scene:
    """Make a shape on a path; omitted properties are drawn at random."""
    angle = random.uniform(0, 2 * np.pi)
    if shape is None:
        shape = str(random.choice(SHAPES))
    else:
        angle *= TILT_RAD / np.pi
    if colors is None:
        colors = np.tile(_bright(random), (FRAMES, 1))
    radius = random.uniform(10, 18)
    return Scene(shape, radius, angle, centers, colors)


def _bright(random: np.random.Generator) -> np.ndarray:
    """Draw a saturated colour."""
    color = [random.uniform(190, 255), *random.uniform(0, 255, 2)]
    return random.permutation(color)


def _straight(random, velocity) -> np.ndarray:
    """Draw a straight path with a velocity of (x, y) pixels per second."""
    start = random.uniform(0, 1, 2) * [WIDTH_PX, HEIGHT_PX]
    return start + np.arange(FRAMES)[:, None] / FPS * np.asarray(velocity)


def _any_direction(random, speed: float) -> np.ndarray:
    angle = random.uniform(0, 2 * np.pi)
    return _straight(random, [speed * np.cos(angle), speed * np.sin(angle)])


def _circling(random) -> np.ndarray:
    """Draw a circular path, in either sense, at 0.4 to 0.8 turns per second."""
    turns = random.uniform(0.4, 0.8) * random.choice([-1, 1])
    angles = (
        2
        * np.pi
        * (random.uniform() + turns * np.arange(FRAMES)[:, None] / FPS)
    )
    middle = random.uniform(0, 1, 2) * [WIDTH_PX, HEIGHT_PX]
    radius = random.uniform(15, 35)
    return middle + radius * np.hstack([np.cos(angles), np.sin(angles)])


def _motion(random, name: str) -> Scene:
    if name == "circling":
        random.uniform()  # the speed of the others
        return _scene(random, _circling(random))
    return _scene(random, _towards(random, name))


def _towards(random, direction: str) -> np.ndarray:
    """Draw a path to the left or up, at 30 to 80 pixels a second."""
    velocity = {"left": (-1, 0), "up": (0, -1)}[direction]
    return _straight(random, random.uniform(30, 80) * np.array(velocity))


def _speed(random, name: str) -> Scene:
    speed = SPEEDS_PX_S[name] * 2 ** random.uniform(*np.log2([0.8, 1.25]))
    return _scene(random, _any_direction(random, speed))


def _appearance(random, name: str) -> Scene:
    centers = _any_direction(random, random.uniform(10, 60))
    return _scene(random, centers, shape=name)


def _order(random, name: str) -> Scene:
    colors = _events(random, name)
    centers = _any_direction(random, random.uniform(0, 30))
    return _scene(random, centers, colors=colors)


def _events(random, order: str) -> np.ndarray:
    """Draw a grey that turns red and blue, or blue and red."""
    colors = np.tile(random.uniform(150, 230), (FRAMES, 3))
    first_s = random.uniform(0.2, FRAMES / FPS - 1.6)
    events = (RED, BLUE) if order == "red_then_blue" else (BLUE, RED)
    times = np.arange(FRAMES) / FPS - first_s
    for start_s, color in zip((0, BETWEEN_EVENTS_S), events, strict=True):
        colors[(times >= start_s) & (times < start_s + EVENT_S)] = color
    return colors


def _mixed(random, name: str) -> Scene:
    """Draw all properties, and set those that tell the class."""
    size, motion = name.split("_", 1)
    direction, order = map(str, map(random.choice, (DIRECTIONS, ORDERS)))
    if motion in DIRECTIONS:
        direction = motion
    else:
        order = motion
    colors = _events(random, order)
    scene = _scene(random, _towards(random, direction), colors=colors)
    return dataclasses.replace(scene, radius_px=random.uniform(*RADII_PX[size]))


TASKS = {
    "motion": SyntheticTask(("circling", "left", "up"), _motion),
    "speed": SyntheticTask(tuple(SPEEDS_PX_S), _speed),
    "appearance": SyntheticTask(SHAPES, _appearance),
    "order": SyntheticTask(ORDERS, _order),
    "mixed": SyntheticTask(
        (
            *("small_left", "small_up"),
            *("large_red_then_blue", "large_blue_then_red"),
        ),
        _mixed,
    ),
}

if __name__ == "__main__":
    sys.exit(cli.run(main))
