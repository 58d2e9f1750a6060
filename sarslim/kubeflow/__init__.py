"""Around a stage and a run: what a component does beside its stage, runs on this machine, on a cluster, in MLflow."""

__all__ = [
    "cluster",
    "local",
    "run_folder",
    "shell",
    "tasks",
    "tracking",
]
