"""Processes of the built binary, started when they answer and stopped by their own ids."""

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

import pytest

BINARY = os.path.abspath(os.environ["AISIX_BIN"])
START_SECONDS = 20


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Process:
    """A process of the binary, started when `url` answers."""

    def __init__(self, arguments, url, log, environment=None):
        self.log = log
        with open(log, "wb") as output:
            self.process = subprocess.Popen(
                [BINARY, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment,
            )
        deadline = time.monotonic() + START_SECONDS
        while not answers(url):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                pytest.exit(f"aisix {' '.join(arguments)} did not start:\n{log.read_text()}", returncode=3)
            time.sleep(0.02)

    def stop(self):
        """An interrupt ends it without the wait that a load balancer needs."""
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False
