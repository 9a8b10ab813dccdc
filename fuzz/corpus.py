#!/usr/bin/env python3
"""Writes the corpora of the fuzz targets from the recorded exchanges.

    fuzz/corpus.py [--recordings ../shared/recordings]

Texts longer than 8 KiB are left out: they make every execution slow and teach nothing more.
"""

import argparse
import hashlib
import json
import pathlib

HERE = pathlib.Path(__file__).resolve().parent
LONGEST = 8192
# As `PROVIDERS` in src/lib.rs counts them.
DIALECTS = {"openai-chat": 0, "openai-responses": 1, "anthropic-messages": 2, "anthropic-vertex": 2, "gemini": 3,
            "cohere-chat": 4}


def save(target, data):
    if len(data) <= LONGEST:
        folder = HERE / "corpus" / target
        folder.mkdir(parents=True, exist_ok=True)
        (folder / hashlib.sha1(data).hexdigest()).write_bytes(data)


def compact(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def form(parts):
    lines = []
    for part in parts:
        name = f'Content-Disposition: form-data; name="{part["name"]}"'
        if "filename" in part:
            name += f'; filename="{part["filename"]}"'
        lines.append(f"--xYz\r\n{name}\r\n\r\n{part.get('value', 'bytes')}\r\n")
    return ("multipart/form-data; boundary=xYz\n" + "".join(lines) + "--xYz--\r\n").encode()


def take(exchange, place):
    request, response = exchange["request"], exchange["response"]
    if request.get("multipart"):
        save("form", form(request["multipart"]))
    if request.get("body") is not None:
        save("raw_json", compact(request["body"]))
        if place is not None and place < 4:
            for model in range(4):
                save("request", bytes([place + 4 * model]) + compact(request["body"]))
    if response.get("body") is not None and place is not None:
        save("reply", bytes([place]) + compact(response["body"]))
    if response.get("sse"):
        stream = response["sse"].encode()
        save("sse", bytes([len(stream) % 16]) + stream)
        if place is not None:
            save("stream", bytes([place]) + stream)
            for caller in (0, 1, 2, 3, 15):
                save("translate", bytes([place + 5 * caller]) + stream)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recordings", type=pathlib.Path, default=HERE.parent.parent / "shared" / "recordings")
    folder = parser.parse_args().recordings
    for row in json.loads((folder / "index.json").read_text()):
        take(json.loads((folder / row["file"]).read_text()), DIALECTS.get(row["api"]))
    for target in sorted((HERE / "corpus").iterdir()):
        print(target.name, sum(1 for _ in target.iterdir()))


if __name__ == "__main__":
    main()
