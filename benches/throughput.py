#!/usr/bin/env python3
"""Compares the gateway with a bare actix-web + awc proxy and with the provider asked directly.

Builds the release binary, pins the server under test to one core and the load with the mock provider to another, and
prints a Markdown table: requests per second, CPU time of the server per request, added latency against the provider
asked directly. Everything runs on loopback and ends by itself.

    benches/throughput.py [--seconds 6] [--rounds 3] [--connections 1,16,64,256] [--profile release]
    benches/throughput.py --translated   # CPU of callers who speak other dialects than the provider
    benches/throughput.py --telemetry    # the gateway with metrics, access log and usage records beside itself without
"""

import argparse
import json
import os
import pathlib
import socket
import statistics
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
SERVER_CORE, LOAD_CORE = "0", "1"
MOCK, BARE, GATEWAY, ADMIN = 19300, 19301, 19302, 19303
# The same servers again before a provider that takes its time: events come one by one.
PACED = {"mock": 19310, "bare": 19311, "aisix": 19312}
# The same gateway again, which tells nothing of itself and which tells everything.
SILENT, TELLING, METRICS = 19320, 19321, 19322
GAP_MS = 5
# Callers before one provider that speaks OpenAI's chat dialect: path, and what asks there.
ASK = "How does a gateway translate what one side says into what the other understands?"
CALLERS = {
    "OpenAI chat (patched)": ("/v1/chat/completions", {"model": "bench", "messages": [{"role": "user", "content": ASK}]}),
    "OpenAI Responses": ("/v1/responses", {"model": "bench", "input": ASK}),
    "Anthropic": ("/v1/messages",
                  {"model": "bench", "max_tokens": 100, "messages": [{"role": "user", "content": ASK}]}),
}
CONFIG = """
[proxy]
addr = "127.0.0.1:PROXY_PORT"
workers = 1
[admin]
enabled = false
[observability]
access_log = ACCESS_LOG
[observability.metrics.prometheus]
enabled = METRICS
addr = "127.0.0.1:METRICS_PORT"
[observability.usage_records]
target = "USAGE"
path = "USAGE_PATH"
max_bytes = 67108864
keep_files = 1
[[provider_keys]]
display_name = "upstream"
provider = "openai"
api_key = "sk-upstream"
api_base = "http://127.0.0.1:MOCK_PORT/v1"
[[models]]
display_name = "bench"
provider_key = "upstream"
model_name = "bench"
rate_limit = { rpm = 1000000000, tpm = 1000000000000 }
cost = { input_per_1k = "0.001", output_per_1k = "0.002" }
[[models]]
display_name = "other"
provider_key = "upstream"
model_name = "other"
[[api_keys]]
display_name = "load"
key = "sk-load"
allowed_models = ["*"]
rate_limit = { rps = 10000000, rpm = 1000000000, rpd = 1000000000, tpm = 1000000000000, concurrency = 100000 }
[[budgets]]
name = "all"
scope = "org"
limit_usd = "1000000000"
period = "month"
[[cache_policies]]
name = "all"
applies_to = "CACHED"
ttl_seconds = 1
"""


def start(core, *command, log):
    return subprocess.Popen(["taskset", "-c", core, *map(str, command)], stdout=log, stderr=log)


def wait_for(port, process=None, log=None):
    for _ in range(400):
        if process is not None and process.poll() is not None:
            raise SystemExit(f"the server did not start:\n{pathlib.Path(log).read_text()}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise SystemExit(f"nothing listens on port {port}")


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mib(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


def load(binary, port, connections, stream, seconds, path="/v1/chat/completions", body=None, rate=None):
    command = ["taskset", "-c", LOAD_CORE, str(binary), "load", "--json", "--quiet", "--threads", "1",
               "--url", f"http://127.0.0.1:{port}{path}", "--key", "sk-load",
               "--connections", str(connections), "--duration", f"{seconds}s", "--warmup", "0s",
               "--header", "user-agent: OpenAI/Python 1.99.1"]
    # With no-store every look-up is a miss, and the cache does not fill up with answers nobody asks for again.
    command += ["--header", "cache-control: no-store"] if not stream else []
    command += ["--body", str(body)] if body else ["--model", "bench"] + (["--stream"] if stream else [])
    command += ["--rate", str(rate)] if rate else []
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def measure(binary, pid, port, connections, stream, seconds, **asked):
    # A short run first: connections are open and the code is warm when the clock starts.
    load(binary, port, connections, stream, 0.3, **asked)
    before = cpu_seconds(pid)
    report = load(binary, port, connections, stream, seconds, **asked)
    used = cpu_seconds(pid) - before
    report["cpu_us"] = used / max(1, report["requests"]) * 1e6
    if report.get("errors"):
        raise SystemExit(f"errors under load: {report['errors']}")
    return report


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", default="1,16,64,256")
    parser.add_argument("--profile", default="release")
    parser.add_argument("--access-log", action="store_true", help="write the log line of every exchange, to a file")
    parser.add_argument("--no-cache", action="store_true", help="without a cache policy that covers the requests")
    parser.add_argument("--raw", action="store_true", help="print the reports of the load generator too")
    parser.add_argument("--telemetry", action="store_true",
                        help="compare the gateway that tells everything with the one that tells nothing")
    parser.add_argument("--translated", action="store_true",
                        help="compare callers of several dialects before one provider of OpenAI's chat dialect")
    options = parser.parse_args()
    subprocess.run(["cargo", "build", "--quiet", "--profile", options.profile, "--bin", "aisix",
                    "--example", "bare_proxy"], cwd=ROOT, check=True)
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / options.profile
    binary = target / "aisix"
    with tempfile.TemporaryDirectory() as folder, open(pathlib.Path(folder) / "log", "w") as log:
        servers, processes = {}, []
        try:
            if options.telemetry:
                return telemetry_table(options, binary, pathlib.Path(folder), log, processes)
            if options.translated:
                ports = {"mock": MOCK, "aisix": GATEWAY}
                running = start_all(options, target, pathlib.Path(folder), log, ports, 0, processes)
                return translated_table(options, binary, pathlib.Path(folder), running["aisix"])
            for name, ports, gap in (("at once", {"mock": MOCK, "bare": BARE, "aisix": GATEWAY}, 0),
                                     ("paced", PACED, GAP_MS)):
                servers[name] = start_all(options, target, pathlib.Path(folder), log, ports, gap, processes)
            table(options, binary, servers["at once"])
            pace_table(options, binary, servers["paced"])
            print(f"\n{memory_mib(servers['at once']['aisix'][0]):.1f} MiB resident afterwards")
        finally:
            for process in processes:
                process.kill()
                process.wait()


def config_text(options, port, mock, has_access_log, usage_path=None):
    """The configuration of one gateway; metrics and usage records are on where the latter have a path."""
    values = {"ACCESS_LOG": str(has_access_log).lower(), "PROXY_PORT": port, "MOCK_PORT": mock,
              "METRICS_PORT": METRICS, "= METRICS": "= " + str(usage_path is not None).lower(),
              "USAGE_PATH": usage_path or "none", "\"USAGE\"": "\"file\"" if usage_path else "\"off\"",
              "CACHED": "model:other" if options.no_cache else "model:bench"}
    text = CONFIG
    for name, value in values.items():
        text = text.replace(name, str(value))
    return text


def telemetry_table(options, binary, folder, log, processes):
    """Both gateways in turn, started anew for every round: two processes of one program may differ by some percent."""
    mock = start(LOAD_CORE, binary, "mock", "--addr", f"127.0.0.1:{MOCK}", log=log)
    processes.append(mock)
    wait_for(MOCK, mock, log.name)
    print("| | connections | CPU µs/request: silent | telling | more | requests/s: silent | telling | less |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for stream in (False, True):
        for connections in map(int, options.connections.split(",")):
            rows = {SILENT: [], TELLING: []}
            for turn in range(options.rounds):
                pids = start_pair(options, binary, folder, log, processes)
                for port in sorted(pids, reverse=turn % 2 == 1):
                    rows[port].append(measure(binary, pids[port], port, connections, stream, options.seconds))
                for process in processes[1:]:
                    process.kill()
                    process.wait()
                del processes[1:]
            silent, telling = (rows[port] for port in (SILENT, TELLING))
            cells = []
            for field, digits in (("cpu_us", 2), ("rps", 0)):
                medians = [statistics.median(report[field] for report in each) for each in (silent, telling)]
                ratio = statistics.median(b[field] / a[field] for a, b in zip(silent, telling)) - 1
                sign = 1 if field == "cpu_us" else -1
                cells += [f"{value:,.{digits}f}" for value in medians] + [f"{sign * ratio * 100:+.1f} %"]
            print(f"| {'streamed' if stream else 'whole'} | {connections} | " + " | ".join(cells) + " |", flush=True)


def start_pair(options, binary, folder, log, processes):
    pids = {}
    for port, usage in ((SILENT, None), (TELLING, folder / "usage.jsonl")):
        config = folder / f"config-{port}.toml"
        config.write_text(config_text(options, port, MOCK, usage is not None, usage))
        process = start(SERVER_CORE, binary, "--config", config, log=log)
        processes.append(process)
        wait_for(port, process, log.name)
        pids[port] = process.pid
    return pids


def start_all(options, target, folder, log, ports, gap, processes):
    binary = target / "aisix"
    config = folder / f"config-{gap}.toml"
    config.write_text(config_text(options, ports["aisix"], ports["mock"], options.access_log))
    mock = [binary, "mock", "--addr", f"127.0.0.1:{ports['mock']}", "--chunk-gap-ms", gap]
    commands = {"mock": (LOAD_CORE, mock), "aisix": (SERVER_CORE, [binary, "--config", config])}
    if "bare" in ports:
        addresses = [f"127.0.0.1:{ports['bare']}", f"http://127.0.0.1:{ports['mock']}"]
        commands["bare"] = (SERVER_CORE, [target / "examples" / "bare_proxy", *addresses])
    running = {}
    for name, (core, command) in commands.items():
        began = time.monotonic()
        process = start(core, *command, log=log)
        processes.append(process)
        wait_for(ports[name], process, log.name)
        if name == "aisix" and gap == 0:
            ready = time.monotonic() - began
            time.sleep(0.5)
            print(f"ready after {ready * 1000:.0f} ms, {memory_mib(process.pid):.1f} MiB resident when idle\n")
        running[name] = (process.pid, ports[name])
    return running


def translated_table(options, binary, folder, server):
    """One gateway, asked by callers of several dialects in turn; the first speaks as the provider does."""
    pid, port = server
    print("| | caller | connections | requests/s | CPU µs/request | to patched |")
    print("|---|---|---:|---:|---:|---:|")
    for stream in (False, True):
        for connections in map(int, options.connections.split(",")):
            rows = {name: [] for name in CALLERS}
            for _ in range(options.rounds):
                for name, (path, asked) in CALLERS.items():
                    body = folder / "body.json"
                    body.write_text(json.dumps({**asked, "stream": stream}))
                    rows[name].append(measure(binary, pid, port, connections, stream, options.seconds,
                                              path=path, body=body))
            patched = next(iter(rows.values()))
            for name, reports in rows.items():
                rps, cpu = (statistics.median(report[field] for report in reports) for field in ("rps", "cpu_us"))
                ratio = statistics.median(a["cpu_us"] / b["cpu_us"] for a, b in zip(reports, patched))
                print(f"| {'streamed' if stream else 'whole'} | {name} | {connections} | {rps:,.0f} | {cpu:.1f} "
                      f"| {ratio:.2f} |", flush=True)


def table(options, binary, servers):
    print("| | connections | requests/s: direct | bare proxy | AISIX | CPU µs/request: bare proxy | AISIX | ratio "
          "| added p50 µs: bare proxy | AISIX | added p99 µs: bare proxy | AISIX |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
    for stream in (False, True):
        for connections in map(int, options.connections.split(",")):
            rows = {name: [] for name in servers}
            for _ in range(options.rounds):
                # Taken in turn, so that a drift of the machine's speed meets all of them.
                for name, (pid, port) in servers.items():
                    report = measure(binary, pid, port, connections, stream, options.seconds)
                    rows[name].append(report)
                    if options.raw:
                        print(name, json.dumps(report))
            print(line(stream, connections, rows))


def pace_table(options, binary, servers):
    print(f"\nStreams of 22 events, {GAP_MS} ms apart:\n")
    print("| connections | CPU µs/stream: bare proxy | AISIX | ratio | first event ms, p50: direct | bare proxy | AISIX "
          "| between events ms, p50: direct | bare proxy | AISIX | p99: direct | bare proxy | AISIX |")
    print("|---:" * 13 + "|")
    for connections in map(int, options.connections.split(",")):
        rows = {name: [] for name in servers}
        for _ in range(options.rounds):
            for name, (pid, port) in servers.items():
                rows[name].append(measure(binary, pid, port, connections, True, options.seconds))
        median = lambda name, value: statistics.median(value(report) for report in rows[name])
        cells = [connections] + [f"{median(n, lambda r: r['cpu_us']):.0f}" for n in ("bare", "aisix")]
        ratios = [a["cpu_us"] / b["cpu_us"] for a, b in zip(rows["aisix"], rows["bare"])]
        cells.append(f"{statistics.median(ratios):.2f}")
        for field, quantile in (("first_event_ms", "p50"), ("gap_ms", "p50"), ("gap_ms", "p99")):
            cells += [f"{median(n, lambda r: r[field][quantile]):.2f}" for n in ("mock", "bare", "aisix")]
        print("| " + " | ".join(map(str, cells)) + " |")


def line(stream, connections, rows):
    def median(name, value):
        return statistics.median(value(report) for report in rows[name])

    def added(name, quantile):
        return median(name, lambda r: r["latency_ms"][quantile]) * 1000 - \
            median("mock", lambda r: r["latency_ms"][quantile]) * 1000

    ratio = statistics.median(a["cpu_us"] / b["cpu_us"] for a, b in zip(rows["aisix"], rows["bare"]))
    cells = ["streamed" if stream else "whole", connections]
    cells += [f"{median(name, lambda r: r['rps']):,.0f}" for name in ("mock", "bare", "aisix")]
    cells += [f"{median(name, lambda r: r['cpu_us']):.1f}" for name in ("bare", "aisix")] + [f"{ratio:.2f}"]
    cells += [f"{added(name, q):,.0f}" for q in ("p50", "p99") for name in ("bare", "aisix")]
    return "| " + " | ".join(map(str, cells)) + " |"


if __name__ == "__main__":
    main()
