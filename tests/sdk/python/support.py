"""The gateway and the simulated provider as processes, and a scripted provider whose answers change from call to call."""

import json
import os
import re
import subprocess
import tempfile
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
BINARY = os.environ.get("RINGWAY_BINARY", str(ROOT / "target/debug/ringway"))
DRIVER = os.environ.get("RINGWAY_DRIVER", "auto")
KEY = "client-key"
UPSTREAM_KEY = "sk-upstream-0123456789"
CHAT = "simulated/simulated-chat"
EMBED = "simulated/simulated-embed"


def eventually(what, holds):
    """Waits until the condition holds and gives what it gave; the bound only keeps a failing test from hanging."""
    deadline = time.monotonic() + 30
    while not (result := holds()):
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.005)
    return result


class Process:
    """A running binary; its address is told on stderr."""

    def __init__(self, arguments, env, pattern):
        # Nothing of the caller's environment becomes a provider or a proxy.
        self.data = tempfile.TemporaryDirectory()
        env = {"PATH": os.environ["PATH"], "RINGWAY_DATA_DIR": self.data.name, **env}
        self.child = subprocess.Popen(
            [BINARY, *arguments], env=env, cwd="/", stderr=subprocess.PIPE, text=True, errors="replace"
        )
        self.lines = []
        self.has_ended = threading.Event()
        threading.Thread(target=self._read, daemon=True).start()
        self.first_line = eventually("the start of the process", lambda: self._line(pattern))
        self.address = re.search(pattern, self.first_line).group(1)

    def _read(self):
        for line in self.child.stderr:
            self.lines.append(line)
        self.has_ended.set()

    def _line(self, pattern):
        found = next((line for line in list(self.lines) if re.search(pattern, line)), None)
        assert found or not self.has_ended.is_set(), "the process ended: " + "".join(self.lines)
        return found

    def stop(self):
        self.child.kill()
        self.child.wait()
        self.has_ended.wait(10)
        self.child.stderr.close()
        self.data.cleanup()


class Simulator(Process):
    def __init__(self):
        super().__init__(
            ["simulate", "--listen", "127.0.0.1:0", "--driver", DRIVER], {}, r"simulating a provider on http://(\S+)/v1"
        )

    def last(self):
        """The last request that it got."""
        return json.loads(page(f"http://{self.address}/sim/last"))


def page(url, headers={}):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    return opener.open(urllib.request.Request(url, headers=headers)).read().decode()


class Gateway(Process):
    """The gateway in front of the simulated provider, a scripted one (`vllm`), and one that nobody runs (`ollama`)."""

    def __init__(self, simulator, scripted, **settings):
        env = {
            "RINGWAY_SERVER_LISTEN": "127.0.0.1:0",
            "RINGWAY_DRIVER": DRIVER,
            "RINGWAY_MASTER_KEY": KEY,
            "RINGWAY_RETRY_BUDGET_PER_SECOND": "100000",
            "SIMULATED_BASE_URL": f"http://{simulator.address}/v1",
            "VLLM_BASE_URL": f"http://{scripted.address}/v1",
            "VLLM_API_KEY": UPSTREAM_KEY,
            "OLLAMA_BASE_URL": "http://127.0.0.1:1/v1",
            **settings,
        }
        super().__init__(["serve"], env, r"listening on http://(\S+)")
        self.base_url = f"http://{self.address}/v1"

    def metrics(self):
        """All samples of the metrics page, by name with labels."""
        lines = page(f"http://{self.address}/metrics").splitlines()
        samples = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        return {name: float(value) for name, value in samples}

    def total(self, family, *labels):
        """The sum over a family's samples that have all of these labels."""
        return sum_of(self.metrics(), family, *labels)


class Translator(Gateway):
    """The gateway in front of one simulated provider of every dialect; made when it knows all their models."""

    def __init__(self, simulator, scripted):
        root = f"http://{simulator.address}"
        providers = {
            "ANTHROPIC_API_KEY": UPSTREAM_KEY,
            "ANTHROPIC_BASE_URL": f"{root}/v1",
            "GEMINI_API_KEY": UPSTREAM_KEY,
            "GEMINI_BASE_URL": f"{root}/v1beta",
            "BEDROCK_API_KEY": UPSTREAM_KEY,
            "BEDROCK_BASE_URL": root,
            "OPENAI_API_KEY": UPSTREAM_KEY,
            "OPENAI_BASE_URL": f"{root}/v1",
        }
        super().__init__(simulator, scripted, RETRY_MAX_RETRIES="0", **providers)
        # Nothing but the tests' own requests reaches the provider from here on.
        for provider in ["anthropic", "gemini", "openai", "simulated"]:
            eventually(f"the models of {provider}", lambda: f'"{provider}/simulated-chat"' in self._models())

    def _models(self):
        return page(f"{self.base_url}/models", {"authorization": f"Bearer {KEY}"})


# A model of a provider that speaks this dialect and no other for it.
MODELS = {
    "chat": "simulated/simulated-chat",
    "messages": "anthropic/claude-opus-4-6",
    "gemini": "gemini/gemini-3-flash",
    "converse": "bedrock/simulated-chat",
    "responses": "openai/gpt-5-pro",
}
# What the path of a request to it begins with.
PATHS = {
    "chat": "/v1/chat/completions",
    "messages": "/v1/messages",
    "gemini": "/v1beta/models/gemini-3-flash:",
    "converse": "/model/simulated-chat/converse",
    "responses": "/v1/responses",
}


def sum_of(samples, family, *labels):
    fits = lambda name: name.split("{")[0] == family and all(label in name for label in labels)
    return sum(value for name, value in samples.items() if fits(name))


class Counted:
    """What a gateway counted since the beginning of this block; read when nothing is in flight any more."""

    def __init__(self, gateway):
        self.gateway = gateway
        self.before = self._settled()

    def _settled(self):
        def settled():
            samples = self.gateway.metrics()
            # The question for the metrics is itself a request.
            return samples if samples["ringway_requests_in_flight"] <= 1 else None

        return eventually("all exchanges to end", settled)

    def total(self, family, *labels):
        return sum_of(self._settled(), family, *labels) - sum_of(self.before, family, *labels)


class Scripted:
    """A provider that answers one POST after the other as it is told, the last answer for ever, and keeps what it got."""

    def __init__(self):
        self.answers = []
        self.seen = []
        scripted = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                self.answer(200, {}, {"object": "list", "data": [{"id": "scripted", "object": "model"}]})

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                scripted.seen.append((dict(self.headers.items()), body))
                turn = min(len(scripted.seen), len(scripted.answers)) - 1
                self.answer(*scripted.answers[turn])

            def answer(self, status, headers, body):
                is_stream = isinstance(body, bytes)
                body = body if is_stream else json.dumps(body).encode()
                kind = "text/event-stream" if is_stream else "application/json"
                self.send_response(status)
                for name, value in {"content-type": kind, "content-length": len(body), **headers}.items():
                    self.send_header(name, str(value))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.address = "127.0.0.1:%d" % self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def will_answer(self, *answers):
        self.answers, self.seen = list(answers), []

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


GOOD_ANSWER = (
    200,
    {},
    {
        "id": "c",
        "object": "chat.completion",
        "created": 1,
        "model": "scripted",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "good"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
    },
)


def streamed_answer(finish, *deltas):
    """A whole stream of chat's chunks with these deltas."""
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "scripted"}
    choices = [[{"index": 0, "delta": delta, "finish_reason": None}] for delta in deltas]
    chunks = [{**chunk, "choices": choice} for choice in choices]
    chunks.append({**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    usage = {"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16}
    chunks.append({**chunk, "choices": [], "usage": usage})
    return (200, {}, b"".join(b"data: %s\n\n" % json.dumps(chunk).encode() for chunk in chunks) + b"data: [DONE]\n\n")


def called(name, **arguments):
    """A stream that calls a tool, its arguments in two pieces."""
    text = json.dumps(arguments)
    at = len(text) // 2
    call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": name, "arguments": text[:at]}}
    more = {"index": 0, "function": {"arguments": text[at:]}}
    return streamed_answer("tool_calls", {"role": "assistant", "content": None, "tool_calls": [call]}, {"tool_calls": [more]})


def bad_answer(status, **headers):
    return (status, headers, {"error": {"message": "not now", "type": "server_error", "param": None, "code": "busy"}})


def ask(text="hi"):
    return [{"role": "user", "content": text}]


def sim(**behaviour):
    """The behaviour that is asked of the simulated provider, as an unknown field of the body."""
    return {"sim": behaviour}


def told(text="hi", **behaviour):
    """A text that asks the simulated provider for a behaviour, whatever dialect the gateway translates it to."""
    words = (f"{key}={json.dumps(value)}" for key, value in behaviour.items())
    return f"{text} [[sim {' '.join(words)}]]"
