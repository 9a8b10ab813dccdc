"""The documents are OpenAPI, and the gateway does what they say, whatever it is sent."""

import json
import os
import pathlib
import subprocess
import sys
import urllib.request

import pytest
from conftest import ADMIN_KEY, CALLER_KEY
from openapi_spec_validator import OpenAPIV31SpecValidator, validate

HERE = pathlib.Path(__file__).parent


@pytest.mark.parametrize("name", ["admin", "proxy"])
def test_a_document_is_openapi(gateway, name):
    with urllib.request.urlopen(gateway.documents[name], timeout=10) as answer:
        document = json.load(answer)
    assert document["openapi"] == "3.1.0"
    validate(document, cls=OpenAPIV31SpecValidator)


def test_the_admin_api_does_as_documented(gateway, tmp_path):
    # The playground wants a caller's key; the proxy serves the same below.
    # `apikeys` is another spelling of `api_keys`.
    more = ["--max-examples", "8", "--exclude-path-regex", "^(/playground/|/admin/v1/apikeys)"]
    hold(gateway.documents["admin"], gateway.admin_url, ADMIN_KEY, more, tmp_path, 240)


def test_the_proxy_does_as_documented(gateway, tmp_path):
    more = ["--max-examples", "25"]
    hold(gateway.documents["proxy"], gateway.proxy_url, CALLER_KEY, more, tmp_path, 120)


def hold(document, url, key, more, folder, longest_seconds):
    """Runs schemathesis: examples, edges, random requests good and bad, and sequences of them.

    It remembers failures in the folder that it runs in, which is a new one, so that every run sends the same.
    """
    command = [
        *(sys.executable, "-m", "schemathesis.cli"),
        *("--config-file", str(HERE / "schemathesis.toml"), "run", document),
        *("--url", url, "--header", f"Authorization: Bearer {key}"),
        *("--seed", "1", "--continue-on-failure", "--request-timeout", "10", "--no-color"),
        *more,
    ]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": str(HERE / "hooks.py")}
    # Its output is shown when the test fails. What hangs is a failure: it takes a third of this time on two idle cores.
    done = subprocess.run(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, timeout=longest_seconds, check=False
    )
    assert done.returncode == 0
