"""Which files are videos: the table of endings, and what is tried.

An ending that says video makes a file one, so that a damaged file is bad and
not passed over. What is known to be something else (text, still images,
archives, sound, ...) is passed over. All the rest is tried: FFmpeg reads more
than any table has.
"""

import codecs
import collections
import concurrent.futures
import importlib.util
import os
from collections.abc import Iterable

import tensorflow as tf

from . import decode, file_names, listing
from .file_names import ending_of

ENDINGS = tuple(
    ".mp4 .m4v .avi .mkv .webm .mov .mpg .mpeg .wmv .flv .ts .3gp .ogv "
    ".mts .m2ts .m2t .mpe .mpv .m1v .m2v .mp2v .m2p .vob .vro .evo .trp .tod "
    ".asf .wm .divx .xvid .dv .dif .mxf .gxf .rm .rmvb .qt .hdmov .mj2 .f4v "
    ".3g2 .3gpp .3gp2 .ogm .mk3d .nut .nsv .wtv .dvr-ms .amv .ivf .y4m .h261 "
    ".h263 .h264 .264 .avc .h265 .265 .hevc .h266 .266 .vvc .obu .vc1 .mjpg "
    ".mjpeg .cavs .gif .apng .fli .flc .roq .bik .smk .insv .lrv .ismv "
    ".dav".split()
)
# Images that may be films.
ANIMATED = {".webp": b"ANIM", ".avif": b"avis"}
OTHERS = frozenset(
    # Text, tables and programs.
    ".txt .md .rst .csv .tsv .json .jsonl .ndjson .xml .yaml .yml .toml .ini "
    ".cfg .conf .log .html .htm .css .js .py .pyc .ipynb .sh .bat .ps1 .c .h "
    ".cpp .java .m .r .tex .bib .pdf .doc .docx .odt .rtf .xls .xlsx .ods "
    ".ppt .pptx .exe .dll .so .o .url .lnk .webloc .torrent .ttf .otf .woff "
    # Subtitles, annotations and lists of other files.
    ".srt .vtt .ass .ssa .sub .idx .sbv .smi .lrc .ttml .nfo .eaf .textgrid "
    ".xmp .gpx .kml .m3u .m3u8 .pls .xspf .mpd .ffconcat .edl .cue .ifo .bup "
    # Still images.
    ".jpg .jpeg .jpe .jfif .png .bmp .dib .tif .tiff .ico .icns .svg .psd "
    ".xcf .ai .eps .heic .heif .raw .dng .cr2 .nef .arw .orf .rw2 .jp2 .j2k "
    ".jxl .pbm .pgm .ppm .pnm .tga .exr .hdr .dds .qoi .pcx .thm "
    # Sound.
    ".mp3 .wav .flac .aac .m4a .m4b .opus .oga .wma .aif .aiff .amr .mid "
    ".midi .ape .ac3 .dts .mka .au .mp2 .ra .spx .weba .caf "
    # Archives, arrays, weights, records, checksums.
    ".zip .tar .gz .tgz .bz2 .tbz2 .xz .txz .zst .7z .rar .iso .img .dmg .lz4 "
    ".cab .deb .rpm .jar .whl .npy .npz .pkl .pickle .pt .pth .ckpt .h5 .hdf5 "
    ".keras .onnx .pb .tflite .safetensors .mat .parquet .feather .arrow "
    ".tfrecord .tfrecords .lmdb .mdb .db .sqlite .sqlite3 .lock .md5 .sha1 "
    ".sha256 .sha512 .sig .asc "
    # Files that are not finished, or were replaced.
    ".part .partial .crdownload .download .aria2 .ytdl .tmp .temp .bak .old "
    ".swp .orig".split()
)
SETTLED = OTHERS.union(ENDINGS)
SOME = "such as .mp4, .mkv, .mov or .avi"  # for messages
HEAD_BYTES = 4096


def sort_out(
    root: str, files: Iterable[str]
) -> tuple[list[str], collections.Counter[str]]:
    """Divides files into videos and others.

    Args:
        root: folder that their paths are relative to.
        files: their paths.

    Returns:
        The videos in the order of `files`, and how many others there are of
        each ending.
    """
    files = list(files)
    unknown = [f for f in files if ending_of(f) not in SETTLED]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        paths = [listing.inside(root, file) for file in unknown]
        shown = dict(zip(unknown, pool.map(_shows_film, paths), strict=True))
    videos = [f for f in files if shown.get(f, ending_of(f) in ENDINGS)]
    others = collections.Counter(map(ending_of, files))
    others.subtract(map(ending_of, videos))
    return videos, +others


def _shows_film(path: str) -> bool:
    """Whether a file whose ending says nothing is a video by its content."""
    ending = ending_of(path)
    head = _head(path)
    if ending in ANIMATED:
        return ANIMATED[ending] in head
    # Playlists and other texts would make FFmpeg open further files.
    if not head or _is_plain_text(head):
        return False
    # tensorflow-io's decoder needs no PyAV; then endings alone count.
    return importlib.util.find_spec("av") is not None and decode.shows(path)


def passed_over(others: collections.Counter[str]) -> list[str]:
    """Say how many files are no videos, by ending, as lines."""
    if not others:
        return []
    total = sum(others.values())
    are = "1 file that is no video"
    if total > 1:
        are = f"{total} files that are no videos"
    return [f"passed over {are}: {file_names.counted(others)}"]


def _head(path: str) -> bytes:
    """What a file begins with; nothing if it cannot be read."""
    try:
        if "://" not in path:
            with open(path, "rb") as file:
                return file.read(HEAD_BYTES)
        with tf.io.gfile.GFile(path, "rb") as file:
            return file.read(HEAD_BYTES)
    except (OSError, tf.errors.OpError):
        return b""


def _is_plain_text(head: bytes) -> bool:
    try:  # its last letter may be cut
        text = codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return "\0" not in text
