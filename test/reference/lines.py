"""lines.json: what there is to compare in a folder of arrays, with its configuration. check.ts reads it."""

import json


class Lines:
    def __init__(self, folder):
        self.folder = folder
        self.lines = []

    def add(self, kind, title, configuration, **values):
        """`values` are the files, relative to the folder, and what the line of this kind needs besides."""
        self.lines.append({"kind": kind, "title": title, "configuration": configuration, **values})
        print(f"{title}: {configuration}", flush=True)

    def write(self):
        (self.folder / "lines.json").write_text(json.dumps(self.lines, indent=1, ensure_ascii=False) + "\n")
