"""The companion, started for a measurement and asked over HTTP as docs/protocol.md says."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path

import numpy as np
from safetensors.numpy import load, save


class Companion:
    """`with Companion({"stage1": Path(...)}) as companion: companion.edit(...)`; the folders are models beside pocket."""

    def __init__(self, models: dict[str, Path] | None = None):
        self.models = models or {}

    def __enter__(self) -> "Companion":
        # A measurement that is stopped stops its companion as well.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
        self.home = tempfile.TemporaryDirectory(prefix="acepp-evaluate-")
        folder = Path(self.home.name) / "models"
        folder.mkdir()
        for name, path in self.models.items():
            (folder / name).symlink_to(path.resolve())
        environment = {**os.environ, "ACEPP_HOME": self.home.name}
        command = ["node", "dist/server/acepp.js", "start", "--no-browser", "--provider", "cpu"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)
        for line in self.process.stdout:
            if link := re.search(r"(http://\S+?)/?#token=(\S+)", line):
                self.url, self.token = link.groups()
                return self
        raise RuntimeError("the companion ended: was it built with `npm run build`?")

    def __exit__(self, *_) -> None:
        self.process.terminate()
        self.process.wait()
        self.home.cleanup()

    def ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/octet-stream"}
        try:
            with urllib.request.urlopen(urllib.request.Request(self.url + path, body, headers, method=method)) as answer:
                return answer.read()
        except urllib.error.HTTPError as refusal:
            raise RuntimeError(f"{method} {path}: {refusal.read().decode()}") from None

    def edit(self, request: dict, edit=None, mask=None, references=()) -> tuple[np.ndarray, dict, float]:
        """
        Pictures float [H, W, 3] in [0, 1], mask [H, W] in {0, 1}.
        -> the layer, float [h, w, 4] with straight alpha; its bounds; seconds from the request to the result
        """
        tensors = {f"reference.{n}": to_bytes(r) for n, r in enumerate(references)}
        if edit is not None:
            tensors["edit"] = to_bytes(edit)
        if mask is not None:
            tensors["mask"] = to_bytes(mask.astype(np.float32))
        body = save(tensors, {"request": json.dumps({"version": 1, **request})})
        path, begun = f"/v1/edits/{uuid.uuid4()}", time.perf_counter()
        self.ask("PUT", path, body)
        poll = {"state": "queued", "next": 0}
        while poll["state"] in ("queued", "running"):
            poll = json.loads(self.ask("GET", f"{path}?after={poll['next']}&wait=20"))
        if poll["state"] != "done":
            raise RuntimeError(f"{request}: {poll['events'][-1]}")
        seconds = time.perf_counter() - begun
        layer = load(self.ask("GET", f"{path}/result?variant=0"))["layer"]
        return layer.astype(np.float32) / 255, poll["events"][-1]["results"][0]["bounds"], seconds


def to_bytes(picture: np.ndarray) -> np.ndarray:
    return (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)
