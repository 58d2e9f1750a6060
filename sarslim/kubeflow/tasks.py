"""The tasks of the pipelines, by the names that KFP gives them, and the stages that people know."""

TASKS = {
    "check-inputs": "check",
    "plan-sweep": "plan",
    "plan-methods": "plan",
    "plan-rivals": "plan",
    "prepare-data": "prepare",
    "train-teacher": "teacher",
    "prune-student": "prune",
    "ask-teacher": "ask",
    "distill-student": "distill",
    "evaluate-student": "evaluate",
    "publish-bundle": "publish",
    "measure-network": "measure",
    "recover-cell": "recover",
    "rival-cell": "rival",
    "compare-networks": "compare",
}
# What runs once for each cell of a plan.
LOOPS = {"plan-sweep": "recover", "plan-methods": "recover", "plan-rivals": "rival"}
