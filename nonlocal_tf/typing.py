"""Type aliases for annotations."""

import mmap
from typing import Any, TypeAlias

# A tensor of any Keras backend, eager or symbolic, or a NumPy array. Keras has
# no common type for them; shapes and dtypes are in docstrings.
Tensor: TypeAlias = Any
# Sizes of axes: integers, or None or a tensor where unknown until a graph runs.
# Any stands for the latter, as most code checks for known sizes first.
Shape: TypeAlias = tuple[int | Any, ...]
# `PIL.Image.Image` and `PIL.ImageDraw.ImageDraw`; Pillow is optional.
PILImage: TypeAlias = Any
PILDraw: TypeAlias = Any
# Content of a file: read as a whole, or mapped to memory.
FileContent: TypeAlias = bytes | mmap.mmap
