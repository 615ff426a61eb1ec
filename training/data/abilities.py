"""Clips of which each takes one ability of a network to classify.

A clip, by default 8 frames of 16x40 pixels, is of one of four classes; chance
is 25 %. Classes are equally frequent, and are the digits 0 to 3 of handwriting
that test clips do not share with training clips, but for `motion`. Cues are
squares of one of four colours. The ability, and how hard it is, are arguments:
`AbilityConfig`.

    nonlocal-tf train --recipe abilities_nl1 --workdir runs/far_time \
        --set data.clips.ability=far_time --set data.clips.noise=16

- `appearance`: the class of the one digit. Every frame has it.
- `motion`: the velocity, of +1, -1, +3 or -3 pixels per frame, of a pattern
  that repeats every 8 pixels.
- `far_space`: which of four digits, each in a colour, has the colour of a cue
  16 pixels away or more. All frames are alike.
- `far_time`: the same, with the digits in one frame and the cue 5 frames before
  or after, at the place of its digit.
- `far_both`: the same, with the cue 5 frames and 16 pixels away or more.
- `two_hops`: a cue has the colour of the upper half of a square, whose lower
  half has the colour of the left half of another, whose right half has the
  colour of the digit: all digits and squares of either kind are there four
  times. The cue is 5 frames or more from all others.
- `long`: `far_time` in videos of 128 frames of 8x8 pixels: the digits come in
  four of the last 16 frames, the cue 100 frames or more before. A clip of
  fewer frames is the last ones.
- `all`: any of these but `long`, drawn for each clip and not told.

What a network without the ability can reach is chance, for these reasons.

**An order of frames that is not seen.** In `motion`, a clip of any velocity has
the same set of frames: each of the 8 phases of the pattern, once. A network
whose result does not depend on the order of frames, such as C2D, with blocks
that do not know positions or without, gives one answer for all four velocities.

**Distant places that are not related.** Call what a network relates before it
adds over places a view: of C2D 15x15 pixels of a frame, of I3D 5 frames of it,
of attention in space whole frames, of attention in time a place in all frames.
In the other abilities, each possible view is equally frequent in all four
classes: the digits alone are the same whichever the cue names, and the cue is
the same whichever digit has its colour. The average over places and a linear
layer, with which the small networks end, give logits that are sums over views.
Cross entropy is convex in them, and where views do not depend on the class, its
gradient is zero for equal logits: chance is the best that such sums reach.

| ability | views that are equally frequent in all classes |
|---|---|
| `far_space` | 15x15 pixels of all frames: C2D, I3D, attention in time |
| `far_time` | 5 whole frames: C2D, I3D, attention in space |
| `far_both` | both: C2D, I3D, attention in space or time |
| `two_hops` | 5 whole frames: C2D, I3D, attention in space |
| `long` | 100 whole frames: C2D, I3D, all networks on shorter clips |

tests/training/data/test_abilities.py proves the table, with the receptive
fields of the registered networks. It does not bound one spacetime block on
`two_hops`. A position relates itself to what it attends to: no two of the four
parts of a chain tell the class, nor do three, but a sum over all positions
may. On `all`, a network reaches the average of its abilities.
"""

from ..io.user_error import UserError
from .ability_config import AbilityConfig
from .ability_scenes import SCENES, VELOCITIES, Scene
from .data_config import DataConfig
from .datasets import register_dataset
from .generated import Draws, GeneratedDataset
from .sampling_config import SamplingConfig


@register_dataset("abilities")
class Abilities(GeneratedDataset):
    """Clips of one ability: `(8, 16, 40, 3)` by default, four classes."""

    description = "clips that take one ability: motion, far cues, two hops"

    def __init__(self, config: AbilityConfig | None = None):
        self.config = config or AbilityConfig()
        super().__init__(self.config.size)
        ability = self.config.ability
        digits = tuple(map(str, range(4)))
        velocities = tuple(f"{v:+d} px per frame" for v in VELOCITIES)
        self.classes = {
            "motion": velocities,
            "all": tuple(
                map(" or ".join, zip(digits, velocities, strict=True))
            ),
        }.get(ability, digits)
        frame_px = self.config.frame_px
        self.element_shape = (self.config.clip_frames, *frame_px, 3)

    @classmethod
    def load(cls, data: DataConfig | None, sampling: SamplingConfig | None):
        """Load the data set, with `data.clips`.

        Raises:
            UserError: another setting of videos is given.
        """
        config = None if data is None else data.clips
        if sampling is not None or data not in (None, DataConfig(clips=config)):
            raise UserError(
                "Expected no setting but data.clips: the clips of 'abilities' "
                f"are generated. Received: data={data}, sampling={sampling}"
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
