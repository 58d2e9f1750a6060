"""Around a stage and a run: what a component does beside its stage, runs on this machine, on a cluster, in MLflow."""

__all__ = [
    "cleaning",
    "history",
    "launch",
    "nodes",
    "past_runs",
    "patience",
    "pod_logs",
    "run_folder",
    "run_log",
    "runners",
    "server",
    "shell",
    "submission",
    "tracking",
    "watching",
]
