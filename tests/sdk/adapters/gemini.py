"""Google's client, `generate_content`."""

import base64
import contextlib

from google import genai
from google.genai import errors, types

from .face import PARAMETERS, Answer, Call, Face


class Gemini(Face):
    name = "google-genai"
    stopped, called, cut_short = "STOP", "STOP", "MAX_TOKENS"
    failure = errors.APIError
    errors = {
        400: errors.ClientError,
        401: errors.ClientError,
        403: errors.ClientError,
        404: errors.ClientError,
        429: errors.ClientError,
        502: errors.ServerError,
    }

    def connect(self, gateway, key):
        once = types.HttpRetryOptions(attempts=1)
        options = types.HttpOptions(base_url=gateway.root, timeout=20_000, retry_options=once)
        return genai.Client(api_key=key, http_options=options)

    def user(self, text, image=None):
        parts = [types.Part.from_text(text=text)]
        if image is not None:
            parts.append(types.Part.from_bytes(data=base64.b64decode(image), mime_type="image/png"))
        return [types.Content(role="user", parts=parts)]

    def config(self, names=(), **more):
        declared = [
            types.FunctionDeclaration(name=name, description="Tells it.", parameters_json_schema=PARAMETERS)
            for name in names
        ]
        tools = [types.Tool(function_declarations=declared)] if declared else None
        return types.GenerateContentConfig(tools=tools, **more)

    def answer(self, responses):
        parts = [part for response in responses for part in response.candidates[0].content.parts or []]
        calls = [
            Call(part.function_call.id, part.function_call.name, part.function_call.args)
            for part in parts
            if part.function_call
        ]
        last = responses[-1]
        usage = last.usage_metadata
        return Answer(
            "".join(part.text or "" for part in parts),
            calls,
            last.candidates[0].finish_reason.value,
            last.model_version,
            usage.prompt_token_count,
            usage.candidates_token_count,
            types.Content(role="model", parts=parts),
        )

    def ask(self, model, turns, tools=(), limit=None):
        config = self.config(tools, max_output_tokens=limit)
        return self.answer([self.client.models.generate_content(model=model, contents=turns, config=config)])

    def stream(self, model, turns, tools=()):
        config = self.config(tools)
        responses = list(
            self.client.models.generate_content_stream(model=model, contents=turns, config=config)
        )
        texts = [
            part.text
            for response in responses
            for part in response.candidates[0].content.parts or []
            if part.text
        ]
        return texts, self.answer(responses)

    def answered(self, turns, answer, results):
        told = [
            types.Part(
                function_response=types.FunctionResponse(
                    id=call.id, name=call.name, response={"output": result}
                )
            )
            for call, result in zip(answer.calls, results, strict=True)
        ]
        return [*turns, answer.raw, types.Content(role="user", parts=told)]

    def ask_nothing(self, model):
        # The client itself refuses to send no contents.
        broken = types.HttpOptions(extra_body={"contents": 1})
        config = self.config(http_options=broken)
        return self.client.models.generate_content(model=model, contents="Hello", config=config)

    def parse(self, model, turns, form):
        config = self.config(response_mime_type="application/json", response_schema=form)
        return self.client.models.generate_content(model=model, contents=turns, config=config).parsed

    def stream_parse(self, model, turns, form):
        config = self.config(response_mime_type="application/json", response_schema=form)
        stream = self.client.models.generate_content_stream(model=model, contents=turns, config=config)
        return form.model_validate_json("".join(response.text or "" for response in stream))

    async def ask_asynchronously(self, gateway, model, turns):
        stream = await self.client.aio.models.generate_content_stream(model=model, contents=turns)
        texts = [response.text or "" async for response in stream]
        await self.client.aio.aclose()
        return "".join(texts)

    def loop(self, model, text, function):
        config = types.GenerateContentConfig(tools=[function])
        return self.client.models.generate_content(model=model, contents=text, config=config).text

    def form_request(self, model, turns, form):
        """The text of an answer in a form, as it came."""
        config = self.config(response_mime_type="application/json", response_json_schema=form.model_json_schema())
        return self.client.models.generate_content(model=model, contents=turns, config=config).text

    def ask_with_settings(self, model, turns):
        config = self.config(
            ["weather"],
            system_instruction="Be brief.",
            temperature=0.5,
            top_p=0.9,
            top_k=20,
            stop_sequences=["END"],
            max_output_tokens=5000,
            thinking_config=types.ThinkingConfig(thinking_budget=1024),
            tool_config=types.ToolConfig(
                function_calling_config=types.FunctionCallingConfig(
                    mode="ANY", allowed_function_names=["weather"]
                )
            ),
        )
        said = types.Content(role="model", parts=[types.Part.from_text(text="Yes?")])
        asked = [*turns, said, *turns]
        return self.client.models.generate_content(model=model, contents=asked, config=config).text

    @contextlib.contextmanager
    def pieces(self, model, turns, request_id):
        headers = types.HttpOptions(headers={"x-aisix-request-id": request_id})
        stream = self.client.models.generate_content_stream(
            model=model, contents=turns, config=self.config(http_options=headers)
        )
        with contextlib.closing(stream):
            yield (response.text for response in stream)

    def told(self, error):
        assert error.details["error"]["code"] == error.code
        assert error.status
        return error.code, error.message
