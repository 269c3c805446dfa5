"""One scene gives the pictures from which the training samples of all tasks are combined.

Encoding is what costs, so each scene's few pictures are encoded once and serve many samples.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from . import scenes
from .instructions import (CHANGES, EXTEND, FILL, FROM_CONTROL, PICTURE, PLACE, RECOLOUR, REDRAW, REMOVE, SHARPEN, SHOW, article,
                           wording)

# (height, width, references that may stand beside it): what the companion's crop window comes to. Few, so that a reference
# lies mostly as far from the target: attention by position finds it there.
SIZES = ((128, 128, 1), (128, 128, 0), (192, 192, 0), (128, 128, 2))
SIZE_SHARES = (0.5, 0.22, 0.2, 0.08)

# Holes in the empty ground beside the one of the hero: where removal had one hole a scene, the network knew the
# scenes by heart (its error on new ones was twice that on old ones).
HOLES = 3
# Of scenes that are a photograph with nothing on it: what was in any hole is known there.
BARE_PHOTOGRAPHS = 0.3


@dataclass
class Scene:
    """Pictures uint8 [H, W, 3] and masks uint8 [H, W] by name, and the samples made of them."""

    pictures: dict[str, np.ndarray]
    masks: dict[str, np.ndarray]
    samples: list[dict]


def hide(picture: np.ndarray, mask: np.ndarray, scale: float) -> np.ndarray:
    """`edit * (1 - mask * scale)` in [-1, 1] space, for pictures in [0, 1]: what is hidden turns mid-grey."""
    return 0.5 + (picture - 0.5) * (1 - mask[..., None] * scale)


def reference_of(rng, t: scenes.Thing, side: int, photographs: str = "train") -> np.ndarray:
    """The thing on a background of its own, square, and large as in the pictures that people take of a thing."""
    turn = 0.0 if t.code_point is not None else rng.uniform(-0.2, 0.2)
    turned = scenes.replace(t, x=0.5 + rng.uniform(-0.04, 0.04), y=0.5 + rng.uniform(-0.04, 0.04),
                            radius=rng.uniform(0.28, 0.38), angle=t.angle + turn)
    plain = rng.random() < 0.5
    ground = np.ones((side, side, 3), np.float32) * rng.uniform(0.85, 1) if plain else scenes.background(rng, side, side, photographs=photographs)
    return scenes.paint(ground, turned, shadow=rng.random() < 0.6)


def hero_of(rng, aspect: float) -> scenes.Thing:
    """A thing as the crop window shows it: in the middle, twice its radius some two thirds of the height; one in five anywhere."""
    if rng.random() < 0.2:
        return scenes.thing(rng, aspect, radius=rng.uniform(0.14, 0.34))
    return scenes.thing(rng, aspect, radius=rng.uniform(0.24, 0.33), x=aspect / 2 + rng.uniform(-0.04, 0.04), y=0.5 + rng.uniform(-0.04, 0.04))


def holes(rng, bystanders: np.ndarray) -> list[np.ndarray]:
    """At most HOLES masks that touch no bystander: what is gone from them can be known. bystanders: bool [H, W]"""
    h, w = bystanders.shape
    drawn = [scenes.brush_mask(rng, scenes.thing(rng, w / h, radius=rng.uniform(0.16, 0.34)), h, w) for _ in range(2 * HOLES)]
    return [hole for hole in drawn if not (hole.astype(bool) & bystanders).any()][:HOLES]


def recoloured(rng, t: scenes.Thing) -> scenes.Thing:
    """The thing in a colour that has a name: a shape has one already."""
    return scenes.coloured(rng, t, str(rng.choice(list(scenes.COLOURS)))) if t.code_point is not None else t


def reduced(rng, picture: np.ndarray, kind: str) -> np.ndarray:
    """What a control or a small picture leaves of it: "edges", "grey", "mosaic", "small"."""
    h, w = picture.shape[:2]
    if kind == "grey":
        return picture.mean(-1, keepdims=True).repeat(3, -1)
    if kind == "edges":
        found = cv2.Canny((picture * 255).astype(np.uint8), 60, 120)
        return np.repeat(cv2.dilate(found, np.ones((2, 2), np.uint8))[..., None] / np.float32(255), 3, -1)
    factor = rng.integers(2, 6) if kind == "small" else rng.integers(6, 12)
    small = cv2.resize(picture, (w // factor, h // factor), interpolation=cv2.INTER_AREA)
    return np.clip(cv2.resize(small, (w, h), interpolation=cv2.INTER_NEAREST if kind == "mosaic" else cv2.INTER_CUBIC), 0, 1)


def changed(picture: np.ndarray, kind: str) -> np.ndarray:
    """A change of the whole picture: a key of CHANGES."""
    grey = picture.mean(-1, keepdims=True)
    return {
        "night": lambda: (0.35 * picture + 0.15 * grey) * np.array([0.55, 0.7, 1.15], np.float32),
        "sunset": lambda: (picture * 0.75 + 0.08) * np.array([1.25, 0.85, 0.6], np.float32),
        "grey": lambda: grey.repeat(3, -1),
        "bright": lambda: picture**0.55,
        "mirror": lambda: picture[:, ::-1],
    }[kind]()


def draw_border(rng, h: int, w: int) -> np.ndarray:
    """A mask along one side. -> [H, W] in {0, 1}"""
    side, reach = rng.integers(4), rng.uniform(0.2, 0.45)
    gy, gx = np.mgrid[0:h, 0:w]
    return [gy < h * reach, gy >= h * (1 - reach), gx < w * reach, gx >= w * (1 - reach)][side].astype(np.float32)


def draw_photograph(rng, h: int, w: int, photographs: str) -> Scene:
    """A bare photograph with four holes and two borders, to be filled with what was there."""
    truth = scenes.photo(rng, h, w, photographs)
    pictures, masks, found = {"absent": truth}, {}, []
    for n in range(6):
        border = n > 3
        hole = draw_border(rng, h, w) if border else scenes.brush_mask(rng, hero_of(rng, w / h), h, w)
        pictures[f"hole{n}"], masks[f"hole{n}"] = hide(truth, hole, 1.0), hole
        text = wording(rng, EXTEND if border else REMOVE, scenes.thing(rng, w / h))
        found.append({"task": "outpaint" if border else "remove", "edit": f"hole{n}", "target": "absent", "mask": f"hole{n}",
                      "text": text, "references": 0})
    return finished(pictures, masks, found)


def finished(pictures: dict[str, np.ndarray], masks: dict[str, np.ndarray], found: list[dict]) -> Scene:
    return Scene(
        {name: np.clip(p * 255 + 0.5, 0, 255).astype(np.uint8) for name, p in pictures.items()},
        {name: m.astype(np.uint8) for name, m in masks.items()},
        found,
    )


def draw_scene(seed: int, photographs: str = "train") -> tuple[int, Scene]:
    """photographs: their use (sources.Photograph). -> index into SIZES, the scene"""
    rng = np.random.default_rng(seed)
    if rng.random() < BARE_PHOTOGRAPHS:
        size = int(rng.choice([1, 2]))
        return size, draw_photograph(rng, *SIZES[size][:2], photographs)
    size = int(rng.choice(len(SIZES), p=SIZE_SHARES))
    h, w, references = SIZES[size]
    aspect = w / h
    hero = hero_of(rng, aspect)
    bare = scenes.background(rng, h, w, scenes.TRAINED, photographs)
    ground = scenes.with_bystanders(rng, bare, hero, rng.choice(4, p=[0.4, 0.35, 0.15, 0.1]))
    present = scenes.paint(ground, hero)
    mask = scenes.brush_mask(rng, hero, h, w)
    mask = np.maximum(mask, scenes.touched(ground, present) * (rng.random() < 0.7))  # most people mean the shadow too
    drawn = scenes.shape(rng, aspect)  # what gives a doodle its colour, or a shape another one
    pictures = {"present": present, "absent": ground, "hidden": hide(present, mask, 1.0)}
    masks = {"mask": mask, "all": np.ones_like(mask)}
    samples = []

    def sample(task, edit, target, mask_name, forms, count=0, of=hero, about="a plain background"):
        text = wording(rng, forms, of, about)
        samples.append({"task": task, "edit": edit, "target": target, "mask": mask_name, "text": text, "references": count})

    # A picture without a name cannot be asked for in words.
    for _ in range(2 if hero.shape else 0):
        sample("inpaint", "hidden", "present", "mask", FILL)
    for _ in range(2):
        sample("remove", "hidden", "absent", "mask", REMOVE)

    if references:
        for n in range(references):
            of = hero if n == 0 else scenes.thing(rng, aspect)
            pictures[f"reference{n + 1}"] = reference_of(rng, of, h, photographs)
        for count in rng.integers(1, references + 1, 3):
            sample("local-reference-editing", "hidden", "present", "mask", PLACE, int(count))
    else:
        border = draw_border(rng, h, w)
        pictures["border"], masks["border"] = hide(ground, border, 1.0), border
        sample("outpaint", "border", "absent", "border", EXTEND)
        for n, hole in enumerate(holes(rng, scenes.touched(bare, ground))):
            pictures[f"hole{n}"], masks[f"hole{n}"] = hide(ground, hole, 1.0), hole
            sample("remove", f"hole{n}", "absent", f"hole{n}", REMOVE)

    if rng.random() < 0.5:
        doodle = scenes.silhouette(ground, hero, drawn.rgb)
        pictures["half"] = hide(doodle, mask, 0.5)
        if hero.shape:
            sample("local-editing", "half", "present", "mask", REDRAW)
    if rng.random() < 0.4:
        dyed = recoloured(rng, hero)
        before = scenes.paint(ground, scenes.replace(hero, rgb=drawn.rgb)) if hero.code_point is None else present
        pictures["grey"] = before * (1 - mask[..., None]) + reduced(rng, before, "grey") * mask[..., None]
        pictures["dyed"] = scenes.paint(ground, dyed) if hero.code_point is not None else present
        sample("recolor", "grey", "dyed", "mask", RECOLOUR, of=dyed)
    if (hero.shape or references) and rng.random() < 0.4:
        name = str(rng.choice(list(scenes.COLOURS)))
        plain = np.ones((h, w, 3), np.float32) * np.array(scenes.COLOURS[name], np.float32)
        pictures["plain"] = scenes.paint(plain, hero)
        about = f"{article(name)} background"
        if hero.shape:
            sample("text-to-image", "none", "plain", "all", PICTURE, about=about)
        if references:
            sample("reference-generation", "none", "plain", "all", SHOW, int(rng.integers(1, references + 1)), about=about)
    if rng.random() < 0.2:
        kind = str(rng.choice(["edges", "grey", "mosaic"]))
        pictures["control"] = reduced(rng, present, kind)
        sample("control", "control", "present", "all", FROM_CONTROL[kind])
    if rng.random() < 0.1:
        pictures["small"] = reduced(rng, present, "small")
        sample("super-resolution", "small", "present", "all", SHARPEN)
    if rng.random() < 0.2:
        kind = str(rng.choice(list(CHANGES)))
        pictures["changed"] = changed(present, kind)
        sample("general-editing", "present", "changed", "all", CHANGES[kind])
    return size, finished(pictures, masks, samples)
