"""Recorded answers, a provider that gives them in pieces, and what an SDK's own objects say, in words of no dialect.

The recordings, and what each client must be told of them, are what the test `replay` writes down; SDKs are read here."""

import json
import random
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jiter

from support import ROOT

FOLDER = ROOT / "target/recordings"


class Recording:
    def __init__(self, number, line, bodies):
        self.__dict__.update(json.loads(line))
        self.body = bodies[self.start : self.end]
        self.number = number

    @property
    def model(self):
        """A model of a provider that speaks the recording's dialect; its name finds the recording again."""
        return f"{PROVIDERS[self.dialect]}r{self.number}"

    def departs_from_types(self, dialect):
        """Why the SDK's types have no place for something in it, though the SDK takes it in; None where they have."""
        if dialect == "chat" and self.is_stream and b"custom_tool_call" in self.body:
            return "calls of custom tools are in no type of a chunk"
        if dialect == "messages" and re.search(rb"image_generation_call|inlineData", self.body):
            return "a picture is in no type of a message that was answered"
        if dialect == "responses" and self.is_stream and re.search(rb"overloaded|UNAVAILABLE", self.body):
            return "the code of a provider that is overloaded, on which agents act, is in no type of a failed response"
        return None

    def unreadable_to(self, dialect):
        """Why nobody could make an answer of the dialect of it; None where that is not so."""
        is_hidden = any(part in self.name for part in HIDDEN)
        return "its base64, which the SDK decodes, was shortened by those who recorded it" if dialect == "gemini" and is_hidden else None

    def ends_well(self):
        return self.error is None and not self.is_cut


# Providers of each dialect; of one, the models that it has in that dialect only.
PROVIDERS = {
    "chat": "vllm/",
    "messages": "anthropic/",
    "gemini": "gemini/",
    "converse": "bedrock/",
    "responses": "openai/gpt-5-pro-",
}
# Recordings of which a picture or a signature was cut out.
HIDDEN = [
    "responses/stream-image.json",
    "openai-image-generation-tool.1.json",
    "stream_encrypted_reasoning_survives_into_the_next_turn",
]
STREAM_KINDS = {"converse": "application/vnd.amazon.eventstream"}


def all_recordings():
    index = FOLDER / "index.jsonl"
    assert index.exists(), "nothing is written down: run `cargo test --test replay what_sdks_must_understand`"
    bodies = (FOLDER / "bodies").read_bytes()
    lines = index.read_text().rstrip("\n").split("\n")
    return [Recording(number, line, bodies) for number, line in enumerate(lines)]


class Replaying:
    """A provider of every dialect whose models are recordings. Answers leave in pieces that end anywhere."""

    def __init__(self, recordings):
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self):
                self.answer("application/json", [b'{"object":"list","data":[]}'])

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                model = json.loads(body).get("model") or self.path
                recording = recordings[int(re.search(r"r(\d+)(?!.*r\d)", model).group(1))]
                kind = STREAM_KINDS.get(recording.dialect, "text/event-stream")
                self.answer(kind if recording.is_stream else "application/json", pieces(recording))

            def answer(self, kind, parts):
                self.send_response(200)
                self.send_header("content-type", kind)
                self.send_header("transfer-encoding", "chunked")
                self.end_headers()
                for part in parts:
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
                self.wfile.write(b"0\r\n\r\n")

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

        self.server = Server(("127.0.0.1", 0), Handler)
        self.address = "127.0.0.1:%d" % self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def pieces(recording):
    """The body cut at a few places, which are the same in every run."""
    dice, size = random.Random(recording.name), len(recording.body)
    ends = sorted({dice.randrange(1, size) for _ in range(5)} | {size}) if size > 1 else [size]
    return [recording.body[start:end] for start, end in zip([0, *ends], ends)]


class Told:
    """What a client was told. The error is the message of one that the SDK raised or gave; it stands in the place of an answer
    where nothing had left yet."""

    def __init__(self, choices={}, usage=(0, 0, 0, 0), error=None, is_refused=False):
        self.choices, self.error, self.is_refused = choices, error, is_refused
        self.usage = [count or 0 for count in usage]


def choice(text="", thinking="", refusal="", calls=(), finish=None):
    # Where calls were made, a plain stop is one for calls.
    finish = "calls" if calls and finish == "stop" else finish
    return {"text": text, "thinking": thinking, "refusal": refusal, "calls": [list(call) for call in calls], "finish": finish}


def arguments(text):
    """Arguments that came as a text; an object stays one, and the text stays where it is none."""
    if not text.strip():
        return {}
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return unwrapped(value) if isinstance(value, dict) else text


def unwrapped(value):
    """Dialects that demand an object hold what is none in one of its own."""
    return value["_invalid_arguments"] if list(value) == ["_invalid_arguments"] else value


def custom_call(custom):
    """A call of a custom tool; in streams the SDK has no type for it."""
    custom = custom if isinstance(custom, dict) else custom.to_dict()
    return custom["name"], {"input": custom["input"]}


CHAT_FINISHES = {"stop": "stop", "length": "length", "tool_calls": "calls", "content_filter": "filter"}


def of_chat(completion):
    """A completion of OpenAI's SDK, whole or put together by it."""
    choices = {}
    for item in completion.choices:
        message = item.message
        calls = [
            custom_call(call.custom)
            if call.type == "custom"
            else (call.function.name, arguments(call.function.arguments))
            for call in message.tool_calls or []
        ]
        thinking = getattr(message, "reasoning_content", None) or ""
        refusal = message.refusal or ""
        finish = CHAT_FINISHES.get(item.finish_reason)
        choices[str(item.index)] = choice((message.content or "") + refusal, thinking, refusal, calls, finish)
    usage = completion.usage
    if not usage:
        return Told(choices)
    cached = usage.prompt_tokens_details and usage.prompt_tokens_details.cached_tokens
    reasoning = usage.completion_tokens_details and usage.completion_tokens_details.reasoning_tokens
    return Told(choices, (usage.prompt_tokens, usage.completion_tokens, cached, reasoning))


def of_response(response):
    """A response of OpenAI's SDK."""
    if response.error or response.status not in ("completed", "incomplete"):
        return Told(error=response.error.message if response.error else "")
    said = {"text": "", "thinking": "", "refusal": "", "calls": []}
    for item in response.output:
        if item.type == "message":
            for part in item.content:
                words = part.refusal if part.type == "refusal" else part.text
                said["text"] += words
                said["refusal"] += words if part.type == "refusal" else ""
        elif item.type == "reasoning":
            said["thinking"] += "\n\n".join(part.text for part in item.content or item.summary if part.text)
        elif item.type == "function_call":
            said["calls"].append((item.name, arguments(item.arguments)))
        elif item.type == "custom_tool_call":
            said["calls"].append((item.name, {"input": item.input}))
    reason = response.incomplete_details and response.incomplete_details.reason
    finish = {None: "stop", "content_filter": "filter", "max_output_tokens": "length"}[reason]
    usage = response.usage
    if not usage:
        return Told({"0": choice(**said, finish=finish)})
    cached, reasoning = usage.input_tokens_details.cached_tokens, usage.output_tokens_details.reasoning_tokens
    return Told({"0": choice(**said, finish=finish)}, (usage.input_tokens, usage.output_tokens, cached, reasoning))


def as_put_together(value):
    """What Anthropic's SDK makes of arguments whose stream ended in the middle of them."""
    return jiter.from_json(value.encode(), partial_mode=True) if isinstance(value, str) else value


MESSAGE_FINISHES = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "tool_use": "calls",
    "refusal": "refusal",
    "pause_turn": "pause",
    "model_context_window_exceeded": "contextfull",
}


def of_message(message):
    """A message of Anthropic's SDK, whole or put together by it."""
    said = {"text": "", "thinking": "", "calls": []}
    for block in message.content:
        if block.type == "text":
            said["text"] += block.text
        elif block.type == "thinking":
            said["thinking"] += block.thinking
        elif block.type == "tool_use":
            said["calls"].append((block.name, unwrapped(block.input)))
    if message.stop_reason == "refusal" and message.stop_details:
        said["text"] += message.stop_details.explanation or ""
    usage = message.usage
    cached = usage.cache_read_input_tokens or 0
    reasoning = usage.output_tokens_details and usage.output_tokens_details.thinking_tokens
    total = usage.input_tokens + cached + (usage.cache_creation_input_tokens or 0)
    finish = MESSAGE_FINISHES.get(message.stop_reason)
    return Told({"0": choice(**said, finish=finish)}, (total, usage.output_tokens, cached, reasoning))


def of_contents(responses):
    """The responses of Google's SDK, one behind the other."""
    said, finishes, usage = {}, {}, (0, 0, 0, 0)
    for response in responses:
        for candidate in response.candidates or []:
            own = said.setdefault(candidate.index or 0, {"text": "", "thinking": "", "calls": []})
            for part in (candidate.content and candidate.content.parts) or []:
                if part.function_call:
                    own["calls"].append((part.function_call.name, unwrapped(part.function_call.args or {})))
                else:
                    own["thinking" if part.thought else "text"] += part.text or ""
            if candidate.finish_reason:
                word = candidate.finish_reason.value
                finishes[candidate.index or 0] = {"STOP": "stop", "MAX_TOKENS": "length"}.get(word, "filter")
        if counts := response.usage_metadata:
            thoughts = counts.thoughts_token_count or 0
            output = (counts.candidates_token_count or 0) + thoughts
            usage = (counts.prompt_token_count, output, counts.cached_content_token_count, thoughts)
    choices = {str(index): choice(**own, finish=finishes.get(index)) for index, own in said.items()}
    return Told(choices, usage)


def difference(recording, dialect, told):
    """What a client was told otherwise than the recording has it, or None."""
    want = recording.told[dialect]
    if not recording.ends_well():
        if told.error is None:
            return "no error, where the recording has one or no end"
        if recording.error and recording.error not in told.error:
            return f"another error: {told.error!r}, wanted {recording.error!r}"
        wanted = want["choices"].get("0", {"text": ""})["text"]
        got = told.choices.get("0", {"text": ""})["text"]
        is_same = told.is_refused or not recording.is_stream or got == wanted
        return None if is_same else f"text before the error: {got!r}, wanted {wanted!r}"
    if told.error is not None:
        return f"an error that nobody sent: {told.error}"
    usage = [want[name] for name in ("input", "output", "cached", "reasoning")]
    if told.usage != usage:
        return f"usage: {told.usage}, wanted {usage}"
    if sorted(told.choices) != sorted(want["choices"]):
        return f"choices: {sorted(told.choices)}, wanted {sorted(want['choices'])}"
    for index, said in want["choices"].items():
        if dialect == "messages" and recording.is_stream:
            said["calls"] = [[name, as_put_together(value)] for name, value in said["calls"]]
        for name, value in said.items():
            if told.choices[index][name] != value:
                return f"{name} of choice {index}: {told.choices[index][name]!r:.600}, wanted {value!r:.600}"
    return None
