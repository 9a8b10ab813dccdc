"""A gateway with mock providers behind it, for the official clients to talk to.

The gateway and the providers are processes of the built binary on free ports. They are started once, and stopped by
their own ids.
"""

import os
import pathlib

import pytest
from binary import Process, free_port
from openai import AsyncOpenAI, OpenAI

HERE = pathlib.Path(__file__).parent


class Gateway:
    """Where the gateway is, and how it stands."""

    def __init__(self, proxy_port, admin_port, plain_url, log):
        self.root = f"http://127.0.0.1:{proxy_port}"
        self.base_url = f"{self.root}/v1"
        self.actors_url = f"http://127.0.0.1:{admin_port}/admin/v1/actors"
        # How the streams of the plain mock provider stand.
        self.streams_url = plain_url.removesuffix("/v1") + "/mock/streams"
        self.log = log

    def log_lines(self, words):
        """The lines of the log so far that hold these words."""
        return [line for line in self.log.read_text().splitlines() if words in line]

    def client(self, key="sk-sdk", **options):
        """A client that tries once, so that a test sees what the gateway says."""
        return OpenAI(base_url=self.base_url, api_key=key, **{"max_retries": 0, "timeout": 20, **options})

    def async_client(self, key="sk-sdk", **options):
        return AsyncOpenAI(base_url=self.base_url, api_key=key, **{"max_retries": 0, "timeout": 20, **options})


@pytest.fixture(scope="session")
def gateway(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gateway")
    faults = {
        "PLAIN": [],
        "BUSY_ONCE": ["--fault", "503", "--fault-first", "1"],
        "LIMITED_ONCE": ["--fault", "429", "--fault-first", "1"],
        "DOWN_ONCE": ["--fault", "500", "--fault-first", "1"],
    }
    # Nothing of the tester's own environment decides what is configured.
    environment = {"PATH": os.environ.get("PATH", "")}
    processes = []
    try:
        for name, arguments in faults.items():
            port = free_port()
            environment[name] = f"http://127.0.0.1:{port}/v1"
            arguments = ["mock", "--addr", f"127.0.0.1:{port}", *arguments]
            processes.append(Process(arguments, environment[name] + "/models", folder / f"{name}.log"))
        proxy, admin = free_port(), free_port()
        environment["AISIX_PROXY__ADDR"] = f"127.0.0.1:{proxy}"
        environment["AISIX_ADMIN__ADDR"] = f"127.0.0.1:{admin}"
        environment["AISIX_OBSERVABILITY__METRICS__PROMETHEUS__ADDR"] = "127.0.0.1:0"
        # What one run has spent is nothing to the next.
        environment["AISIX_STORE__PATH"] = str(folder / "aisix.db")
        arguments = ["serve", "--config", str(HERE / "config.toml")]
        ready = f"http://127.0.0.1:{proxy}/readyz"
        processes.append(Process(arguments, ready, folder / "gateway.log", environment))
        yield Gateway(proxy, admin, environment["PLAIN"], folder / "gateway.log")
    finally:
        for process in reversed(processes):
            process.stop()


@pytest.fixture
def client(gateway):
    with gateway.client() as client:
        yield client


@pytest.fixture
def anyio_backend():
    return "asyncio"
