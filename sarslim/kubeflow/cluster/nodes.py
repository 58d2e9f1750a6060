"""The stages of a run on a cluster, out of the flat list of Argo's nodes that KFP's API gives.

The API lists about nine nodes per stage, without the names that the UI shows and without a tree: it holds the ids of
children, but not a node's own. Argo makes an id from a node's full name (32-bit FNV-1a), and a full name from those of
the nodes around it, so the tree is found by asking which of the names that could be there have an id that is.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

ENDED = ("SUCCEEDED", "SKIPPED", "FAILED", "CANCELED", "CANCELLED")
EXECUTOR, DRIVER = "executor", "-driver"
ATTEMPT = re.compile(r"\(\d+\)$")
CELL = re.compile(r"iteration-iterations\((\d+):")
GROUP = re.compile(r"root$|(exit-handler|condition|condition-branches|for-loop)-\d+|iteration")


class State(StrEnum):
    """How a stage stands."""

    WAITING = "waiting"
    STARTING = "starting"
    PENDING = "waiting for a place in the cluster"
    RUNNING = "running"
    DONE = "done"
    CACHED = "from the cache"
    FAILED = "FAILED"
    STOPPED = "stopped"
    NOT_RUN = "not run"


OVER = (State.DONE, State.CACHED, State.FAILED, State.STOPPED, State.NOT_RUN)


@dataclass(frozen=True)
class Stage:
    """One task of a pipeline, or of one cell of a loop.

    ``task`` is its key in the pipeline, ``title`` its name in the UI, ``node`` its full name in Argo. ``attempts`` are
    the nodes of its pods, the first try first; ``drivers`` those of what starts it.
    """

    task: str
    title: str
    state: State
    node: str = ""
    cell: int | None = None
    started: datetime | None = None
    ended: datetime | None = None
    attempts: tuple[str, ...] = ()
    drivers: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """How long it took, or has taken."""
        if self.started is None:
            return 0.0
        return max(((self.ended or datetime.now(UTC)) - self.started).total_seconds(), 0.0)

    @property
    def name(self) -> str:
        """Its name in the UI, and its cell, counted from 1."""
        return self.title if self.cell is None else f"{self.title}, cell {self.cell + 1}"


@dataclass(frozen=True)
class Look:
    """One look at a run: the stages that have begun in the order in which they did, then those that wait.

    ``seen`` is the same in two looks between which no task has changed.
    """

    run: str
    name: str
    state: str
    workflow: str
    created: datetime | None
    finished: datetime | None
    stages: tuple[Stage, ...]
    cells: int = 0
    pipeline: str = ""
    root: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    terminated: bool = False
    drivers: tuple[str, ...] = ()
    seen: str = ""

    @property
    def ended(self) -> bool:
        """Whether the run is over."""
        return self.state in ENDED

    @property
    def failed(self) -> list[Stage]:
        """The stages that failed, those of which a message can be read first."""
        stages = [stage for stage in self.stages if stage.state is State.FAILED]
        return sorted(stages, key=lambda stage: not stage.attempts)


def read(run: Mapping[str, Any], spec: Mapping[str, Any]) -> Look:
    """What the API says of a run, with the names of its pipeline."""
    details = (run.get("run_details") or {}).get("task_details") or []
    named = [task for task in details if task.get("display_name")]
    tree = _Tree(named)
    tasks = titles(spec)
    history = [str(step.get("state")) for step in run.get("state_history") or ()]
    terminated = any(state.startswith("CANCEL") for state in [*history, str(run.get("state"))])
    found = list(tree.stages(tasks))
    if terminated:
        found = [replace(one, state=State.STOPPED) if one.state is State.FAILED else one for one in found]
    found.sort(key=lambda stage: (stage.started or datetime.max.replace(tzinfo=UTC), stage.cell or 0))
    begun = {stage.task for stage in found}
    state = str(run.get("state") or "PENDING")
    if state == "SUCCEEDED":
        # The list stands still where Argo stores a large workflow compressed; the run's own state does not.
        found = [stage if stage.state in OVER else replace(stage, state=State.DONE) for stage in found]
    rest = State.NOT_RUN if state in ENDED else State.WAITING
    waiting = [Stage(task, title, rest) for task, title in tasks.items() if task not in begun and title]
    settings = run.get("runtime_config") or {}
    return Look(
        run=str(run.get("run_id")),
        name=str(run.get("display_name", "")),
        state=state,
        workflow=tree.workflow,
        created=moment(run.get("created_at")),
        finished=moment(run.get("finished_at")),
        stages=(*found, *waiting),
        cells=tree.cells,
        pipeline=str((spec.get("pipelineInfo") or {}).get("name", "")),
        root=str(settings.get("pipeline_root") or ""),
        parameters=settings.get("parameters") or {},
        terminated=terminated,
        drivers=tree.first_drivers,
        seen=repr(sorted(f"{task['display_name']} {task.get('state')} {task.get('start_time')}" for task in named)),
    )


def titles(spec: Mapping[str, Any]) -> dict[str, str]:
    """The tasks of a pipeline that have a container, in its order, with their names in the UI."""
    components, executors = spec.get("components") or {}, (spec.get("deploymentSpec") or {}).get("executors") or {}
    found: dict[str, str] = {}

    def visit(dag: Mapping[str, Any]) -> None:
        tasks = dict(dag.get("tasks") or {})
        while tasks:  # those first that wait for none of the others
            ready = [key for key, task in tasks.items() if not set(task.get("dependentTasks", ())) & set(tasks)]
            for key in sorted(ready or tasks):
                task = tasks.pop(key)
                component = components.get(task["componentRef"]["name"], {})
                if "dag" in component:
                    visit(component["dag"])
                elif "container" in executors.get(component.get("executorLabel"), {}):
                    found[key] = task.get("taskInfo", {}).get("name") or _title(key)

    visit((spec.get("root") or {}).get("dag") or {})
    return found


def node_id(workflow: str, name: str) -> str:
    """Argo's id of a node, from its full name."""
    if name == workflow:
        return name
    value = 0x811C9DC5
    for byte in name.encode():
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return f"{workflow}-{value}"


def moment(text: Any) -> datetime | None:
    """A time of the API; what has not come yet is told as a time long ago."""
    if not text:
        return None
    found = datetime.fromisoformat(str(text).replace("Z", "+00:00"))
    return found if found.year > 1970 else None


class _Tree:
    def __init__(self, details: list[Mapping[str, Any]]) -> None:
        self._tasks = details
        self._owners: dict[str, list[Mapping[str, Any]]] = {}
        for task in self._tasks:
            for child in task.get("child_tasks") or ():
                if pod := child.get("pod_name"):
                    self._owners.setdefault(pod, []).append(task)
        self.workflow = next(iter(self._owners), "").rpartition("-")[0]
        names = {ATTEMPT.sub("", str(task["display_name"])).removesuffix(DRIVER) for task in self._tasks}
        self._names = sorted(names - {self.workflow, EXECUTOR})
        self._cached = {task.get("start_time") for task in self._tasks if self._is(task, EXECUTOR, "SKIPPED")}
        self.cells = 0
        self.first_drivers: tuple[str, ...] = ()

    @staticmethod
    def _is(task: Mapping[str, Any], name: str, state: str) -> bool:
        return task["display_name"] == name and task.get("state") == state

    def stages(self, tasks: Mapping[str, str]) -> Iterator[Stage]:
        for root in self._tries(self.workflow) or [self.workflow]:
            self.first_drivers += tuple(self._tries(f"{root}.root{DRIVER}"))
            yield from self._walk(root, None, tasks)

    def _walk(self, parent: str, cell: int | None, tasks: Mapping[str, str]) -> Iterator[Stage]:
        for name in self._names:
            node = f"{parent}.{name}"
            if not (self._known(node) or self._known(f"{node}{DRIVER}")):
                continue
            if index := CELL.match(name):
                self.cells = max(self.cells, int(index[1]) + 1)
                for attempt in self._tries(node) or [node]:
                    yield from self._walk(attempt, int(index[1]), tasks)
            elif not GROUP.match(name):
                yield self._stage(node, name, cell, tasks)
            else:
                for attempt in self._tries(node) or [node]:
                    yield from self._walk(attempt, cell, tasks)

    def _stage(self, node: str, name: str, cell: int | None, tasks: Mapping[str, str]) -> Stage:
        tries = self._tries(node)
        owner = self._owner(node)
        pods = [pod for attempt in tries for pod in self._tries(f"{attempt}.{EXECUTOR}")]
        if name.startswith("importer"):
            pods = tries
        drivers = self._tries(f"{node}{DRIVER}")
        started, ended = moment((owner or {}).get("start_time")), moment((owner or {}).get("end_time"))
        state = self._state(owner, self._owner(f"{node}{DRIVER}"), bool(tries), bool(pods))
        if state in (State.NOT_RUN, State.STARTING):
            started = ended = None
        title = tasks.get(name) or _title(name)
        return Stage(name, title, state, node, cell, started, ended, tuple(pods), tuple(drivers))

    def _state(self, task: Any, driver: Any, tried: bool, pods: bool) -> State:
        said = (task or {}).get("state")
        if (driver or {}).get("state") == "FAILED" or said == "FAILED":
            return State.FAILED
        if not tried:
            over = said is None and (driver is None or driver.get("state") is None) and task is not None
            return State.NOT_RUN if over else State.STARTING
        if said == "SUCCEEDED":
            return State.DONE if pods or task.get("start_time") not in self._cached else State.CACHED
        if said == "SKIPPED":
            return State.NOT_RUN
        if not pods:
            return State.STARTING
        start = task.get("start_time")
        waits = [one for one in self._tasks if one.get("start_time") == start and one.get("state") == "PENDING"]
        return State.PENDING if any(str(one["display_name"]).startswith(EXECUTOR) for one in waits) else State.RUNNING

    def _known(self, node: str) -> bool:
        return any(node_id(self.workflow, name) in self._owners for name in (node, f"{node}(0)"))

    def _tries(self, node: str) -> list[str]:
        found: list[str] = []
        while node_id(self.workflow, attempt := f"{node}({len(found)})") in self._owners:
            found.append(attempt)
        return found

    def _owner(self, node: str) -> Mapping[str, Any] | None:
        """The task that stands for a node: the one that has the node's first attempt among its children."""
        name = node.rpartition(".")[2]
        same = self._owners.get(node_id(self.workflow, f"{node}(0)"), [])
        for task in same:
            if task["display_name"] == name:
                return task
        # Without an attempt there is nothing to know it by but its name.
        alone = [task for task in self._tasks if task["display_name"] == name and not task.get("state")]
        return alone[0] if alone and not same else None


def _title(task: str) -> str:
    return task.replace("-", " ").capitalize()
