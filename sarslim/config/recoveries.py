"""The recovery methods by the names that grids, tables and figures give them: what each sets in ``DistillConfig``."""

from typing import Any

from sarslim.config.parsing import parse
from sarslim.config.stages import DistillConfig
from sarslim.errors import InputError

TWIN = "finetune"
METHOD: dict[str, Any] = {"method": "distill", "start": "pruned", "progressive_steps": 1}
KD: dict[str, Any] = METHOD | {
    "response": "kd",
    "response_weight": 1.0,
    "standardise_logits": False,
    "scd_weight": 0.0,
    "srd_weight": 0.0,
    "crd_weight": 0.0,
    "crd_direction": "shallow_from_deep",
    "reflection_weight": 0.0,
    "auxiliary_label_weight": 0.1,
}
ALL: dict[str, Any] = KD | {"scd_weight": 0.1, "srd_weight": 0.1, "crd_weight": 0.1}

# Each sets every field that tells methods apart, so that its name holds whatever the recipe says; ``distill`` alone is
# the recipe itself.
RECOVERIES: dict[str, dict[str, Any]] = {
    TWIN: METHOD | {"method": "finetune"},
    "scratch": METHOD | {"method": "finetune", "start": "fresh"},
    "kd": KD,
    "kd standardised": KD | {"standardise_logits": True},
    "dkd": KD | {"response": "dkd", "response_weight": 0.1},
    "dist": KD | {"response": "dist", "response_weight": 0.05},
    "kd+scd": KD | {"scd_weight": 0.1},
    "kd+srd": KD | {"srd_weight": 0.1},
    "kd+crd": KD | {"crd_weight": 0.1},
    "kd+crd reversed": KD | {"crd_weight": 0.1, "crd_direction": "deep_from_shallow"},
    "kd+crd both": KD | {"crd_weight": 0.1, "crd_direction": "both"},
    "kd+reflection": KD | {"reflection_weight": 1.0},
    "all terms": ALL,
    "all terms-crd": ALL | {"crd_weight": 0.0},
    "all terms-scd": ALL | {"scd_weight": 0.0},
    "distill": {"method": "distill"},
}
RECOVERIES |= {
    f"{name} progressive": RECOVERIES[name] | {"progressive_steps": 3}
    for name in (TWIN, "kd", "all terms", "all terms-crd")
}


def recovery(name: str, recipe: DistillConfig, *, where: str = "methods") -> DistillConfig:
    """``recipe`` with what the method ``name`` sets; ``distill`` keeps all else as the recipe has it.

    Raises:
        InputError: an unknown method.
    """
    if name not in RECOVERIES:
        known = ", ".join(RECOVERIES)
        raise InputError(where, f"{name!r} is not a recovery method known here", f"Choose from {known}")
    return parse(DistillConfig, recipe.model_dump() | RECOVERIES[name], where=where)
