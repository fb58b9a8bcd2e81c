"""Embeddings, models, and endpoints that the gateway does not know."""

import io

import openai
import pytest

from support import CHAT, EMBED, ask, sim


def test_embeddings_are_the_same_as_base64_and_as_numbers(client):
    # The SDK asks for base64 by itself and decodes it.
    default = client.embeddings.with_raw_response.create(model=EMBED, input=["a", "b", "c"])
    assert b'"encoding_format":"base64"' in default.http_request.content
    assert '"embedding":"' in default.text
    packed = default.parse()
    numbers = client.embeddings.create(model=EMBED, input=["a", "b", "c"], encoding_format="float")
    assert [item.index for item in packed.data] == [0, 1, 2]
    assert [item.embedding for item in packed.data] == [item.embedding for item in numbers.data]
    assert packed.data[1].embedding[:2] == [31 / 128, 38 / 128] and len(packed.data[1].embedding) == 8
    assert packed.usage.total_tokens == packed.usage.prompt_tokens > 0


def test_embeddings_of_one_text_have_the_dimensions_that_were_asked_for(client):
    answer = client.embeddings.create(model=EMBED, input="one", dimensions=1536)
    assert [len(item.embedding) for item in answer.data] == [1536]
    tokens = client.embeddings.create(model=EMBED, input=[1, 2, 3], dimensions=4)
    assert [len(item.embedding) for item in tokens.data] == [4]


def test_models_are_listed_bare_and_with_their_provider(client):
    ids = [model.id for model in client.models.list()]
    assert {"simulated-chat", CHAT, "scripted", "vllm/scripted"} <= set(ids) and len(ids) == len(set(ids))
    for id in ["simulated-chat", CHAT, "vllm/scripted"]:
        assert (client.models.retrieve(id).id, client.models.retrieve(id).object) == (id, "model")
    with pytest.raises(openai.NotFoundError) as error:
        client.models.retrieve("no-such-model")
    assert error.value.code == "model_not_found"


@pytest.mark.parametrize("size", [10, 3 << 20])
def test_a_file_for_an_unknown_endpoint_streams_through(client, size):
    file = io.BytesIO(bytes(range(256)) * (size // 256 + 1))
    raw = client.audio.transcriptions.with_raw_response.create(
        model="simulated/whisper", file=("speech.wav", file), response_format="json"
    )
    echo = raw.parse().to_dict()
    sent = int(raw.http_request.headers["content-length"])
    assert (echo["object"], echo["method"], echo["path"]) == ("echo", "POST", "/v1/audio/transcriptions")
    # The model's name lost its provider; not a byte else is missing.
    assert echo["body_bytes"] == sent - len("simulated/")


def test_json_for_unknown_endpoints_goes_to_the_provider_that_it_names(client):
    body = {"model": "simulated/x", "input": ["a"], "unknown": 1}
    echo = client.post("/things/and/more", body=body, cast_to=object)
    assert (echo["method"], echo["path"]) == ("POST", "/v1/things/and/more")
    moderation = client.moderations.create(model="simulated/x", input="a")
    assert moderation.to_dict()["path"] == "/v1/moderations"
    echo = client.get("/vector_stores", options={"params": {"provider": "simulated", "limit": 3}}, cast_to=object)
    assert (echo["method"], echo["path"]) == ("GET", "/v1/vector_stores")


def test_a_client_can_speak_to_one_provider_alone(gateway, make_client):
    client = make_client(gateway, base_url=f"http://{gateway.address}/p/simulated/v1")
    answer = client.chat.completions.create(model="simulated-chat", messages=ask(), extra_body=sim(content="direct"))
    assert answer.choices[0].message.content == "direct"
    with pytest.raises(openai.RateLimitError) as error:
        client.chat.completions.create(model="simulated-chat", messages=ask(), extra_body=sim(status=429))
    assert error.value.code == "rate_limit_exceeded"
