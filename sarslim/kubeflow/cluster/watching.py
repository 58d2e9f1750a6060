"""A run on a cluster while it runs: one line per change, by the names that the UI shows."""

import json
import re
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from sarslim import report
from sarslim.kubeflow.cluster import nodes, pod_logs
from sarslim.kubeflow.cluster.nodes import OVER, Look, Stage, State
from sarslim.kubeflow.cluster.patience import EVERY_SECONDS, Patience
from sarslim.kubeflow.cluster.server import Api
from sarslim.kubeflow.tasks import TASKS
from sarslim.progress import duration

AHEAD = 4  # cells whose logs are asked for before anything is known of them
STALE_LOOKS = 6  # looks without a change after which the logs are asked whether the list stands still
USUAL = (
    "no pod of it ever started; usually the service account is not there, a quota is full, "
    "or an image or the Secret of the object store cannot be had"
)


class Watch:
    """Prints what changes from one look at a run to the next."""

    def __init__(self, api: Api, run: str) -> None:
        self._api, self._run = api, run
        self._ask = Patience(f"sarslim runs watch {run} {api.server.words}")
        self._told: dict[str, object] = {}
        self._steps: dict[str, str] = {}
        self._unchanged, self._seen = 0, ""
        self._beyond: dict[str, State] = {}
        self._planned = 0

    def until_it_ends(self) -> Look:
        """Looks, prints and waits until the run is over; returns the last look."""
        run = self._ask(partial(self._api.run, self._run))
        spec = self._ask(partial(self._api.spec, run))
        while True:
            look = nodes.read(run, spec)
            # Argo begins as many cells as may run at once; how many there will be, only the plan tells.
            look = replace(look, cells=max(look.cells, self._planned))
            self._unchanged = self._unchanged + 1 if look.seen == self._seen else 0
            self._seen = look.seen
            if self._unchanged >= STALE_LOOKS and not look.ended:
                look = self._looked_beyond(look)
            self.tell(look)
            if look.ended:
                return look
            time.sleep(EVERY_SECONDS)
            run = self._ask(partial(self._api.run, self._run))

    def tell(self, look: Look) -> None:
        """Prints what is new in a look."""
        cells = Counter[tuple[str, str, State]]()
        for stage in look.stages:
            if stage.cell is not None and stage.state is not State.FAILED:
                cells[stage.task, stage.title, stage.state] += 1
            elif stage.state in (State.WAITING, State.STARTING, State.NOT_RUN):
                continue
            elif self._changed(stage.node, stage.state):
                self._say(stage.name, self._words(look, stage))
            elif stage.state is State.RUNNING:
                self._progress(look, stage)
        for task, title in dict.fromkeys((task, title) for task, title, _ in cells):
            done = sum(cells[task, title, state] for state in (State.DONE, State.CACHED))
            running = cells[task, title, State.RUNNING] + cells[task, title, State.PENDING]
            if done + running and self._changed(task, (done, running)):
                of = max(look.cells, self._planned)
                self._say(title, f"{done} of {of} cells done" + (f", {running} running" if running else ""))

    def _changed(self, what: str, state: object) -> bool:
        new = self._told.get(what) != state
        self._told[what] = state
        return new

    @staticmethod
    def _say(name: str, text: str) -> None:
        print(f"[{name}] {text}", flush=True)

    def _words(self, look: Look, stage: Stage) -> str:
        if stage.state is State.DONE:
            found = figures(self._ask(partial(pod_logs.of_stage, self._api, look, stage)))
            self._planned = int(found.get("cells", self._planned))
            figure = key_figure(found, stage)
            took = f"done in {duration(stage.seconds)}" if stage.ended else "done"
            again = f", {len(stage.attempts)} attempts" if len(stage.attempts) > 1 else ""
            return f"{took}{again}{figure and f': {figure}'}"
        if stage.state in (State.FAILED, State.STOPPED):
            return f"{stage.state} after {duration(stage.seconds)}"
        again = f", attempt {len(stage.attempts)}" if len(stage.attempts) > 1 else ""
        return f"{stage.state}{again}"

    def _progress(self, look: Look, stage: Stage) -> None:
        text = self._ask(partial(pod_logs.of_stage, self._api, look, stage))
        steps = [line for line in pod_logs.own(text or "") if pod_logs.STEP.match(line) or line.startswith("note: ")]
        if steps and self._steps.get(stage.node) != steps[-1]:
            self._steps[stage.node] = steps[-1]
            self._say(stage.name, steps[-1].removeprefix("note: "))

    def _looked_beyond(self, look: Look) -> Look:
        """The same look with what only the logs tell.

        Argo stores a large workflow compressed, and KFP's list of tasks then stands still for the rest of the run. The
        names of pods are known all the same.
        """
        stages = [self._from_log(look, stage) if stage.state is State.RUNNING else stage for stage in look.stages]
        for stage in _next(replace(look, stages=tuple(stages)), self._beyond):
            found = self._from_log(look, stage)
            if found.state is not State.WAITING:
                stages.append(found)
        return replace(look, stages=tuple(stages))

    def _from_log(self, look: Look, stage: Stage) -> Stage:
        if (state := self._beyond.get(stage.node)) is not None:
            return replace(stage, state=state)
        text = self._ask(partial(pod_logs.of_stage, self._api, look, stage))
        if text is None:
            return stage
        if not any(pod_logs.MADE.match(line) for line in pod_logs.own(text)):
            return replace(stage, state=State.RUNNING)
        self._beyond[stage.node] = State.DONE
        return replace(stage, state=State.DONE)


def _next(look: Look, known: Mapping[str, State]) -> list[Stage]:
    """The stages that cells of a loop would begin next, if the list of tasks stood still: one per cell.

    Of the cells of which nothing is known yet, the first few: they begin in their order.
    """
    inside = list(dict.fromkeys((stage.task, stage.title) for stage in look.stages if stage.cell is not None))
    parents = [stage.node.rpartition(".")[0] for stage in look.stages if stage.cell == 0]
    found: list[Stage] = []
    ahead = 0
    for cell in range(look.cells if parents else 0):
        have = {stage.task: stage.state for stage in look.stages if stage.cell == cell}
        if any(state not in OVER for state in have.values()):
            continue
        for task, title in inside:
            if task not in have:
                parent = re.sub(r"iteration-iterations\(0:0\)", f"iteration-iterations({cell}:{cell})", parents[0])
                node = f"{parent}.{task}"
                pods = (f"{node}(0).{nodes.EXECUTOR}(0)",)
                ahead += not have and node not in known
                if ahead > AHEAD:
                    return found
                found.append(Stage(task, title, State.WAITING, node, cell, attempts=pods))
                break
    return found


def figures(text: str | None) -> dict[str, float]:
    """The figures that a stage has printed."""
    for line in reversed(pod_logs.own(text or "")):
        if match := pod_logs.FIGURES.match(line):
            return dict(json.loads(match["json"]))
    return {}


def key_figure(found: Mapping[str, float], stage: Stage) -> str:
    """The figure of a stage that matters most."""
    return report.headline(TASKS.get(re.sub(r"-\d+$", "", stage.task), ""), found) if found else ""


def wait(api: Api, run: str) -> bool:
    """Prints how a run gets on until it ends, and what came of it; True if it succeeded.

    Raises:
        Unreachable: the server has not answered for minutes.
    """
    look = Watch(api, run).until_it_ends()
    took = duration((look.finished - look.created).total_seconds()) if look.finished and look.created else ""
    if look.state == "SUCCEEDED":
        print(f"run {run} succeeded{took and f' in {took}'}", flush=True)
        for line in published(api, look):
            print(line, flush=True)
        return True
    ended = "was stopped" if look.terminated else look.state.lower()
    print(f"run {run} {ended}{took and f' after {took}'}", flush=True)
    for line in why(api, look):
        print(line, flush=True)
    print(f"more: sarslim runs show {run} {api.server.words}", flush=True)
    return False


def published(api: Api, look: Look) -> list[str]:
    """Where the bundle of a run lies, and how to fetch it."""
    for stage in look.stages:
        text = pod_logs.of_stage(api, look, stage) if stage.task == "publish-bundle" else None
        for line in pod_logs.own(text or ""):
            if line.startswith("published "):
                uri = line.removeprefix("published ").strip()
                at, name, version = uri.rsplit("/", 2)
                return [f"bundle  {uri}", f"fetch   sarslim models pull {name}/{version} OUT --at {at}"]
    return []


def why(api: Api, look: Look, lines: int = 15) -> list[str]:
    """Why a run failed: the last lines of the stage that did, or what it usually is where no pod started."""
    namespace = api.server.pods_namespace
    events = f"kubectl -n {namespace} get events --sort-by=.lastTimestamp | grep {look.workflow or look.run}"
    if look.terminated and not look.failed:
        return ["it was terminated; Retry in the UI goes on from the last checkpoint"]
    for stage in look.failed[:1]:
        text = pod_logs.of_stage(api, look, stage) if stage.attempts else pod_logs.of_driver(api, look, stage)
        last = [line for line in (pod_logs.own(text) if stage.attempts else text.splitlines()) if line] if text else []
        if last:
            return [f"{stage.name} said last:", *(f"  {line}" for line in last[-lines:])]
        told = "KFP's driver failed before it" if not stage.attempts else "it left no log"
        return [f"{stage.name}: {told}; what Kubernetes says of it:", f"  {events}"]
    if not look.stages or all(stage.state is State.NOT_RUN for stage in look.stages):
        return [USUAL + "; what Kubernetes says of it:", f"  {events}"]
    return ["no stage of it failed by itself; what Kubernetes says of it:", f"  {events}"]
