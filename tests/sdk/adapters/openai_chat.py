"""OpenAI's client, chat completions."""

import contextlib
import json

import openai

from .face import PARAMETERS, Answer, Call, Face


def openai_form(form):
    """A schema as the client writes it for a class."""
    return openai.lib._parsing._completions.type_to_response_format_param(form)


class OpenAIChat(Face):
    name = "openai-chat"
    stopped, called, cut_short = "stop", "tool_calls", "length"
    failure = openai.APIError
    errors = {
        400: openai.BadRequestError,
        401: openai.AuthenticationError,
        403: openai.PermissionDeniedError,
        404: openai.NotFoundError,
        429: openai.RateLimitError,
        502: openai.InternalServerError,
    }

    def connect(self, gateway, key):
        return gateway.client(key)

    def user(self, text, image=None):
        if image is None:
            return [{"role": "user", "content": text}]
        picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{image}"}}
        return [{"role": "user", "content": [{"type": "text", "text": text}, picture]}]

    def tools(self, names):
        if not names:
            return {}
        function = {"description": "Tells it.", "parameters": PARAMETERS}
        return {"tools": [{"type": "function", "function": {"name": name, **function}} for name in names]}

    def answer(self, completion):
        [choice] = completion.choices
        calls = [
            Call(call.id, call.function.name, json.loads(call.function.arguments))
            for call in choice.message.tool_calls or []
        ]
        usage = completion.usage
        counted = (usage.prompt_tokens, usage.completion_tokens) if usage else (0, 0)
        return Answer(
            choice.message.content or "",
            calls,
            choice.finish_reason,
            completion.model,
            *counted,
            choice.message,
            choice.message.refusal or "",
        )

    def ask(self, model, turns, tools=(), limit=None):
        limited = {"max_completion_tokens": limit} if limit else {}
        return self.answer(
            self.client.chat.completions.create(model=model, messages=turns, **limited, **self.tools(tools))
        )

    def stream(self, model, turns, tools=()):
        options = {"stream_options": {"include_usage": True}, **self.tools(tools)}
        with self.client.chat.completions.stream(model=model, messages=turns, **options) as stream:
            texts = [event.delta for event in stream if event.type == "content.delta"]
            return texts, self.answer(stream.get_final_completion())

    def answered(self, turns, answer, results):
        told = [
            {"role": "tool", "tool_call_id": call.id, "content": result}
            for call, result in zip(answer.calls, results, strict=True)
        ]
        return [*turns, answer.raw, *told]

    def ask_nothing(self, model):
        return self.ask(model, [])

    def parse(self, model, turns, form):
        completion = self.client.chat.completions.parse(model=model, messages=turns, response_format=form)
        return completion.choices[0].message.parsed

    def stream_parse(self, model, turns, form):
        with self.client.chat.completions.stream(
            model=model, messages=turns, response_format=form
        ) as stream:
            return stream.get_final_completion().choices[0].message.parsed

    async def ask_asynchronously(self, gateway, model, turns):
        async with gateway.async_client() as client:
            async with client.chat.completions.stream(model=model, messages=turns) as stream:
                return (await stream.get_final_completion()).choices[0].message.content

    def form_request(self, model, turns, form):
        """The text of an answer in a form, as it came."""
        with self.client.chat.completions.stream(
            model=model, messages=turns, response_format=openai_form(form)
        ) as stream:
            return stream.get_final_completion().choices[0].message.content

    def ask_with_settings(self, model, turns):
        told = [{"role": "system", "content": "Be brief."}, {"role": "assistant", "content": "Yes?"}]
        completion = self.client.chat.completions.create(
            model=model,
            messages=[told[0], *turns, told[1], *turns],
            temperature=0.5,
            top_p=0.9,
            stop=["END"],
            max_completion_tokens=5000,
            reasoning_effort="low",
            user="someone",
            tools=self.tools(["weather"])["tools"],
            tool_choice={"type": "function", "function": {"name": "weather"}},
            parallel_tool_calls=False,
        )
        return completion.choices[0].message.content

    @contextlib.contextmanager
    def pieces(self, model, turns, request_id):
        headers = {"x-aisix-request-id": request_id}
        with self.client.chat.completions.create(
            model=model, messages=turns, stream=True, extra_headers=headers
        ) as stream:
            yield (chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)

    def told(self, error):
        return error.status_code, error.body["message"]
