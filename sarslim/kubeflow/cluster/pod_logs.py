"""What the stages of a run on a cluster have printed."""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from sarslim.errors import InputError, SarslimError, ServiceError
from sarslim.kubeflow.cluster import nodes
from sarslim.kubeflow.cluster.nodes import Look, Stage, State
from sarslim.kubeflow.cluster.patience import EVERY_SECONDS, Patience
from sarslim.kubeflow.cluster.server import Api, NotThere, Unreachable
from sarslim.store.storage import S3Uri, Storage

# The route that the UI itself uses; that of the API is not reachable through the UI's server.
ROUTE = "/k8s/pod/logs"
# A pod is called WORKFLOW-TEMPLATE-NUMBER where its node is WORKFLOW-NUMBER.
TEMPLATES = ("retry-system-container-impl", "system-container-impl")
IMPORTER = ("system-importer", "retry-system-importer")
DRIVERS = ("system-container-driver", "system-dag-driver")
# What a task was given and what it returns, as JSON over many lines; glog cuts what is long in the middle.
JSON_BEGINS = re.compile(r"\[KFP Executor .*\]: Got executor_input:$|I\d{4} .*\] ExecutorOutput: \{$")
THEIRS = re.compile(
    r"time=\S+ level=|[IWEF]\d{4} \d\d:\d\d:\d\d\.\d+ |\[KFP Executor |Error: exit status |INFO:|WARNING:root:"
)
STEP = re.compile(r"(?P<what>\S.*?) (?P<done>\d+)/(?P<total>\d+)(?:  (?P<detail>.*))?$")
MADE = re.compile(r"made +(?P<name>\w+) +(?P<uri>\S+)$")
GIVEN = re.compile(r"given +(?P<name>\w+) +(?P<uri>\S+)$")
FIGURES = re.compile(r"figures: (?P<json>\{.*\})$")


def own(text: str) -> list[str]:
    """The lines that a stage itself has printed: without those of KFP's launcher, its executor and Argo."""
    lines, skipping = [], False
    for line in text.splitlines():
        if skipping and not THEIRS.match(line):
            skipping = line != "}"
            continue
        skipping = JSON_BEGINS.match(line) is not None
        if not skipping and not THEIRS.match(line):
            lines.append(line)
    return lines


def of_node(api: Api, look: Look, node: str, templates: Sequence[str] = TEMPLATES) -> str | None:
    """What the pod of a node has printed so far, or None where there is none, or none any more.

    Raises:
        Unreachable: the server does not answer just now.
        InputError: it does not let us in.
    """
    number = nodes.node_id(look.workflow, node).rpartition("-")[2]
    for template in templates:
        asked = {
            "podname": f"{look.workflow}-{template}-{number}",
            "runid": look.run,
            "podnamespace": api.server.pods_namespace,
            "createdat": f"{look.created:%Y-%m-%d}" if look.created else "",
        }
        try:
            return api.bytes(ROUTE, **asked).decode(errors="replace")
        except Unreachable:
            raise
        except (ServiceError, NotThere):
            continue
    return None


def of_stage(api: Api, look: Look, stage: Stage, attempt: int = -1) -> str | None:
    """What an attempt of a stage has printed (-1: the last one); from the store where its pod is gone.

    Raises:
        Unreachable: the server does not answer just now.
    """
    if not stage.attempts:
        return None
    templates = IMPORTER if stage.task.startswith("importer") else TEMPLATES
    found = of_node(api, look, stage.attempts[attempt], templates)
    return found if found is not None else _kept(look, stage, attempt)


def of_driver(api: Api, look: Look, stage: Stage) -> str | None:
    """What started, or did not start, a stage has to say."""
    for node in reversed(stage.drivers):
        if (found := of_node(api, look, node, DRIVERS)) is not None:
            return found
    return None


def _kept(look: Look, stage: Stage, attempt: int) -> str | None:
    """The log that the launcher has left beside the artifacts, if the store can be reached from here."""
    if not look.root.startswith(("s3://", "minio://")) or stage.cell is not None:
        return None
    try:
        storage, task = Storage.from_environment(retries=0, timeout_seconds=5), _task_root(look) / stage.task
        names = sorted(name for name, _, _ in storage.list(task) if name.rpartition("/")[2].startswith("executor-logs"))
        wanted = names[attempt] if -len(names) <= attempt < len(names) else ""
        return storage.read(task / wanted).decode(errors="replace") if wanted else None
    except SarslimError:
        return None


def _task_root(look: Look) -> S3Uri:
    return S3Uri.parse(look.root) / look.pipeline / look.run


def select(look: Look, wanted: str, known: dict[str, str]) -> list[Stage]:
    """The stages of a run that a person means: a stage of sarslim, a task of KFP, or its name in the UI.

    Args:
        known: the stage of sarslim by task, such as ``teacher`` by ``train-teacher``.

    Raises:
        InputError: none of that name.
    """
    if not wanted:
        return [stage for stage in look.stages if stage.attempts or stage.state is State.FAILED]

    def names(stage: Stage) -> set[str]:
        plain = re.sub(r"-\d+$", "", stage.task)
        return {stage.task, stage.title.lower(), stage.name.lower(), known.get(plain, "")}

    found = [stage for stage in look.stages if wanted.lower() in names(stage)]
    if not found:
        there = ", ".join(dict.fromkeys(stage.task for stage in look.stages)) or "none yet"
        raise InputError("STAGE", f"the run has no stage {wanted!r}", f"Choose from {there}")
    return found


def shown(api: Api, look: Look, stage: Stage, *, attempt: int = 0, everything: bool = False) -> Iterator[str]:
    """The log of one stage, a line that names it first.

    Args:
        attempt: which one, counted from 1; 0: the last.
        everything: with the lines of KFP's launcher and executor.

    Raises:
        InputError: there was no such attempt.
    """
    tries = len(stage.attempts)
    if attempt > max(tries, 1):
        raise InputError("--attempt", f"{stage.name} was tried {tries} times", "Leave it out for the last one")
    number = attempt or tries
    yield f"== {stage.name}" + (f", attempt {number} of {tries}" if tries > 1 else "")
    text = of_stage(api, look, stage, number - 1) if tries else of_driver(api, look, stage)
    if text is not None:
        yield from text.splitlines() if everything or not tries else own(text)
    elif stage.state is State.CACHED:
        yield "from the cache: an earlier run printed it"
    elif tries:
        yield f"its pod is gone; set AWS_ENDPOINT_URL and keys to read what is kept beside its artifacts in {look.root}"
    else:
        yield f"no pod ({stage.state})"


def follow(
    api: Api, look: Callable[[], Look], wanted: str, known: dict[str, str], everything: bool, again: str
) -> None:
    """Prints the logs of the stages that a person means as they grow, until these stages or the run are over.

    Args:
        look: takes another look at the run.
        again: the command that goes on, for when the server is gone for good.
    """
    ask, printed, closed = Patience(again), dict[str, int](), set[str]()
    while True:
        now = ask(look)
        stages = select(now, wanted, known)
        for stage in stages:
            if stage.node in closed:
                continue
            text = ask(partial(of_stage, api, now, stage))
            lines = [] if text is None else text.splitlines() if everything else own(text)
            before = printed.get(stage.node, 0)
            for line in lines[before:]:
                print(line if wanted and len(stages) == 1 else f"[{stage.name}] {line}", flush=True)
            printed[stage.node] = max(len(lines), before)
            if stage.state in nodes.OVER:
                closed.add(stage.node)
        if now.ended or (wanted and all(stage.state in nodes.OVER for stage in stages)):
            return
        time.sleep(EVERY_SECONDS)
