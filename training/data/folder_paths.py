"""Join paths and list folders, local or by URL."""

import glob
import os
import pathlib

from ..io import file_names, paths
from ..io.user_error import UserError


def join_path(root: str, path: str) -> str:
    """Join `root` and `path`, unless `path` is absolute or a URL."""
    if "://" in path or pathlib.PurePath(path).is_absolute() or not root:
        return path
    return f"{root.rstrip('/')}/{path}"


def list_folder(path: str) -> list[str]:
    """List names in a folder, sorted, without hidden and system files.

    Local names that are not UTF-8 contain surrogates.

    Raises:
        UserError: the folder does not exist or cannot be listed.
    """
    try:
        names = list_names(path)
    except FileNotFoundError as error:
        raise UserError(f"There is no folder {path}.") from error
    except OSError as error:
        raise UserError(f"{path} cannot be listed: {error}") from error
    return sorted(n for n in names if not file_names.is_system_file(n))


def list_names(path: str) -> list[str]:
    """List all names in a folder, unsorted.

    Raises:
        OSError: it cannot be listed; FileNotFoundError if it does not exist.
    """
    if "://" not in path:
        return os.listdir(path)
    return [entry.name for entry in paths.as_path(path).iterdir()]


def list_folders(path: str) -> list[str]:
    """List subfolders by name, sorted, without hidden ones."""
    names = filter(file_names.is_text, list_folder(path))
    return [n for n in names if paths.as_path(join_path(path, n)).is_dir()]


def glob_files(pattern: str) -> list[str]:
    """List the files that match a pattern, sorted.

    Raises:
        UserError: the folder cannot be listed, or a name is not UTF-8.
    """
    if "://" not in pattern:
        names = glob.glob(pattern)
    else:
        url = paths.as_path(pattern)
        urls = [url] if url.exists() else url.parent.glob(url.name)
        names = list(map(str, urls))
    for name in names:
        if not file_names.is_text(name):
            raise UserError(
                f"{file_names.printable(name)}: {file_names.NOT_TEXT}."
            )
    return sorted(names)
