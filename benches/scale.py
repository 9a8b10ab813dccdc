#!/usr/bin/env python3
"""Starts the gateway with very many resources and tells what that costs.

Declares models and API keys in a configuration file, starts the release binary, and prints the time until it serves, its
memory, the time of a reload and of a write over the Admin API, and the latency of running requests with and without
reloads among them, taken in turn. Everything runs on loopback, with the provider inside the process, and ends by itself.

    benches/scale.py [--models 10000] [--keys 100000] [--rounds 5] [--seconds 8] [--rate 2000] [--profile release]
"""

import argparse
import json
import os
import pathlib
import signal
import socket
import statistics
import subprocess
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
SERVER_CORE, LOAD_CORE = "0", "1"
PROXY, ADMIN, METRICS = 19400, 19401, 19402


def config(models, keys):
    yield f"""
[proxy]
addr = "127.0.0.1:{PROXY}"
workers = 1
[admin]
addr = "127.0.0.1:{ADMIN}"
[observability]
access_log = false
[observability.metrics.prometheus]
addr = "127.0.0.1:{METRICS}"
[shutdown]
min_drain_secs = 0
[[provider_keys]]
display_name = "mock"
provider = "mock"
[[api_keys]]
display_name = "load"
key = "sk-load"
allowed_models = ["*"]
"""
    for number in range(1000):
        yield (f'[[provider_keys]]\ndisplay_name = "key-{number}"\nprovider = "openai"\n'
               f'api_key = "sk-upstream-{number}"\napi_base = "http://127.0.0.1:1/v1"\n')
    for number in range(models):
        key = "mock" if number == 0 else f"key-{number % 1000}"
        yield (f'[[models]]\ndisplay_name = "model-{number}"\nprovider_key = "{key}"\nmodel_name = "demo"\n'
               f'cost = {{ input_per_1k = "0.001", output_per_1k = "0.002" }}\nrate_limit = {{ rpm = 100000000 }}\n')
    for number in range(keys):
        yield (f'[[api_keys]]\ndisplay_name = "caller-{number}"\nkey = "sk-caller-{number:08d}"\n'
               f'allowed_models = ["model-*"]\nrate_limit = {{ rpm = 600, tpm = 200000 }}\n'
               f'team_id = "team-{number % 500}"\nuser_id = "user-{number}"\n')


def memory_mib(pid, field):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    return 0.0


def wait_for(port, process, log):
    while True:
        if process.poll() is not None:
            raise SystemExit(f"the gateway did not start:\n{log.read_text()}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.005)


def ask(path, body=None):
    request = urllib.request.Request(f"http://127.0.0.1:{ADMIN}{path}", headers={"content-type": "application/json"},
                                     data=None if body is None else json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def reloads(log):
    return log.read_text().count("configuration reloaded")


def reload(process, log):
    before, began = reloads(log), time.monotonic()
    process.send_signal(signal.SIGHUP)
    while reloads(log) == before:
        if time.monotonic() - began > 60:
            raise SystemExit("the reload did not end in a minute")
        time.sleep(0.005)
    return time.monotonic() - began


def load(binary, options, is_disturbed, process, log):
    command = ["taskset", "-c", LOAD_CORE, str(binary), "load", "--json", "--quiet", "--threads", "1",
               "--url", f"http://127.0.0.1:{PROXY}/v1/chat/completions", "--key", "sk-load", "--model", "model-0",
               "--connections", "64", "--rate", str(options.rate), "--duration", f"{options.seconds}s"]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    count = 0
    while is_disturbed and running.poll() is None:
        time.sleep(1)
        if running.poll() is None:
            reload(process, log)
            count += 1
    report = json.loads(running.communicate()[0])
    if report.get("errors"):
        raise SystemExit(f"errors under load: {report['errors']}")
    return report["latency_ms"], count


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=10_000)
    parser.add_argument("--keys", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--rate", type=int, default=2000)
    parser.add_argument("--profile", default="release")
    options = parser.parse_args()
    subprocess.run(["cargo", "build", "--quiet", "--profile", options.profile, "--bin", "aisix"], cwd=ROOT, check=True)
    binary = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / options.profile / "aisix"
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        file, log = folder / "config.toml", folder / "log"
        file.write_text("".join(config(options.models, options.keys)))
        print(f"{options.models:,} models and {options.keys:,} keys, {file.stat().st_size / 1e6:.0f} MB of configuration")
        began = time.monotonic()
        with open(log, "w") as out:
            process = subprocess.Popen(["taskset", "-c", SERVER_CORE, str(binary), "--config", str(file)],
                                       stdout=out, stderr=out)
        try:
            wait_for(PROXY, process, log)
            print(f"serves after {time.monotonic() - began:.2f} s, "
                  f"{memory_mib(process.pid, 'VmRSS'):.0f} MiB resident, {memory_mib(process.pid, 'VmHWM'):.0f} MiB at most")
            times = [reload(process, log) for _ in range(3)]
            time.sleep(1)
            print(f"a reload takes {statistics.median(times):.2f} s when nothing else happens; afterwards "
                  f"{memory_mib(process.pid, 'VmRSS'):.0f} MiB resident, {memory_mib(process.pid, 'VmHWM'):.0f} MiB at most")
            writes = []
            for number in range(5):
                began = time.monotonic()
                ask("/admin/v1/api_keys", {"display_name": f"new-{number}", "allowed_models": []})
                writes.append(time.monotonic() - began)
            print(f"a write over the Admin API takes {statistics.median(writes) * 1000:.0f} ms")
            under_load(binary, options, process, log)
        finally:
            process.kill()
            process.wait()


def under_load(binary, options, process, log):
    rows, count = {False: [], True: []}, 0
    for _ in range(options.rounds):
        # Taken in turn, so that a drift of the machine's speed meets both.
        for is_disturbed in (False, True):
            latency, reloaded = load(binary, options, is_disturbed, process, log)
            rows[is_disturbed].append(latency)
            count += reloaded
    print(f"\n{options.rate} requests/s on one core, {options.rounds} times {options.seconds:g} s each way, {count} reloads\n")
    print("| | p50 ms | p90 ms | p99 ms | p99.9 ms |\n|---|---:|---:|---:|---:|")
    names = {False: "undisturbed", True: "with reloads"}
    figures = {}
    for is_disturbed, reports in rows.items():
        figures[is_disturbed] = {q: statistics.median(r[q] for r in reports) for q in ("p50", "p90", "p99", "p999")}
        print(f"| {names[is_disturbed]} | " + " | ".join(f"{value:.3f}" for value in figures[is_disturbed].values()) + " |")
    print("| ratio | " + " | ".join(f"{figures[True][q] / figures[False][q]:.2f}" for q in figures[True]) + " |")


if __name__ == "__main__":
    main()
