"""Names of files as Windows and POSIX read them, without asking the disk: what leaves a folder, and what no file can be called."""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath, PureWindowsPath

# Source: "Naming Files, Paths, and Namespaces" (Win32). The names are devices with any suffix and in any folder; superscript digits count.
DEVICES = re.compile(r"(CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|(COM|LPT)[0-9\u00b9\u00b2\u00b3])", re.IGNORECASE)
FORBIDDEN = re.compile('[<>:"|?*\x00-\x1f]')


def leaves_folder(location: str) -> bool:
    """Whether a location is empty, absolute, on a drive or a share, or goes up, read as either system reads it."""
    windows = PureWindowsPath(location)
    if not location or PurePosixPath(location).is_absolute() or windows.drive or windows.root:
        return True
    return ".." in PurePosixPath(location).parts or ".." in windows.parts


def unusable(location: str, *, windows: bool = os.name == "nt") -> str:
    """Why no file can have this relative path; empty where one can.

    Args:
        location: A relative path.
        windows: Whether to judge as Windows does: devices, streams of files, dots and spaces at the end. POSIX forbids nothing of it.
    """
    if not windows:
        return ""
    for part in PureWindowsPath(location).parts:
        if part == ".":
            continue
        if FORBIDDEN.search(part):
            return f"{part!r} has a character that Windows does not allow in names"
        if part[-1] in ". ":
            return f"{part!r} ends in a dot or a space, which Windows drops"
        if DEVICES.fullmatch(part.split(".")[0].rstrip(" ")):
            return f"{part!r} is a device on Windows, not a file"
    return ""


def respelled(location: str, base: Path) -> str:
    """What to do where a location was written with backslashes and the file is there under slashes; empty otherwise."""
    slashes = location.replace("\\", "/")
    if slashes == location or leaves_folder(slashes) or not (base / slashes).is_file():
        return ""
    return f"the location has backslashes, and ONNX asks for slashes: export again, or rename {slashes} to {location!r}"
