"""The documents are OpenAPI, and the gateway does what they say, whatever it is sent."""

import json
import pathlib
import subprocess
import sys
import urllib.request

import pytest
from conftest import ADMIN_KEY, CALLER_KEY
from openapi_spec_validator import OpenAPIV31SpecValidator, validate

HERE = pathlib.Path(__file__).parent
# More than it takes on a slow machine; what hangs is a failure.
LONGEST_SECONDS = {"admin": 70, "proxy": 20}


@pytest.mark.parametrize("name", ["admin", "proxy"])
def test_a_document_is_openapi(gateway, name):
    with urllib.request.urlopen(gateway.documents[name], timeout=10) as answer:
        document = json.load(answer)
    assert document["openapi"] == "3.1.0"
    validate(document, cls=OpenAPIV31SpecValidator)


def test_the_admin_api_does_as_documented(gateway):
    # The playground wants a caller's key; the proxy serves the same below.
    hold(gateway, "admin", gateway.admin_url, ADMIN_KEY, 10, "--exclude-path", "/playground/chat/completions")


def test_the_proxy_does_as_documented(gateway):
    hold(gateway, "proxy", gateway.proxy_url, CALLER_KEY, 100)


def hold(gateway, name, url, key, examples, *more):
    """Runs schemathesis: examples, edges, random requests good and bad, and sequences of them."""
    command = [
        *(sys.executable, "-m", "schemathesis.cli"),
        *("--config-file", "schemathesis.toml", "run", gateway.documents[name]),
        *("--url", url, "--header", f"Authorization: Bearer {key}"),
        *("--max-examples", str(examples), "--seed", "1", "--continue-on-failure"),
        *("--request-timeout", "10", "--no-color"),
        *more,
    ]
    limit = LONGEST_SECONDS[name]
    # Its output is shown when the test fails.
    done = subprocess.run(command, cwd=HERE, stdin=subprocess.DEVNULL, timeout=limit, check=False)
    assert done.returncode == 0
