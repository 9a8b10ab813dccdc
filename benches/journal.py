#!/usr/bin/env python3
"""What the journal of budgets costs: the gateway with it beside the gateway without, both under budgets, in one run.

Rounds alternate between the two, each with a process of its own; the server is pinned to one core, the load and the mock
provider to another. Ends by itself.

    benches/journal.py [--seconds 4] [--rounds 6] [--connections 64] [--profile release]
"""

import argparse
import os
import pathlib
import signal
import statistics
import subprocess
import tempfile

from throughput import LOAD_CORE, MOCK, ROOT, SERVER_CORE, SILENT, TELLING, measure, start, wait_for

PORTS = {SILENT: False, TELLING: True}
CONFIG = """
[proxy]
addr = "127.0.0.1:PORT"
workers = 1
[admin]
enabled = false
[observability]
access_log = false
[observability.metrics.prometheus]
enabled = false
[store]
path = "PORT.db"
[budget]
journal = JOURNAL
[[provider_keys]]
display_name = "upstream"
provider = "openai"
api_key = "sk-upstream"
api_base = "http://127.0.0.1:MOCK_PORT/v1"
[[models]]
display_name = "bench"
provider_key = "upstream"
model_name = "bench"
cost = { input_per_1k = "0.001", output_per_1k = "0.002" }
[[api_keys]]
display_name = "load"
key = "sk-load"
allowed_models = ["*"]
""" + "".join(f"""
[[budgets]]
name = "{name}"
{scope}
limit_usd = "1000000000"
period = "month"
""" for name, scope in (("all", 'scope = "org"'), ("key", 'scope = "api_key"\nscope_ref = "load"'),
                        ("model", 'scope = "model"\nscope_ref = "bench"')))


def serve(binary, folder, port, log):
    config = folder / f"{port}.toml"
    values = {"MOCK_PORT": MOCK, "PORT": port, "JOURNAL": str(PORTS[port]).lower()}
    text = CONFIG
    for name, value in values.items():
        text = text.replace(name, str(value))
    config.write_text(text)
    process = start(SERVER_CORE, binary, "--config", config, log=log)
    wait_for(port, process, log.name)
    return process


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--profile", default="release")
    options = parser.parse_args()
    subprocess.run(["cargo", "build", "--quiet", "--profile", options.profile, "--bin", "aisix"], cwd=ROOT, check=True)
    binary = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / options.profile / "aisix"
    reports = {port: [] for port in PORTS}
    with tempfile.TemporaryDirectory() as folder, open(pathlib.Path(folder) / "log", "w") as log:
        mock = start(LOAD_CORE, binary, "mock", "--addr", f"127.0.0.1:{MOCK}", log=log)
        try:
            wait_for(MOCK, mock, log.name)
            for turn in range(options.rounds):
                for port in sorted(PORTS, reverse=turn % 2 == 1):
                    server = serve(binary, pathlib.Path(folder), port, log)
                    try:
                        reports[port].append(
                            measure(binary, server.pid, port, options.connections, False, options.seconds))
                    finally:
                        # Not SIGTERM: nobody has to notice first.
                        server.send_signal(signal.SIGINT)
                        server.wait()
        finally:
            mock.kill()
            mock.wait()
    print("| | without | with | more |\n|---|---:|---:|---:|")
    for field, name, digits in (("rps", "requests/s", 0), ("cpu_us", "CPU µs/request", 2)):
        without, kept = ([report[field] for report in reports[port]] for port in PORTS)
        ratio = statistics.median(b / a for a, b in zip(without, kept)) - 1
        print(f"| {name} | {statistics.median(without):,.{digits}f} | {statistics.median(kept):,.{digits}f} "
              f"| {ratio * 100:+.1f} % |")


if __name__ == "__main__":
    main()
