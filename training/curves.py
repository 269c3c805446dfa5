"""Draws what training left behind:

    python -m training.curves training/work/ablation.json docs/ablation.png
    python -m training.curves training/work/train.log docs/loss.png
"""

import json
import re
import sys
from pathlib import Path

import matplotlib.pyplot as plt

SHOWN = {"remove": "remove", "inpaint": "fill", "local-reference-editing": "place", "reference-generation": "show"}


def draw_ablation(curves: dict[str, list[dict[str, float]]], out: Path) -> None:
    """One plot for each task, one line for each way; what begins with stage 1 follows on it."""
    first = curves["stage 1"]
    begin = first[-1]["minutes"]
    figure, plots = plt.subplots(1, len(SHOWN), figsize=(12, 3.4), layout="constrained")
    for plot, (task, title) in zip(plots, SHOWN.items()):
        for name, curve in curves.items():
            on_top = name in ("two stages", "without L_ref")
            minutes = [begin * on_top + point["minutes"] for point in curve]
            errors = [point[task] for point in curve]
            if on_top:
                minutes, errors = [begin, *minutes], [first[-1][task], *errors]
            plot.plot(minutes, errors, label=name, linestyle="--" if name == "stage 1" else "-")
        plot.set_title(title)
        plot.set_xlabel("minutes")
    plots[0].set_ylabel("velocity error inside the mask")
    plots[-1].legend(frameon=False)
    figure.savefig(out, dpi=80)


def draw_losses(log: str, out: Path) -> None:
    """The transformer's loss over the minutes of the last run in a log, one line for each stage."""
    last = log[log.rindex("examples\n") :]
    lines = re.findall(r"([\d.]+) min  stage (\d)  step \d+  loss ([\d.]+)", last)
    figure, plot = plt.subplots(figsize=(8, 3), layout="constrained")
    for stage in ("1", "2"):
        points = [(float(minutes), float(loss)) for minutes, of, loss in lines if of == stage]
        if points:
            plot.plot(*zip(*points), label=f"stage {stage}")
    plot.set_xlabel("minutes")
    plot.set_ylabel("loss, mean of 50 steps")
    plot.legend(frameon=False)
    figure.savefig(out, dpi=80)


if __name__ == "__main__":
    source, out = Path(sys.argv[1]), Path(sys.argv[2])
    if source.suffix == ".json":
        draw_ablation(json.loads(source.read_text()), out)
    else:
        draw_losses(source.read_text(), out)
