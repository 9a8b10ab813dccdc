"""What a test asks of a client, and what it gets, whatever the client."""

import dataclasses
from typing import Any

PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


@dataclasses.dataclass
class Call:
    """A call of a tool."""

    id: str
    name: str
    arguments: dict


@dataclasses.dataclass
class Answer:
    """An answer as the client understood it."""

    text: str
    calls: list[Call]
    finish: str
    model: str
    input_tokens: int
    output_tokens: int
    # What the client itself hands back in the next turn.
    raw: Any
    refusal: str = ""


class Face:
    """A client that tries once, so that a test sees what the gateway says.

    Each class has: `name`; `stopped`, `called` and `cut_short`, its words for why an answer ended; `errors`, its
    exceptions by status, and `failure`, what they have in common; `user`, `ask`, `stream`, `answered`, `ask_nothing`, `parse`, `pieces` and `told`.
    """

    def __init__(self, gateway, key="sk-sdk"):
        self.client = self.connect(gateway, key)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.close()
