"""Holds what a provider received against the types of its own official client.

The mock reads a request with the gateway's codecs, so a mistake that the codecs share would go unnoticed there. These
types come from the providers themselves. Members that they do not have are as wrong as missing ones.
"""

import collections.abc
import types
import typing

import anthropic.types
import openai.types.chat.completion_create_params
import pydantic
import typing_extensions
from google.genai import types as google

LISTS = (list, collections.abc.Iterable, collections.abc.Sequence)
QUALIFIERS = {typing_extensions.Required, typing_extensions.NotRequired, typing_extensions.ReadOnly}


class GeminiRequest(pydantic.BaseModel):
    """What Google's client puts together from its arguments."""

    model_config = pydantic.ConfigDict(extra="forbid")

    contents: list[google.Content]
    systemInstruction: google.Content | None = None
    tools: list[google.Tool] | None = None
    toolConfig: google.ToolConfig | None = None
    generationConfig: google.GenerationConfig | None = None
    safetySettings: list[google.SafetySetting] | None = None


# The types know only the newest models, which have no sampling; earlier ones have.
OF_EARLIER_MODELS = {"anthropic": {"temperature", "top_p", "top_k"}}

REQUESTS = {
    "chat": openai.types.chat.completion_create_params.CompletionCreateParams,
    "anthropic": anthropic.types.MessageCreateParams,
    "gemini": GeminiRequest,
}


def mistakes_in(request, dialect):
    """Everything in which a request does not fit the types of a dialect."""
    left_out = OF_EARLIER_MODELS.get(dialect, ())
    request = {name: value for name, value in request.items() if name not in left_out}
    return mistakes(request, REQUESTS[dialect])


def mistakes(value, expected, place="request"):
    """Everything in which a value does not fit a type, each with its place."""
    origin, arguments = typing.get_origin(expected), typing.get_args(expected)
    if origin in QUALIFIERS or origin is typing.Annotated:
        return mistakes(value, arguments[0], place)
    if expected in (typing.Any, object):
        return []
    if isinstance(expected, typing_extensions.TypeAliasType):
        return mistakes(value, expected.__value__, place)
    if origin in (typing.Union, types.UnionType):
        return of_union(value, arguments, place)
    if origin in (typing.Literal, typing_extensions.Literal):
        return [] if value in arguments else [f"{place}: {value!r} is none of {arguments}"]
    if typing_extensions.is_typeddict(expected):
        return of_object(value, expected, place)
    if isinstance(expected, type) and issubclass(expected, pydantic.BaseModel):
        return of_model(value, expected, place)
    if origin in (dict, collections.abc.Mapping):
        return [] if isinstance(value, dict) else [f"{place}: no object"]
    if origin in LISTS or getattr(origin, "__name__", "") == "SequenceNotStr":
        if not isinstance(value, list):
            return [f"{place}: no list"]
        return [wrong for at, one in enumerate(value) for wrong in mistakes(one, arguments[0], f"{place}[{at}]")]
    if origin is not None:
        # A file, or a class of the client's own: nothing that JSON can be.
        return [f"{place}: no {expected}"]
    if expected is float:
        expected = (int, float)
    if expected is None:
        expected = type(None)
    fits = isinstance(value, expected) and not (isinstance(value, bool) and expected is not bool)
    return [] if fits else [f"{place}: {value!r} is no {expected}"]


def of_union(value, choices, place):
    """Nothing when one choice fits; otherwise what is wrong with the one that comes closest."""
    found = [mistakes(value, choice, place) for choice in choices]
    return min(found, key=len_of)


def len_of(found):
    # A wrong `type` says that it is another choice.
    return len(found) + sum(100 for wrong in found if ".type:" in wrong or ": no " in wrong)


def of_object(value, expected, place):
    if not isinstance(value, dict):
        return [f"{place}: no object"]
    hints = typing_extensions.get_type_hints(expected, include_extras=True)
    found = [f"{place}.{name}: missing" for name in expected.__required_keys__ if name not in value]
    found += [f"{place}.{name}: not known" for name in value if name not in hints]
    for name, hint in hints.items():
        if name in value:
            found += mistakes(value[name], hint, f"{place}.{name}")
    return found


def of_model(value, expected, place):
    if not isinstance(value, dict):
        return [f"{place}: no object"]
    try:
        expected.model_validate(value)
    except pydantic.ValidationError as wrong:
        return [f"{place}.{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in wrong.errors()]
    return []
