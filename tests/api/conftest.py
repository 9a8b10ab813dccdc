"""The gateway with the configuration that is shipped, for the documents' examples are about it.

Ports, store and the administrators' key are of the tests' own.
"""

import os
import pathlib
import shutil

import pytest
from binary import Process, free_port

ROOT = pathlib.Path(__file__).parents[2]
ADMIN_KEY = "sk-admin-of-these-tests"
CALLER_KEY = "sk-demo"


class Gateway:
    """Where the two listeners are."""

    def __init__(self, proxy_port, admin_port):
        self.proxy_url = f"http://127.0.0.1:{proxy_port}"
        self.admin_url = f"http://127.0.0.1:{admin_port}"
        self.documents = {
            "admin": f"{self.admin_url}/admin/openapi.json",
            "proxy": f"{self.admin_url}/admin/openapi-proxy.json",
        }


@pytest.fixture(scope="session")
def gateway(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gateway")
    proxy, admin = free_port(), free_port()
    # Nothing of the tester's own environment decides what is configured.
    environment = {
        "PATH": os.environ.get("PATH", ""),
        "AISIX_PROXY__ADDR": f"127.0.0.1:{proxy}",
        "AISIX_ADMIN__ADDR": f"127.0.0.1:{admin}",
        "AISIX_ADMIN__ADMIN_KEYS": ADMIN_KEY,
        "AISIX_OBSERVABILITY__METRICS__PROMETHEUS__ENABLED": "false",
        # Every operation is tried without a key, many times from one address.
        "AISIX_PROXY__AUTH_THROTTLE__ENABLED": "false",
    }
    # The store is beside the configuration.
    config = shutil.copy(ROOT / "config.toml", folder)
    arguments = ["serve", "--config", str(config)]
    process = Process(arguments, f"http://127.0.0.1:{proxy}/readyz", folder / "gateway.log", environment)
    try:
        yield Gateway(proxy, admin)
    finally:
        process.stop()
