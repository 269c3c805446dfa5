"""Measures pocket as it ships, by task, on held-out cases through the companion: `python -m training.evaluate`.

- named: what is seen is nearest to the thing that was asked for, among all things with a name, drawn in its place (for a shape:
  among all shapes in all colours);
- colour: the asked colour is the nearest one in most of the thing's pixels;
- error: mean absolute error inside the mask, over that of the mean colour around it; of a grey picture where there is no around;
  of what is given where the whole picture is given and is to change;
- Telea: the same measure for cv2.inpaint, where something is to vanish or to go on;
- alone: named without the references, where there are any, and the error without them;
- structure: correlation of brightness before and after, where only colours may change;
- outside: what changed outside the mask, of 255.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from . import adapters, held_out, scenes, sources
from .companion import Companion, to_bytes
from .held_out import Case

# What other weights of this size are asked for, whose defaults would be FLUX.1's.
AS_POCKET = {"steps": 12, "guidance": 4, "window": {"maxSequence": 144, "context": 0.25}}

# On the sheet.
SHOWN = list(held_out.TASKS)[:8]

# Tasks for which the companion takes an adapter by itself.
ADAPTED = [task for tasks in adapters.TASKS.values() for task in tasks]


def run(companion: Companion, asked: dict, case: Case, seed: int, with_references: bool = True) -> np.ndarray:
    """The picture with the layer that the companion made. asked: the request's model, and what else all cases share"""
    request = {"instruction": case.instruction, "task": case.task, "seed": seed, **AS_POCKET, **asked}
    references = case.references if with_references else []
    h, w = case.mask.shape
    if case.references and not with_references:
        request["task"] = "inpaint" if case.edit is not None else "text-to-image"
    if case.task == "control":
        request["control"] = "canny"
    if case.edit is None:
        layer, _, _ = companion.edit({**request, "width": w, "height": h}, references=references)
        return layer[..., :3]
    layer, bounds, _ = companion.edit(request, case.edit, case.mask, references)
    out = to_bytes(case.edit).astype(np.float32) / 255
    rows = slice(bounds["top"], bounds["top"] + bounds["height"])
    columns = slice(bounds["left"], bounds["left"] + bounds["width"])
    alpha = layer[..., 3:]
    out[rows, columns] = out[rows, columns] * (1 - alpha) + layer[..., :3] * alpha
    return out


def nearest_colour(pixels: np.ndarray) -> str:
    """The named colour that is nearest to the most pixels. pixels: [P, 3]"""
    names = list(scenes.COLOURS)
    distances = np.linalg.norm(pixels[:, None] - np.array(list(scenes.COLOURS.values()))[None], axis=-1)
    return names[np.bincount(distances.argmin(-1), minlength=len(names)).argmax()]


# Of the pictures with which the result is compared: enough for 16 x 16 means, and there are some hundred for each case.
CANDIDATE_SIDE = 96


def feature(image: np.ndarray, thing: scenes.Thing) -> np.ndarray:
    """The square around a thing, in 16 x 16 means."""
    h = image.shape[0]
    reach = int(np.ceil(1.2 * thing.radius * h))
    y, x = int(thing.y * h), int(thing.x * h)
    padded = np.pad(image, ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    return cv2.resize(padded[y : y + 2 * reach, x : x + 2 * reach], (16, 16), interpolation=cv2.INTER_AREA)


def nearest_thing(image: np.ndarray, case: Case) -> str:
    """-> the name of the nearest thing, drawn on the case's ground at its place and in its size"""
    thing, seen = case.thing, feature(image, case.thing)
    ground = cv2.resize(case.ground, (CANDIDATE_SIDE, CANDIDATE_SIDE), interpolation=cv2.INTER_AREA)
    if thing.code_point is None:
        candidates = [replace(thing, shape=shape, colour=colour, rgb=rgb) for colour, rgb in scenes.COLOURS.items() for shape in scenes.SHAPES]
    else:
        names = {**sources.NAMED, **sources.HELD_OUT}
        candidates = [replace(thing, shape=name, code_point=point) for name, point in names.items()]
    return min(candidates, key=lambda drawn: float(np.abs(feature(scenes.paint(ground, drawn), drawn) - seen).mean())).name


def mean_around(picture: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Mean colour of a ring of some ten pixels around the mask. -> [3]"""
    ring = cv2.dilate(mask.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3)), iterations=10) > 0
    around = picture[ring & ~mask]
    return around.mean(0) if len(around) else np.full(3, 0.5)


def error(picture: np.ndarray, case: Case) -> float:
    return float(np.abs(picture - case.truth)[case.mask].mean())


def measure(companion: Companion, asked: dict, case: Case, seed: int) -> tuple[np.ndarray, dict]:
    """-> the picture that was made, the case's measures"""
    made = run(companion, asked, case, seed)
    plain = case.truth * ~case.mask[..., None] + mean_around(case.truth, case.mask) * case.mask[..., None]
    row = {"error": error(made, case), "plain": error(case.edit if case.shown else plain, case)}
    if case.thing:
        inside = scenes.coverage(case.thing, *case.mask.shape) > 0.9
        row["named"] = nearest_thing(made, case) == case.thing.name
        if case.thing.colour:
            row["colour"] = nearest_colour(made[inside]) == case.thing.colour
    elif case.edit is not None and not case.shown:
        filled = cv2.inpaint(to_bytes(case.edit), case.mask.astype(np.uint8), 5, cv2.INPAINT_TELEA)
        row["telea"] = error(filled.astype(np.float32) / 255, case)
    if case.references:
        without = run(companion, asked, case, seed, False)
        row["alone"] = nearest_thing(without, case) == case.thing.name
        row["error alone"] = error(without, case)
    if case.task == "recolor":
        row["structure"] = float(np.corrcoef(case.edit[inside].mean(-1), made[inside].mean(-1))[0, 1])
    if case.edit is not None and not case.mask.all():
        given = to_bytes(case.edit).astype(np.float32) / 255
        row["outside"] = float(np.abs(made - given)[~case.mask].max() * 255)
    return made, row


def summary(rows: list[dict]) -> dict:
    """Shares and means over the cases that have them; errors over `plain`."""
    keys = dict.fromkeys(key for row in rows for key in row)
    means = {key: float(np.mean([row[key] for row in rows if key in row])) for key in keys}
    plain = means.pop("plain")
    for key in ("error", "error alone", "telea"):
        if key in means:
            means[key] /= plain
    return {"count": len(rows), **means}


def table(results: dict[str, dict]) -> str:
    columns = ("named", "alone", "colour", "error", "error alone", "telea", "structure", "outside")
    percent = ("named", "alone", "colour")
    lines = [f"| | cases | {' | '.join(columns)} |", "| --- " * (len(columns) + 2) + "|"]
    for task, result in results.items():
        cells = [
            "" if key not in result else f"{result[key]:.0%}" if key in percent else f"{result[key]:.2f}" for key in columns
        ]
        lines.append(f"| {task} | {result['count']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def tile(picture: np.ndarray, side: int) -> Image.Image:
    return Image.fromarray(to_bytes(picture)).resize((side, side), Image.LANCZOS)


def marked(case: Case) -> np.ndarray:
    """What is given, with the outline of the mask."""
    mask = case.mask.astype(np.uint8)
    edge = (cv2.dilate(mask, np.ones((3, 3), np.uint8)) > mask)[..., None]
    return case.edit * ~edge + edge * np.array([1, 0, 0.6])


def wrapped(pen: ImageDraw.ImageDraw, text: str, width: int) -> str:
    """The text in lines that are no wider."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if pen.textlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return "\n".join(lines)


def sheet(shown: dict[str, list[tuple[Case, np.ndarray]]], out: Path) -> None:
    """The first cases of every task, uncherry-picked, in two rows of tasks: what is given, its reference, and what came out."""
    side, gap, line, across = 104, 14, 15, len(shown) // 2
    rows = max(len(cases) for cases in shown.values())
    case_height = side + 2 * line + gap // 2
    block = line + 2 * gap + rows * case_height
    canvas = Image.new("RGB", (across * 3 * (side + gap), 2 * block + gap), "white")
    pen = ImageDraw.Draw(canvas)
    pen.font = ImageFont.load_default(12)
    title = ImageFont.load_default(17)
    right = widest = 0
    for n, (task, cases) in enumerate(shown.items()):
        top = gap + n // across * block
        left = gap if n % across == 0 else right + gap
        labels = ["given"] * (cases[0][0].edit is not None) + ["{image1}"] * len(cases[0][0].references) + ["made"]
        width = max(len(labels), 2) * (side + 2)
        pen.text((left, top), task, fill="black", font=title)
        for c, label in enumerate(labels):
            pen.text((left + (c + 1) * (side + 2) - 4, top + line), label, fill=(110, 110, 110), anchor="rs")
        for r, (case, made) in enumerate(cases):
            y = top + line + gap // 2 + r * case_height
            parts = ([marked(case)] if case.edit is not None else []) + case.references + [made]
            for c, content in enumerate(parts):
                canvas.paste(tile(content, side), (left + c * (side + 2), y))
            pen.text((left, y + side + 1), wrapped(pen, case.instruction, width), fill=(60, 60, 60))
        right = left + width
        widest = max(widest, right + gap)
    canvas.crop((0, 0, widest, canvas.height)).save(out)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=32, help="of cases of each task; twice as many circles")
    parser.add_argument("--model", nargs="*", default=[], metavar="NAME=DIR", help="other weights, measured beside pocket")
    parser.add_argument("--tasks", nargs="*", default=list(held_out.TASKS))
    parser.add_argument("--guidance", type=float, default=AS_POCKET["guidance"], help="asked of all models")
    parser.add_argument("--json", type=Path, help="where to write all measures")
    parser.add_argument("--sheet", type=Path, help="where to draw the first four cases of each of the eight tasks")
    options = parser.parse_args()
    sources.prepare()
    others = {name: Path(folder) for name, folder in (given.split("=", 1) for given in options.model)}
    asked = {name: {"model": name} for name in ("pocket", *others)} | {"pocket without adapters": {"model": "pocket", "adapters": []}}
    asked = {name: {"guidance": options.guidance, **request} for name, request in asked.items()}
    everything = {}
    with Companion(others) as companion:
        for model, request in asked.items():
            results, shown = {}, {}
            for task in options.tasks:
                if "adapters" in request and held_out.draw(task, 0).task not in ADAPTED:
                    continue
                count = options.count * (2 if task.endswith("circles") else 1)
                cases = [held_out.draw(task, index) for index in range(count)]
                made = [measure(companion, request, case, index) for index, case in enumerate(cases)]
                results[task] = summary([row for _, row in made])
                if task in SHOWN:
                    shown[task] = [(case, picture) for case, (picture, _) in zip(cases[:4], made)]
                print(model, task, json.dumps(results[task]), flush=True)
            everything[model] = results
            if options.sheet and model == "pocket":
                sheet(shown, options.sheet)
    for model, results in everything.items():
        print(f"\n{model}\n\n{table(results)}")
    if options.json:
        options.json.write_text(json.dumps(everything, indent=2))


if __name__ == "__main__":
    main()
