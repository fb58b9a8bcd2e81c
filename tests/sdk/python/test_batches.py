"""Files and batches through the SDKs of OpenAI and Anthropic, at providers of three APIs."""

import io
import json

import anthropic
import openai
import pytest

from support import KEY, told

NAMES = {"openai": "openai/simulated-chat", "anthropic": "anthropic/simulated-chat", "gemini": "gemini/simulated-chat"}


@pytest.fixture(scope="module")
def client(translator):
    with openai.OpenAI(base_url=translator.base_url, api_key=KEY, max_retries=0, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def messages(translator):
    with anthropic.Anthropic(base_url=f"http://{translator.address}", api_key=KEY, max_retries=0, timeout=60) as client:
        yield client


def line(custom_id, model, text, **behaviour):
    body = {"model": model, "messages": [{"role": "user", "content": told(text, **behaviour)}]}
    return {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": body}


def lines_of(client, file_id):
    return {line["custom_id"]: line for line in map(json.loads, client.files.content(file_id).text.splitlines())}


@pytest.mark.parametrize("name", NAMES)
def test_a_file_becomes_a_batch_whose_results_are_a_file(client, name):
    model = NAMES[name]
    requests = [line("one", model, "hi", content="Grüße, 世界"), line("two", model, "hi", status=400)]
    text = "\n".join(json.dumps(request, ensure_ascii=False) for request in requests).encode()
    file = client.files.create(file=("in.jsonl", io.BytesIO(text)), purpose="batch")
    assert (file.object, file.bytes, file.purpose) == ("file", len(text), "batch")
    assert file.id.startswith("file-") and file.id.endswith(f"~{name}")
    assert client.files.retrieve(file.id).id == file.id
    listed = client.files.list(extra_query={"provider": name})
    assert file.id in [one.id for one in listed]
    batch = client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
    assert batch.id.startswith("batch_") and batch.id.endswith(f"~{name}")
    batch = client.batches.retrieve(batch.id)
    assert batch.status == "completed"
    assert (batch.request_counts.total, batch.request_counts.completed, batch.request_counts.failed) == (2, 1, 1)
    good = lines_of(client, batch.output_file_id)["one"]["response"]
    assert good["status_code"] == 200
    assert good["body"]["choices"][0]["message"]["content"] == "Grüße, 世界"
    bad = lines_of(client, batch.error_file_id or batch.output_file_id)["two"]["response"]
    assert bad["status_code"] == 400 and bad["body"]["error"]["message"]
    assert batch.id in [one.id for one in client.batches.list(extra_query={"provider": name})]
    assert client.files.delete(file.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(file.id)


def test_a_batch_is_cancelled(client):
    text = json.dumps(line("one", NAMES["openai"], "hi")).encode()
    file = client.files.create(file=("in.jsonl", text), purpose="batch")
    batch = client.batches.create(
        input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h", metadata={"sim_polls": "9"}
    )
    assert client.batches.retrieve(batch.id).status == "in_progress"
    assert client.batches.cancel(batch.id).status == "cancelled"


def test_a_large_upload_streams_to_its_provider(client):
    text = (json.dumps(line("one", NAMES["openai"], "x" * 1000)) + "\n").encode() * 5000
    file = client.files.create(file=("in.jsonl", io.BytesIO(text)), purpose="batch")
    # A line keeps its length where the provider's name is taken off its model.
    assert file.bytes == len(text)
    client.files.delete(file.id)


def test_a_file_of_another_provider_is_refused(client):
    with pytest.raises(openai.BadRequestError) as caught:
        client.batches.create(
            input_file_id="file-1~anthropic",
            endpoint="/v1/chat/completions",
            completion_window="24h",
            extra_query={"provider": "openai"},
        )
    assert caught.value.code == "providers_differ"


def test_batches_of_messages_pass_and_their_results_come_from_here(messages):
    def request(custom_id, **behaviour):
        content = told("hi", **behaviour)
        params = {"model": NAMES["anthropic"], "max_tokens": 100, "messages": [{"role": "user", "content": content}]}
        return {"custom_id": custom_id, "params": params}

    batches = messages.messages.batches
    batch = batches.create(requests=[request("one", content="yes"), request("two", status=529)])
    assert batch.processing_status == "in_progress" and batch.id.endswith("~anthropic")
    batch = batches.retrieve(batch.id)
    assert batch.processing_status == "ended" and str(messages.base_url).rstrip("/") in batch.results_url
    results = {result.custom_id: result.result for result in batches.results(batch.id)}
    assert results["one"].message.content[0].text == "yes"
    assert results["two"].type == "errored"
    assert batch.id in [one.id for one in batches.list(limit=20)]
    assert batches.delete(batch.id).id == batch.id
    with pytest.raises(anthropic.NotFoundError):
        batches.retrieve(batch.id)


def test_a_batch_of_messages_is_cancelled(messages):
    params = {"model": NAMES["anthropic"], "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    batch = messages.messages.batches.create(requests=[{"custom_id": "sim_polls_9", "params": params}])
    assert messages.messages.batches.cancel(batch.id).processing_status == "ended"
