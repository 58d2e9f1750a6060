"""The stages as components for DAGs of other people: one YAML file each, with inputs and outputs described."""

from components.ask_teacher import ask_teacher
from components.compare import compare_networks
from components.distill_student import distill_student
from components.evaluate import evaluate_student
from components.measure import measure_network
from components.prepare_data import prepare_data
from components.prune_student import prune_student
from components.publish import publish_bundle
from components.train_teacher import train_teacher

COMPONENTS = {
    "prepare-data": prepare_data,
    "train-teacher": train_teacher,
    "prune-student": prune_student,
    "ask-teacher": ask_teacher,
    "distill-student": distill_student,
    "evaluate-student": evaluate_student,
    "publish-bundle": publish_bundle,
    "measure-network": measure_network,
    "compare-networks": compare_networks,
}
