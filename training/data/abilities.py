"""Clips of which each takes one ability of a network to classify.

A clip, by default 8 frames of 16x40 pixels, is of one of two classes; chance is
50 %. Classes are equally frequent, and are the digits 0 and 1 of handwriting
that test clips do not share with training clips, but for `motion`. Cues are
squares in one of two colours. The ability, and how hard it is, are arguments:
`AbilityConfig`. There can be up to 4 classes, or 4 digits of two of them.

    nonlocal-tf train --recipe abilities_nl1 --workdir runs/far_time \
        --set data.clips.ability=far_time --set data.clips.noise=16

- `appearance`: the class of the one digit. Every frame has it.
- `motion`: the velocity, of +1 and -1 pixels per frame (and +3, -3), of a
  pattern that repeats every 8 pixels.
- `far_space`: which of the digits, one of each class and each in a colour, has
  the colour of a cue 16 pixels away or more. All frames are alike.
- `far_time`: the same, with the digits in three frames and the cue 5 frames or
  more before or after, at the place of its digit.
- `far_both`: the same, with the cue 5 frames and 16 pixels away or more.
- `two_hops`: a cue has the colour of the upper half of a square, whose lower
  half has the colour of the left half of another, whose right half has the
  colour of the digit. There are as many squares of either kind as digits, and
  each colour is there as often. The cue is 5 frames and 16 pixels or more from
  all others. In three of four clips, all squares of a kind have two halves of
  one colour, else they are drawn: who takes the cue's colour for the digit's is
  right in 78 %, who reads one of the squares in 88 %. Without these clips, no
  part of the chain tells more than chance, and two blocks had learned nothing
  when they were stopped after 300 steps.
- `long`: `far_time` in videos of 128 frames of 8x8 pixels: the digits come in
  some of the last 16 frames, the cue 100 frames or more before. A clip of
  fewer frames is the last ones.
- `all`: any of these but `long`, drawn for each clip and not told.

What a network without the ability can reach is chance, for these reasons.

**An order of frames that is not seen.** In `motion`, a clip of any velocity has
the same set of frames: each of the 8 phases of the pattern, once. A network
whose result does not depend on the order of frames, such as C2D, with blocks
that do not know positions or without, gives one answer for all velocities.

**Distant places that are not related.** Call what a network relates before it
adds over places a view: of C2D 15x15 pixels of a frame, of I3D 5 frames of it,
of attention in space whole frames, of attention in time a place in all frames.
In the other abilities, each possible view is equally frequent in all classes:
the digits alone are the same whichever the cue names, and the cue is the same
whichever digit has its colour. The average over places and a linear layer, with
which the small networks end, give logits that are sums over views.
Cross entropy is convex in them, and where views do not depend on the class, its
gradient is zero for equal logits: chance is the best that such sums reach, with
two classes a cross entropy of log 2 = 0.693. The accuracy of logits that are
nearly equal can be off chance on either side: of the four pairs of two cues and
two orders of digits, the sign of a sum can be right, or wrong, for three, from
25 to 75 %. With seed 1, C2D was right in 38 % of `long`, and I3D in 36 %, with
a cross entropy of 0.693. A network that ends with more than a sum, such as a
hidden layer after the average, has no such bound.

| ability | views that are equally frequent in all classes |
|---|---|
| `far_space` | 15x15 pixels of all frames: C2D, I3D, attention in time |
| `far_time` | 5 whole frames: C2D, I3D, attention in space |
| `far_both` | both: C2D, I3D, attention in space or time |
| `two_hops` | as `far_both` |
| `long` | 100 whole frames: C2D, I3D, all networks on shorter clips |

tests/training/data/test_abilities.py proves the table, with the receptive
fields of the registered networks. It does not bound one spacetime block on
`two_hops`, whose sum over all positions may tell the whole chain. With two
digits, of which there are few chains, that is learned: with seed 0, one block
reached 93 % of 512 clips in 600 steps, two blocks 98 %. With four digits, two
blocks reached 70 % in 2400 steps: they had not learned two hops. On `all`, a
network reaches the average of its abilities.
"""

import dataclasses

from ..io.user_error import UserError
from .ability_config import AbilityConfig
from .ability_scenes import SCENES, VELOCITIES, Scene
from .data_config import DataConfig
from .datasets import register_dataset
from .generated import Draws, GeneratedDataset
from .sampling_config import SamplingConfig


@register_dataset("abilities")
class Abilities(GeneratedDataset):
    """Clips of one ability: by default `(8, 16, 40, 3)`, of two classes.

    Args:
        config: ability and difficulty; None for the defaults.

    Raises:
        UserError: `config` is something else.
    """

    description = "clips that take one ability: motion, far cues, two hops"

    def __init__(self, config: AbilityConfig | None = None):
        if config is not None and not isinstance(config, AbilityConfig):
            raise UserError(
                "Expected clips as an AbilityConfig, such as AbilityConfig("
                f"'far_both'). Received: {config!r}"
            )
        self.config = config or AbilityConfig()
        super().__init__(self.config.size)
        classes, ability = self.config.classes, self.config.ability
        digits = tuple(str(digit) for digit in range(classes))
        moves = tuple(f"{v:+d} px per frame" for v in VELOCITIES[:classes])
        either = map(" or ".join, zip(digits, moves, strict=True))
        self.classes = {"motion": moves, "all": tuple(either)}.get(
            ability, digits
        )
        frame_px = self.config.frame_px
        self.element_shape = (self.config.clip_frames, *frame_px, 3)

    @classmethod
    def load(cls, data: DataConfig | None, sampling: SamplingConfig | None):
        """Load the data set, with `data.clips`.

        Raises:
            UserError: another setting of videos is given.
        """
        config = None if data is None else data.clips
        given = ["sampling"] * (sampling is not None)
        given += [f"data.{name}" for name in _settings_of_videos(data)]
        if given:
            raise UserError(
                "Expected no setting but data.clips: the clips of 'abilities' "
                f"are generated. Received: {', '.join(given)}"
            )
        return cls(config)

    def make(self, handwriting, count, seed):
        draw = Draws(seed, count)
        scene = Scene(self.config, handwriting, draw)
        clips, labels = SCENES[self.config.ability](scene)
        return {
            "pixels": draw.noisy(clips, self.config.noise),
            "label": labels,
        }


def _settings_of_videos(data: DataConfig | None) -> list[str]:
    """List the fields, but `clips`, that are not the defaults."""
    default = DataConfig()
    names = [field.name for field in dataclasses.fields(DataConfig)]
    return [
        name
        for name in names
        if name != "clips"
        and getattr(data or default, name) != getattr(default, name)
    ]
