"""What loading says it did."""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True, repr=False)
class Report:
    """What became of every weight, on both sides.

    Attributes:
        path: of the file.
        format: "caffe2", "slowfast", "mmaction2", "torchvision",
            "keras_resnet", "ours" or "keras" (a `.keras` file).
        loaded: `{variable of the model: names in the file}`.
        inflated: those of them that were repeated in time.
        converted: those that the file has in another form: a normalisation
            instead of a scale and a shift or the other way round, a bias of a
            convolution that its normalisation took in, a bias that is zero.
        kept: variables that stay as they were initialised.
        unused: names in the file that nothing was taken from.
        ignored: names in the file that are not weights of a network.
        assumed: what the file does not say, and what was taken for it.
        differs: in what the model is not as the networks of the file's source
            are, or as the file's own if `save_weights` has written it,
            although its weights fit. Keras' files say nothing of it.
        selected: which of the file's dictionaries of weights was taken, if it
            has several or averaged weights. Averaged weights (EMA) are taken
            before others.
    """

    path: str
    format: str
    loaded: dict[str, tuple[str, ...]]
    inflated: tuple[str, ...] = ()
    converted: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    assumed: dict[str, Any] = dataclasses.field(default_factory=dict)
    differs: tuple[str, ...] = ()
    selected: str = ""

    def __repr__(self) -> str:  # of hundreds of names, what fits a screen
        lines = [
            f"{self.path} ({self.format}): {len(self.loaded)} variables loaded"
        ]
        if self.selected:
            lines.append(f"  weights of {self.selected}")
        for field in dataclasses.fields(self):
            names = getattr(self, field.name)
            if isinstance(names, tuple) and names:
                more = ", ..." if len(names) > 3 else ""
                some = ", ".join(names[:3])
                lines.append(f"  {field.name} {len(names)}: {some}{more}")
        lines += [f"  assumed {k}={v!r}" for k, v in self.assumed.items()]
        return "\n".join(lines)
