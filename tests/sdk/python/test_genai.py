"""Google's GenAI SDK through the gateway, against providers of every dialect."""

import pytest
from google import genai
from google.genai import errors, types
from pydantic import BaseModel

from support import KEY, MODELS, PATHS, told

TEXT = 'Grüße, 世界! one two  three 🦀 "quoted" \\ end'
COUNTS = {"input_tokens": 10, "output_tokens": 9, "cached_tokens": 5}


def client_of(translator, key=KEY, version="v1beta"):
    options = types.HttpOptions(base_url=f"http://{translator.address}", api_version=version)
    return genai.Client(api_key=key, http_options=options)


@pytest.fixture(scope="module")
def client(translator):
    return client_of(translator)


def ask(client, dialect, text="hi", behaviour={}, contents=None, stream=False, **config):
    call = client.models.generate_content_stream if stream else client.models.generate_content
    # The calls of tools are looked at here, not made by the SDK.
    config = types.GenerateContentConfig(automatic_function_calling={"disable": True}, **config)
    return call(model=MODELS[dialect], contents=contents or told(text, **behaviour), config=config)


def test_content_is_generated_in_the_words_of_the_provider(client, provider, dialect):
    answer = ask(client, dialect, behaviour={"content": TEXT, **COUNTS})
    assert provider.last()["path"].startswith(PATHS[dialect])
    assert (answer.text, answer.candidates[0].finish_reason) == (TEXT, types.FinishReason.STOP)
    assert answer.model_version == MODELS[dialect].split("/")[1]
    usage = answer.usage_metadata
    assert (usage.prompt_token_count, usage.cached_content_token_count) == (15, 5)
    assert (usage.candidates_token_count, usage.total_token_count) == (9, 24)


def test_a_stream_brings_pieces_and_one_end_with_usage(client, provider, dialect):
    chunks = list(ask(client, dialect, behaviour={"events": 3, **COUNTS}, stream=True))
    assert provider.last()["path"].startswith(PATHS[dialect])
    texts = [chunk.text for chunk in chunks if chunk.text]
    assert texts == ["word0 ", "word1 ", "word2 "]
    finishes = [chunk.candidates[0].finish_reason for chunk in chunks if chunk.candidates]
    assert finishes == [None] * (len(finishes) - 1) + [types.FinishReason.STOP]
    usage = chunks[-1].usage_metadata
    assert (usage.prompt_token_count, usage.candidates_token_count, usage.total_token_count) == (15, 9, 24)


@pytest.mark.parametrize("finish, reason", [("length", "MAX_TOKENS"), ("filter", "SAFETY")])
@pytest.mark.parametrize("stream", [False, True])
def test_the_reason_to_finish_is_one_of_googles(client, dialect, finish, reason, stream):
    answer = ask(client, dialect, behaviour={"finish": finish, "events": 2}, stream=stream)
    last = list(answer)[-1] if stream else answer
    assert last.candidates[0].finish_reason == types.FinishReason(reason)


@pytest.mark.parametrize("stream", [False, True])
def test_thoughts_are_marked(client, dialect, stream):
    thinking = types.ThinkingConfig(include_thoughts=True, thinking_budget=1024)
    answer = ask(client, dialect, behaviour={"thinking": 2, "events": 2}, stream=stream, thinking_config=thinking)
    chunks = list(answer) if stream else [answer]
    contents = [candidate.content for chunk in chunks for candidate in chunk.candidates]
    parts = [part for content in contents for part in content.parts or []]
    assert "".join(part.text for part in parts if part.thought) == "thought0 thought1 "
    assert "".join(part.text for part in parts if part.text and not part.thought) == "word0 word1 "


WEATHER = {
    "name": "weather",
    "description": "The weather of a city.",
    "parameters": {"type": "OBJECT", "properties": {"city": {"type": "STRING"}, "days": {"type": "INTEGER"}}},
}
CLOCK = {"name": "clock", "parameters_json_schema": {"type": "object", "properties": {"zone": {"type": "string"}}}}
NOTHING = {"name": "nothing"}
TOOLS = [{"function_declarations": [WEATHER, CLOCK, NOTHING]}]
CALLS = [("weather", {"city": "Paris", "days": 7}), ("clock", {"zone": "text"}), ("nothing", {})]


@pytest.mark.parametrize("stream", [False, True])
def test_functions_are_called_and_answered(client, dialect, stream):
    question = types.Content(role="user", parts=[types.Part(text=told(tools=3, thinking=1))])
    answer = ask(client, dialect, contents=[question], stream=stream, tools=TOOLS)
    chunks = list(answer) if stream else [answer]
    parts = [part for chunk in chunks for part in chunk.candidates[0].content.parts or []]
    calls = [part.function_call for part in parts if part.function_call]
    assert [(call.name, call.args) for call in calls] == CALLS
    said = types.Content(role="model", parts=[part for part in parts if part.function_call or part.text])
    responses = [
        types.Part(function_response=types.FunctionResponse(id=call.id, name=call.name, response={"result": f"{call.name}!"}))
        for call in calls
    ]
    final = ask(client, dialect, contents=[question, said, types.Content(role="user", parts=responses)], tools=TOOLS)
    assert final.function_calls is None
    assert final.text == "This is the simulated provider. The tool said: weather! | clock! | nothing!"


@pytest.mark.parametrize(
    "mode, names, want",
    [("AUTO", None, "weather"), ("ANY", None, "weather"), ("ANY", ["clock"], "clock"), ("NONE", None, None)],
)
def test_the_choice_of_a_function_reaches_the_provider(client, dialect, mode, names, want):
    config = {"function_calling_config": {"mode": mode, "allowed_function_names": names}}
    answer = ask(client, dialect, tools=TOOLS, tool_config=config)
    assert [call.name for call in answer.function_calls or []] == ([want] if want else [])


def test_a_python_function_is_called_by_the_sdk_itself(client, dialect):
    seen = []

    def weather(city: str, days: int) -> str:
        """The weather of a city."""
        seen.append((city, days))
        return "sunny"

    config = types.GenerateContentConfig(tools=[weather])
    answer = client.models.generate_content(model=MODELS[dialect], contents="hi", config=config)
    assert seen == [("Paris", 7)]
    assert answer.text == "This is the simulated provider. The tool said: sunny"


class Weather(BaseModel):
    city: str
    days: int
    is_wet: bool


@pytest.mark.parametrize("key", ["response_schema", "response_json_schema"])
def test_structured_output_is_parsed_into_a_model(client, dialect, key):
    schema = Weather if key == "response_schema" else Weather.model_json_schema()
    answer = ask(client, dialect, response_mime_type="application/json", **{key: schema})
    assert Weather.model_validate_json(answer.text) == Weather(city="Paris", days=7, is_wet=True)
    if key == "response_schema":
        assert answer.parsed == Weather(city="Paris", days=7, is_wet=True)


def test_settings_of_the_request_reach_the_provider(client, provider, dialect):
    ask(client, dialect, system_instruction="Be brief.", temperature=0.5, max_output_tokens=77)
    body = provider.last()["body"]
    if dialect == "chat":
        assert body["messages"][0] == {"role": "system", "content": "Be brief."}
        assert (body["temperature"], body["max_tokens"]) == (0.5, 77)
    elif dialect == "messages":
        assert [block["text"] for block in body["system"]] == ["Be brief."]
        assert (body["temperature"], body["max_tokens"]) == (0.5, 77)
    elif dialect == "gemini":
        assert body["systemInstruction"]["parts"] == [{"text": "Be brief."}]
        assert body["generationConfig"] == {"temperature": 0.5, "maxOutputTokens": 77}
    elif dialect == "converse":
        assert body["system"] == [{"text": "Be brief."}]
        assert body["inferenceConfig"] == {"temperature": 0.5, "maxTokens": 77}
    else:
        assert (body["temperature"], body["max_output_tokens"]) == (0.5, 77)
        assert "Be brief." in str(body.get("instructions")) + str(body["input"])


# The status that a translated error has, and Google's word for it.
STATUSES = [
    (400, 400, errors.ClientError, "INVALID_ARGUMENT"),
    (403, 403, errors.ClientError, "PERMISSION_DENIED"),
    (404, 404, errors.ClientError, "NOT_FOUND"),
    (429, 429, errors.ClientError, "RESOURCE_EXHAUSTED"),
    (500, 502, errors.ServerError, "INTERNAL"),
    (503, 503, errors.ServerError, "UNAVAILABLE"),
]


@pytest.mark.parametrize("status, got, kind, word", STATUSES)
@pytest.mark.parametrize("stream", [False, True])
def test_a_providers_error_is_of_the_class_of_its_status(client, dialect, status, got, kind, word, stream):
    got = status if dialect == "gemini" else got
    with pytest.raises(errors.APIError) as raised:
        list(ask(client, dialect, behaviour={"status": status}, stream=stream))
    error = raised.value
    assert (type(error), error.code, error.status) == (kind, got, word)
    assert "A fault that was asked for." in error.message


def test_a_wrong_key_is_unauthenticated(translator):
    client = client_of(translator, key="wrong")
    with pytest.raises(errors.ClientError) as raised:
        ask(client, "chat")
    assert (raised.value.code, raised.value.status) == (401, "UNAUTHENTICATED")


def test_an_unknown_model_is_not_found(client):
    with pytest.raises(errors.ClientError) as raised:
        client.models.generate_content(model="no-such-model", contents="hi")
    assert (raised.value.code, raised.value.status) == (404, "NOT_FOUND")


@pytest.mark.parametrize("end", ["error_after_events", "cut_after_events"])
def test_a_stream_that_breaks_raises_and_never_ends_well(client, dialect, end):
    chunks = []
    with pytest.raises(Exception) as raised:
        for chunk in ask(client, dialect, behaviour={"events": 20, "pace_ms": 2, end: 9}, stream=True):
            chunks.append(chunk)
    assert isinstance(raised.value, errors.APIError), raised.value
    text = "".join(chunk.text or "" for chunk in chunks)
    assert text and text == "".join(f"word{index} " for index in range(len(text.split())))
    assert not any(candidate.finish_reason for chunk in chunks for candidate in chunk.candidates or [])


@pytest.mark.parametrize("stream", [False, True])
def test_the_version_that_the_sdk_chooses_by_itself_is_served(translator, stream):
    client = client_of(translator, version=None)
    answer = ask(client, "messages", behaviour={"content": "in"}, stream=stream)
    assert "".join(chunk.text or "" for chunk in (answer if stream else [answer])) == "in"


@pytest.mark.parametrize("version", ["v1beta", None])
def test_models_are_listed_in_googles_shape(translator, version):
    client = client_of(translator, version=version)
    names = {model.name for model in client.models.list()}
    assert {"models/simulated/simulated-chat", "models/gemini/simulated-chat"} <= names
