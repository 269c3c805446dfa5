"""Where training runs: `--device cpu` or `--device cuda`, with the same code."""

import argparse
import os
import shutil

import torch
from torch import nn


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of PyTorch; on a busy machine one is three times as fast as two")


def start(options: argparse.Namespace) -> torch.device:
    torch.set_num_threads(options.threads)
    if options.device == "cuda":
        if not torch.cuda.is_available():
            raise SystemExit("--device cuda: PyTorch finds no GPU. Install a CUDA build of torch, or leave out --device.")
        torch.set_float32_matmul_precision("high")
    return torch.device(options.device)


def processes(device: torch.device) -> int:
    """That draw pictures: all cores, except the one that feeds the GPU."""
    cores = len(os.sched_getaffinity(0))
    return max(1, cores - 1) if device.type == "cuda" else cores


def autocast(device: torch.device) -> torch.autocast:
    return torch.autocast(device.type, torch.bfloat16)


def compile_blocks(blocks: list[nn.Module], device: torch.device, minutes: float) -> None:
    """A quarter off each step; half a minute of compiling for each shape of a batch, so short runs go without."""
    if minutes >= 30 and (device.type == "cuda" or shutil.which("g++")):
        torch._dynamo.config.recompile_limit = 64
        for block in blocks:
            block.compile(dynamic=False)
