"""The wordings of every task, as a person would type them."""

from numpy.random import Generator

from .scenes import COLOURS, SHAPES, Thing
from .sources import HELD_OUT, NAMED

ADJECTIVES = ("", "", "", "shiny ", "small ", "big ", "bright ", "smooth ")
FILL = ("{a}", "{a}", "put {a} here", "add {a}", "draw {a}", "{a} here", "place {a} in the mask", "fill with {a}",
        "i want {a}", "{a}, centred", "generate {a}", "insert {a} here please", "there is {a}", "could you put {a} here",
        "{a} at this place", "can i have {a} here", "paint {a} in it", "we need {a}", "{a} goes here", "one {thing}, please",
        "fill this with {a}", "with {a}")
REMOVE = ("remove the object", "remove the object", "remove it", "remove the {thing}", "erase this", "erase the {thing}",
          "clean background", "delete the object", "make it disappear", "nothing here, only the background", "remove",
          "take the {thing} away", "restore the background", "empty", "clean this up", "this should not be here",
          "the {shape} must go", "no {shape}", "without the {thing}", "wipe it out", "just the ground", "fix the background",
          "delete it", "delete the {thing}", "please remove", "please remove this", "clear this area", "take it out, please",
          "lose the {shape}", "remove what is there", "cut the {shape} out", "i want nothing here", "object removal", "heal")
EXTEND = ("extend the picture", "continue the background", "outpaint", "fill in the missing part", "extend", "expand",
          "continue the scene", "make it wider", "uncrop", "fill the border", "complete the picture", "add room at the side",
          "more background", "expand the canvas", "continue")
RECOLOUR = ("make it {colour}", "colour it {colour}", "recolor the {shape} {colour}", "{image} a {colour} {shape}",
            "paint the {shape} {colour}", "change the colour to {colour}", "a {colour} {shape}", "i want it {colour}",
            "the {shape} in {colour}", "{colour}", "dye it {colour}", "let it be {colour}")
REDRAW = ("{a}", "redraw it as {a}", "turn it into {a}", "{image} {a}", "change it to {a}", "this is {a}", "render {a}",
          "finish it as {a}", "a better {thing}",
          'by referencing the mask, restore a partial image from the doodle {image} that aligns with: "{a}"')
PLACE = ("put {image1} here", "put {image1} here", "place the object from {image1} here", "the item is put on the ground",
         "add the {shape} from {image1}", "the thing of {image1} here", "insert {image1}", "use {image1}",
         "the {thing} of {image1} is put here", "put the item in the mask", "paste {image1}", "{image1} here, please",
         "what is in {image1}", "copy the {shape} of {image1} to this place", "{image1} goes here")
SHOW = ("{image1} on {ground}", "show the object of {image1} on {ground}", "the same {shape} as in {image1}, on {ground}",
        "a photo of {image1} on {ground}", "{image1} with {ground}", "{ground}, {image1} on it")
PICTURE = ("{a} on {ground}", "{a}, {ground}", "a picture of {a} on {ground}", "{a}", "i want {a} on {ground}",
           "{ground}, {a} on it", "render {a} on {ground}")

# Of the whole picture, by what is given of it; `{image}` is the model's own word for what is edited.
FROM_CONTROL = {
    "edges": ("{image} {a}", "{a} from these edges", "turn the drawing into {a}", "make a picture of these lines", "{a}"),
    "grey": ("colour this picture", "colorize {image}", "give it colours", "add colour", "{image} in colour"),
    "mosaic": ("undo the mosaic of {image}", "remove the mosaic", "show what the mosaic hides", "restore {image}"),
}
SHARPEN = ("make it sharp", "upscale {image}", "more detail", "super resolution", "enhance", "make {image} sharper", "unblur it")
CHANGES = {
    "night": ("make it night", "turn day into night", "night", "as it looks at night", "change it to night"),
    "sunset": ("make it sunset", "in the evening sun", "warm light", "at sunset", "give it a warm light"),
    "grey": ("make it black and white", "black and white", "remove all colour", "as an old photo", "without colours"),
    "bright": ("make it brighter", "brighten it", "more light", "lighten the picture", "it is too dark"),
    "mirror": ("turn it to the left", "mirror it", "flip the picture", "turn it around", "flip it horizontally"),
}


def article(words: str) -> str:
    return ("an " if words[0] in "aeiou" else "a ") + words


def wording(rng: Generator, forms: tuple[str, ...], thing: Thing, ground: str = "a plain background") -> str:
    """One wording, filled in. `{image}` and `{image1}` stay as they are: they are the model's own words."""
    called = thing.shape or "thing"  # what a picture without a name is called
    named = f"{thing.colour} {called}".strip()
    values = {
        "{a}": article(str(rng.choice(ADJECTIVES)) + named),
        "{thing}": named if rng.random() < 0.6 else called,
        "{colour}": thing.colour,
        "{shape}": called,
        "{ground}": ground,
    }
    text = str(rng.choice(forms))
    for key, value in values.items():
        text = text.replace(key, value)
    if rng.random() < 0.3:
        text = text[0].upper() + text[1:] + rng.choice(["", "."])
    return text.replace("grey", "gray") if rng.random() < 0.2 else text


def corpus() -> list[str]:
    """Everything that can be said, for the tokenizers, and some English beside it."""
    import numpy as np

    from .scenes import coloured, thing

    rng = np.random.default_rng(0)
    lines = []
    for forms in (FILL, REMOVE, EXTEND, RECOLOUR, REDRAW, PLACE, SHOW, PICTURE, SHARPEN, *FROM_CONTROL.values(), *CHANGES.values()):
        for _ in range(400):
            # Without a colour of its own, a thing can be dyed all the same.
            of = coloured(rng, thing(rng, 1.0), str(rng.choice(list(COLOURS)))) if forms is RECOLOUR else thing(rng, 1.0)
            lines.append(wording(rng, forms, of, f"{article(str(rng.choice(list(COLOURS))))} background"))
    english = (
        "the of and to in is that it for was on are with as his they be at one have this from or had by hot but some what "
        "there we can out other were all your when up use word how said an each she which do their time if will way about "
        "many then them would write like so these her long make thing see him two has look more day could go come did my "
        "sound no most number who over know water than call first people may down side been now find any new work part "
        "take get place made live where after back little only round man year came show every good me give our under "
        "portrait face girl smiling robot logo mug coffee table ground item wooden chair photo blurred minimalist style "
        "printed matte ceramic owl shell natural lighting detailed cinematic maintain facial features police uniform"
    )
    return lines + [english] * 40 + [*SHAPES, *COLOURS, *NAMED, *HELD_OUT] * 40
