"""Recorded answers of providers through the gateway: SDKs of every other dialect take them in, checking each value against
their own types, and say what the recordings say; clients of the same dialect get the very bytes."""

import httpx
import anthropic
import openai
import pytest
from google import genai
from google.genai import errors, types
from openai.lib.streaming.chat import ChatCompletionStreamState

from recordings import Replaying, Told, all_recordings, difference, of_chat, of_contents, of_message, of_response
from support import KEY, ROOT, UPSTREAM_KEY, Gateway, ask

REPORT = ROOT / "target/sdk-replay-report.txt"


@pytest.fixture(scope="module")
def recordings():
    return all_recordings()


@pytest.fixture(scope="module")
def gateway(recordings):
    """In front of one provider of every dialect, which answers with what was recorded."""
    upstream = Replaying(recordings)
    root = f"http://{upstream.address}"
    settings = {"RETRY_MAX_RETRIES": "0"}
    for name, path in {"ANTHROPIC": "/v1", "GEMINI": "/v1beta", "BEDROCK": "", "OPENAI": "/v1"}.items():
        settings |= {f"{name}_API_KEY": UPSTREAM_KEY, f"{name}_BASE_URL": root + path}
    gateway = Gateway(upstream, upstream, **settings)
    yield gateway
    gateway.stop()
    upstream.stop()


@pytest.fixture(scope="module")
def outcomes():
    """What became of each recording, by its name; written down for people when all is done."""
    lines = {}
    yield lines
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text("".join(f"{name}: {'; '.join(words)}\n" for name, words in lines.items()))


# The SDKs check every value against their own types, unless the types are known to be too narrow.
OPTIONS = {"api_key": KEY, "max_retries": 0, "timeout": 60}


def chat(gateway, is_strict):
    client = openai.OpenAI(base_url=gateway.base_url, _strict_response_validation=is_strict, **OPTIONS)

    def take(recording):
        request = {"model": recording.model, "messages": ask()}
        if not recording.is_stream:
            return of_chat(client.chat.completions.create(**request))
        stream = client.chat.completions.create(**request, stream=True, stream_options={"include_usage": True})
        state, error, is_begun = ChatCompletionStreamState(), None, False
        try:
            for chunk in stream:
                state.handle_chunk(chunk)
                is_begun = True
        except openai.APIResponseValidationError:
            raise
        except openai.APIError as raised:
            error = raised.message
        told = of_chat(state.current_completion_snapshot) if is_begun else Told()
        told.error = error
        return told

    return take


def responses(gateway, is_strict):
    client = openai.OpenAI(base_url=gateway.base_url, _strict_response_validation=is_strict, **OPTIONS)

    def take(recording):
        request = {"model": recording.model, "input": "hi"}
        if not recording.is_stream:
            return of_response(client.responses.create(**request))
        text, last = "", None
        try:
            with client.responses.stream(**request) as stream:
                for event in stream:
                    if event.type in ("response.output_text.delta", "response.refusal.delta"):
                        text += event.delta
                    last = event
        except openai.APIConnectionError:
            # What the provider cut is cut here too, behind the event that says so.
            assert last and last.type == "response.failed", last
        assert last.type in ("response.completed", "response.incomplete", "response.failed"), last
        told = of_response(last.response)
        if told.error is not None:
            told.choices = {"0": {"text": text}}
        return told

    return take


def messages(gateway, is_strict):
    root = f"http://{gateway.address}"
    client = anthropic.Anthropic(base_url=root, _strict_response_validation=is_strict, **OPTIONS)

    def take(recording):
        request = {"model": recording.model, "max_tokens": 100, "messages": ask()}
        if not recording.is_stream:
            return of_message(client.messages.create(**request))
        with client.messages.stream(**request) as stream:
            text = ""
            try:
                for event in stream:
                    text += event.text if event.type == "text" else ""
                return of_message(stream.get_final_message())
            except anthropic.APIStatusError as raised:
                return Told({"0": {"text": text}}, error=str(raised))

    return take


def gemini(gateway, is_strict):
    options = types.HttpOptions(base_url=f"http://{gateway.address}", api_version="v1beta")
    client = genai.Client(api_key=KEY, http_options=options)
    config = {"automatic_function_calling": {"disable": True}}

    def take(recording):
        request = {"model": recording.model, "contents": "hi", "config": config}
        if not recording.is_stream:
            return of_contents([client.models.generate_content(**request)])
        chunks, error = [], None
        try:
            for chunk in client.models.generate_content_stream(**request):
                chunks.append(chunk)
        except errors.APIError as raised:
            if not chunks:
                raise
            error = raised
        told = of_contents(chunks)
        told.error = error and (error.message or "")
        return told

    return take


CLIENTS = {"chat": chat, "responses": responses, "messages": messages, "gemini": gemini}
FAULTS = (openai.APIStatusError, anthropic.APIStatusError, errors.APIError)


def difference_of(take, recording, dialect):
    """The difference that a client sees; None when there is none."""
    try:
        told = take(recording)
    except FAULTS as error:
        told = Told(error=str(error), is_refused=True)
    except Exception as error:
        return f"the SDK cannot take it in: {type(error).__name__}: {error}: {error.__cause__}"
    return difference(recording, dialect, told)


@pytest.mark.parametrize("dialect", CLIENTS)
def test_what_was_recorded_is_understood_by_the_sdk_of_every_other_dialect(gateway, recordings, outcomes, dialect):
    strict, lenient = (CLIENTS[dialect](gateway, is_strict) for is_strict in (True, False))
    failures = []
    for recording in (one for one in recordings if one.dialect != dialect):
        if unreadable := recording.unreadable_to(dialect):
            outcomes.setdefault(recording.name, []).append(f"{dialect} left out: {unreadable}")
            continue
        departs = recording.departs_from_types(dialect)
        found = difference_of(lenient if departs else strict, recording, dialect)
        good = f"ok, unchecked: {departs}" if departs else "ok"
        outcomes.setdefault(recording.name, []).append(f"{dialect} {'FAILS' if found else good}")
        if found:
            failures.append(f"{recording.name} ({recording.dialect}): {found:.1500}")
    assert not failures, f"{len(failures)} failures:\n" + "\n".join(failures)


REQUESTS = {
    "chat": ("/v1/chat/completions", {"messages": ask()}),
    "responses": ("/v1/responses", {"input": "hi"}),
    "messages": ("/v1/messages", {"max_tokens": 100, "messages": ask()}),
    "gemini": ("/v1beta/models/{model}:{verb}", {"contents": [{"parts": [{"text": "hi"}]}]}),
}


def bytes_of(client, path, body):
    """All that comes, also of an answer that is cut."""
    got = b""
    try:
        with client.stream("POST", path, json=body) as answer:
            for piece in answer.iter_raw():
                got += piece
    except httpx.RemoteProtocolError:
        pass
    return got


def test_what_was_recorded_reaches_clients_of_its_own_dialect_byte_for_byte(gateway, recordings, outcomes):
    failures = []
    with httpx.Client(base_url=f"http://{gateway.address}", headers={"authorization": f"Bearer {KEY}"}) as client:
        for recording in (one for one in recordings if one.dialect in REQUESTS):
            path, body = REQUESTS[recording.dialect]
            verb = "streamGenerateContent?alt=sse" if recording.is_stream else "generateContent"
            if "{model}" not in path:
                body = {"model": recording.model, **body, "stream": recording.is_stream}
            if recording.dialect == "chat" and recording.is_stream:
                body["stream_options"] = {"include_usage": True}
            got = bytes_of(client, path.format(model=recording.model, verb=verb), body)
            # Behind a stream without its end, or with an event that is none, stands an error of ours.
            is_same = got == recording.body if recording.ends_well() else got.startswith(recording.body)
            outcomes.setdefault(recording.name, []).append(f"{recording.dialect} {'same bytes' if is_same else 'FAILS'}")
            if not is_same:
                failures.append(f"{recording.name}: {got[-300:]}, wanted {recording.body[-300:]}")
    assert not failures, f"{len(failures)} failures:\n" + "\n".join(failures)
