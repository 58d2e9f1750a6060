"""A double of the server behind KFP's UI, for want of a cluster. It answers by the recordings of a real KFP 2.17.0.

What it knows was seen there: routes, fields, states, the sentence for a pod that is gone, the page of a route that is
not proxied, the conflict of a second upload. Anything else is refused as the real one refuses it. It keeps a record of
what it was asked.
"""

import copy
import json
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import yaml

from sarslim.kubeflow.cluster import nodes

RECORDINGS = Path(__file__).parent / "recordings"
API = "/apis/v2beta1"
LONG_AGO = "1970-01-01T00:00:00Z"


def recorded(name: str) -> dict:
    """One exchange with the real server."""
    return json.loads((RECORDINGS / f"{name}.json").read_text(encoding="utf-8"))


def answered(name: str) -> dict:
    """What the real server answered."""
    return recorded(name)["answer"]


class Kfp(ThreadingHTTPServer):
    """State of the double: what was uploaded and started, the looks at a run that come next, the logs of its pods."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.token: str | None = None
        self.health = answered("healthz")
        self.experiments: dict[tuple[str, str], str] = {}
        self.pipelines: dict[tuple[str, str], dict] = {}
        self.versions: dict[str, list[dict]] = {}
        self.runs: list[dict] = []
        self.looks: list[dict] = []
        self.scripts: list[list[dict]] = []
        self.started: dict[str, list[dict]] = {}
        self.pods: dict[str, str] = {}
        self.files: dict[str, bytes] = {}
        self.away = 0
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def play(self, *names: str) -> str:
        """The looks at a run that the next questions are answered with; the last one stays. Returns the run's id."""
        self.looks = [copy.deepcopy(answered(name)) for name in names]
        return self.looks[0]["run_id"]

    def script(self, *names: str) -> None:
        """The looks at the next run that is started."""
        self.scripts.append([copy.deepcopy(answered(name)) for name in names])

    def print(self, look: str, task: str, *attempts: str, cell: int | None = None, template: str = "") -> None:
        """Gives a stage of a recorded run the logs of its attempts, below the lines that KFP itself prints."""
        run = answered(look)
        for stage in nodes.read(run, {}).stages:
            if stage.task == task and stage.cell == cell:
                for node, text in zip(stage.attempts or stage.drivers, attempts, strict=False):
                    self.pods[pod(run, node, template or "retry-system-container-impl")] = text

    def version(self, pipeline: str, name: str, spec: dict) -> dict:
        made = {"pipeline_id": pipeline, "pipeline_version_id": str(uuid.uuid4()), "display_name": name, "name": name}
        self.versions.setdefault(pipeline, []).append({**made, "pipeline_spec": spec})
        return self.versions[pipeline][-1]


def pod(run: dict, node: str, template: str) -> str:
    workflow = nodes.read(run, {}).workflow
    return f"{workflow}-{template}-{nodes.node_id(workflow, node).rpartition('-')[2]}"


def with_noise(*lines: str) -> str:
    """A pod's log as the real one gives it: the executor's input, our lines, the launcher's end."""
    head = answered("pod_log").rpartition("\n")[0]
    end = "I1126 10:37:49.683948      16 launcher_v2.go:867] Executing uploadOutputArtifacts\nError: exit status 1"
    return "\n".join([head, "}", *lines, end, ""])


class Handler(BaseHTTPRequestHandler):
    server: Kfp

    def answer(self, content: dict | str | bytes, status: int = 200, kind: str = "application/json") -> None:
        body = content if isinstance(content, bytes) else content if isinstance(content, str) else json.dumps(content)
        body = body.encode() if isinstance(body, str) else body
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def replay(self, name: str) -> None:
        found = recorded(name)
        self.answer(found["answer"], found["status"], found["type"] or "text/plain")

    def nowhere(self) -> None:
        page = answered("log_route_that_is_not_there")
        start, _, rest = page.partition("<pre>")
        path = urlsplit(self.path).path
        self.answer(f"{start}<pre>Cannot {self.command} {path}{rest[rest.index('</pre>') :]}", 404, "text/html")

    def let_in(self) -> bool:
        self.server.asked.append(f"{self.command} {self.path}")
        if self.server.away:
            self.server.away -= 1
            self.close_connection = True
            return False
        if self.server.token and self.headers.get("Authorization") != f"Bearer {self.server.token}":
            self.answer({"error": "no"}, 401)
            return False
        return True

    def query(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}

    def wanted(self) -> str:
        predicate = json.loads(self.query()["filter"])["predicates"][0]
        assert (predicate["operation"], predicate["key"]) == (1, "display_name")
        return predicate["stringValue"]

    def do_GET(self) -> None:
        if not self.let_in():
            return
        parts = urlsplit(self.path).path.split("/")
        match parts[1:]:
            case ["apis", "v2beta1", "healthz"]:
                self.answer(self.server.health)
            case ["apis", "v2beta1", "experiments"]:
                self.list_experiments()
            case ["apis", "v2beta1", "pipelines"]:
                found = self.server.pipelines.get((self.query().get("namespace", ""), self.wanted()))
                self.answer({"pipelines": [found], "total_size": 1} if found else {})
            case ["apis", "v2beta1", "pipelines", pipeline, "versions"]:
                all_ = self.server.versions.get(pipeline, [])
                found = [one for one in all_ if "filter" not in self.query() or one["display_name"] == self.wanted()]
                self.answer({"pipeline_versions": found, "total_size": len(found)} if found else {})
            case ["apis", "v2beta1", "pipelines", pipeline, "versions", version]:
                found = [one for one in self.server.versions.get(pipeline, []) if one["pipeline_version_id"] == version]
                self.answer(found[0] if found else {"code": 5, "message": "not found"}, 200 if found else 404)
            case ["apis", "v2beta1", "runs"]:
                self.answer({"runs": self.listed(), "total_size": 1} if self.listed() else {})
            case ["apis", "v2beta1", "runs", run]:
                self.look(run)
            case ["k8s", "pod", "logs"]:
                self.log()
            case ["artifacts", "get"]:
                query = self.query()
                found = self.server.files.get(f"{query['source']}://{query['bucket']}/{query['key']}")
                missing = f"No objects found at {query['bucket']}/{query['key']}"
                self.answer(missing if found is None else found, 404 if found is None else 200, "application/gzip")
            case _:
                self.nowhere()

    def do_POST(self) -> None:
        if not self.let_in():
            return
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        query = self.query()
        match urlsplit(self.path).path.split("/")[1:]:
            case ["apis", "v2beta1", "experiments"]:
                sent = json.loads(body)
                made = answered("experiment_created") | {"display_name": sent["display_name"]}
                made["experiment_id"] = str(uuid.uuid4())
                self.server.experiments[sent.get("namespace") or "", sent["display_name"]] = made["experiment_id"]
                self.answer(made)
            case ["apis", "v2beta1", "pipelines"]:
                sent = json.loads(body)
                self.make_pipeline(sent["display_name"], sent.get("namespace") or "")
            case ["apis", "v2beta1", "pipelines", "upload"]:
                self.make_pipeline(query["name"], query.get("namespace", ""), spec=uploaded(body))
            case ["apis", "v2beta1", "pipelines", "upload_version"]:
                there = self.server.versions.get(query["pipelineid"], [])
                if query["name"] in [one["display_name"] for one in there]:
                    self.replay("pipeline_uploaded_twice")
                else:
                    self.answer(self.server.version(query["pipelineid"], query["name"], uploaded(body)))
            case ["apis", "v2beta1", "runs"]:
                self.start(json.loads(body))
            case ["apis", "v2beta1", "runs", run] if run.endswith(":terminate"):
                self.replay("run_terminate")
            case _:
                self.nowhere()

    def do_DELETE(self) -> None:
        if not self.let_in():
            return
        match urlsplit(self.path).path.split("/")[1:]:
            case ["apis", "v2beta1", "runs" | "experiments" | "pipelines", *_]:
                self.answer({})
            case _:
                self.nowhere()

    def list_experiments(self) -> None:
        known, namespace = self.server.experiments, self.query().get("namespace", "")
        found = [
            answered("experiment_by_name")["experiments"][0] | {"experiment_id": id_, "display_name": name}
            for (place, name), id_ in known.items()
            if place == namespace and ("filter" not in self.query() or name == self.wanted())
        ]
        self.answer({"experiments": found, "total_size": len(found)} if found else {})

    def make_pipeline(self, name: str, namespace: str, spec: dict | None = None) -> None:
        if (namespace, name) in self.server.pipelines:
            self.replay("pipeline_uploaded_twice")
            return
        made = answered("pipeline_uploaded") | {"pipeline_id": str(uuid.uuid4()), "display_name": name, "name": name}
        self.server.pipelines[namespace, name] = made
        if spec is not None:
            self.server.version(made["pipeline_id"], name, spec)
        self.answer(made)

    def start(self, sent: dict) -> None:
        self.server.runs.append(sent)
        run = answered("run_created") | sent
        if self.server.scripts:
            run["run_id"] = str(uuid.uuid4())
            kept = {name: sent[name] for name in ("display_name", "runtime_config") if name in sent}
            self.server.started[run["run_id"]] = [
                {**look, **kept, "run_id": run["run_id"]} for look in self.server.scripts.pop(0)
            ]
        elif self.server.looks:
            run["run_id"] = self.server.looks[0]["run_id"]
        self.answer(run)

    def listed(self) -> list[dict]:
        return answered("runs_list")["runs"] if self.server.looks or self.server.runs else []

    def look(self, run: str) -> None:
        looks = self.server.started.get(run) or self.server.looks
        if not looks or looks[0]["run_id"] != run:
            self.replay("run_not_found")
            return
        self.answer(looks.pop(0) if len(looks) > 1 else looks[0])

    def log(self) -> None:
        query = self.query()
        found = self.server.pods.get(query["podname"])
        if found is None:
            self.replay("pod_log_by_node_id")
        else:
            assert query["podnamespace"]
            assert query["createdat"].startswith("2026-")
            self.answer(found, kind="text/plain")

    def log_message(self, *_: object) -> None:
        pass


def uploaded(body: bytes) -> dict:
    """The pipeline in a form: its parts as the API gives them back."""
    text = body.split(b"\r\n\r\n", 1)[1].rsplit(b"\r\n--", 1)[0].decode()
    spec, *platform = yaml.safe_load_all(text)
    return {"pipeline_spec": spec, "platform_spec": platform[0] if platform else {}}


@contextmanager
def serve() -> Iterator[Kfp]:
    """The double, on a free port of the loopback interface."""
    with Kfp() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()
