"""Around a stage and a run: what a component does beside its stage, runs on this machine, runs on a cluster."""

__all__ = [
    "launch",
    "nodes",
    "past_runs",
    "patience",
    "pod_logs",
    "run_log",
    "runners",
    "server",
    "shell",
    "submission",
    "watching",
]
