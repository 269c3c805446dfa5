"""A client of the companion written from the protocol alone, with nothing but Python's standard library.

    python3 client.py http://127.0.0.1:47810 /path/to/ACEPP_HOME/token

Sends a drawn picture with a mask and prints one line of JSON about the layer that it gets.
"""

import json
import struct
import sys
import urllib.error
import urllib.request
import uuid

WIDTH, HEIGHT = 96, 64
MASK = {"left": 24, "top": 16, "right": 72, "bottom": 48}


def ask(method, url, token, body=None):
    request = urllib.request.Request(url, data=body, method=method)
    request.add_header("Authorization", "Bearer " + token)
    if body is not None:
        request.add_header("Content-Type", "application/octet-stream")
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.status, answer.read()


def refusal(method, url, token):
    try:
        ask(method, url, token)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)["code"]
    raise SystemExit("not refused: " + url)


def save(tensors, metadata):
    """safetensors: header length, header, data."""
    header, data = {"__metadata__": metadata}, b""
    for name, (shape, content) in tensors.items():
        header[name] = {
            "dtype": "U8",
            "shape": shape,
            "data_offsets": [len(data), len(data) + len(content)],
        }
        data += content
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def load(content):
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    metadata = header.pop("__metadata__")
    data = content[8 + length :]
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        tensors[name] = (entry["dtype"], entry["shape"], data[begin:end])
    return tensors, metadata


def is_masked(x, y):
    return MASK["left"] <= x < MASK["right"] and MASK["top"] <= y < MASK["bottom"]


def main():
    url, token_file = sys.argv[1:]
    with open(token_file) as file:
        token = file.read().strip()
    status, health = ask("GET", url + "/v1/health", "")
    assert status == 200, health

    places = [(x, y) for y in range(HEIGHT) for x in range(WIDTH)]
    picture = bytes(value for x, y in places for value in (2 * x, 3 * y, 90))
    mask = bytes(255 if is_masked(x, y) else 0 for x, y in places)
    request = {"version": 1, "instruction": "a red circle", "seed": 7, "steps": 2}
    body = save(
        {"edit": ([HEIGHT, WIDTH, 3], picture), "mask": ([HEIGHT, WIDTH], mask)},
        {"request": json.dumps(request)},
    )
    edit = url + "/v1/edits/" + str(uuid.uuid4())
    status, accepted = ask("PUT", edit, token, body)
    assert status == 202, accepted

    seen, state, events = 0, "queued", []
    while state in ("queued", "running"):
        _, answer = ask("GET", "%s?after=%d&wait=20" % (edit, seen), token)
        poll = json.loads(answer)
        state, seen = poll["state"], poll["next"]
        events += poll["events"]
    if state != "done":
        raise SystemExit("%s: %s" % (state, events[-1]))

    _, content = ask("GET", edit + "/result?variant=0", token)
    tensors, metadata = load(content)
    dtype, shape, layer = tensors["layer"]
    print(
        json.dumps(
            {
                "accepted": json.loads(accepted)["state"],
                "events": [event["type"] for event in events],
                "dtype": dtype,
                "shape": shape,
                "bounds": json.loads(metadata["bounds"]),
                "seed": metadata["seed"],
                "alpha": sorted(set(layer[3::4])),
                "colours": len({layer[i : i + 3] for i in range(0, len(layer), 4)}),
                "wrongToken": refusal("GET", edit, "x" * 43),
                "unknown": refusal("GET", url + "/v1/edits/" + str(uuid.uuid4()), token),
            }
        )
    )


main()
