"""The endpoints that are no conversations, as the official clients ask for them: over HTTP and in the process."""

import base64
import io
import wave

import anthropic
import openai
import pytest
from adapters import AnthropicMessages, Gemini
from test_chat import PNG

# The provider over HTTP, and the one in the gateway's own process.
PROVIDERS = ["responses", "inside"]


@pytest.fixture(params=PROVIDERS)
def model(request):
    return f"{request.param}/demo"


def sound():
    """A second of silence."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(bytes(32_000))
    return "silence.wav", buffer.getvalue(), "audio/wav"


HEARD = f"I heard {len(sound()[1])} bytes of sound."


@pytest.mark.parametrize("encoding", ["float", "base64", None])
def test_texts_become_vectors(client, model, encoding):
    asked = {"encoding_format": encoding} if encoding else {}
    listed = client.embeddings.create(model=model, input=["a", "b", "a"], dimensions=8, **asked)
    vectors = [row.embedding for row in listed.data]
    assert vectors[0] == vectors[2] != vectors[1]
    if encoding != "base64":
        assert [len(vector) for vector in vectors] == [8, 8, 8]
    assert listed.usage.prompt_tokens == listed.usage.total_tokens == 3


def test_a_text_is_continued(client, model):
    options = {"prompt": ["Hello", "Bye"], "n": 2, "max_tokens": 3}
    whole = client.completions.create(model=model, **options)
    assert [choice.text for choice in whole.choices] == ['You said: "H'] * 2 + ['You said: "B'] * 2
    assert {choice.finish_reason for choice in whole.choices} == {"length"}
    assert whole.usage.completion_tokens == 12
    *chunks, last = client.completions.create(
        model=model, **options, stream=True, stream_options={"include_usage": True}
    )
    texts = {choice.index: "" for choice in whole.choices}
    for chunk in chunks:
        texts[chunk.choices[0].index] += chunk.choices[0].text
    assert texts == {choice.index: choice.text for choice in whole.choices}
    assert last.usage == whole.usage


def test_a_text_is_judged(client, model):
    judged = client.moderations.create(model=model, input=["a nice day", "much violence"])
    assert [result.flagged for result in judged.results] == [False, True]
    assert judged.results[1].categories.violence


@pytest.mark.parametrize("provider", ["responses", "inside", "cohere"])
def test_documents_are_sorted(client, provider):
    asked = {"query": "red cat", "documents": ["a dog", "a red cat", "a cat"], "top_n": 2}
    body = {"model": f"{provider}/demo", **asked}
    answer = client.post("/rerank", body=body, cast_to=dict[str, object])
    assert [result["index"] for result in answer["results"]] == [1, 2]


def test_a_picture_is_made(client, model):
    made = client.images.generate(model=model, prompt="a cat", n=2, size="1024x1024")
    assert [base64.b64decode(picture.b64_json)[:4] for picture in made.data] == [b"\x89PNG"] * 2
    assert made.usage.total_tokens == made.usage.input_tokens + made.usage.output_tokens > 0


@pytest.mark.parametrize("pictures", [1, 2])
def test_a_picture_is_changed(client, model, pictures):
    files = [(f"{number}.png", PNG, "image/png") for number in range(pictures)]
    changed = client.images.edit(model=model, image=files if pictures > 1 else files[0], prompt="red")
    assert base64.b64decode(changed.data[0].b64_json).startswith(b"\x89PNG")


def test_a_picture_comes_as_a_stream(client, model):
    made = [event.type for event in client.images.generate(model=model, prompt="a cat", stream=True)]
    changed = [
        event.type for event in client.images.edit(model=model, image=PNG, prompt="red", stream=True)
    ]
    assert (made, changed) == (["image_generation.completed"], ["image_edit.completed"])


def test_sound_is_written_down_in_every_format(client, model):
    def ask(form):
        return client.audio.transcriptions.create(model=model, file=sound(), response_format=form)

    assert ask("json").text == HEARD
    assert ask("text") == f"{HEARD}\n"
    assert f"00:00:00,000 --> 00:00:01,001\n{HEARD}" in ask("srt")
    assert ask("vtt").startswith("WEBVTT\n\n00:00:00.000 --> 00:00:01.001\n")
    verbose = ask("verbose_json")
    assert (verbose.text, verbose.segments[0].text) == (HEARD, HEARD)


def test_a_transcript_comes_as_a_stream(client, model):
    events = list(client.audio.transcriptions.create(model=model, file=sound(), stream=True))
    said = "".join(event.delta for event in events if event.type == "transcript.text.delta")
    assert said == events[-1].text == HEARD
    assert events[-1].usage.total_tokens > 0


def test_sound_is_translated(client, model):
    assert client.audio.translations.create(model=model, file=sound()).text.endswith("in English.")


@pytest.mark.parametrize(
    ("form", "kind", "begin"),
    [
        ("mp3", "audio/mpeg", b"\xff\xfb"),
        ("opus", "audio/opus", b"OggS"),
        ("aac", "audio/aac", b"\xff\xf1"),
        ("flac", "audio/flac", b"fLaC"),
        ("wav", "audio/wav", b"RIFF"),
        ("pcm", "audio/pcm", b"\0\0"),
    ],
)
def test_a_text_is_spoken(client, model, form, kind, begin):
    spoken = client.audio.speech.create(model=model, input="Hello", voice="alloy", response_format=form)
    assert spoken.response.headers["content-type"] == kind
    assert spoken.content.startswith(begin)
    if form == "wav":
        with wave.open(io.BytesIO(spoken.content)) as file:
            assert file.getnframes() == 1600


def test_speech_streams_to_a_file(client, model, tmp_path):
    with client.audio.speech.with_streaming_response.create(
        model=model, input="Hello", voice="alloy"
    ) as spoken:
        spoken.stream_to_file(tmp_path / "hello.mp3")
    assert (tmp_path / "hello.mp3").read_bytes().startswith(b"\xff\xfb")


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize(
    "ask",
    [
        lambda client, model: client.embeddings.create(model=model, input="a"),
        lambda client, model: client.completions.create(model=model, prompt="a"),
        lambda client, model: client.moderations.create(model=model, input="a"),
        lambda client, model: client.images.generate(model=model, prompt="a"),
        lambda client, model: client.images.edit(model=model, image=PNG, prompt="a"),
        lambda client, model: client.audio.transcriptions.create(model=model, file=sound()),
        lambda client, model: client.audio.translations.create(model=model, file=sound()),
        lambda client, model: client.audio.speech.create(model=model, input="a", voice="alloy"),
    ],
    ids=["embed", "complete", "moderate", "image", "edit", "transcribe", "translate", "speak"],
)
def test_every_endpoint_refuses_as_the_provider_does(client, provider, ask):
    for status, expected in [(429, openai.RateLimitError), (404, openai.NotFoundError)]:
        with pytest.raises(expected) as caught:
            ask(client, f"{provider}/fail-{status}")
        assert caught.value.type == "upstream_error"
    with pytest.raises(openai.NotFoundError) as caught:
        ask(client, "no-such-model")
    assert caught.value.type == "model_not_found"


# The first two count themselves; for the others the gateway guesses.
@pytest.mark.parametrize("provider", ["anthropic", "gemini", "chat", "responses", "inside"])
def test_tokens_are_counted(gateway, provider):
    asked = "A few words to count."
    with AnthropicMessages(gateway) as sdk:
        counted = sdk.client.messages.count_tokens(model=f"{provider}/demo", messages=sdk.user(asked))
        assert 3 <= counted.input_tokens <= 20
    with Gemini(gateway) as sdk:
        counted = sdk.client.models.count_tokens(model=f"{provider}/demo", contents=sdk.user(asked))
        assert 3 <= counted.total_tokens <= 20


def test_counting_is_refused_in_the_clients_own_words(gateway):
    with AnthropicMessages(gateway) as sdk, pytest.raises(anthropic.RateLimitError):
        sdk.client.messages.count_tokens(model="anthropic/fail-429", messages=sdk.user("a"))
    with Gemini(gateway) as sdk, pytest.raises(Gemini.errors[429]):
        sdk.client.models.count_tokens(model="gemini/fail-429", contents=sdk.user("a"))


def test_the_tunnel_leads_to_the_providers_own_api(gateway):
    """Whatever a client of the provider does, through the gateway and with its credential."""
    root = f"{gateway.root}/passthrough"
    with openai.OpenAI(base_url=f"{root}/mock/v1", api_key="sk-sdk", max_retries=0) as client:
        said = client.responses.create(model="demo", input="Hello")
        assert said.output_text.startswith('You said: "Hello".')
        assert client.audio.transcriptions.create(model="demo", file=sound()).text == HEARD
        assert "demo" in [model.id for model in client.models.list()]
    with anthropic.Anthropic(base_url=f"{root}/anthropic", api_key="sk-sdk", max_retries=0) as client:
        asked = [{"role": "user", "content": "Hello"}]
        with client.messages.stream(model="demo", max_tokens=99, messages=asked) as stream:
            assert stream.get_final_text().startswith('You said: "Hello".')
