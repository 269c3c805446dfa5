"""Cases that training never draws: other seeds and wordings, pairs of colour and shape that it leaves out, pictured things and
photographs that it never saw. By words alone a pictured thing can be asked for only if training said its name.
"""

from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from numpy.random import Generator

from . import scenes, sources
from .instructions import article
from .samples import changed, recoloured, reduced, reference_of

SIZE = 256
FIRST_SEED = 10_000_000  # training seeds lie far from it

# None of them in instructions.py.
WORDINGS = {
    "fill": ("could {a} be in this spot", "{a} would be nice here", "now {a}, please", "let me see {a}"),
    "remove": ("get rid of this thing", "please clean this place", "i do not want the {shape}", "delete what is here"),
    "recolour": ("the {shape} should be {colour}", "give it a {colour} colour", "{colour}, please", "turn this {shape} {colour}"),
    "redraw": ("this should be {a}", "make {a} of it", "let it be {a}", "draw it properly: {a}"),
    "extend": ("more of the same background", "go on with it", "make the picture larger", "what could be there"),
    "picture": ("show me {a}, {ground} behind it", "{a} before {ground}", "{ground} with {a}", "draw {a} on {ground}"),
    "place": ("what {image1} shows, here", "{image1} belongs here", "put the thing of {image1} in this spot", "let me see {image1} here"),
    "show": ("what {image1} shows, on {ground}", "{ground} with the thing of {image1}", "draw {image1} on {ground}", "{image1} before {ground}"),
    "edges": ("these are the edges of {a}", "the lines show {a}", "draw {a} along the lines", "{a}, from this drawing"),
    "sharpen": ("more pixels, please", "it is blurred", "give me the details of {image}", "a sharper {image}"),
    "night": ("it should be night", "show it by night", "the same at night", "let night come"),
}


@dataclass
class Case:
    """One edit and what is known of its outcome. Pictures float [H, W, 3] in [0, 1], mask bool [H, W]."""

    task: str
    instruction: str
    truth: np.ndarray
    mask: np.ndarray
    # What should be seen and on what it stands; None where nothing should.
    thing: scenes.Thing | None
    ground: np.ndarray
    edit: np.ndarray | None = None
    # Whether the edit shows what is under the mask.
    shown: bool = False
    references: list[np.ndarray] = field(default_factory=list)


def said(rng: Generator, kind: str, thing: scenes.Thing, ground: str = "") -> str:
    text = str(rng.choice(WORDINGS[kind]))
    for key, value in {"{a}": article(thing.name), "{shape}": thing.shape, "{colour}": thing.colour, "{ground}": ground}.items():
        text = text.replace(key, value)
    return text


def draw(task: str, index: int) -> Case:
    """@param task a key of TASKS"""
    return TASKS[task](np.random.default_rng(FIRST_SEED + index), index)


def hero(rng: Generator, index: int, names: dict[str, int], **given) -> scenes.Thing:
    """In turn a pictured thing of `names` and a shape in a colour that training never gave it."""
    if index % 2:
        return replace(scenes.shape(rng, 1.0, held_out=True), **given)
    name = str(rng.choice(list(names)))
    return scenes.pictured(rng, 1.0, name, names[name], **given)


# What people edit: always one of fifteen photographs. The other rows are on one of three, three times in ten.
PHOTOGRAPHS = {"shares": {"photo": 1.0}, "photographs": "unseen"}


def around_middle(rng: Generator) -> dict[str, float]:
    return {"radius": rng.uniform(0.22, 0.32), "x": 0.5 + rng.uniform(-0.08, 0.08), "y": 0.5 + rng.uniform(-0.08, 0.08)}


def on_ground(rng: Generator, thing: scenes.Thing, shares: dict[str, float] = scenes.BACKGROUNDS, photographs: str = "bench") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """-> the ground without the thing, with it, and a mask around it and its shadow, as a person would paint over them"""
    ground = scenes.with_bystanders(rng, scenes.background(rng, SIZE, SIZE, shares, photographs), thing, rng.choice(3))
    present = scenes.paint(ground, thing)
    mask = (scenes.coverage(thing, SIZE, SIZE, grow=0.12 * thing.radius) > 0) | scenes.touched(ground, present)
    return ground, present, mask


def disc(thing: scenes.Thing, touched: np.ndarray) -> np.ndarray:
    """A mask that says where a thing shall be and not which. -> bool [H, W]"""
    x, y = scenes.grid(SIZE, SIZE)
    return (np.hypot(x - thing.x, y - thing.y) < 1.2 * thing.radius) | touched


def circle(rng: Generator, index: int) -> scenes.Thing:
    """A circle; every colour has its turn."""
    colour = list(scenes.COLOURS)[index % len(scenes.COLOURS)]
    return scenes.shape(rng, 1.0, shape="circle", colour=colour, rgb=scenes.COLOURS[colour], **around_middle(rng))


# Circles are on drawn grounds alone, so that their measures stay comparable with those from before the photographs.
def fill_circle(rng: Generator, index: int) -> Case:
    thing = circle(rng, index)
    ground, present, mask = on_ground(rng, thing, scenes.DRAWN)
    return Case("inpaint", f"a {thing.colour} circle", present, mask, thing, ground, ground)


def remove_circle(rng: Generator, index: int) -> Case:
    ground, present, mask = on_ground(rng, circle(rng, index), scenes.DRAWN)
    return Case("inpaint", "remove the object", ground, mask, None, ground, present)


def fill(rng: Generator, index: int) -> Case:
    thing = hero(rng, index, sources.NAMED, **around_middle(rng))
    ground, present, _ = on_ground(rng, thing)
    mask = disc(thing, scenes.touched(ground, present))
    return Case("inpaint", said(rng, "fill", thing), present, mask, thing, ground, ground)


def remove(rng: Generator, index: int) -> Case:
    thing = hero(rng, index, sources.HELD_OUT, **around_middle(rng))
    ground, present, mask = on_ground(rng, thing)
    return Case("inpaint", said(rng, "remove", thing), ground, mask, None, ground, present)


def remove_from_photograph(rng: Generator, index: int) -> Case:
    thing = hero(rng, index, sources.HELD_OUT, **around_middle(rng))
    ground, present, mask = on_ground(rng, thing, **PHOTOGRAPHS)
    return Case("inpaint", said(rng, "remove", thing), ground, mask, None, ground, present)


def recolour(rng: Generator, index: int) -> Case:
    thing = hero(rng, index, sources.HELD_OUT, **around_middle(rng))
    ground, before, mask = on_ground(rng, thing)
    dyed = recoloured(rng, thing)
    if thing.code_point is None:
        before = scenes.paint(ground, replace(thing, rgb=scenes.shape(rng, 1.0).rgb))
    return Case("recolor", said(rng, "recolour", dyed), scenes.paint(ground, dyed), mask, dyed, ground, before)


def redraw(rng: Generator, index: int) -> Case:
    thing = hero(rng, index, sources.NAMED, **around_middle(rng))
    ground, present, mask = on_ground(rng, thing)
    doodle = scenes.silhouette(ground, thing, scenes.shape(rng, 1.0).rgb)
    return Case("local-editing", said(rng, "redraw", thing), present, mask, thing, ground, doodle)


def extend_photograph(rng: Generator, index: int) -> Case:
    return extend(rng, index, **PHOTOGRAPHS)


def extend(rng: Generator, index: int, **grounds) -> Case:
    """grounds: as `on_ground` has them"""
    thing = hero(rng, index, sources.HELD_OUT, **around_middle(rng))
    ground, _, _ = on_ground(rng, thing, **grounds)
    mask = np.zeros((SIZE, SIZE), bool)
    mask[:, int(SIZE * (1 - rng.uniform(0.2, 0.4))) :] = True
    return Case("outpaint", said(rng, "extend", thing), ground, mask, None, ground, ground)


def on_plain(rng: Generator, thing: scenes.Thing) -> tuple[np.ndarray, str]:
    """-> a ground of one colour, what it is called"""
    name = str(rng.choice([colour for colour in scenes.COLOURS if colour != thing.colour]))
    return np.ones((SIZE, SIZE, 3), np.float32) * np.array(scenes.COLOURS[name], np.float32), f"{article(name)} background"


def picture(rng: Generator, index: int) -> Case:
    thing = hero(rng, index, sources.NAMED, radius=rng.uniform(0.24, 0.32), x=0.5, y=0.5)
    ground, name = on_plain(rng, thing)
    return Case("text-to-image", said(rng, "picture", thing, name), scenes.paint(ground, thing), EVERYWHERE, thing, ground)


def show(rng: Generator, index: int) -> Case:
    thing = hero(rng, index, sources.HELD_OUT, radius=rng.uniform(0.24, 0.32), x=0.5, y=0.5)
    ground, name = on_plain(rng, thing)
    reference = reference_of(rng, thing, SIZE, "bench")
    text = said(rng, "show", thing, name)
    return Case("reference-generation", text, scenes.paint(ground, thing), EVERYWHERE, thing, ground, references=[reference])


def place(rng: Generator, index: int) -> Case:
    thing = hero(rng, index, sources.HELD_OUT, **around_middle(rng))
    ground, present, _ = on_ground(rng, thing)
    mask = disc(thing, scenes.touched(ground, present))
    reference = reference_of(rng, thing, SIZE, "bench")
    return Case("local-reference-editing", said(rng, "place", thing), present, mask, thing, ground, ground, references=[reference])


def edges(rng: Generator, index: int) -> Case:
    thing = hero(rng, index, sources.NAMED, **around_middle(rng))
    ground, present, _ = on_ground(rng, thing)
    given = reduced(rng, present, "edges")
    return Case("control", said(rng, "edges", thing), present, EVERYWHERE, thing, ground, given, shown=True)


def sharpen(rng: Generator, index: int) -> Case:
    thing = hero(rng, index, sources.HELD_OUT, **around_middle(rng))
    _, present, _ = on_ground(rng, thing)
    small = cv2.resize(present, (SIZE // 4, SIZE // 4), interpolation=cv2.INTER_AREA)
    given = np.clip(cv2.resize(small, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC), 0, 1)
    return Case("super-resolution", said(rng, "sharpen", thing), present, EVERYWHERE, None, present, given, shown=True)


def night(rng: Generator, index: int) -> Case:
    thing = hero(rng, index, sources.HELD_OUT, **around_middle(rng))
    _, present, _ = on_ground(rng, thing)
    return Case("general-editing", said(rng, "night", thing), changed(present, "night"), EVERYWHERE, None, present, present, shown=True)


EVERYWHERE = np.ones((SIZE, SIZE), bool)

# The first eight are on the sheet.
TASKS = {
    "fill": fill,
    "remove": remove,
    "recolour": recolour,
    "redraw": redraw,
    "extend": extend,
    "picture": picture,
    "place": place,
    "show": show,
    "edges": edges,
    "sharpen": sharpen,
    "night": night,
    "fill circles": fill_circle,
    "remove circles": remove_circle,
    "remove photographs": remove_from_photograph,
    "extend photographs": extend_photograph,
}
