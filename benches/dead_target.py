#!/usr/bin/env python3
"""What a dead target costs the callers of a routing model.

Three targets in turn (round_robin): all of them alive against one of them dead from the start, in three ways: it
answers 503, it resets connections, it says nothing and is given up after 500 ms. The same load in turn, as fast as 16
callers come and at a fixed rate; the gateway on one core, load and mock providers on another. Prints a Markdown table,
and fails when a caller saw an error.

    benches/dead_target.py [--seconds 20] [--rounds 3] [--connections 16] [--rate 500] [--cooldown 2]
    benches/dead_target.py --binary target/release/aisix   # one that is built already
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import tempfile
import urllib.request

from throughput import LOAD_CORE, ROOT, SERVER_CORE, load, start, wait_for

WELL, GATEWAY = 19330, 19331
# How a target is dead: the fault that its provider shows, and where.
DEAD = {"503": ("503", 19332), "reset": ("reset", 19333), "silent": ("stall", 19334)}
# How long a silent target is waited for.
TIMEOUT_MS = 500
# The callers of a fixed rate: enough that those who wait for a silent target keep nobody from asking.
CALLERS_AT_A_RATE = 64
SETTINGS = """
[proxy]
addr = "127.0.0.1:PORT"
workers = 1
[admin]
enabled = false
[observability]
access_log = false
[observability.metrics.prometheus]
enabled = false
[[api_keys]]
display_name = "load"
key = "sk-load"
allowed_models = ["*"]
"""
PROVIDER = """
[[provider_keys]]
display_name = "NAME"
provider = "openai"
api_key = "sk-upstream"
api_base = "http://127.0.0.1:PORT/v1"
"""
TARGET = """
[[models]]
display_name = "NAME"
provider_key = "PROVIDER"
model_name = "bench"
timeout = TIMEOUT
cooldown = { default_seconds = COOLDOWN }
"""
GROUP = """
[[models]]
display_name = "NAME"
routing = { strategy = "round_robin", targets = [TARGETS] }
"""


def filled(text, **values):
    for name, value in values.items():
        text = text.replace(name, str(value))
    return text


def config_text(cooldown):
    """A routing model of three targets for each way to be dead, and one that is well; they share no target."""
    text = filled(SETTINGS, PORT=GATEWAY)
    for provider, port in {"well": WELL, **{name: port for name, (_, port) in DEAD.items()}}.items():
        text += filled(PROVIDER, NAME=provider, PORT=port)
        targets = [f"{provider}-{index}" for index in range(3)]
        for index, target in enumerate(targets):
            behind = provider if index == 2 else "well"
            text += filled(TARGET, NAME=target, PROVIDER=behind, TIMEOUT=TIMEOUT_MS, COOLDOWN=cooldown)
        text += filled(GROUP, NAME=provider, TARGETS=", ".join(f'{{ model = "{target}" }}' for target in targets))
    return text


def reached(port):
    """How many requests have come to a provider."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/mock/requests") as answer:
        return json.load(answer)["total"]


def ask(options, binary, folder, model, seconds, rate):
    body = folder / f"{model}.json"
    body.write_text(json.dumps({"model": model, "messages": [{"role": "user", "content": "Hi"}]}))
    connections = CALLERS_AT_A_RATE if rate else options.connections
    return load(binary, GATEWAY, connections, False, seconds, body=body, rate=rate)


def compare(options, binary, folder, name, rate):
    """Rounds with all alive and with one dead, in turn; gives the row of the table, and the errors that callers saw."""
    port = DEAD[name][1]
    before = reached(port)
    # The requests that find out count apart: until the first one has failed, nobody can know.
    warm = [ask(options, binary, folder, model, 1, rate) for model in ("well", name)]
    begun, rounds = reached(port), []
    for turn in range(options.rounds):
        order = ("well", name) if turn % 2 == 0 else (name, "well")
        rounds.append({model: ask(options, binary, folder, model, options.seconds, rate) for model in order})
    cooldowns = options.rounds * options.seconds / options.cooldown
    reports = warm + [report for pair in rounds for report in pair.values()]
    errors = sum(sum(report["errors"].values()) for report in reports)

    def median(model, quantile):
        return statistics.median(pair[model]["latency_ms"][quantile] for pair in rounds)

    ratio = statistics.median(pair[name]["latency_ms"]["p99"] / pair["well"]["latency_ms"]["p99"] for pair in rounds)
    cells = [f"{rate}/s" if rate else f"{options.connections} callers", name, errors, begun - before,
             f"{(reached(port) - begun) / cooldowns:.2f}"]
    cells += [f"{median(model, quantile):.2f}" for quantile in ("p50", "p99") for model in ("well", name)]
    return "| " + " | ".join(map(str, cells + [f"{ratio:.2f}"])) + " |", errors


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--rate", type=int, default=500)
    parser.add_argument("--cooldown", type=int, default=2, help="seconds")
    parser.add_argument("--profile", default="release")
    parser.add_argument("--binary", type=pathlib.Path, help="measure this one instead of building one")
    options = parser.parse_args()
    binary = options.binary
    if binary is None:
        build = ["cargo", "build", "--quiet", "--profile", options.profile, "--bin", "aisix"]
        subprocess.run(build, cwd=ROOT, check=True)
        binary = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / options.profile / "aisix"
    with tempfile.TemporaryDirectory() as folder, open(pathlib.Path(folder) / "log", "w") as log:
        folder, processes = pathlib.Path(folder), []
        config = folder / "config.toml"
        config.write_text(config_text(options.cooldown))
        mock = [binary, "mock", "--addr"]
        commands = {WELL: (LOAD_CORE, [*mock, f"127.0.0.1:{WELL}"])}
        for fault, port in DEAD.values():
            commands[port] = (LOAD_CORE, [*mock, f"127.0.0.1:{port}", "--fault", fault])
        commands[GATEWAY] = (SERVER_CORE, [binary, "--config", config])
        try:
            for port, (core, command) in commands.items():
                processes.append(start(core, *command, log=log))
                wait_for(port, processes[-1], log.name)
            raise SystemExit(table(options, binary, folder))
        finally:
            for process in processes:
                process.kill()
                process.wait()


def table(options, binary, folder):
    """Prints the table; 1 when a caller saw an error."""
    print("| load | dead target | errors | requests that reached it: at first | per cooldown "
          "| p50 ms: all alive | one dead | p99 ms: all alive | one dead | ratio of p99 |")
    print("|---|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    seen = 0
    for rate in (None, options.rate):
        for name in DEAD:
            row, errors = compare(options, binary, folder, name, rate)
            seen += errors
            print(row, flush=True)
    return 1 if seen else 0


if __name__ == "__main__":
    main()
