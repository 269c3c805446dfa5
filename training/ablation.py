"""Tests the paper's claims at pocket's size: `python -m training.ablation --minutes N`.

Three ways to the same end, on the same examples, each with the same minutes of steps in all and a rate annealed to nothing:

- two stages: tasks without references, then all tasks (section 3.4);
- from nothing: all tasks at once;
- without L_ref: as two stages, but the references are not reconstructed (eq. 6), only shown.

What is compared is the velocity error inside the masks of scenes that none of them saw, at fixed noise. The weights of every
way lie in `--work` for `training.evaluate --model`.
"""

import argparse
import json
import multiprocessing
import shutil
import time
from pathlib import Path

from . import checkpoint, device
from .examples import Example, Store, batches
from .export import export, export_autoencoder
from .objective import loss_of
from .tokenizers import TextTokens
from .train import Training, cosine, new_model
from .unseen import held_out_error, held_out_examples

CURVE_POINTS = 12
# A quarter of train.py's: in a few minutes more steps teach more.
BATCH = 16


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=50, help="of all ways together")
    parser.add_argument("--work", type=Path, default=Path("training/work"))
    parser.add_argument("--pocket", type=Path, default=Path("server/pocket"), help="its autoencoder and tokenizers")
    device.add_arguments(parser)
    options = parser.parse_args()
    where = device.start(options)
    model, (autoencoder, _) = new_model(TextTokens(options.pocket)), checkpoint.load(options.pocket / "ae.safetensors")
    model.networks.to(where)
    autoencoder.to(where)
    start = {key: value.clone() for key, value in model.networks.state_dict().items()}
    examples = Store(options.work, autoencoder).load()
    if not examples:
        parser.error(f"{options.work} has no scenes in the latents of {options.pocket}: run training.train first.")
    with multiprocessing.Pool(device.processes(where)) as pool:
        unseen = held_out_examples(autoencoder, pool)
    plain = [e for e in examples if not e.references]
    print(f"{len(examples)} examples, {len(unseen)} held out", flush=True)
    device.compile_blocks([*model.flux.double_blocks, *model.flux.single_blocks], where, options.minutes)
    compile_all(model, examples)

    curves = {}

    def way(name: str, stages: list[tuple[list[Example], float]], begin: dict, with_references: bool = True) -> dict:
        """Trains each stage for its minutes, one after the other, on one clock; -> the weights it ends with"""
        model.networks.load_state_dict(begin)
        curve, before = [], 0.0
        for of, minutes in stages:
            training, draw = Training(model), batches(of, BATCH)
            seconds, spent, shown = minutes * 60, 0.0, 0
            while spent < seconds:
                begun = time.time()
                training.step(next(draw), cosine(spent / seconds), with_references)
                # Looking at the held-out scenes does not count.
                spent += time.time() - begun
                if spent / seconds * CURVE_POINTS >= shown + 1 or spent >= seconds:
                    shown += 1
                    curve.append({"minutes": before + spent / 60, "steps": training.steps, **held_out_error(training.averaged(), unseen)})
                    print(name, json.dumps(curve[-1]), flush=True)
            before += minutes
            model.networks.load_state_dict(training.averaged().networks.state_dict())
        curves[name] = curve
        folder = options.work / name.replace(" ", "-")
        for kind in ("t5", "clip"):
            shutil.copytree(options.pocket / kind, folder / kind, dirs_exist_ok=True)
        export(folder, model.flux, model.t5, model.clip)
        export_autoencoder(folder, autoencoder)
        (options.work / "ablation.json").write_text(json.dumps(curves, indent=2))
        return {key: value.clone() for key, value in model.networks.state_dict().items()}

    share = options.minutes / 5
    first = way("stage 1", [(plain, share)], start)
    way("two stages", [(examples, share)], first)
    way("without L_ref", [(examples, share)], first, with_references=False)
    way("from nothing", [(examples, 2 * share)], start)


def compile_all(model, examples: list[Example]) -> None:
    """One backward pass of each shape that a batch can have, so that no way pays for compiling."""
    seen = set()
    for batch in batches(examples, BATCH):
        shape = (batch[0].target.shape, len(batch[0].references))
        if shape not in seen:
            loss_of(model, batch).backward()
            seen.add(shape)
        if len(seen) == len({(e.target.shape, len(e.references)) for e in examples}):
            return


if __name__ == "__main__":
    main()
