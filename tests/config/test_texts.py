"""The type of a field decides how its text is read; what YAML has changed in a file is refused."""

import json

import pytest
import yaml

from sarslim.config import RunConfig
from sarslim.config.parameters import from_parameters, to_parameters
from sarslim.config.settings import changed, load_cluster, load_config
from sarslim.errors import InputError
from sarslim.report.words import run as words

# Texts to which YAML gives a meaning of its own.
TEXTS = [
    "1.10", "2024.10", "0012", "0123456", "1:30", "190:20:30", "0x1F", "0b11", "0o17", "1_000", "1e3", "1.0e+3", "+5",
    "-0", "NO", "no", "yes", "on", "Off", "true", "null", "~", "2024-10-01", "2024-10-01T10:00:00Z", ".inf", "-.INF",
    ".nan", "=", "<<", "5", "5.0", "1.", "a #b", "a: b", "#a", "- a", "*a", "&a", "!a", "@a", "`a", "%a", "[a", "{a",
    "a'b", "'", '"', "?", "|", ">", "船", "a, b", " a", "a ", "9" * 30,
]  # fmt: skip


def get(config: RunConfig, path: str):
    for name in path.split("."):
        config = getattr(config, name)
    return config


def test_a_configuration_is_read_again_as_it_was_written(tmp_path):
    for sets in ([], ["ask.views=2", "evaluate.shifted.winter=s3://raw/winter", "prepare.merge.a=b"]):
        config = read(*sets)
        config = config.model_copy(update={"ask": config.ask.filled(config.distill)})  # as the check does
        (tmp_path / "config.yaml").write_text(words.configuration(config))
        assert load_config(tmp_path / "config.yaml", "", []) == config
        assert config.ask.shown is None or sets


def read(*sets: str) -> RunConfig:
    return load_config(None, "", list(sets))


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_field_gets_its_text_as_it_stands(text):
    assert read(f"prepare.source={text}").prepare.source == text
    assert read(f"distill.rerun={text}").distill.rerun == text
    if text == text.strip() and "=" not in text:
        assert read(f"prepare.merge.{text}=x").prepare.merge == {text: "x"}


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize(
    "quoted", [json.dumps, lambda text: "'" + text.replace("'", "''") + "'"], ids=["double", "single"]
)
def test_quotes_around_a_whole_text_are_taken_off(text, quoted):
    assert read(f"prepare.source={quoted(text)}").prepare.source == text
    assert read(f"prepare.classes=[{quoted(text)}, b]").prepare.classes == (text, "b")
    assert read(f"prepare.merge={{{quoted(text)}: {quoted(text)}}}").prepare.merge == {text: text}


@pytest.mark.parametrize("text", ["'a' and 'b'", "'", "''a'", '"a', "it's"])
def test_quotes_inside_a_text_stay(text):
    assert read(f"prepare.source={text}").prepare.source == text


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("publish.version=1.10", "1.10"),
        ("publish.version=0123456", "0123456"),
        ("prepare.classes=[010,020]", ("010", "020")),
        ("prepare.classes=[NO, 1:30, ~, null]", ("NO", "1:30", "~", "null")),
        ("prepare.classes=[2024-10-01, 1_000, 1.10]", ("2024-10-01", "1_000", "1.10")),
        ("prepare.classes=Cargo, Tanker", ("Cargo", "Tanker")),
        ("prepare.classes=010", ("010",)),
        ("prepare.classes=['a, b', c]", ("a, b", "c")),
        ("prepare.classes=[]", ()),
        ("prepare.classes=", ()),
        ("prepare.merge={Bulk Carrier: Cargo, 010: 020}", {"Bulk Carrier": "Cargo", "010": "020"}),
        ("prepare.merge=Bulk Carrier: Cargo", {"Bulk Carrier": "Cargo"}),
        ("prepare.merge={}", {}),
        ("prepare.merge=", {}),
        ("prepare.merge.Bulk Carrier=0012", {"Bulk Carrier": "0012"}),
        ("prepare.percentiles=[1, 99.5]", (1.0, 99.5)),
        ("prepare.percentiles=1,99", (1.0, 99.0)),
        ("evaluate.looks=[16, 8]", (16.0, 8.0)),
        ("evaluate.batch_sizes=1,8", (1, 8)),
        ("evaluate.rivals=", ()),
        ("prune.stage_max_ratio={backbone.layer1: 0.5}", {"backbone.layer1": 0.5}),
        ("prune.stage_max_ratio.backbone.layer1=5e-1", {"backbone.layer1": 0.5}),
        ("prune.macs=5%", "5%"),
        ("prune.params=250000", "250000"),
        ("teacher.epochs=010", 10),
        ("teacher.epochs=1_000", 1000),
        ("teacher.epochs=+7", 7),
        ("teacher.epochs= 7 ", 7),
        ("teacher.epochs=7.0", 7),
        ("teacher.epochs='7'", 7),
        ("teacher.mixup=1", 1.0),
        ("teacher.mixup=0", 0.0),
        ("teacher.mixup=010e-1", 1.0),
        ("teacher.learning_rate=1e-3", 0.001),
        ("teacher.learning_rate=+.5", 0.5),
        ("teacher.flip=no", False),
        ("teacher.flip=off", False),
        ("teacher.flip=0", False),
        ("teacher.flip=False", False),
        ("teacher.flip= true ", True),
        ("teacher.flip=YES", True),
        ("prepare.simulator.chips=0100", 100),
        ("prepare.simulator={chips: 0100, classes: 2}", {"chips": 100, "classes": 2}),
    ],
)  # fmt: skip
def test_the_type_of_the_field_decides(setting, value):
    path = setting.partition("=")[0]
    for name in ("merge", "stage_max_ratio"):
        path = path[: path.index(name) + len(name)] if name in path else path
    found = get(read(setting), path)
    assert (found.model_dump(include=set(value)) if hasattr(found, "model_dump") else found) == value


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("teacher.epochs=0x10", "teacher.epochs: '0x10' is not a whole number. Write a whole number such as 40."),
        ("teacher.epochs=1:30", "teacher.epochs: '1:30' is not a whole number. Write a whole number such as 40."),
        ("teacher.epochs=1e3", "teacher.epochs: '1e3' is not a whole number. Write 1000."),
        ("teacher.epochs=yes", "'yes' is not a whole number"),
        ("teacher.epochs=null", "'null' is not a whole number"),
        ("teacher.epochs=", "'' is not a whole number"),
        ("teacher.epochs=7.5", "'7.5' is not a whole number"),
        ("teacher.epochs=[7]", "'[7]' is not a whole number"),
        ("teacher.mixup=1:30", "'1:30' is not a number"),
        ("teacher.mixup=true", "'true' is not a number"),
        ("teacher.mixup=.nan", "'.nan' is not a number"),
        ("teacher.mixup=nan", "'nan' is not a finite number"),
        ("evaluate.max_drop=5%", "evaluate.max_drop: '5%' is not a number. Write 0.05."),
        ("teacher.mixup=0,5", "teacher.mixup: '0,5' is not a number. Write 0.5."),
        ("teacher.flip=2", "teacher.flip: '2' is neither true nor false. Write true or false."),
        ("teacher.flip=", "teacher.flip: '' is neither true nor false"),
        ("teacher.flip=~", "teacher.flip: '~' is neither true nor false"),
        ("prepare.classes=[Cargo", "'[Cargo' cannot be read"),
        ("prepare.classes=[tree #2]", "'[tree #2]' cannot be read"),
        ("prepare.classes=tree #2", "'tree #2' cannot be read"),
        ("prepare.classes=[a] #b", "'[a] #b' cannot be read"),
        ("prepare.classes=[a], [b]", "'[a], [b]' cannot be read"),
        ("prepare.classes=[&a, b]", "'[&a, b]' cannot be read"),
        ("prepare.classes=[*a]", "'[*a]' cannot be read"),
        ("prepare.classes=[!a b]", "'[!a b]' cannot be read"),
        ("prepare.classes=[[a]]", "prepare.classes.0: ['a'] is not a text"),
        ("prepare.classes={a: b}", "prepare.classes.0: {'a': 'b'} is not a text"),
        ("prepare.merge={a: b, a: c}", "cannot be read"),
        ("prepare.merge={a}", "'{a}' cannot be read"),
        ("prepare.merge=[a]", "cannot be read"),
        ("prepare.percentiles=1", "prepare.percentiles.1: is missing"),
        ("prepare.percentiles=1,2,3", "has too many items"),
        ("prepare.simulator=3", "cannot be read"),
        ("publish.version=v 1", "publish.version: 'v 1' "),
    ],
)  # fmt: skip
def test_what_the_type_does_not_allow_is_told_with_what_to_write(setting, words):
    with pytest.raises(InputError) as caught:
        read(setting)
    assert words in str(caught.value)
    assert caught.value.exit_code == 2


def in_file(tmp_path, text: str) -> RunConfig:
    file = tmp_path / "own.yaml"
    file.write_text(text, encoding="utf-8")
    return load_config(file, "", [])


@pytest.mark.parametrize(
    ("text", "became"),
    [
        ("1.10", "1.1"), ("2024.10", "2024.1"), ("0012", "10"), ("0123456", "42798"), ("1:30", "90"), ("0x1F", "31"),
        ("1_000", "1000"), ("+5", "5"), ("NO", "False"), ("on", "True"), ("null", "nothing"), ("~", "nothing"),
        ("2024-10-01", "2024-10-01"), ("1.0e+3", "1000.0"), (".inf", "inf"), ("-0", "0"),
        ("2024-02-31", "something else"), ("!x y", "something else"),
        ("", "nothing"),
    ],
)  # fmt: skip
def test_what_yaml_has_changed_in_a_file_is_refused_with_the_text_to_quote(tmp_path, text, became):
    for before, after, where in (
        ("publish:\n  version: ", "", "publish.version"),
        ("prepare:\n  classes: [a, ", "]", "prepare.classes.1"),
        ("prepare:\n  classes:\n  - ", "", "prepare.classes.0"),
        ("prepare:\n  merge:\n    a: ", "", "prepare.merge.a"),
    ):
        if text == "" and "[" in before:
            continue
        with pytest.raises(InputError) as caught:
            in_file(tmp_path, f"{before}{text}{after}\n")
        line = 3 if before.count("\n") == 2 else 2
        assert str(caught.value) == (
            f"{where}: YAML reads {text or 'no text at all'} as {became} ({tmp_path}/own.yaml, line {line}). "
            f'Put it in quotes: "{text}".'
        )
    assert in_file(tmp_path, f'prepare:\n  classes: [a, "{text}"]\n').prepare.classes == ("a", text)


@pytest.mark.parametrize(
    "text", ["v1.10", "1.0", "5", "250000", "5%", "1e3", "0.5", "-5", "a:b", "a#b", "1.2.3", "0089", "船"]
)
def test_what_yaml_leaves_alone_needs_no_quotes(tmp_path, text):
    assert in_file(tmp_path, f"prepare:\n  classes: [{text}]\n  source: {text}  # where\n").prepare.classes == (text,)


def test_names_in_a_mapping_are_texts_too(tmp_path):
    with pytest.raises(InputError, match=r'YAML reads 010 as 8 .*line 3\)\. Put it in quotes: "010"'):
        in_file(tmp_path, "prepare:\n  merge:\n    010: a\n")
    assert in_file(tmp_path, "prepare:\n  merge:\n    '010': a\n").prepare.merge == {"010": "a"}


def test_a_path_with_a_blank_and_a_hash_is_no_comment(tmp_path):
    assert read("prepare.source=/data/tree #2").prepare.source == "/data/tree #2"
    with pytest.raises(InputError, match=r"prepare.source: YAML takes '#2' for a comment .*line 2"):
        in_file(tmp_path, "prepare:\n  source: /data/tree #2\n")
    assert in_file(tmp_path, "prepare:\n  source: '/data/tree #2'\n").prepare.source == "/data/tree #2"
    assert in_file(tmp_path, "prepare:\n  source: /data/tree  # the second\n").prepare.source == "/data/tree"
    assert in_file(tmp_path, "prepare:\n  image_size: 32 #px\n").prepare.image_size == 32


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("epochs: 010", "teacher.epochs: YAML reads 010 as 8"),
        ("epochs: 1:30", "'1:30' is not a whole number"),
        ("epochs: 0x10", "'0x10' is not a whole number"),
        ("epochs: yes", "'yes' is not a whole number"),
        ("mixup: 0_1:30", "'0_1:30' is not a number"),
        ("mixup: true", "'true' is not a number"),
        ("mixup: 010", "teacher.mixup: YAML reads 010 as 8"),
        ("flip: 2", "'2' is neither true nor false"),
        ("flip: 1:0", "is neither true nor false"),
        ("epochs:", "None is not a whole number"),
        ("epochs: 5\n  epochs: 6", "teacher.epochs: stands twice"),
    ],
)  # fmt: skip
def test_numbers_and_flags_in_a_file(tmp_path, line, words):
    with pytest.raises(InputError) as caught:
        in_file(tmp_path, f"teacher:\n  {line}\n")
    assert words in str(caught.value)


def test_numbers_and_flags_that_yaml_reads_as_we_do(tmp_path):
    config = in_file(
        tmp_path,
        "teacher:\n  epochs: 1_000\n  learning_rate: 1e-3\n  flip: off\n  mixup: .5\n"
        "prepare: {percentiles: [1, 99], simulator: {chips: 100}}\n"
        "prune:\n  macs: 250000\n  stage_max_ratio: {a: 0.5}\ndistill:\n",
    )
    assert (config.teacher.epochs, config.teacher.learning_rate, config.teacher.flip) == (1000, 0.001, False)
    assert (config.teacher.mixup, config.prepare.percentiles, config.prepare.simulator.chips) == (0.5, (1, 99), 100)
    assert (config.prune.macs, config.prune.stage_max_ratio) == ("250000", {"a": 0.5})
    assert config.distill == RunConfig().distill


def test_anchors_and_merges_of_a_file_still_work(tmp_path):
    config = in_file(tmp_path, "teacher: &own\n  epochs: 5\n  seed: 3\ndistill:\n  <<: *own\n  epochs: 7\n")
    assert (config.teacher.epochs, config.distill.epochs, config.distill.seed) == (5, 7, 3)
    with pytest.raises(InputError, match="is nested without end"):
        in_file(tmp_path, "prepare: &a\n  merge: *a\n")


def test_every_text_that_a_file_has_changed_is_told_at_once(tmp_path):
    with pytest.raises(InputError) as caught:
        in_file(tmp_path, "publish:\n  version: 1.10\n  alias: on\n")
    assert "publish.version: YAML reads 1.10" in str(caught.value)
    assert "publish.alias: YAML reads on as True" in str(caught.value)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"teacher: [", b"- a", b"", b"a", b"a: b\n---\nc: d"])
def test_a_file_that_is_no_configuration_is_named(tmp_path, content):
    (tmp_path / "own.yaml").write_bytes(content)
    with pytest.raises(InputError, match=r"own\.yaml: "):
        load_config(tmp_path / "own.yaml", "", [])
    with pytest.raises(InputError, match="cannot be read"):
        load_config(tmp_path, "", [])


def test_a_configuration_that_was_written_is_read_as_it_was(tmp_path):
    for text in TEXTS:
        prepare = RunConfig().prepare.model_copy(update={"source": text, "classes": (text,), "merge": {text: text}})
        own = RunConfig(prepare=prepare)
        assert in_file(tmp_path, yaml.safe_dump(own.model_dump(mode="json"), sort_keys=False)) == own


def test_options_of_a_pipeline_are_read_by_the_type_of_their_field():
    def given(**options) -> RunConfig:
        return from_parameters(
            to_parameters(RunConfig()) | {f"{stage}_options": text for stage, text in options.items()}
        )

    assert given(publish='{"version": 1.10}').publish.version == "1.10"
    assert given(prune='{"latency": 1.50}').prune.latency == "1.50"
    assert given(teacher='{"learning_rate": 1e-3, "shift": 3, "flip": false}').teacher.learning_rate == 0.001
    assert given(prepare='{"percentiles": [1, 99], "simulator": {"chips": 100}}').prepare.percentiles == (1, 99)
    with pytest.raises(InputError, match="publish.version: True is not a text"):
        given(publish='{"version": true}')
    with pytest.raises(InputError, match="'version' stands twice"):
        given(publish='{"version": "1", "version": "2"}')
    with pytest.raises(InputError, match="'NaN' is not a number|'NaN' is not a finite number"):
        given(teacher='{"mixup": NaN}')


def test_what_a_cluster_gives_is_read_by_the_type_of_its_field(tmp_path):
    cluster = load_cluster(
        None,
        [
            "secret=0123",
            "accelerator.node_selector={pool: 010, zone: NO}",
            "accelerator.tolerations=[{key: a, value: 1.10}]",
        ],
    )
    assert cluster.secret == "0123"
    assert cluster.accelerator.node_selector == {"pool": "010", "zone": "NO"}
    assert cluster.accelerator.tolerations[0].value == "1.10"
    assert load_cluster(None, ["accelerator.node_selector.cloud.example/pool=010"]).accelerator.node_selector == {
        "cloud.example/pool": "010"
    }
    file = tmp_path / "cluster.yaml"
    file.write_text("teacher:\n  cpu_limit: 4\naccelerator:\n  tolerations:\n  - key: a\n    value:\n")
    assert load_cluster(file, []).teacher.cpu_limit == "4"
    assert load_cluster(file, []).accelerator.tolerations[0].value is None
    file.write_text("accelerator:\n  node_selector:\n    pool: 010\n")
    with pytest.raises(InputError, match="accelerator.node_selector.pool: YAML reads 010 as 8"):
        load_cluster(file, [])


@pytest.mark.parametrize(
    ("setting", "remedy"),
    [
        ("epochs=3", "Write stage.field=value, such as teacher.epochs=3 or distill.epochs=3."),
        ("epoch=3", "Write stage.field=value, such as teacher.epochs=3 or distill.epochs=3."),
        ("temperature=3", "Write stage.field=value, such as distill.temperature=3."),
        ("macs_budget=5%", "Write stage.field=value, such as prune.macs=5%."),
        ("epochs", "Write stage.field=value, such as teacher.epochs=VALUE or distill.epochs=VALUE."),
        ("distill", "Write stage.field=value, such as distill.epochs=20."),
        ("xyzzy=3", "Write stage.field=value, such as distill.epochs=20."),
    ],
)
def test_a_setting_without_its_stage_is_offered_in_full(setting, remedy):
    with pytest.raises(InputError) as caught:
        read(setting)
    assert str(caught.value).endswith(remedy)


def test_a_change_of_an_earlier_run_forces_its_stage_with_a_text():
    again = changed(RunConfig(), "prune", [])
    assert again.prune.rerun[:2] == "20"
    assert "'" not in again.prune.rerun
    with pytest.raises(InputError, match="changes a stage before prune"):
        changed(RunConfig(), "prune", [" teacher.epochs=3"])
