"""Measures pocket as it ships: held-out scenes through the companion's command line.

`python -m training.evaluate` writes the scenes, edits each with `dist/server/edit.js`, and prints two measures:

- colour: "a red circle" and others; in how many is the asked colour the dominant one inside the mask?
- removal: mean absolute error inside the mask, over that of filling it with the mean colour around it.
"""

import argparse
import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from . import scenes

SIZE = 192
FIRST_SEED = 10_000_000  # training seeds lie far below


def held_out_scene(index: int) -> dict:
    """A scene that was never trained on: the thing, the picture without it, and a mask around it."""
    rng = np.random.default_rng(FIRST_SEED + index)
    colour = list(scenes.COLOURS)[index % len(scenes.COLOURS)]
    hero = scenes.thing(rng, 1.0)
    hero = replace(hero, shape="circle", colour=colour, rgb=scenes.COLOURS[colour], radius=rng.uniform(0.16, 0.3))
    absent = scenes.with_bystanders(rng, scenes.background(rng, SIZE, SIZE), hero, rng.choice(3))
    present = scenes.paint(absent, hero)
    # The thing and its shadow, as a person would paint over them.
    mask = (scenes.coverage(hero, SIZE, SIZE, grow=0.12 * hero.radius) > 0) | scenes.touched(absent, present)
    return {"absent": absent, "present": present, "mask": mask, "colour": colour}


def to_bytes(picture: np.ndarray) -> Image.Image:
    return Image.fromarray((np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8))


def edit(folder: Path, name: str, image: Path, mask: Path, instruction: str, seed: int) -> np.ndarray:
    """The picture with the layer that the companion made, [H, W, 3] in [0, 1]."""
    out = folder / f"{name}.png"
    run = subprocess.run(
        ["node", "dist/server/edit.js", "--provider", "cpu", "--image", str(image), "--mask", str(mask),
         "--instruction", instruction, "--seed", str(seed), "--out", str(out)],
        capture_output=True, text=True,
    )
    if run.returncode:
        raise RuntimeError(f"{name}: {run.stderr[-500:]}")
    bounds = json.loads(run.stdout)["bounds"]
    picture = Image.open(image).convert("RGBA")
    picture.alpha_composite(Image.open(out).convert("RGBA"), (bounds["left"], bounds["top"]))
    picture.convert("RGB").save(folder / f"{name}_composed.png")
    return np.asarray(picture.convert("RGB"), np.float32) / 255


def dominant_colour(pixels: np.ndarray) -> str:
    """The named colour that is nearest to the most pixels. pixels: [P, 3]"""
    names = list(scenes.COLOURS)
    distances = np.linalg.norm(pixels[:, None] - np.array(list(scenes.COLOURS.values()))[None], axis=-1)
    return names[np.bincount(distances.argmin(-1), minlength=len(names)).argmax()]


def mean_around(picture: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Mean colour of a ring of some ten pixels around the mask. -> [3]"""
    ring = mask.copy()
    for _ in range(10):
        ring[1:] |= ring[:-1].copy()
        ring[:-1] |= ring[1:].copy()
        ring[:, 1:] |= ring[:, :-1].copy()
        ring[:, :-1] |= ring[:, 1:].copy()
    return picture[ring & ~mask].mean(0)


def measure(folder: Path, index: int) -> dict:
    scene = held_out_scene(index)
    image, absent, mask = (folder / f"{index:02}_{name}.png" for name in ("present", "absent", "mask"))
    to_bytes(scene["present"]).save(image)
    to_bytes(scene["absent"]).save(absent)
    Image.fromarray(scene["mask"].astype(np.uint8) * 255).save(mask)
    inside = scene["mask"]
    filled = edit(folder, f"{index:02}_fill", absent, mask, f"a {scene['colour']} circle", index)
    removed = edit(folder, f"{index:02}_remove", image, mask, "remove the object", index)
    flat = mean_around(scene["absent"], inside)
    return {
        "index": index,
        "asked": scene["colour"],
        "got": dominant_colour(filled[inside]),
        "drawn": dominant_colour(scene["present"][inside]),
        "removal": float(np.abs(removed - scene["absent"])[inside].mean()),
        "flat": float(np.abs(flat - scene["absent"][inside]).mean()),
    }


def sheet(folder: Path, rows: list[dict], out: Path) -> None:
    """The first ten scenes, uncherry-picked: picture, filled, with the thing, removed."""
    names = ("absent", "fill_composed", "present", "remove_composed")
    columns = [np.concatenate([np.asarray(Image.open(folder / f"{r['index']:02}_{n}.png").convert("RGB")) for n in names]) for r in rows[:10]]
    Image.fromarray(np.concatenate(columns, 1)).resize((1280, 512), Image.LANCZOS).save(out)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=64)
    parser.add_argument("--work", type=Path, default=Path("training/work/evaluation"))
    parser.add_argument("--sheet", type=Path)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(2) as pool:
        rows = list(pool.map(lambda index: measure(options.work, index), range(options.count)))
    right = sum(r["got"] == r["asked"] for r in rows)
    drawn = sum(r["drawn"] == r["asked"] for r in rows)
    removal, flat = np.mean([r["removal"] for r in rows]), np.mean([r["flat"] for r in rows])
    for r in rows:
        print(f"{r['index']:2}  asked {r['asked']:7} got {r['got']:7}  removal {r['removal']:.4f}  mean colour {r['flat']:.4f}")
    print(f"colour right: {right} of {len(rows)} = {right / len(rows):.0%} (the drawn truth itself: {drawn / len(rows):.0%})")
    print(f"removal: error {removal:.4f}, mean colour around {flat:.4f}, ratio {removal / flat:.2f} (asked: below 0.50)")
    if options.sheet:
        sheet(options.work, rows, options.sheet)


if __name__ == "__main__":
    main()
