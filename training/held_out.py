"""Cases that training never draws: other seeds, pairs of colour and shape that it leaves out, and other wordings."""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.random import Generator

from . import scenes
from .instructions import article
from .samples import reference_of

SIZE = 192
SMALL = 144  # where a reference stands beside it: training draws none larger
FIRST_SEED = 10_000_000  # training seeds lie far below

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
    references: list[np.ndarray] = field(default_factory=list)


def said(rng: Generator, kind: str, thing: scenes.Thing, ground: str = "") -> str:
    named = f"{thing.colour} {thing.shape}"
    text = str(rng.choice(WORDINGS[kind]))
    for key, value in {"{a}": article(named), "{shape}": thing.shape, "{colour}": thing.colour, "{ground}": ground}.items():
        text = text.replace(key, value)
    return text


def draw(task: str, index: int) -> Case:
    """@param task a key of TASKS"""
    return TASKS[task](np.random.default_rng(FIRST_SEED + index), index)


def hero_on_ground(rng: Generator, size: int) -> tuple[scenes.Thing, np.ndarray, np.ndarray, np.ndarray]:
    """-> a thing never drawn in training, the ground without it, with it, and a mask around it and its shadow"""
    hero = replace(scenes.thing(rng, 1.0, held_out=True), radius=rng.uniform(0.18, 0.3))
    ground = scenes.with_bystanders(rng, scenes.background(rng, size, size), hero, rng.choice(3))
    present = scenes.paint(ground, hero)
    mask = (scenes.coverage(hero, size, size, grow=0.12 * hero.radius) > 0) | scenes.touched(ground, present)
    return hero, ground, present, mask


def disc(thing: scenes.Thing, size: int, touched: np.ndarray) -> np.ndarray:
    """A mask that says where a thing shall be and not which. -> bool [H, W]"""
    x, y = scenes.grid(size, size)
    return (np.hypot(x - thing.x, y - thing.y) < 1.25 * thing.radius) | touched


def circle(rng: Generator, index: int) -> tuple[scenes.Thing, np.ndarray, np.ndarray, np.ndarray]:
    """The same with circles of every colour in turn."""
    colour = list(scenes.COLOURS)[index % len(scenes.COLOURS)]
    hero = scenes.thing(rng, 1.0)
    hero = replace(hero, shape="circle", colour=colour, rgb=scenes.COLOURS[colour], radius=rng.uniform(0.16, 0.3))
    absent = scenes.with_bystanders(rng, scenes.background(rng, SIZE, SIZE), hero, rng.choice(3))
    present = scenes.paint(absent, hero)
    # The thing and its shadow, as a person would paint over them.
    mask = (scenes.coverage(hero, SIZE, SIZE, grow=0.12 * hero.radius) > 0) | scenes.touched(absent, present)
    return hero, absent, present, mask


def fill_circle(rng: Generator, index: int) -> Case:
    hero, absent, present, mask = circle(rng, index)
    return Case("inpaint", f"a {hero.colour} circle", present, mask, hero, absent, absent)


def remove_circle(rng: Generator, index: int) -> Case:
    hero, absent, present, mask = circle(rng, index)
    return Case("inpaint", "remove the object", absent, mask, None, absent, present)


def fill(rng: Generator, _index: int) -> Case:
    hero, ground, present, _ = hero_on_ground(rng, SIZE)
    mask = disc(hero, SIZE, scenes.touched(ground, present))
    return Case("inpaint", said(rng, "fill", hero), present, mask, hero, ground, ground)


def remove(rng: Generator, _index: int) -> Case:
    hero, ground, present, mask = hero_on_ground(rng, SIZE)
    return Case("inpaint", said(rng, "remove", hero), ground, mask, None, ground, present)


def recolour(rng: Generator, _index: int) -> Case:
    hero, ground, present, mask = hero_on_ground(rng, SIZE)
    other = scenes.thing(rng, 1.0)
    before = scenes.paint(ground, replace(hero, colour=other.colour, rgb=other.rgb))
    return Case("recolor", said(rng, "recolour", hero), present, mask, hero, ground, before)


def redraw(rng: Generator, _index: int) -> Case:
    hero, ground, present, mask = hero_on_ground(rng, SIZE)
    doodle = scenes.paint(ground, replace(hero, rgb=scenes.thing(rng, 1.0).rgb, gloss=0.0), shadow=False)
    return Case("local-editing", said(rng, "redraw", hero), present, mask, hero, ground, doodle)


def extend(rng: Generator, _index: int) -> Case:
    hero, ground, _present, _mask = hero_on_ground(rng, SIZE)
    mask = np.zeros((SIZE, SIZE), bool)
    mask[:, int(SIZE * (1 - rng.uniform(0.2, 0.4))) :] = True
    return Case("outpaint", said(rng, "extend", hero), ground, mask, None, ground, ground)


def plain_picture(rng: Generator) -> tuple[scenes.Thing, np.ndarray, str]:
    hero = replace(scenes.thing(rng, 1.0, held_out=True), radius=rng.uniform(0.18, 0.3), x=0.5, y=0.5)
    name = str(rng.choice([colour for colour in scenes.COLOURS if colour != hero.colour]))
    ground = np.ones((SMALL, SMALL, 3), np.float32) * np.array(scenes.COLOURS[name], np.float32)
    return hero, ground, f"{article(name)} background"


def picture(rng: Generator, _index: int) -> Case:
    hero, ground, name = plain_picture(rng)
    mask = np.ones((SMALL, SMALL), bool)
    return Case("text-to-image", said(rng, "picture", hero, name), scenes.paint(ground, hero), mask, hero, ground)


def show(rng: Generator, _index: int) -> Case:
    hero, ground, name = plain_picture(rng)
    mask = np.ones((SMALL, SMALL), bool)
    reference = reference_of(rng, hero, SMALL)
    return Case("reference-generation", said(rng, "show", hero, name), scenes.paint(ground, hero), mask, hero, ground, None, [reference])


def place(rng: Generator, _index: int) -> Case:
    hero, ground, present, _ = hero_on_ground(rng, SMALL)
    mask = disc(hero, SMALL, scenes.touched(ground, present))
    return Case("local-reference-editing", said(rng, "place", hero), present, mask, hero, ground, ground, [reference_of(rng, hero, SMALL)])


TASKS = {
    "fill": fill,
    "remove": remove,
    "recolour": recolour,
    "redraw": redraw,
    "extend": extend,
    "picture": picture,
    "place": place,
    "show": show,
    "fill circles": fill_circle,
    "remove circles": remove_circle,
}
