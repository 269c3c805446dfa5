"""One drawn scene gives the pictures from which the training samples of all tasks are combined.

Encoding is what costs, so each scene's few pictures are encoded once and serve many samples.
"""

from dataclasses import dataclass

import numpy as np

from . import scenes
from .instructions import EXTEND, FILL, PICTURE, PLACE, RECOLOUR, REDRAW, REMOVE, SHOW, article, wording

# (height, width, references that may stand beside it)
SIZES = ((144, 144, 1), (192, 192, 0), (144, 192, 0), (192, 144, 0), (112, 112, 3))
SIZE_SHARES = (0.24, 0.44, 0.08, 0.08, 0.16)

# Holes in the empty ground beside the one of the hero: where removal had one hole a scene, the network knew the
# scenes by heart (its error on new ones was twice that on old ones).
HOLES = 4


@dataclass
class Scene:
    """Pictures uint8 [H, W, 3] and masks uint8 [H, W] by name, and the samples made of them."""

    pictures: dict[str, np.ndarray]
    masks: dict[str, np.ndarray]
    samples: list[dict]


def hide(picture: np.ndarray, mask: np.ndarray, scale: float) -> np.ndarray:
    """`edit * (1 - mask * scale)` in [-1, 1] space, for pictures in [0, 1]: what is hidden turns mid-grey."""
    return 0.5 + (picture - 0.5) * (1 - mask[..., None] * scale)


def reference_of(rng, t: scenes.Thing, h: int) -> np.ndarray:
    """The thing on a background of its own, square."""
    turned = scenes.replace(t, x=0.5 + rng.uniform(-0.06, 0.06), y=0.5 + rng.uniform(-0.06, 0.06),
                            radius=rng.uniform(0.24, 0.4), angle=t.angle + rng.uniform(-0.25, 0.25))
    ground = np.ones((h, h, 3), np.float32) * rng.uniform(0.85, 1) if rng.random() < 0.5 else scenes.background(rng, h, h)
    return scenes.paint(ground, turned, shadow=rng.random() < 0.6)


def holes(rng, bystanders: np.ndarray) -> list[np.ndarray]:
    """At most HOLES masks that touch no bystander: what is gone from them can be known. bystanders: bool [H, W]"""
    h, w = bystanders.shape
    drawn = [scenes.brush_mask(rng, scenes.thing(rng, w / h, radius=rng.uniform(0.14, 0.34)), h, w) for _ in range(2 * HOLES)]
    return [hole for hole in drawn if not (hole.astype(bool) & bystanders).any()][:HOLES]


def draw_scene(seed: int) -> tuple[int, Scene]:
    """-> index into SIZES, the scene"""
    rng = np.random.default_rng(seed)
    size = int(rng.choice(len(SIZES), p=SIZE_SHARES))
    h, w, references = SIZES[size]
    aspect = w / h
    hero = scenes.thing(rng, aspect, radius=rng.uniform(0.14, 0.34))
    bare = scenes.background(rng, h, w, scenes.TRAINED)
    ground = scenes.with_bystanders(rng, bare, hero, rng.choice(4, p=[0.35, 0.35, 0.2, 0.1]))
    present = scenes.paint(ground, hero)
    mask = scenes.brush_mask(rng, hero, h, w)
    mask = np.maximum(mask, scenes.touched(ground, present) * (rng.random() < 0.7))  # most people mean the shadow too
    other = scenes.thing(rng, aspect)  # what stood there before, for recolouring and redrawing
    old_rgb = scenes.replace(hero, colour=other.colour, rgb=other.rgb)
    before_colour = scenes.paint(ground, old_rgb)
    grey = before_colour.mean(-1, keepdims=True).repeat(3, -1)
    recolour_edit = before_colour * (1 - mask[..., None]) + grey * mask[..., None]
    doodle = scenes.paint(ground, scenes.replace(hero, rgb=other.rgb, gloss=0.0), shadow=False)
    border = np.zeros((h, w), np.float32)
    side, reach = rng.integers(4), rng.uniform(0.2, 0.45)
    gy, gx = np.mgrid[0:h, 0:w]
    border[[gy < h * reach, gy >= h * (1 - reach), gx < w * reach, gx >= w * (1 - reach)][side]] = 1

    pictures = {
        "present": present,
        "absent": ground,
        "hidden": hide(present, mask, 1.0),
        "half": hide(doodle, mask, 0.5),
        "grey": recolour_edit,
        "border": hide(ground, border, 1.0),
    }
    masks = {"mask": mask, "border": border, "all": np.ones_like(mask)}
    plain_name = str(rng.choice(list(scenes.COLOURS)))
    if references or rng.random() < 0.4:
        plain = np.ones((h, w, 3), np.float32) * np.array(scenes.COLOURS[plain_name], np.float32)
        pictures["plain"] = scenes.paint(plain, scenes.replace(hero, x=aspect / 2 + rng.uniform(-0.1, 0.1), y=0.5 + rng.uniform(-0.1, 0.1)))
    for n in range(references):
        of = hero if n == 0 else scenes.thing(rng, aspect)
        pictures[f"reference{n + 1}"] = reference_of(rng, of, h)

    def sample(task, edit, target, mask_name, text, count=0):
        return {"task": task, "edit": edit, "target": target, "mask": mask_name, "text": text, "references": count}

    samples = [
        sample("inpaint", "hidden", "present", "mask", wording(rng, FILL, hero)),
        sample("inpaint", "hidden", "present", "mask", wording(rng, FILL, hero)),
        sample("remove", "hidden", "absent", "mask", wording(rng, REMOVE, hero)),
        sample("remove", "hidden", "absent", "mask", wording(rng, REMOVE, hero)),
        sample("local-editing", "half", "present", "mask", wording(rng, REDRAW, hero)),
        sample("recolor", "grey", "present", "mask", wording(rng, RECOLOUR, hero)),
        sample("outpaint", "border", "absent", "border", wording(rng, EXTEND, hero)),
    ]
    if "plain" in pictures:
        ground_name = f"{article(plain_name)} background"
        samples.append(sample("text-to-image", "none", "plain", "all", wording(rng, PICTURE, hero, ground_name)))
        if references:
            samples.append(sample("reference-generation", "none", "plain", "all", wording(rng, SHOW, hero, ground_name), int(rng.integers(1, references + 1))))
    if references:
        for _ in range(3):
            samples.append(sample("local-reference-editing", "hidden", "present", "mask", wording(rng, PLACE, hero), int(rng.integers(1, references + 1))))
    else:
        for n, hole in enumerate(holes(rng, scenes.touched(bare, ground))):
            pictures[f"hole{n}"], masks[f"hole{n}"] = hide(ground, hole, 1.0), hole
            samples.append(sample("remove", f"hole{n}", "absent", f"hole{n}", wording(rng, REMOVE, hero)))
    return size, Scene(
        {name: np.clip(p * 255 + 0.5, 0, 255).astype(np.uint8) for name, p in pictures.items()},
        {name: m.astype(np.uint8) for name, m in masks.items()},
        samples,
    )
