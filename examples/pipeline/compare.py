"""Pictures compared: PSNR in numbers, and side by side with captions. Prints JSON; runs where NumPy and Pillow are.

python compare.py psnr reference.png picture.png...
python compare.py sheet sheet.png "picture.png=caption"...
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

SCALE = 3  # how much a picture of 64 pixels is enlarged in the sheet, so that its pixels are seen
MARGIN, CAPTION = 8, 18  # pixels


def psnr(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> float:
    """Peak signal to noise ratio of two pictures of 8 bits, in dB; infinite where they are the same."""
    if a.shape != b.shape:
        raise ValueError(f"pictures of {a.shape} and {b.shape} cannot be compared")
    error = float(np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2))
    return float(10 * np.log10(255**2 / error)) if error else float("inf")


def read(path: str) -> npt.NDArray[np.uint8]:
    """A picture as uint8 of shape (height, width, 3)."""
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def sheet(target: str, captioned: list[tuple[str, str]]) -> None:
    """Write pictures side by side, enlarged, a caption under each."""
    from PIL import Image, ImageDraw, ImageFont

    pictures = [Image.fromarray(read(path)) for path, _ in captioned]
    wide, high = (side * SCALE for side in pictures[0].size)
    made = Image.new("RGB", (MARGIN + len(pictures) * (wide + MARGIN), high + 2 * MARGIN + CAPTION), "white")
    draw, font = ImageDraw.Draw(made), ImageFont.load_default(13)
    for i, (picture, (_, caption)) in enumerate(zip(pictures, captioned, strict=True)):
        left = MARGIN + i * (wide + MARGIN)
        made.paste(picture.resize((wide, high), Image.Resampling.NEAREST), (left, MARGIN))
        draw.text((left + wide // 2, high + MARGIN + CAPTION // 2 + 4), caption, fill="black", anchor="mm", font=font)
    made.save(target, optimize=True)


def main() -> None:
    """Parse and call."""
    verb, *given = sys.argv[1:]
    if verb == "psnr":
        print(json.dumps([psnr(read(given[0]), read(path)) for path in given[1:]]))
    else:
        sheet(given[0], [(path, caption) for path, _, caption in (text.partition("=") for text in given[1:])])
        print(json.dumps(str(Path(given[0]).name)))


if __name__ == "__main__":
    main()
