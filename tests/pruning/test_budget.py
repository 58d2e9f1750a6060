import itertools

import pytest
import torch
from torch import nn

from sarslim import networks, pruning
from sarslim.config import NETWORKS, PruneConfig, parse
from sarslim.errors import InputError
from sarslim.networks import artifact
from sarslim.networks.architectures import Ghost
from sarslim.networks.cost import count_macs, count_params, widths
from sarslim.pruning import costs
from sarslim.pruning.coupling import Coupling
from sarslim.pruning.importance import CRITERIA, accumulate_gradients, score
from sarslim.records import Latency, ModelRecord, Scaling

SHAPE = (1, 16, 16)
STAGES = ("2", "6", "9")


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def tiny(norm=True):
    torch.manual_seed(0)

    def block(inputs, outputs):
        return [
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs) if norm else nn.Identity(),
            nn.ReLU(),
        ]

    return nn.Sequential(
        *block(1, 32), nn.MaxPool2d(2), *block(32, 64), *block(64, 128), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(128, 3),
    )  # fmt: skip


def batches():
    generator = torch.Generator().manual_seed(0)
    for _ in range(2):
        yield torch.rand(8, *SHAPE, generator=generator) * 255, torch.randint(0, 3, (8,), generator=generator)


def prune(network, teacher=None, **values):
    values = {"macs": "30%", "params": "30%", "steps": 4} | values
    return pruning.prune(
        network, PruneConfig(**values), input_shape=SHAPE, output_layers=("12",), stages=STAGES, batches=batches,
        teacher=teacher,
    )  # fmt: skip


def shares(network, original):
    return (
        count_macs(network, SHAPE) / count_macs(original, SHAPE),
        count_params(network) / count_params(original),
    )


def prune_recogniser(network, **values):
    return pruning.prune(
        network, PruneConfig(**values), input_shape=(1, 32, 32), output_layers=networks.output_layers(network),
        stages=networks.stages(network), batches=batches,
    )  # fmt: skip


@pytest.mark.parametrize("allocation", ["uniform", "global", "isomorphic"])
@pytest.mark.parametrize("criterion", CRITERIA)
def test_budgets_are_met_closely(criterion, allocation):
    network = tiny()
    pruned, layers, steps = prune(network, criterion=criterion, allocation=allocation)
    macs, params = shares(pruned, network)
    assert max(macs, params) <= 0.30
    assert max(macs, params) >= 0.28
    assert steps == (1 if allocation == "uniform" else 4)
    assert {layer.layer: layer.before for layer in layers} == widths(network)
    assert {layer.layer: layer.after for layer in layers} == widths(pruned)
    assert pruned(torch.rand(2, *SHAPE)).shape == (2, 3)


@pytest.mark.parametrize("allocation", ["uniform", "global", "isomorphic"])
def test_fine_widths_meet_the_budget_exactly(allocation):
    network = tiny()
    macs, _ = shares(prune(network, params="", allocation=allocation, round_to=1).network, network)
    assert 0.295 <= macs <= 0.30


def test_uniform_takes_the_same_share_everywhere():
    pruned = prune(tiny(), macs="25%", params="", round_to=1).network
    found = widths(pruned)
    share = found["7"] / 128
    assert share == pytest.approx(0.5, abs=0.01)
    assert abs(found["0"] - 32 * share) <= 1
    assert abs(found["4"] - 64 * share) <= 1
    assert found["12"] == 3


def test_without_growth_the_widths_are_those_before_there_was_one():
    for values, expected in (({}, [16, 36, 68]), ({"macs": "10%", "params": "", "round_to": 1}, [10, 20, 39])):
        found = widths(prune(tiny(), **values).network)
        assert [found[layer] for layer in ("0", "4", "7")] == expected


@pytest.mark.parametrize("round_to", [1, 4])
@pytest.mark.parametrize("growth", [2.0, 0.5])
def test_shares_grow_from_stage_to_stage(growth, round_to):
    network = tiny()
    values = {"stage_growth": growth, "round_to": round_to, "max_layer_ratio": 0.99}
    pruned = prune(network, macs="10%", params="", **values).network
    assert 0.09 <= shares(pruned, network)[0] <= 0.10
    first, second, third = (widths(pruned)[layer] for layer in ("0", "4", "7"))
    assert abs(second - 64 * growth * first / 32) <= 64 * growth * round_to / 32
    assert abs(third - 128 * growth * second / 64) <= 128 * growth * round_to / 64


def test_a_share_ends_at_the_whole_layer():
    network = tiny()
    pruned = prune(network, macs="60%", params="", stage_growth=4.0, round_to=1).network
    assert widths(pruned)["7"] == 128
    assert 0.57 <= shares(pruned, network)[0] <= 0.60


def test_floors_hold_where_the_growth_would_go_below():
    network = tiny()
    values = {"stage_growth": 4.0, "max_layer_ratio": 0.75, "round_to": 1}
    found = widths(prune(network, macs="10%", params="", **values).network)
    assert found["0"] == 8
    assert found["4"] == 16


def test_growth_leaves_coupled_layers_the_same_width():
    network = small_resnet()
    pruned = prune_recogniser(network, macs="5%", params="", stage_growth=2.0).network
    found = {name.removeprefix("backbone."): width for name, width in widths(pruned).items()}
    assert found["conv1"] == found["layer1.0.conv2"] == found["layer1.1.conv2"] == 4
    kept = [found[f"layer{number}.1.conv2"] / (32 * 2**number) for number in (1, 2, 3, 4)]
    assert all(deep / shallow == pytest.approx(2, rel=0.25) for shallow, deep in itertools.pairwise(kept))
    assert 0.045 <= count_macs(pruned, (1, 32, 32)) / count_macs(network, (1, 32, 32)) <= 0.05


@pytest.mark.parametrize(("stages", "growth"), [(("6", "9"), (1, 1, 2)), (("3", "6"), (1, 2, 2))])
def test_the_stem_belongs_to_the_first_stage_and_what_follows_the_last_to_it(stages, growth):
    config = PruneConfig(macs="10%", params="", stage_growth=2.0, round_to=1)
    pruned = pruning.prune(
        tiny(), config, input_shape=SHAPE, output_layers=("12",), stages=stages, batches=batches
    ).network
    share = widths(pruned)["7"] / 128 / growth[2]
    assert [widths(pruned)["0"] / 32, widths(pruned)["4"] / 64] == pytest.approx(
        [share * growth[0], share * growth[1]], abs=1 / 32
    )


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"stage_growth": 0}, "prune.stage_growth: 0 is not above 0"),
        ({"stage_growth": 5}, "prune.stage_growth: 5 is above 4"),
        ({"search_growths": []}, r"prune.search_growths: \[\] has too few items"),
        ({"search_growths": [1, 9]}, "prune.search_growths.1: 9 is above 4"),
        ({"search_epochs": 0}, "prune.search_epochs: 0 is below 1"),
        ({"sparse_epochs": -1}, "prune.sparse_epochs: -1 is below 0"),
        ({"sparse_weight": 0}, "prune.sparse_weight: 0 is not above 0"),
        ({"sparse_learning_rate": 0}, "prune.sparse_learning_rate: 0 is not above 0"),
        *(
            (
                {"stage_growth": 2, "allocation": allocation},
                f"stage_growth=2 has no effect with allocation={allocation}",
            )
            for allocation in ("global", "isomorphic", "search")
        ),
    ],
)
def test_bad_values_are_refused(values, text):
    with pytest.raises(InputError, match=text):
        parse(PruneConfig, values, "prune")


def test_the_check_accepts_a_search_and_knows_its_reach():
    """All candidates may cut equally deep, so the nearest budget is that of the uniform allocation."""
    found = []
    for allocation in ("search", "uniform"):
        config = PruneConfig(macs="0.1%", params="", allocation=allocation)
        with pytest.raises(InputError, match="is out of reach") as caught:
            pruning.check(tiny(), config, input_shape=SHAPE, output_layers=("12",), stages=STAGES)
        found.append(str(caught.value))
    assert found[0] == found[1]
    config = PruneConfig(macs="10%", params="", allocation="search")
    bounds = pruning.check(tiny(), config, input_shape=SHAPE, output_layers=("12",), stages=STAGES).bounds
    assert bounds == {"macs": count_macs(tiny(), SHAPE) * 0.1}


def test_the_weakest_channels_go():
    network = tiny()
    weak = torch.arange(64) % 2 == 0
    with torch.no_grad():
        network[4].weight[weak] *= 0.1
        network[5].weight[weak] = 0.1
        network[7].weight[:, weak] *= 0.1
    pruned = prune(network, macs="", params="60%", ignore=("0", "7"), round_to=2).network
    kept = pruned.state_dict()["4.weight"]
    assert len(kept) in range(28, 40)
    strong = network[4].weight[~weak]
    assert all(any(torch.equal(mine, one) for mine in kept) for one in strong[: len(kept)])


def test_nothing_happens_to_the_given_network():
    network = tiny()
    network.train()
    network[1].eval()
    network[0].weight.requires_grad_(False)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    pruned = prune(network, criterion="taylor", allocation="global").network
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert not network[0].weight.requires_grad
    assert network.training
    assert pruned.training
    assert all(parameter.grad is None and parameter.requires_grad for parameter in pruned.parameters())


def test_works_where_gradients_are_off():
    with torch.no_grad():
        prune(tiny(), criterion="hessian")


def test_the_budget_of_all_takes_nothing():
    network = tiny()
    pruned = prune(network, macs="100%", params="").network
    assert widths(pruned) == widths(network)


def test_ignored_layers_keep_their_width():
    pruned = prune(tiny(), ignore=("4",)).network
    assert widths(pruned)["4"] == 64
    assert widths(pruned)["0"] < 32


@pytest.mark.parametrize("allocation", ["uniform", "global"])
def test_ratios_of_layers_and_stages_hold(allocation):
    values = {"max_layer_ratio": 0.75, "stage_max_ratio": {"6": 0.5, "0": 0.25}, "round_to": 1}
    found = widths(prune(tiny(), macs="40%", params="40%", allocation=allocation, **values).network)
    assert found["0"] >= 24
    assert found["4"] >= 32
    assert found["7"] >= 32


@pytest.mark.parametrize("round_to", [1, 4, 8, 16])
def test_widths_are_multiples(round_to):
    found = widths(prune(tiny(), round_to=round_to, allocation="global").network)
    assert all(found[layer] % round_to == 0 for layer in ("0", "4", "7"))


def test_equal_scores_do_not_fall_together():
    """Fresh BatchNorms all have the scale 1: a threshold would take all channels or none."""
    network = tiny()
    macs, _ = shares(prune(network, params="", criterion="bn_scale", allocation="global").network, network)
    assert 0.28 <= macs <= 0.30


def test_the_same_seed_prunes_the_same():
    states = [prune(tiny(), criterion="random", seed=seed).network.state_dict() for seed in (1, 1, 2)]
    assert torch.equal(states[0]["4.weight"], states[1]["4.weight"])
    assert not torch.equal(states[0]["4.weight"], states[2]["4.weight"])


def test_a_second_round_counts_from_the_teacher():
    teacher = tiny()
    half = prune(teacher, macs="50%", params="").network
    quarter, layers, _ = prune(half, teacher=teacher, macs="25%", params="", max_layer_ratio=0.6, round_to=1)
    assert 0.24 <= shares(quarter, teacher)[0] <= 0.25
    assert {layer.layer: layer.before for layer in layers} == widths(teacher)
    assert all(layer.after >= 0.4 * layer.before for layer in layers)


def ticking(monkeypatch, rate):
    """A clock that ticks by MACs: a million take as many milliseconds as ``rate`` says for the call it is given."""
    calls = itertools.count()

    def in_turns(jobs, *, seconds):
        now = rate(next(calls))
        times = {key: now * job / 1e6 for key, job in jobs.items()}
        return {
            key: Latency(batch=1, threads=1, runs=1, median_ms=time, p05_ms=time, p95_ms=time)
            for key, time in times.items()
        }

    monkeypatch.setattr(costs, "of_module", count_macs)
    monkeypatch.setattr(costs, "in_turns", in_turns)


def test_latency_budget(monkeypatch):
    """The search must come out below the bound, by the margin for noise."""
    ticking(monkeypatch, lambda call: 1)
    network = tiny()
    for budget in ("40%", f"{0.4 * count_macs(network, SHAPE) / 1e6:.4f}ms"):
        macs, _ = shares(prune(network, macs="", params="", latency=budget).network, network)
        assert 0.34 <= macs <= 0.38
    with pytest.raises(InputError, match=r"latency=0\.01ms is out of reach, the smallest reachable is 0\.\d+ms"):
        prune(network, macs="", params="", latency="0.01ms")


@pytest.mark.parametrize("rate", [lambda call: 1 + 2 * (call < 1), lambda call: 3 - 2 * (call < 1)])
def test_a_busy_machine_does_not_change_what_share_is_left(monkeypatch, rate):
    """Three times as slow while the teacher is timed alone, or ever after."""
    ticking(monkeypatch, rate)
    network = tiny()
    macs, _ = shares(prune(network, macs="", params="", latency="40%").network, network)
    assert 0.34 <= macs <= 0.38


def test_a_machine_that_becomes_slow_is_told(monkeypatch):
    """No end would come of pruning more: nothing is left to go."""
    ticking(monkeypatch, lambda call: 1 if call < 2 else 50)
    with pytest.raises(InputError, match=r"prune\.latency: the smallest network takes [\d.]+ms, and less when it was"):
        prune(tiny(), macs="", params="", latency="1.00ms")


@pytest.mark.parametrize("offset", [0, 1, 2])
def test_a_moment_of_noise_is_not_a_slow_machine(monkeypatch, offset):
    """The smallest network just fits, if one of three timings is believed."""
    ticking(monkeypatch, lambda call: 1 if call < 2 or (call + offset) % 3 == 0 else 1.2)
    network = tiny()
    least = 256 * 9 * 4 + 64 * 9 * (4 * 4 + 4 * 8) + 8 * 3
    found = prune(network, macs="", params="", latency=f"{least / 1e6 + 0.001:.4f}ms").network
    assert widths(found) == {"0": 4, "4": 4, "7": 8, "12": 3}


def test_measured_latency_falls():
    network = tiny()
    found = prune(network, macs="", params="", latency="70%").network
    assert count_macs(found, SHAPE) < count_macs(network, SHAPE)


def test_an_impossible_budget_is_refused_with_the_nearest():
    text = (
        r"prune\.macs: macs=0\.1% is out of reach, the smallest reachable is ([\d.]+)% \(([\d.]+)k\)\. Set prune\.macs"
    )
    with pytest.raises(InputError, match=text) as caught:
        prune(tiny(), macs="0.1%")
    share = str(caught.value).split("reachable is ")[1].split("%")[0]
    # All layers at 5 %, rounded up to multiples of four: 4, 4 and 8 channels.
    least = 256 * 9 * 4 + 64 * 9 * (4 * 4 + 4 * 8) + 8 * 3
    whole = 256 * 9 * 32 + 64 * 9 * (32 * 64 + 64 * 128) + 128 * 3
    assert 0 <= float(share) - 100 * least / whole < 0.1
    network = tiny()
    assert shares(prune(network, macs=f"{share}%", params="").network, network)[0] == least / whole


def test_the_nearest_absolute_budget_can_be_asked_for():
    with pytest.raises(InputError) as caught:
        prune(tiny(), macs="", params="100")
    nearest = str(caught.value).split("reachable is ")[1].split(" ")[0]
    found = prune(tiny(), macs="", params=nearest).network
    assert [widths(found)[layer] for layer in ("0", "4", "7")] == [4, 4, 8]


def test_all_wrong_budgets_are_named():
    with pytest.raises(InputError) as caught:
        prune(tiny(), macs="900M", params="0.01%")
    assert str(caught.value).startswith(
        "prune.macs, prune.params: macs=900M is more than the teacher needs, 5.98M; params=0.01% is out of reach"
    )
    assert "Set prune.macs below 5.98M" in str(caught.value)


def test_unknown_layers_are_refused():
    with pytest.raises(InputError) as caught:
        prune_recogniser(small_resnet(), ignore=("layer1.0.conv1",), stage_max_ratio={"backbone.layr4": 0.5})
    text = str(caught.value)
    assert text.startswith("prune.ignore, prune.stage_max_ratio: layer1.0.conv1 is no layer of this network")
    assert "(did you mean backbone.layer1.0.conv1?)" in text
    assert "(did you mean backbone.layer4?)" in text


def test_a_criterion_without_ground_is_refused():
    with pytest.raises(InputError, match=r"prune\.criterion: bn_scale says nothing"):
        prune(tiny(norm=False), criterion="bn_scale")


@pytest.mark.parametrize("criterion", CRITERIA)
def test_a_channel_is_scored_with_its_ghost(criterion):
    torch.manual_seed(0)
    network = nn.Sequential(
        Ghost(1, 8, nn.ReLU), nn.Conv2d(8, 8, 3, groups=8), nn.Conv2d(8, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    ).eval()
    accumulate_gradients(network, [(torch.rand(4, *SHAPE), torch.tensor([0, 1, 0, 1]))], "taylor")
    (unit,) = Coupling(network, SHAPE, ("2",)).units
    (found,) = score([unit.group], criterion, seed=0)
    assert found.shape == (unit.channels,) == (4,)
    primary, reading = network[0].primary[0].weight, network[2].weight
    if criterion == "l2":  # of both BatchNorms as well, whose weights are 1
        squares = primary.square().sum((1, 2, 3)) + 2 + reading.square().sum((0, 2, 3)).view(2, 4).sum(0)
        assert torch.allclose(found, (squares / squares.mean()).detach())
    if criterion == "taylor":
        assert primary.grad is not None
        assert reading.grad is not None
        slopes = (primary * primary.grad).abs().sum((1, 2, 3))
        slopes = slopes + (reading * reading.grad).abs().sum((0, 2, 3)).view(2, 4).sum(0)
        assert torch.allclose(found, (slopes / slopes.mean()).detach())


def small_resnet():
    torch.manual_seed(0)
    return networks.build("resnet18", classes=3, channels=1, stem="standard", mean=[40.0], std=[20.0])


@pytest.mark.parametrize("percent", [5, 1])
def test_resnet18_under_both_budgets(percent):
    network = small_resnet()
    pruned = prune_recogniser(network, macs=f"{percent}%", params=f"{percent}%").network
    shares = (
        count_macs(pruned, (1, 32, 32)) / count_macs(network, (1, 32, 32)),
        count_params(pruned) / count_params(network),
    )
    assert 0.96 * percent / 100 <= max(shares) <= percent / 100
    assert min(shares) >= 0.85 * percent / 100


@pytest.mark.parametrize("name", NETWORKS)
def test_every_pruned_network_survives_the_checkpoint(name, tmp_path):
    torch.manual_seed(0)
    network = networks.build(name, classes=3, channels=1, stem="standard", mean=[40.0], std=[20.0]).eval()
    pruned = prune_recogniser(network, macs="20%", params="20%", allocation="uniform").network
    assert count_macs(pruned, (1, 32, 32)) <= 0.2 * count_macs(network, (1, 32, 32))
    record = ModelRecord(
        sarslim_version="0", kind="pruned", network=name, stem="standard", classes=("a", "b", "c"), channels=("VV",),
        image_size=32, scaling=(Scaling(kind="linear", low=0.0, high=1.0),), mean=(40.0,), std=(20.0,), widths={},
        parents={}, pruning={}, metrics={},
    )  # fmt: skip
    artifact.save(tmp_path / "model", pruned, record)
    loaded, _ = artifact.load(tmp_path / "model")
    images = torch.randint(0, 256, (3, 1, 32, 32), dtype=torch.uint8)
    with torch.no_grad():
        assert torch.equal(loaded(images), pruned(images))
        logits, features = networks.forward_with_taps(loaded, images)
    assert torch.equal(logits, loaded(images))
    assert len(features) == len(networks.stages(network))


def test_recalibration_is_exact():
    images = torch.tensor([[1.0, 2.0], [3.0, 6.0]]).view(2, 1, 1, 2)
    norm, dropout = nn.BatchNorm2d(1, momentum=0.3), nn.Dropout(0.5)
    network = nn.Sequential(dropout, norm).train()
    pruning.recalibrate(network, [(images, torch.zeros(2)), (images + 4, torch.zeros(2))])
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert norm.running_mean.item() == pytest.approx((3 + 7) / 2)
    assert norm.running_var.item() == pytest.approx((4 + 1 + 0 + 9) / 3)
    assert norm.momentum == 0.3
    assert network.training
    assert dropout.training


def test_readable_costs_round_up():
    assert costs.readable("macs", 7_073_120) == "7.08M"
    assert costs.readable("params", 999) == "999"
    assert costs.readable("params", 20_000) == "20k"
    assert costs.readable("latency", 0.1234) == "0.13ms"


def test_progress_is_shown(capsys):
    prune(tiny())
    assert capsys.readouterr().out.startswith("pruning step 1/1  macs 1.")
