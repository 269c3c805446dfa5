"""Draws what training left behind:

    python -m training.curves training/work/ablation.json docs/ablation.png
    python -m training.curves training/work/train.log docs/loss.png
    python -m training.curves training/work/autoencoder.log docs/autoencoder.png
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
    """What a log says every 50 steps, over the steps of all runs that are in it: an autoencoder's PSNR, else the loss."""
    measures = {"PSNR": "PSNR of the training crops, dB", "loss": "loss, mean of 50 steps"}
    name = next(name for name in measures if name in log)
    points = re.findall(rf"step (\d+) .*{name} ([\d.]+)", log)
    figure, plot = plt.subplots(figsize=(8, 3), layout="constrained")
    plot.plot([int(step) for step, _ in points], [float(value) for _, value in points])
    plot.set_xlabel("steps")
    plot.set_ylabel(measures[name])
    figure.savefig(out, dpi=80)


if __name__ == "__main__":
    source, out = Path(sys.argv[1]), Path(sys.argv[2])
    if source.suffix == ".json":
        draw_ablation(json.loads(source.read_text()), out)
    else:
        draw_losses(source.read_text(), out)
