"""Instructions in several wordings. `{image1}` is the first reference, `{image}` any; words in the plain are lower case."""

import random

COLOURS = {
    "red": (205, 38, 38),
    "orange": (240, 130, 25),
    "yellow": (240, 212, 40),
    "green": (45, 150, 55),
    "cyan": (40, 190, 195),
    "blue": (40, 80, 210),
    "purple": (130, 50, 175),
    "pink": (240, 130, 180),
    "brown": (120, 75, 40),
    "black": (28, 28, 30),
    "white": (242, 242, 240),
    "grey": (128, 128, 130),
}
COLOUR_WORDS = {"cyan": ("cyan", "teal", "turquoise"), "purple": ("purple", "violet"), "grey": ("grey", "gray")}
SHAPES = (
    "circle", "square", "triangle", "star", "heart", "ring", "cross", "diamond", "hexagon", "crescent",
)  # fmt: skip
SHAPE_WORDS = {
    "circle": ("circle", "circle", "disc", "ball", "dot"),
    "square": ("square", "box"),
    "ring": ("ring", "donut"),
    "cross": ("cross", "plus"),
    "diamond": ("diamond", "rhombus"),
    "crescent": ("crescent", "moon"),
}
OBJECT = ("object", "thing", "item", "shape", "object")
FILLER = ("nice", "beautiful", "detailed", "realistic", "high quality", "sharp", "small", "big", "large", "photo of")


def colour_word(rng: random.Random, colour: str) -> str:
    return rng.choice(COLOUR_WORDS.get(colour, (colour,)))


def shape_word(rng: random.Random, shape: str) -> str:
    return rng.choice(SHAPE_WORDS.get(shape, (shape,)))


def article(words: str) -> str:
    return ("an " if words[0] in "aeiou" else "a ") + words


def thing(rng: random.Random, shape: str, colour: str) -> str:
    """"a red circle", now and then with a word that says nothing or "shiny" """
    words = f"{colour_word(rng, colour)} {shape_word(rng, shape)}"
    if rng.random() < 0.15:
        words = f"{rng.choice(FILLER + ('shiny', 'glossy'))} {words}"
    return article(words)


def inpaint(rng: random.Random, shape: str, colour: str) -> str:
    what = thing(rng, shape, colour)
    if rng.random() < 0.35:
        return what
    return rng.choice(
        (
            "put {} here", "add {}", "draw {} here", "fill with {}", "place {} here", "{} in the marked area",
            "paint {}", "add {} here", "insert {}", "there is {} in {{image}}", "put {} into {{image}}",
            "replace it with {}", "turn it into {}", "make it {}", "generate {}", "a picture of {}",
        )
    ).format(what)  # fmt: skip


def fill_colour(rng: random.Random, colour: str) -> str:
    """A colour without a shape."""
    return rng.choice(("{}", "fill with {}", "paint it {}", "{} here", "all {}", "make this {}")).format(
        colour_word(rng, colour)
    )


def picture(rng: random.Random, shape: str, colour: str, back: str) -> str:
    what, behind = thing(rng, shape, colour), colour_word(rng, back)
    return rng.choice(
        (
            "{} on {} background", "{} on {} background", "{} in front of {} background", "a picture of {} on {}",
            "draw {} on {} background", "generate {}, {} background",
        )
    ).format(what, article(behind) if rng.random() < 0.7 else behind)  # fmt: skip


def remove(rng: random.Random, shape: str, colour: str) -> str:
    if rng.random() < 0.4:
        name = f"{colour_word(rng, colour)} {shape_word(rng, shape)}"
        if rng.random() < 0.3:
            name = shape_word(rng, shape)
    else:
        name = rng.choice(OBJECT)
    return rng.choice(
        (
            "remove the {0}", "remove the {0}", "erase the {0}", "delete the {0}", "remove this {0}", "erase this",
            "remove this", "remove it", "clean background", "remove the {0} from {{image}}", "take the {0} away",
            "remove", "clean up", "remove the {0} and fill in the background", "get rid of the {0}",
            "background only", "make the {0} disappear",
        )
    ).format(name)  # fmt: skip


def outpaint(rng: random.Random) -> str:
    return rng.choice(
        (
            "", "", "extend the picture", "outpaint", "extend the image", "continue the picture", "expand {image}",
            "extend the background", "fill in the rest", "complete the picture", "more of the same",
        )
    )  # fmt: skip


def recolour(rng: random.Random, shape: str, colour: str) -> str:
    word = colour_word(rng, colour)
    name = rng.choice(("it", "it", "this", f"the {shape_word(rng, shape)}", f"the {rng.choice(OBJECT)}"))
    return rng.choice(("make {0} {1}", "colour {0} {1}", "color {0} {1}", "paint {0} {1}", "{1}", "turn {0} {1}")).format(
        name, word
    )


def place_reference(rng: random.Random, number: int, count: int, shape: str, colour: str) -> str:
    """`number` counts from 1; with one reference the plain `{image}` will do."""
    token = "{image}" if count == 1 and rng.random() < 0.4 else f"{{image{number}}}"
    words = (
        "put {0} here", "place {0} here", "place the {1} from {0} here", "put the {1} of {0} here", "add the {1} from {0}",
        "insert {0}", "the {1} of {0} is here", "copy {0} here", "{0}", "put the {1} in {0} into the picture",
    )  # fmt: skip
    if count == 1:
        words += ("the item is put on the ground", "put the reference here", "put it here", "add this {1}", "the same {1}")
    name = f"{colour} {shape_word(rng, shape)}" if rng.random() < 0.2 else rng.choice(OBJECT)
    return rng.choice(words).format(token, name)


def subject(rng: random.Random, number: int, count: int, back: str) -> str:
    token = "{image}" if count == 1 and rng.random() < 0.4 else f"{{image{number}}}"
    words = (
        "{0} on {1} background", "{0} on {1} background", "the object of {0} on {1} background",
        "the {2} from {0} on {1}", "a picture of {0}, {1} background",
    )  # fmt: skip
    return rng.choice(words).format(token, article(colour_word(rng, back)), rng.choice(OBJECT))


def vocabulary() -> list[str]:
    """All words that an instruction can hold, and a few that people use besides: found by drawing many."""
    rng = random.Random(0)
    words: set[str] = set()
    for _ in range(20000):
        shape, colour, back = rng.choice(SHAPES), rng.choice(list(COLOURS)), rng.choice(list(COLOURS))
        for text in (
            inpaint(rng, shape, colour), fill_colour(rng, colour), picture(rng, shape, colour, back),
            remove(rng, shape, colour), outpaint(rng), recolour(rng, shape, colour),
            place_reference(rng, rng.randint(1, 3), 3, shape, colour), place_reference(rng, 1, 1, shape, colour),
            subject(rng, 1, 1, back),
        ):  # fmt: skip
            words.update(word for word in text.replace(",", " , ").split() if not word.startswith("{"))
    return sorted(words | {".", "!", "?", "please", "and", "with"})
