"""A small server that answers as KFP's API does, for want of a cluster: routes and fields of its v2beta1 REST API."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

SPEC = {"pipelineInfo": {"name": "compress"}}


class Kfp(ThreadingHTTPServer):
    """Keeps what it was sent; ``states`` are the states of the one run, from one look to the next."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.token: str | None = None
        self.states = ["RUNNING", "SUCCEEDED"]
        self.pipeline: dict = {"pipeline_spec": {"pipeline_spec": SPEC, "platform_spec": {}}}
        self.runs: list[dict] = []
        self.pipelines: list[str] = []
        self.uploads: list[tuple[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Kfp

    def answer(self, content: dict | str, status: int = 200) -> None:
        body = (content if isinstance(content, str) else json.dumps(content)).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain" if isinstance(content, str) else "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if self.server.token and self.headers.get("Authorization") != f"Bearer {self.server.token}":
            self.answer({"error": "no"}, 401)
        elif path.endswith("/healthz"):
            self.answer({"multi_user": False})
        elif path.endswith("/experiments"):
            self.answer({"experiments": []})
        elif path.endswith("/pipelines"):
            wanted = json.loads(parse_qs(urlsplit(self.path).query)["filter"][0])["predicates"][0]["stringValue"]
            found = [name for name in self.server.pipelines if name == wanted]
            self.answer({"pipelines": [{"pipeline_id": name, "display_name": name} for name in found]})
        elif path.endswith("/runs"):
            self.answer({"runs": [self.run(state="SUCCEEDED")]})
        elif path.endswith("/runs/run-1"):
            states = self.server.states
            self.answer(self.run(state=states.pop(0) if len(states) > 1 else states[0]))
        elif path.endswith("/pipelines/compress/versions/one"):
            self.answer({"pipeline_id": "compress", "pipeline_version_id": "one", "pipeline_spec": SPEC})
        elif path.endswith("/nodes/pod-1/log"):
            self.answer("teacher 1/2  loss 0.5\n")
        else:
            self.answer({"error": f"no {path}"}, 404)

    def do_POST(self) -> None:
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if parts.path.endswith("/experiments"):
            self.answer({"experiment_id": "experiment-1", "display_name": json.loads(body)["display_name"]})
        elif parts.path.endswith("/runs"):
            self.server.runs.append(json.loads(body))
            self.answer(self.run(state="PENDING"))
        elif parts.path.endswith("/pipelines/upload"):
            name = parse_qs(parts.query)["name"][0]
            self.server.pipelines.append(name)
            self.answer({"pipeline_id": name, "display_name": name})
        elif parts.path.endswith("/pipelines/upload_version"):
            query = parse_qs(parts.query)
            self.server.uploads.append((query["pipelineid"][0], query["name"][0]))
            self.answer({"pipeline_id": query["pipelineid"][0], "pipeline_version_id": "1"})
        else:
            self.answer({"error": f"no {parts.path}"}, 404)

    def run(self, state: str) -> dict:
        sent = self.server.runs[-1] if self.server.runs else {}
        done = state == "SUCCEEDED"
        return {
            "run_id": "run-1",
            "display_name": sent.get("display_name", "compress of today"),
            "created_at": "2026-11-24T03:00:00Z",
            "state": state,
            **self.server.pipeline,
            "runtime_config": {"pipeline_root": "s3://sarslim/pipelines"},
            "run_details": {
                "task_details": [
                    {"display_name": "Check inputs", "state": "SUCCEEDED"},
                    {"display_name": "Train teacher", "state": state if not done else "SUCCEEDED", "pod_name": "pod-1"},
                ]
            },
            **({"error": {"code": 2, "message": "teacher failed"}} if state == "FAILED" else {}),
        }

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serve() -> Iterator[Kfp]:
    """The server, on a free port of the loopback interface."""
    with Kfp() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()
