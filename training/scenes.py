"""Scenes: drawn backgrounds or photographs, and on them pictured things or shaded, coloured shapes, with soft shadows.

Pictures are float32 arrays [H, W, 3] in [0, 1]; masks are float32 [H, W] in {0, 1}. Everything follows from the
`numpy.random.Generator` that is passed in, so a seed names a scene.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.random import Generator

from . import sources

COLOURS = {
    "red": (0.86, 0.12, 0.12),
    "orange": (0.96, 0.52, 0.08),
    "yellow": (0.97, 0.86, 0.14),
    "green": (0.14, 0.62, 0.22),
    "cyan": (0.12, 0.78, 0.82),
    "blue": (0.13, 0.28, 0.84),
    "purple": (0.50, 0.18, 0.70),
    "pink": (0.97, 0.50, 0.70),
    "brown": (0.45, 0.27, 0.13),
    "black": (0.08, 0.08, 0.09),
    "white": (0.95, 0.95, 0.95),
    "grey": (0.50, 0.50, 0.51),
}
SHAPES = ("circle", "square", "triangle", "star", "heart", "ring", "cross", "diamond", "hexagon", "crescent")

# Pairs never drawn in training, so that a measurement asks for something new.
HELD_OUT = {("red", "star"), ("blue", "heart"), ("green", "diamond"), ("yellow", "circle"), ("purple", "square")}


# How often a thing is a picture with a name, a picture that is only shown, a drawn shape.
KINDS = (0.4, 0.3, 0.3)


@dataclass(frozen=True)
class Thing:
    """A pictured thing or a shaded shape: centre and radius in units of the picture's height, angle in radians."""

    # A shape or a pictured thing's name; nothing where it has none.
    shape: str
    # Nothing where it has its own colours.
    colour: str
    rgb: tuple[float, float, float] | None
    x: float
    y: float
    radius: float
    angle: float
    light: float
    gloss: float
    # Of a pictured thing.
    code_point: int | None = None

    @property
    def name(self) -> str:
        return f"{self.colour} {self.shape}".strip()


def place(rng: Generator, aspect: float) -> dict[str, float]:
    """Where and how large a thing is, and how it is turned and lit."""
    return {
        "x": rng.uniform(0.0, aspect), "y": rng.uniform(0.0, 1.0), "radius": rng.uniform(0.1, 0.26),
        "angle": rng.uniform(-0.4, 0.4), "light": rng.uniform(0, 2 * np.pi), "gloss": rng.uniform(0.1, 0.6),
    }


def shape(rng: Generator, aspect: float, held_out: bool = False, **given) -> Thing:
    """A random shape; `held_out` draws only from HELD_OUT, otherwise never."""
    if held_out:
        colour, form = sorted(HELD_OUT)[rng.integers(len(HELD_OUT))]
    else:
        while True:
            colour, form = str(rng.choice(list(COLOURS))), str(rng.choice(SHAPES))
            if (colour, form) not in HELD_OUT:
                break
    return replace(coloured(rng, Thing(form, "", None, **place(rng, aspect)), colour), **given)


def coloured(rng: Generator, t: Thing, colour: str) -> Thing:
    """The thing in nearly that colour."""
    rgb = np.clip(np.array(COLOURS[colour]) + rng.uniform(-0.05, 0.05, 3), 0.02, 0.98)
    return replace(t, colour=colour, rgb=tuple(float(c) for c in rgb))


def pictured(rng: Generator, aspect: float, name: str, code_point: int, **given) -> Thing:
    return replace(Thing(name, "", None, **place(rng, aspect), code_point=code_point), **given)


def thing(rng: Generator, aspect: float, **given) -> Thing:
    """A random thing of the kinds that training draws."""
    kind = rng.choice(3, p=KINDS)
    if kind == 2:
        return shape(rng, aspect, **given)
    if kind == 1:
        return pictured(rng, aspect, "", int(rng.choice(sources.trained_code_points())), **given)
    name = str(rng.choice(list(sources.NAMED)))
    return pictured(rng, aspect, name, sources.NAMED[name], **given)


def grid(h: int, w: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixel centres in units of the height. -> 2 x [H, W]"""
    y, x = np.mgrid[0:h, 0:w].astype(np.float32)
    return (x + 0.5) / h, (y + 0.5) / h


def distance(shape: str, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Signed distance (nearly) of points to a shape of radius 1: negative inside."""
    if shape == "circle":
        return np.hypot(x, y) - 1
    if shape == "square":
        return np.maximum(np.abs(x), np.abs(y)) - 0.85
    if shape == "diamond":
        return (np.abs(x) * 1.25 + np.abs(y) - 1) * 0.66
    if shape == "triangle":
        return np.maximum((np.abs(x) * 2 - y - 1) * 0.447, y - 0.8)
    if shape == "hexagon":
        return np.maximum(np.abs(x), np.abs(x) * 0.5 + np.abs(y) * 0.866) - 0.9
    if shape == "cross":
        bar = lambda a, b: np.maximum(np.abs(a) - 0.95, np.abs(b) - 0.33)
        return np.minimum(bar(x, y), bar(y, x))
    if shape == "ring":
        return np.abs(np.hypot(x, y) - 0.72) - 0.27
    if shape == "crescent":
        return np.maximum(np.hypot(x, y) - 1, 0.8 - np.hypot(x - 0.5, y - 0.1))
    if shape == "star":
        angle, r = np.arctan2(x, -y), np.hypot(x, y)
        folded = np.abs(np.mod(angle + np.pi / 5, 2 * np.pi / 5) - np.pi / 5)
        px, py = r * np.cos(folded), r * np.sin(folded)
        ax, ay, bx, by = 1.0, 0.0, 0.42 * np.cos(np.pi / 5), 0.42 * np.sin(np.pi / 5)
        length = np.hypot(bx - ax, by - ay)
        return ((px - ax) * (by - ay) - (py - ay) * (bx - ax)) / length
    if shape == "heart":
        px, py = np.abs(x) * 1.05, -y * 1.05 + 0.15
        lobes = np.hypot(px - 0.42, py - 0.3) - 0.55
        tip = np.maximum((px + -py) * 0.707 - 0.66, py - 0.45)
        return np.minimum(lobes, np.maximum(tip, px - 0.93))
    raise ValueError(f"unknown shape {shape!r}")


def pixels_of(t: Thing, h: int, w: int) -> np.ndarray:
    """A pictured thing by itself, upright. -> [H, W, 4], premultiplied"""
    side = max(2, round(2 * t.radius * h))
    picture = np.array(sources.things()[t.code_point], np.float32) / 255
    if t.rgb is not None:
        light = picture[..., :3] @ np.array([0.3, 0.59, 0.11], np.float32)
        mean = (light * picture[..., 3]).sum() / (picture[..., 3].sum() + 1e-6)
        picture[..., :3] = np.clip(np.array(t.rgb, np.float32) * np.clip(0.4 + 0.6 * light / (mean + 1e-6), 0, 1.5)[..., None], 0, 1)
    picture[..., :3] *= picture[..., 3:]
    picture = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
    left, top = round(t.x * h - side / 2), round(t.y * h - side / 2)
    canvas = np.zeros((h, w, 4), np.float32)
    x0, y0, x1, y1 = max(0, left), max(0, top), min(w, left + side), min(h, top + side)
    if x1 > x0 and y1 > y0:
        canvas[y0:y1, x0:x1] = picture[y0 - top : y1 - top, x0 - left : x1 - left]
    return canvas


def coverage(t: Thing, h: int, w: int, grow: float = 0.0, soft: float = 1.0) -> np.ndarray:
    """Anti-aliased coverage of a thing, [H, W] in [0, 1]; `grow` in units of the height, `soft` edge in pixels."""
    if t.code_point is not None:
        alpha = pixels_of(t, h, w)[..., 3]
        if grow > 0:
            reach = 2 * round(grow * h) + 1
            alpha = cv2.dilate(alpha, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach)))
        return cv2.GaussianBlur(alpha, (0, 0), soft / 3) if soft > 1 else alpha
    gx, gy = grid(h, w)
    x, y = (gx - t.x) / t.radius, (gy - t.y) / t.radius
    c, s = np.float32(np.cos(t.angle)), np.float32(np.sin(t.angle))
    d = distance(t.shape, c * x + s * y, c * y - s * x) * t.radius - grow
    return np.clip(0.5 - d * h / soft, 0, 1).astype(np.float32)


def paint(canvas: np.ndarray, t: Thing, shadow: bool = True) -> np.ndarray:
    """The canvas with the thing on it: soft shadow; a shape is shaded across, with a highlight."""
    h, w = canvas.shape[:2]
    gx, gy = grid(h, w)
    lx, ly = np.cos(t.light), -abs(np.sin(t.light))
    out = canvas
    if shadow:
        below = replace(t, x=t.x - lx * t.radius * 0.12, y=t.y - ly * t.radius * 0.12)
        out = out * (1 - 0.35 * coverage(below, h, w, soft=max(2.0, t.radius * h * 0.35))[..., None])
    if t.code_point is not None:
        pixels = pixels_of(t, h, w)
        return np.clip(out * (1 - pixels[..., 3:]) + pixels[..., :3], 0, 1).astype(np.float32)
    slope = ((gx - t.x) * lx + (gy - t.y) * ly) / t.radius
    shade = np.clip(1 + 0.22 * slope, 0.6, 1.3)[..., None]
    colour = np.array(t.rgb, np.float32) * shade
    spot = np.exp(-(((gx - t.x - lx * t.radius * 0.4) ** 2 + (gy - t.y - ly * t.radius * 0.4) ** 2) / (0.25 * t.radius) ** 2))
    colour = colour + t.gloss * 0.5 * spot[..., None]
    a = coverage(t, h, w)[..., None]
    return np.clip(out * (1 - a) + colour * a, 0, 1).astype(np.float32)


def silhouette(canvas: np.ndarray, t: Thing, rgb: tuple[float, float, float]) -> np.ndarray:
    """A doodle of the thing: its form in one colour."""
    a = coverage(t, *canvas.shape[:2])[..., None]
    return canvas * (1 - a) + np.array(rgb, np.float32) * a


def touched(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Where a thing or its shadow was painted. -> bool [H, W]"""
    return np.abs(after - before).max(-1) > 0.01


def muted(rng: Generator) -> np.ndarray:
    """A background colour: any hue, rather pale or dim."""
    base, saturation = rng.uniform(0.15, 0.95), rng.uniform(0, 0.35)
    return np.clip(base + saturation * rng.uniform(-0.6, 0.6, 3), 0, 1).astype(np.float32)


def fractal(rng: Generator, h: int, w: int, roughness: float) -> np.ndarray:
    """Noise of spectrum 1/f^roughness, normalised to [-1, 1]. -> [H, W]"""
    fy, fx = np.fft.fftfreq(h)[:, None], np.fft.rfftfreq(w)[None]
    f = np.hypot(fy * h, fx * h)
    f[0, 0] = 1
    spectrum = (rng.standard_normal(f.shape) + 1j * rng.standard_normal(f.shape)) / f**roughness
    spectrum[0, 0] = 0
    field = np.fft.irfft2(spectrum, (h, w))
    return (field / (np.abs(field).max() + 1e-9)).astype(np.float32)


# How often each background is drawn; what is hard to go on with is trained more often than it is asked for.
DRAWN = {"linear": 0.24, "radial": 0.12, "stripes": 0.12, "checks": 0.08, "clouds": 0.14, "wood": 0.08, "horizon": 0.14, "plain": 0.08}
BACKGROUNDS = {"photo": 0.3} | {kind: 0.7 * share for kind, share in DRAWN.items()}
TRAINED = {"photo": 0.5, "linear": 0.06, "radial": 0.05, "stripes": 0.13, "checks": 0.07, "clouds": 0.04, "wood": 0.05, "horizon": 0.09, "plain": 0.01}


def photo(rng: Generator, h: int, w: int, photographs: str = "train") -> np.ndarray:
    """A part of a photograph, mirrored half of the time."""
    chosen = sources.photos(photographs)
    whole = chosen[rng.integers(len(chosen))]
    rows = int(rng.uniform(0.3, 1) * min(whole.shape[0], whole.shape[1] * h / w))
    columns = min(whole.shape[1], rows * w // h)
    top, left = rng.integers(whole.shape[0] - rows + 1), rng.integers(whole.shape[1] - columns + 1)
    part = cv2.resize(whole[top : top + rows, left : left + columns], (w, h), interpolation=cv2.INTER_AREA)
    return (part[:, :: rng.choice([1, -1])] / 255).astype(np.float32)


def background(rng: Generator, h: int, w: int, shares: dict[str, float] = BACKGROUNDS, photographs: str = "train") -> np.ndarray:
    """Photograph, gradient, stripes, checks, clouds, wood, horizon. photographs: their use (sources.Photograph)"""
    gx, gy = grid(h, w)
    a, b = muted(rng), muted(rng)
    angle = rng.uniform(0, np.pi)
    u = np.cos(angle) * (gx - 0.5 * w / h) + np.sin(angle) * (gy - 0.5)
    kind = rng.choice(list(shares), p=list(shares.values()))
    if kind == "photo":
        return photo(rng, h, w, photographs)
    if kind == "linear":
        t = np.clip(u + 0.5, 0, 1)
    elif kind == "radial":
        t = np.clip(np.hypot(gx - rng.uniform(0, w / h), gy - rng.uniform(0, 1)), 0, 1)
    elif kind == "stripes":
        b = np.clip(a + rng.uniform(-0.3, 0.3, 3), 0, 1)
        t = np.clip(0.5 + rng.uniform(1, 8) * np.sin(2 * np.pi * u * rng.uniform(2, 7)), 0, 1)
    elif kind == "checks":
        b = np.clip(a + rng.uniform(-0.25, 0.25, 3), 0, 1)
        n, v = rng.uniform(2, 5), -np.sin(angle) * gx + np.cos(angle) * gy
        t = np.clip(0.5 + 5 * np.sin(np.pi * n * u * 2) * np.sin(np.pi * n * v * 2), 0, 1)
    elif kind == "clouds":
        t = 0.5 + 0.5 * fractal(rng, h, w, rng.uniform(1.8, 2.6))
    elif kind == "wood":
        b = np.clip(a * rng.uniform(0.7, 0.9), 0, 1)
        t = 0.5 + 0.5 * np.sin(2 * np.pi * (u * rng.uniform(4, 9) + 0.5 * fractal(rng, h, w, 2.4)))
    elif kind == "horizon":
        line = rng.uniform(0.45, 0.75)
        sky = np.clip(gy / line, 0, 1)[..., None]
        ground = np.clip((gy - line) / (1 - line), 0, 1)[..., None]
        top, low = muted(rng), muted(rng)
        picture = a * (1 - sky) + b * sky
        floor = top * (1 - ground) + low * ground
        edge = np.clip((gy - line) * h + 0.5, 0, 1)[..., None]
        return (picture * (1 - edge) + floor * edge).astype(np.float32)
    else:
        t = np.zeros_like(gx)
    picture = a + (b - a) * t[..., None]
    if rng.random() < 0.3:
        picture = picture * (1 + rng.uniform(0.02, 0.06) * fractal(rng, h, w, 1.2)[..., None])
    return np.clip(picture, 0, 1).astype(np.float32)


def with_bystanders(rng: Generator, ground: np.ndarray, hero: Thing, count: int) -> np.ndarray:
    """The ground with other things on it, none of them behind the hero: what stood there could not be known."""
    h, w = ground.shape[:2]
    for _ in range(count):
        for _ in range(10):
            other = thing(rng, w / h, radius=rng.uniform(0.08, 0.2))
            if np.hypot(other.x - hero.x, other.y - hero.y) > 1.4 * hero.radius + 0.9 * other.radius:
                ground = paint(ground, other)
                break
    return ground


def brush_mask(rng: Generator, t: Thing, h: int, w: int) -> np.ndarray:
    """A mask such as a person paints around a thing: rectangle, ellipse, blob or grown outline. -> [H, W] in {0, 1}"""
    gx, gy = grid(h, w)
    r, kind = t.radius * rng.uniform(1.05, 1.25), rng.integers(4)
    dx, dy = gx - t.x, gy - t.y
    if kind == 0:
        inside = np.maximum(np.abs(dx), np.abs(dy)) < r
    elif kind == 1:
        inside = (dx / rng.uniform(0.98, 1.2)) ** 2 + (dy / rng.uniform(0.98, 1.2)) ** 2 < r * r
    elif kind == 2:
        wobble = 1 + 0.1 * np.sin(np.arctan2(dy, dx) * rng.integers(2, 6) + rng.uniform(0, 6))
        inside = np.hypot(dx, dy) < r * wobble
    else:
        inside = coverage(t, h, w, grow=t.radius * rng.uniform(0.1, 0.4)) > 0.02
    return inside.astype(np.float32)


def texture(rng: Generator, h: int, w: int) -> np.ndarray:
    """Pictures for the autoencoder alone: coloured fractal noise with edges and thin strokes, closer to photographs."""
    rough = rng.uniform(1.4, 2.6)
    base = np.stack([fractal(rng, h, w, rough) for _ in range(3)], -1)
    mix = rng.normal(size=(3, 3)) * 0.4 + np.ones((3, 1)) * rng.normal(size=(1, 3)) * 0.5
    picture = 0.5 + 0.6 * base @ mix.astype(np.float32) + rng.uniform(-0.25, 0.25, 3)
    gx, gy = grid(h, w)
    for _ in range(rng.integers(0, 6)):
        angle, offset = rng.uniform(0, np.pi), rng.uniform(0, 1)
        d = np.cos(angle) * (gx - 0.5) + np.sin(angle) * (gy - 0.5) - offset + 0.5
        width = rng.choice([0.5, 0.004, 0.01, 0.03])
        a = (np.clip(0.5 - (np.abs(d) - width) * h, 0, 1) if width < 0.5 else np.clip(0.5 + d * h, 0, 1))[..., None]
        a = a * rng.uniform(0.3, 1)
        picture = picture * (1 - a) + a * (muted(rng) if rng.random() < 0.5 else np.array(COLOURS[str(rng.choice(list(COLOURS)))]))
    return np.clip(picture, 0, 1).astype(np.float32)
