"""Trains pocket's adapters, as the paper's toolkit has them: `python -m training.adapters --minutes N`.

Low-rank branches (LoRA) beside the linear layers of the blocks, on the tasks of one adapter alone; everything else stays as it
ships. Written under black-forest-labs' names, as the published adapters of ACE++ are.
"""

import argparse
import math
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from . import checkpoint, device
from .examples import Example, Store, batches
from .export import load
from .networks import Flux
from .objective import loss_of
from .tokenizers import TextTokens
from .train import new_model

# Published adapter -> the tasks that it is taken for by itself (shared/tasks.ts).
TASKS = {"subject": ("local-reference-editing", "reference-generation"), "local-editing": ("local-editing", "recolor")}
LAYERS = ("qkv", "proj", "img_mlp.0", "img_mlp.2", "txt_mlp.0", "txt_mlp.2", "linear1", "linear2")
RANK, RATE, BATCH = 16, 1e-3, 48


class Branch(nn.Module):
    """A linear layer with B A x beside it; B starts at nothing."""

    def __init__(self, layer: nn.Linear):
        super().__init__()
        self.layer = layer
        self.down = nn.Linear(layer.in_features, RANK, bias=False)
        self.up = nn.Linear(RANK, layer.out_features, bias=False)
        nn.init.zeros_(self.up.weight)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) + self.up(self.down(x))


def add_branches(flux: Flux) -> dict[str, Branch]:
    """Puts a branch beside every one of LAYERS. -> them by name"""
    branches = {}
    for name, module in list(flux.named_modules()):
        if isinstance(module, nn.Linear) and "_blocks." in name and name.endswith(LAYERS):
            parent, _, child = name.rpartition(".")
            branches[name] = Branch(module)
            setattr(flux.get_submodule(parent), child, branches[name])
    return branches


def tensors_of(branches: dict[str, Branch]) -> dict[str, Tensor]:
    """No alpha: it equals the rank."""
    return {
        f"{name}.{key}.weight": layer.weight.detach().half().cpu().contiguous()
        for name, branch in branches.items()
        for key, layer in (("lora_A", branch.down), ("lora_B", branch.up))
    }


def train_adapter(name: str, pocket: Path, examples: list[Example], seconds: float, where: torch.device) -> dict[str, Tensor]:
    model = new_model(TextTokens(pocket))
    load(pocket, model.flux, model.t5, model.clip)
    model.networks.requires_grad_(False)
    branches = add_branches(model.flux)
    model.networks.to(where)
    parameters = [p for branch in branches.values() for p in (branch.down.weight, branch.up.weight)]
    for p in parameters:
        p.requires_grad_(True)
    optimiser = torch.optim.AdamW(parameters, lr=RATE, betas=(0.9, 0.98), weight_decay=1e-2)
    draw = batches([e for e in examples if e.task in TASKS[name]], BATCH)
    begun, steps, recent = time.time(), 0, []
    while (spent := (time.time() - begun) / seconds) < 1:
        optimiser.param_groups[0]["lr"] = RATE * min(1, (steps + 1) / 50) * (0.5 + 0.5 * math.cos(math.pi * spent))
        loss = loss_of(model, next(draw))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        steps += 1
        recent.append(loss.item())
        if steps % 50 == 0:
            print(f"{name}  {(time.time() - begun) / 60:5.1f} min  step {steps}  loss {np.mean(recent):.4f}", flush=True)
            recent = []
    return tensors_of(branches)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=20, help="of both together")
    parser.add_argument("--work", type=Path, default=Path("training/work"), help="where `training.train` left its examples")
    parser.add_argument("--pocket", type=Path, default=Path("server/pocket"), help="its weights; the adapters go into its folder")
    device.add_arguments(parser)
    options = parser.parse_args()
    where = device.start(options)
    examples = Store(options.work, checkpoint.load(options.pocket / "ae.safetensors")[0]).load()
    if not examples:
        parser.error(f"{options.work} has no scenes in the latents of {options.pocket}: run training.train first.")
    folder = options.pocket / "adapters"
    folder.mkdir(exist_ok=True)
    for name in TASKS:
        tensors = train_adapter(name, options.pocket, examples, options.minutes * 60 / len(TASKS), where)
        save_file(tensors, folder / f"{name}.safetensors", {"format": "pt"})


if __name__ == "__main__":
    main()
