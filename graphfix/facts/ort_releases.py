"""What each release of ONNX Runtime accepts: the newest opset of the default domain and the newest IR version."""

from __future__ import annotations

from collections.abc import Mapping

# (major, minor) -> (opset, IR). Source: each wheel was asked to load small models of rising opset and IR version, and the last one
# that it took is written here. The messages: "ONNX Runtime only *guarantees* support for models stamped with official released onnx
# opset versions", "Unsupported model IR version: 14, max supported IR version: 13". Releases between two rows are as the older one.
NEWEST: Mapping[tuple[int, int], tuple[int, int]] = {
    (1, 19): (21, 10),
    (1, 20): (21, 10),
    (1, 21): (22, 10),
    (1, 22): (22, 10),
    (1, 23): (23, 11),
    (1, 24): (25, 13),
    (1, 26): (26, 13),
    (1, 28): (26, 13),
    (1, 30): (26, 13),
    (1, 32): (28, 14),
}


def newest(release: tuple[int, int]) -> tuple[int, int] | None:
    """(opset, IR) of a release, by the newest row that is not newer; None for a release older than the table."""
    rows = [row for row in NEWEST if row <= release]
    return NEWEST[max(rows)] if rows else None
