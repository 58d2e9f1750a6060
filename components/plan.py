"""What a sweep and a comparison run in their loops, refused here if it cannot run."""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("plan"), install_kfp_package=False)
def plan_sweep(
    prepare: str,
    teacher: str,
    prune: str,
    distill: str,
    evaluate: str,
    budgets: str,
    methods: str,
    seeds: str,
    plan: dsl.Output[dsl.Artifact],
) -> list:
    """Configurations of pruning and recovery for every budget, method and seed."""
    from pathlib import Path

    from sarslim.kubeflow import shell
    from sarslim.stages.plan import plan_sweep
    from sarslim.stages.results import write_json

    with shell.stage("check", outputs={"plan": plan}):
        cells = plan_sweep(prepare, teacher, prune, distill, evaluate, budgets=budgets, methods=methods, seeds=seeds)
        write_json(Path(plan.path), {"cells": cells})
        shell.tell({"cells": len(cells)})
    return cells


@dsl.component(base_image=image("plan"), install_kfp_package=False)
def plan_rivals(
    prepare: str, teacher: str, evaluate: str, networks: str, seeds: str, plan: dsl.Output[dsl.Artifact]
) -> list:
    """Configurations of training for every rival network and seed, with the teacher's recipe."""
    from pathlib import Path

    from sarslim.kubeflow import shell
    from sarslim.stages.plan import plan_rivals
    from sarslim.stages.results import write_json

    with shell.stage("check", outputs={"plan": plan}):
        cells = plan_rivals(prepare, teacher, evaluate, networks=networks, seeds=seeds)
        write_json(Path(plan.path), {"cells": cells})
        shell.tell({"cells": len(cells)})
    return cells


@dsl.component(base_image=image("plan"), install_kfp_package=False)
def plan_methods(
    prune: str, distill: str, evaluate: str, methods: str, seeds: str, plan: dsl.Output[dsl.Artifact]
) -> list:
    """Configurations of pruning and recovery for every method and seed."""
    from pathlib import Path

    from sarslim.kubeflow import shell
    from sarslim.stages.plan import plan_methods
    from sarslim.stages.results import write_json

    with shell.stage("check", outputs={"plan": plan}):
        cells = plan_methods(prune, distill, evaluate, methods=methods, seeds=seeds)
        write_json(Path(plan.path), {"cells": cells})
        shell.tell({"cells": len(cells)})
    return cells
