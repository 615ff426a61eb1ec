"""Tell videos from other files by extension and content.

Files with a video extension are videos, so that damaged ones are reported as
bad videos. Files with an extension of other formats (text, still images,
archives, sound, ...) are skipped. FFmpeg tries to open all others, because it
supports more formats than any table.
"""

import codecs
import collections
import concurrent.futures
import importlib.util
import os
from collections.abc import Iterable

from ..io import file_names, paths, tables
from ..io.file_names import extension
from . import folder_paths, video_index

EXTENSIONS = tuple(
    ".mp4 .m4v .avi .mkv .webm .mov .mpg .mpeg .wmv .flv .ts .3gp .ogv "
    ".mts .m2ts .m2t .mpe .mpv .m1v .m2v .mp2v .m2p .vob .vro .evo .trp .tod "
    ".asf .wm .divx .xvid .dv .dif .mxf .gxf .rm .rmvb .qt .hdmov .mj2 .f4v "
    ".3g2 .3gpp .3gp2 .ogm .mk3d .nut .nsv .wtv .dvr-ms .amv .ivf .y4m .h261 "
    ".h263 .h264 .264 .avc .h265 .265 .hevc .h266 .266 .vvc .obu .vc1 .mjpg "
    ".mjpeg .cavs .gif .apng .fli .flc .roq .bik .smk .insv .lrv .ismv "
    ".dav".split()
)
# Image formats that may be animated: markers of the format and of animation.
ANIMATED = {".webp": (b"WEBP", b"ANIM"), ".avif": (b"avif", b"avis")}
MARKED_BYTES = 64  # of a file that have the format's marker
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
    # Partial downloads, temporary files and backups.
    ".part .partial .crdownload .download .aria2 .ytdl .tmp .temp .bak .old "
    ".swp .orig".split()
)
SETTLED = OTHERS.union(EXTENSIONS)
EXAMPLES = "such as .mp4, .mkv, .mov or .avi"  # for error messages
HEAD_BYTES = 4096


def sort_out(
    root: str, files: Iterable[str]
) -> tuple[list[str], collections.Counter[str]]:
    """Divide files into videos and others.

    Args:
        root: folder that the paths are relative to.
        files: paths of the files.

    Returns:
        The videos in the order of `files`, and the number of other files by
        extension.
    """
    files = list(files)
    ambiguous = [f for f in files if extension(f) not in SETTLED]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        paths = [folder_paths.join_path(root, file) for file in ambiguous]
        by_content = dict(
            zip(ambiguous, pool.map(_has_video_content, paths), strict=True)
        )
    videos = [f for f in files if by_content.get(f, extension(f) in EXTENSIONS)]
    skipped = collections.Counter(map(extension, files))
    skipped.subtract(map(extension, videos))
    return videos, +skipped


def _has_video_content(path: str) -> bool:
    """Return whether a file with another extension is a video."""
    head = _head(path)
    if extension(path) in ANIMATED:
        image, animation = ANIMATED[extension(path)]
        if image in head[:MARKED_BYTES]:
            return animation in head
    # FFmpeg would open the files named in playlists and other texts.
    if not head or _is_plain_text(head):
        return False
    # tensorflow-io's decoder needs no PyAV; then only extensions count.
    return importlib.util.find_spec("av") is not None and video_index.is_video(
        path
    )


def skipped_note(skipped: collections.Counter[str]) -> list[str]:
    """Describe the number of skipped files by extension, as lines."""
    if not skipped:
        return []
    count = tables.number_of(sum(skipped.values()), "file")
    return [
        f"skipped {count} without video content: {file_names.counted(skipped)}"
    ]


def _head(path: str) -> bytes:
    """Read the first bytes of a file; b"" if it cannot be read."""
    try:
        with paths.as_path(path).open("rb") as file:
            return file.read(HEAD_BYTES)
    except OSError:
        return b""


def _is_plain_text(head: bytes) -> bool:
    try:  # the last character may be truncated
        text = codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return "\0" not in text
