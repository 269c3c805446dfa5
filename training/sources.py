"""Pictures that packages ship and that may be used: things with names, and photographs to put them on.

- Things: Microsoft's Fluent emoji in 3D (MIT), from the npm package @lobehub/fluent-emoji-3d.
- Photographs: 194 from packages of Debian 12, all under free licences. `photographs.tsv` lists each with its package, authors,
  licence, and what it is for. The pictures of scikit-image and of OpenCV's documentation are not among them:
  they measure (`training.autoencoder --measure`).

`prepare` fetches them once with npm and apt-get into `training/work/sources/`.
"""

import csv
import functools
import io
import struct
import subprocess
import tarfile
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

FOLDER = Path(__file__).parent / "work" / "sources"
THINGS_PACKAGE = "@lobehub/fluent-emoji-3d@1.1.0"
# Of a thing, in pixels; the shorter side of a photograph, which is never enlarged.
THING_SIDE, PHOTO_SIDE = 192, 640

# What can be asked for in words -> its Unicode code point.
NAMED = {
    "apple": 0x1F34E, "pear": 0x1F350, "lemon": 0x1F34B, "banana": 0x1F34C, "tangerine": 0x1F34A, "strawberry": 0x1F353,
    "pineapple": 0x1F34D, "watermelon": 0x1F349, "tomato": 0x1F345, "carrot": 0x1F955, "avocado": 0x1F951, "egg": 0x1F95A,
    "mushroom": 0x1F344, "cactus": 0x1F335, "sunflower": 0x1F33B, "rose": 0x1F339, "tulip": 0x1F337, "tree": 0x1F333,
    "palm tree": 0x1F334, "doughnut": 0x1F369, "cookie": 0x1F36A, "hamburger": 0x1F354, "pizza": 0x1F355, "cake": 0x1F382,
    "cup of coffee": 0x2615, "beer": 0x1F37A, "teapot": 0x1FAD6, "balloon": 0x1F388, "gift": 0x1F381, "teddy bear": 0x1F9F8,
    "rocket": 0x1F680, "car": 0x1F697, "bus": 0x1F68C, "bicycle": 0x1F6B2, "sailboat": 0x26F5, "house": 0x1F3E0,
    "tent": 0x26FA, "umbrella": 0x2602, "guitar": 0x1F3B8, "trumpet": 0x1F3BA, "camera": 0x1F4F7, "alarm clock": 0x23F0,
    "light bulb": 0x1F4A1, "book": 0x1F4D5, "key": 0x1F511, "lock": 0x1F512, "bell": 0x1F514, "crown": 0x1F451,
    "trophy": 0x1F3C6, "hat": 0x1F3A9, "cat": 0x1F431, "dog": 0x1F436, "panda": 0x1F43C, "fox": 0x1F98A, "frog": 0x1F438,
    "penguin": 0x1F427, "owl": 0x1F989, "fish": 0x1F420, "butterfly": 0x1F98B, "ladybug": 0x1F41E, "turtle": 0x1F422,
    "octopus": 0x1F419, "football": 0x26BD, "basketball": 0x1F3C0, "robot": 0x1F916, "ghost": 0x1F47B, "snowman": 0x26C4,
    "moon": 0x1F319, "cloud": 0x2601, "fire": 0x1F525, "gem": 0x1F48E, "planet": 0x1FA90,
}
# Never seen in training, neither by name nor as a picture.
HELD_OUT = {
    "kiwi": 0x1F95D, "grapes": 0x1F347, "lobster": 0x1F99E, "parrot": 0x1F99C, "helicopter": 0x1F681, "telescope": 0x1F52D,
    "violin": 0x1F3BB, "pretzel": 0x1F968, "koala": 0x1F428, "flamingo": 0x1F9A9, "broccoli": 0x1F966, "lipstick": 0x1F484,
    "magnet": 0x1F9F2, "tractor": 0x1F69C, "backpack": 0x1F392, "pumpkin": 0x1F383, "snail": 0x1F40C, "boot": 0x1F97E,
    "unicorn": 0x1F984, "cheese": 0x1F9C0, "peach": 0x1F351, "taxi": 0x1F695, "chair": 0x1FA91, "crab": 0x1F980,
}


def prepare() -> None:
    """Fetches what is missing. Needs npm, and apt-get and dpkg for the photographs."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    if not (FOLDER / "things.npy").exists():
        fetch_things()
    if not all(stored(photograph).exists() for photograph in listed()):
        fetch_photos()


def fetch_things() -> None:
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["npm", "pack", "--silent", THINGS_PACKAGE], cwd=folder, check=True)
        with tarfile.open(next(Path(folder).glob("*.tgz"))) as archive:
            archive.extractall(folder, filter="data")
        pictures = {}
        for file in sorted(Path(folder, "package", "assets").glob("*.webp")):
            points = [int(point, 16) for point in file.stem.split("-") if point != "fe0f"]
            if len(points) == 1 and points[0] > 0x2300:
                pictures[points[0]] = trimmed(Image.open(file).convert("RGBA"))
    np.save(FOLDER / "things.npy", np.stack(list(pictures.values())))
    np.save(FOLDER / "code-points.npy", np.array(list(pictures)))


def trimmed(picture: Image.Image) -> np.ndarray:
    """What is not transparent, in the middle of a square that its longer side fills. -> uint8 [S, S, 4], straight alpha"""
    cut = picture.crop(picture.getbbox())
    scale = THING_SIDE / max(cut.size)
    cut = cut.resize((max(1, round(cut.width * scale)), max(1, round(cut.height * scale))), Image.LANCZOS)
    square = Image.new("RGBA", (THING_SIDE, THING_SIDE))
    square.paste(cut, ((THING_SIDE - cut.width) // 2, (THING_SIDE - cut.height) // 2))
    return np.asarray(square)


@dataclass(frozen=True)
class Photograph:
    """
    A row of photographs.tsv.

    file: the path in the package; what follows `!` is a path in that Qt resource file.
    use: "train"; "bench", the three that the model card's table has always been measured on; or "unseen", which measure as well.
    """

    package: str
    file: str
    authors: str
    licence: str
    use: str

    @property
    def name(self) -> str:
        parts = Path(self.file.rpartition("!")[2]).parts
        # KDE's wallpapers are named by their folder, the file itself by its size.
        return parts[-4] if "wallpapers" in parts and "contents" in parts else Path(parts[-1]).stem


@functools.cache
def listed() -> list[Photograph]:
    with open(Path(__file__).with_name("photographs.tsv"), newline="") as file:
        rows = csv.DictReader(file, delimiter="\t")
        return [Photograph(r["package"], r["file"], r["authors"], r["licence"], r["use"]) for r in rows]


def stored(photograph: Photograph) -> Path:
    group = Path(photograph.file.partition("!")[0]).stem if "!" in photograph.file else photograph.package
    return FOLDER / "photographs" / f"{group}-{photograph.name}.npy"


def fetch_photos() -> None:
    (FOLDER / "photographs").mkdir(exist_ok=True)
    packages = sorted({photograph.package for photograph in listed()})
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["apt-get", "-qq", "download", *packages], cwd=folder, check=True)
        for package in Path(folder).glob("*.deb"):
            subprocess.run(["dpkg", "-x", package, Path(folder, package.name.partition("_")[0])], check=True)
        for photograph in listed():
            path, _, inner = photograph.file.partition("!")
            if not Path(folder, photograph.package, path).exists():
                raise SystemExit(f"{photograph.package} lacks {path}: photographs.tsv lists what the packages of Debian 12 hold.")
            content = Path(folder, photograph.package, path).read_bytes()
            picture = Image.open(io.BytesIO(qt_resource(content, inner) if inner else content)).convert("RGB")
            scale = min(1, PHOTO_SIDE / min(picture.size))
            size = round(picture.width * scale), round(picture.height * scale)
            np.save(stored(photograph), np.asarray(picture.resize(size, Image.LANCZOS)))


def qt_resource(content: bytes, wanted: str) -> bytes:
    """
    A file in a Qt binary resource, as qtbase's src/corelib/io/qresource.cpp reads it: nodes of 14 bytes (22 from version 2),
    names as length, hash and UTF-16, data behind its size.
    """
    version, tree, data, names = struct.unpack_from(">4I", content, 4)

    def find(index: int, path: list[str]) -> bytes | None:
        node = tree + index * (22 if version >= 2 else 14)
        flags = struct.unpack_from(">H", content, node + 4)[0]
        if flags & 2:
            count, first = struct.unpack_from(">2I", content, node + 6)
            inside = (find(child, path[1:]) for child in range(first, first + count) if path and name_of(child) == path[0])
            return next((found for found in inside if found is not None), None)
        start = data + struct.unpack_from(">I", content, node + 10)[0]
        body = content[start + 4 : start + 4 + struct.unpack_from(">I", content, start)[0]]
        # A compressed file has its size in front of the zlib stream (qUncompress).
        return None if path else zlib.decompress(body[4:]) if flags & 1 else body

    def name_of(index: int) -> str:
        node = tree + index * (22 if version >= 2 else 14)
        at = names + struct.unpack_from(">I", content, node)[0]
        return content[at + 6 : at + 6 + 2 * struct.unpack_from(">H", content, at)[0]].decode("utf-16-be")

    found = find(0, wanted.strip("/").split("/"))
    if found is None:
        raise FileNotFoundError(f"{wanted} is not in the resource file")
    return found


@functools.cache
def things() -> dict[int, np.ndarray]:
    """By code point: uint8 [S, S, 4], straight alpha."""
    return dict(zip(np.load(FOLDER / "code-points.npy").tolist(), np.load(FOLDER / "things.npy", mmap_mode="r")))


@functools.cache
def trained_code_points() -> list[int]:
    held_out = set(HELD_OUT.values())
    return [point for point in things() if point not in held_out]


@functools.cache
def photos(use: str) -> list[np.ndarray]:
    """uint8 [H, W, 3], mapped from the disk, so that every process shares them"""
    return [np.load(stored(p), mmap_mode="r") for p in listed() if p.use == use]
