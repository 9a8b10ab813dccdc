"""OpenAI's client, Responses."""

import contextlib
import json

import openai

from .face import PARAMETERS, Answer, Call, Face
from .openai_chat import OpenAIChat, openai_form


class OpenAIResponses(Face):
    name = "openai-responses"
    stopped, called, cut_short = "completed", "completed", "incomplete"
    errors, failure = OpenAIChat.errors, OpenAIChat.failure

    def connect(self, gateway, key):
        return gateway.client(key)

    def user(self, text, image=None):
        if image is None:
            return [{"role": "user", "content": text}]
        picture = {"type": "input_image", "image_url": f"data:image/png;base64,{image}"}
        return [{"role": "user", "content": [{"type": "input_text", "text": text}, picture]}]

    def tools(self, names):
        if not names:
            return {}
        function = {"type": "function", "description": "Tells it.", "parameters": PARAMETERS, "strict": False}
        return {"tools": [{"name": name, **function} for name in names]}

    def answer(self, response):
        calls = [
            Call(item.call_id, item.name, json.loads(item.arguments))
            for item in response.output
            if item.type == "function_call"
        ]
        parts = [part for item in response.output if item.type == "message" for part in item.content]
        usage = response.usage
        return Answer(
            response.output_text,
            calls,
            response.status,
            response.model,
            usage.input_tokens,
            usage.output_tokens,
            response.output,
            "".join(part.refusal for part in parts if part.type == "refusal"),
        )

    def ask(self, model, turns, tools=(), limit=None):
        limited = {"max_output_tokens": limit} if limit else {}
        return self.answer(
            self.client.responses.create(model=model, input=turns, **limited, **self.tools(tools))
        )

    def stream(self, model, turns, tools=()):
        with self.client.responses.stream(model=model, input=turns, **self.tools(tools)) as stream:
            texts = [event.delta for event in stream if event.type == "response.output_text.delta"]
            return texts, self.answer(stream.get_final_response())

    def answered(self, turns, answer, results):
        told = [
            {"type": "function_call_output", "call_id": call.id, "output": result}
            for call, result in zip(answer.calls, results, strict=True)
        ]
        return [*turns, *answer.raw, *told]

    def ask_nothing(self, model):
        return self.ask(model, 1)

    def parse(self, model, turns, form):
        return self.client.responses.parse(model=model, input=turns, text_format=form).output_parsed

    def stream_parse(self, model, turns, form):
        with self.client.responses.stream(model=model, input=turns, text_format=form) as stream:
            return stream.get_final_response().output_parsed

    async def ask_asynchronously(self, gateway, model, turns):
        async with gateway.async_client() as client:
            async with client.responses.stream(model=model, input=turns) as stream:
                return (await stream.get_final_response()).output_text

    def form_request(self, model, turns, form):
        """The text of an answer in a form, as it came."""
        wanted = openai_form(form)["json_schema"]
        return self.client.responses.create(
            model=model, input=turns, text={"format": {"type": "json_schema", **wanted}}
        ).output_text

    def ask_with_settings(self, model, turns):
        return self.client.responses.create(
            model=model,
            instructions="Be brief.",
            input=[*turns, {"role": "assistant", "content": "Yes?"}, *turns],
            temperature=0.5,
            top_p=0.9,
            max_output_tokens=5000,
            reasoning={"effort": "low"},
            user="someone",
            tools=self.tools(["weather"])["tools"],
            tool_choice={"type": "function", "name": "weather"},
            parallel_tool_calls=False,
        ).output_text

    @contextlib.contextmanager
    def pieces(self, model, turns, request_id):
        headers = {"x-aisix-request-id": request_id}
        with self.client.responses.create(
            model=model, input=turns, stream=True, extra_headers=headers
        ) as stream:
            yield self.texts(stream)

    def texts(self, stream):
        for event in stream:
            # The client gives an error in the middle as an event like the others.
            if event.type == "error":
                raise openai.APIError(event.message, stream.response.request, body=event.to_dict())
            if event.type == "response.output_text.delta":
                yield event.delta

    told = OpenAIChat.told
