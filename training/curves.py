"""Draws what `training.ablation` measured: `python -m training.curves training/work/ablation.json docs/ablation.png`."""

import json
import sys
from pathlib import Path

import matplotlib.pyplot as plt

SHOWN = {"remove": "remove", "inpaint": "fill", "local-reference-editing": "place", "reference-generation": "show"}


def draw(curves: dict[str, list[dict[str, float]]], out: Path) -> None:
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


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))
