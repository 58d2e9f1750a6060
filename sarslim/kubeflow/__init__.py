"""Around a stage and a run: what a component does beside its stage, runs on this machine, runs on a cluster."""

__all__ = ["history", "launch", "remote", "run_log", "runners", "shell"]
