"""Small video files for the tests, of all kinds that people have."""

import fractions
import pathlib
import struct

import av
import numpy as np
from PIL import Image

SIZE = (36, 52)  # height, width
FPS = 25


def pictures(count: int, size=SIZE, seed=0) -> np.ndarray:
    """Frames that differ clearly: a block walks over a smooth picture."""
    rng = np.random.default_rng(seed)
    height, width = size
    coarse = rng.integers(0, 200, (3, 4, 3))
    still = np.kron(coarse, np.ones((-(-height // 3), -(-width // 4), 1)))
    still = still[:height, :width]
    frames = []
    for number in range(count):
        frame = still.astype(np.uint8).copy()
        y, x = 3 * number % (height - 8), 5 * number % (width - 8)
        frame[y : y + 8, x : x + 8] = (number * 37) % 256
        frames.append(frame)
    return np.stack(frames)


def write_film(
    path: str | pathlib.Path,
    frames: int | np.ndarray = 30,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    gop: int = 12,
    b_frames: int = 2,
    stamps=None,
    title: str = "",
    fps: int = FPS,
    **options: str,
) -> pathlib.Path:
    """Encodes a film; `stamps` are its timestamps in frames (VFR)."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    clip = pictures(frames) if isinstance(frames, int) else frames
    with av.open(str(path), "w") as container:
        if title:
            container.metadata["title"] = title
        stream = container.add_stream(codec, rate=fps)
        stream.height, stream.width = clip.shape[1:3]
        stream.pix_fmt = pix_fmt
        stream.codec_context.gop_size = gop
        if codec in ("libx264", "mpeg4"):
            stream.codec_context.max_b_frames = b_frames
        stream.options = {k: str(v) for k, v in options.items()}
        for number, pixels in enumerate(clip):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = number if stamps is None else stamps[number]
            frame.time_base = fractions.Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_sound(path: str | pathlib.Path) -> pathlib.Path:
    """A file without a video stream."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, 1024), np.float32), format="fltp", layout="mono"
        )
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return pathlib.Path(path)


def stamp_wrongly(path: pathlib.Path, to: pathlib.Path) -> None:
    """Copies a film with B-frames, numbering its packets as they are stored."""
    with av.open(str(path)) as source, av.open(str(to), "w") as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        for packet in source.demux(stream):
            if packet.dts is not None:
                packet.pts = packet.dts
                packet.stream = copy
                target.mux(packet)


def turn(path: pathlib.Path, quarter_turns: int) -> None:
    """Turns an MP4 by its display matrix, as phones do."""
    matrices = {1: (0, -1, 1, 0), 2: (-1, 0, 0, -1), 3: (0, 1, -1, 0)}
    set_matrix(path, matrices[quarter_turns])


def set_matrix(path: pathlib.Path, matrix: tuple[int, int, int, int]) -> None:
    """Sets a, b, c and d of the display matrix of an MP4."""
    a, b, c, d = (number << 16 for number in matrix)
    content = bytearray(path.read_bytes())
    place = content.index(b"tkhd") + 4 + 40  # version 0: 40 bytes before it
    matrix = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    content[place : place + len(matrix)] = matrix
    path.write_bytes(content)


def write_gif(
    path: pathlib.Path,
    frames: np.ndarray,
    milliseconds: list[int] | int,
    kind: str = "GIF",
) -> pathlib.Path:
    """A GIF, or an animated PNG, with delays that are multiples of ten."""
    pictures = [Image.fromarray(frame) for frame in frames]
    pictures[0].save(
        path,
        format=kind,
        save_all=True,
        append_images=pictures[1:],
        duration=milliseconds,
    )
    return path


def cut(path: pathlib.Path, share: float) -> None:
    """Leaves the first part of a file."""
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])


def flip_bytes(path: pathlib.Path, count: int, seed: int = 0) -> None:
    """Damages the pictures of a film; the header at its start stays."""
    rng = np.random.default_rng(seed)
    content = np.frombuffer(path.read_bytes(), np.uint8).copy()
    start = path.read_bytes().index(b"mdat") + 700
    stop = path.read_bytes().index(b"moov")
    places = rng.integers(start, stop, count)
    content[places] ^= rng.integers(1, 256, count).astype(np.uint8)
    path.write_bytes(content.tobytes())


def frames_of(path: pathlib.Path):
    """What a decoder puts out, from the first frame to the last."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        # What decoders make of damage depends on the number of threads.
        stream.codec_context.thread_count = 1
        for packet in container.demux(stream):
            try:
                # At once: a decoder may go on painting on a damaged frame.
                yield from packet.decode()
            except av.error.FFmpegError:
                continue


def decode_all(path: pathlib.Path) -> np.ndarray:
    """All of them as uint8 RGB."""
    return np.stack(
        [frame.to_ndarray(format="rgb24") for frame in frames_of(path)]
    )
