"""The official clients behind one face: one class for each API in which callers converse."""

from .anthropic_messages import AnthropicMessages
from .gemini import Gemini
from .openai_chat import OpenAIChat
from .openai_responses import OpenAIResponses

ADAPTERS = {adapter.name: adapter for adapter in (OpenAIChat, OpenAIResponses, AnthropicMessages, Gemini)}
