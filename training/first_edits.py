"""First edits on photographs that training never saw: `python -m training.first_edits docs/first-edits.png`.

The first twelve unseen photographs of photographs.tsv, in that order; in turn something is removed, a side extended, the whole turned
into night. Place, words and seed are the same for all: nothing is chosen. Each is shown at the size of the page's preview, and the
middle of the edit at 100%.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from . import sources
from .companion import Companion
from .evaluate import marked, run
from .held_out import Case

COUNT = 12
# Of the pictures that are edited, by their longer side; of what the page shows; of the square at 100%.
SIDE, PAGE, DETAIL = 1024, 300, 200
EDITS = (("inpaint", "remove it"), ("outpaint", "extend the picture"), ("general-editing", "make it night"))


def pictures() -> list[tuple[str, np.ndarray]]:
    """-> name, float [H, W, 3] in [0, 1]"""
    found = []
    for photograph in [p for p in sources.listed() if p.use == "unseen"][:COUNT]:
        picture = np.load(sources.stored(photograph))
        scale = SIDE / max(picture.shape[:2])
        size = round(picture.shape[1] * scale), round(picture.shape[0] * scale)
        found.append((photograph.name, cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255))
    return found


def case_of(picture: np.ndarray, task: str, instruction: str) -> Case:
    h, w = picture.shape[:2]
    y, x = np.mgrid[0:h, 0:w]
    if task == "inpaint":
        mask = np.hypot(x / w - 0.55, (y / h - 0.6) * h / w) < 0.08
    elif task == "outpaint":
        mask = x >= 0.85 * w
    else:
        mask = np.ones((h, w), bool)
    return Case(task, instruction, picture, mask, None, picture, picture, shown=mask.all())


def at_page(picture: np.ndarray) -> Image.Image:
    image = Image.fromarray((np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8))
    image.thumbnail((PAGE, PAGE), Image.LANCZOS)
    return image


def detail(picture: np.ndarray, mask: np.ndarray) -> Image.Image:
    """The square around the middle of the mask, pixel by pixel."""
    rows, columns = np.nonzero(mask)
    h, w = mask.shape
    top = min(max(0, (rows.min() + rows.max()) // 2 - DETAIL // 2), h - DETAIL)
    left = min(max(0, (columns.min() + columns.max()) // 2 - DETAIL // 2), w - DETAIL)
    square = picture[top : top + DETAIL, left : left + DETAIL]
    return Image.fromarray((np.clip(square, 0, 1) * 255 + 0.5).astype(np.uint8))


def sheet(made: list[tuple[str, Case, np.ndarray]], out: Path) -> None:
    """Two photographs in a row: given, result, result at 100%."""
    gap, line = 8, 18
    width, height = 2 * PAGE + DETAIL + 3 * gap, max(DETAIL, PAGE * 3 // 4) + line + gap
    canvas = Image.new("RGB", (2 * width, -(-len(made) // 2) * height), "white")
    pen = ImageDraw.Draw(canvas)
    pen.font = ImageFont.load_default(13)
    for n, (name, case, picture) in enumerate(made):
        left, top = n % 2 * width, n // 2 * height
        pen.text((left + gap, top), f'{name}: "{case.instruction}"', fill="black")
        parts = at_page(marked(case)), at_page(picture), detail(picture, case.mask)
        for part, x in zip(parts, (gap, PAGE + 2 * gap, 2 * PAGE + 3 * gap)):
            canvas.paste(part, (left + x - gap // 2, top + line))
    canvas.save(out)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", type=Path, metavar="DIR", help="other weights than those that ship")
    options = parser.parse_args()
    sources.prepare()
    made = []
    with Companion({"other": options.model} if options.model else {}) as companion:
        for n, (name, picture) in enumerate(pictures()):
            case = case_of(picture, *EDITS[n % len(EDITS)])
            made.append((name, case, run(companion, {"model": "other" if options.model else "pocket"}, case, seed=0)))
    sheet(made, options.out)


if __name__ == "__main__":
    main()
