"""Anthropic's client, Messages."""

import contextlib

import anthropic

from .face import PARAMETERS, Answer, Call, Face

MAX_TOKENS = 1000


class AnthropicMessages(Face):
    name = "anthropic-messages"
    stopped, called, cut_short = "end_turn", "tool_use", "max_tokens"
    failure = anthropic.APIError
    errors = {
        400: anthropic.BadRequestError,
        401: anthropic.AuthenticationError,
        403: anthropic.PermissionDeniedError,
        404: anthropic.NotFoundError,
        429: anthropic.RateLimitError,
        502: anthropic.InternalServerError,
    }

    def connect(self, gateway, key):
        return anthropic.Anthropic(base_url=gateway.root, api_key=key, max_retries=0, timeout=20)

    def user(self, text, image=None):
        if image is None:
            return [{"role": "user", "content": text}]
        source = {"type": "base64", "media_type": "image/png", "data": image}
        return [
            {"role": "user", "content": [{"type": "image", "source": source}, {"type": "text", "text": text}]}
        ]

    def tools(self, names):
        if not names:
            return {}
        tool = {"description": "Tells it.", "input_schema": PARAMETERS}
        return {"tools": [{"name": name, **tool} for name in names]}

    def answer(self, message):
        text = "".join(block.text for block in message.content if block.type == "text")
        calls = [
            Call(block.id, block.name, block.input) for block in message.content if block.type == "tool_use"
        ]
        usage = message.usage
        return Answer(
            text,
            calls,
            message.stop_reason,
            message.model,
            usage.input_tokens,
            usage.output_tokens,
            message.content,
        )

    def ask(self, model, turns, tools=(), limit=MAX_TOKENS):
        return self.answer(
            self.client.messages.create(model=model, max_tokens=limit, messages=turns, **self.tools(tools))
        )

    def stream(self, model, turns, tools=()):
        with self.client.messages.stream(
            model=model, max_tokens=MAX_TOKENS, messages=turns, **self.tools(tools)
        ) as stream:
            texts = list(stream.text_stream)
            return texts, self.answer(stream.get_final_message())

    def answered(self, turns, answer, results):
        told = [
            {"type": "tool_result", "tool_use_id": call.id, "content": result}
            for call, result in zip(answer.calls, results, strict=True)
        ]
        return [*turns, {"role": "assistant", "content": answer.raw}, {"role": "user", "content": told}]

    def ask_nothing(self, model):
        return self.ask(model, [])

    def parse(self, model, turns, form):
        message = self.client.messages.parse(
            model=model, max_tokens=MAX_TOKENS, messages=turns, output_format=form
        )
        return message.parsed_output

    def stream_parse(self, model, turns, form):
        with self.client.messages.stream(
            model=model, max_tokens=MAX_TOKENS, messages=turns, output_format=form
        ) as stream:
            return stream.get_final_message().parsed_output

    async def ask_asynchronously(self, gateway, model, turns):
        async with anthropic.AsyncAnthropic(base_url=gateway.root, api_key="sk-sdk", max_retries=0) as client:
            async with client.messages.stream(
                model=model, max_tokens=MAX_TOKENS, messages=turns
            ) as stream:
                return await stream.get_final_text()

    def loop(self, model, text, function):
        runner = self.client.beta.messages.tool_runner(
            model=model,
            max_tokens=MAX_TOKENS,
            messages=self.user(text),
            tools=[anthropic.beta_tool(function)],
        )
        return self.answer(runner.until_done()).text

    def form_request(self, model, turns, form):
        """The text of an answer in a form, as it came."""
        wanted = {"type": "json_schema", "schema": anthropic.transform_schema(form)}
        return self.answer(
            self.client.messages.create(
                model=model, max_tokens=MAX_TOKENS, messages=turns, output_config={"format": wanted}
            )
        ).text

    def ask_with_settings(self, model, turns):
        return self.answer(
            self.client.messages.create(
                model=model,
                max_tokens=5000,
                system=[{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
                messages=[*turns, {"role": "assistant", "content": "Yes?"}, *turns],
                extra_body={"temperature": 0.5, "top_k": 20},
                stop_sequences=["END"],
                metadata={"user_id": "someone"},
                tools=self.tools(["weather"])["tools"],
                tool_choice={"type": "tool", "name": "weather", "disable_parallel_tool_use": True},
            )
        ).text

    @contextlib.contextmanager
    def pieces(self, model, turns, request_id):
        headers = {"x-aisix-request-id": request_id}
        with self.client.messages.stream(
            model=model, max_tokens=MAX_TOKENS, messages=turns, extra_headers=headers
        ) as stream:
            yield stream.text_stream

    def told(self, error):
        assert error.body["type"] == "error"
        return error.status_code, error.body["error"]["message"]
