"""Report of loading weights."""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True, repr=False)
class LoadReport:
    """Variables and file entries that were matched, converted or left over.

    Attributes:
        path: path of the file.
        format: "caffe2", "slowfast", "pytorchvideo", "mmaction2",
            "torchvision", "huggingface", "keras_resnet", "nonlocal_tf"
            (variables by their own paths) or "keras" (a `.keras` file).
        loaded: `{variable path: names in the file}`.
        inflated: variables whose 2D kernels were repeated in time.
        converted: variables that have another form in the file: batch
            normalization or scale and shift, a convolution's bias that was
            folded into its normalization, a zero bias.
        kept: variables that kept their initial values.
        unused: weights of the file for which the model has no variable.
        ignored: entries of the file that are not weights of a network.
        assumed: arguments of `create_model` that the file does not determine,
            and their assumed values.
        differences: ways in which the model computes differently from the
            file's network although the weights fit: a pool, a stride, a
            scale. Empty for Keras' own formats.
        selected: which state dict of the file was loaded, if the file has
            several or averaged weights. Averaged weights (EMA) come first.
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
    differences: tuple[str, ...] = ()
    selected: str = ""

    def __repr__(self) -> str:  # hundreds of names, shortened to one screen
        lines = [
            f"{self.path} ({self.format}): {len(self.loaded)} variables loaded"
        ]
        if self.selected:
            lines.append(f"  weights of {self.selected}")
        for field in dataclasses.fields(self):
            names = getattr(self, field.name)
            if isinstance(names, tuple) and names:
                dots = ", ..." if len(names) > 3 else ""
                first = ", ".join(names[:3])
                lines.append(f"  {field.name} {len(names)}: {first}{dots}")
        lines += [f"  assumed {k}={v!r}" for k, v in self.assumed.items()]
        return "\n".join(lines)
