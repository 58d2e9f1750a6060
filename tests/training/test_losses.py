"""Loss terms against numbers worked out by hand and identities of the papers."""

import numpy as np
import pytest
import torch

from sarslim.training import losses


def logits(*rows: list[float]) -> torch.Tensor:
    """Logits whose softmax at temperature 1 is the given rows of probabilities."""
    return torch.tensor(rows).log()


STUDENT = logits([0.5, 0.25, 0.25], [0.1, 0.6, 0.3])
TEACHER = logits([0.25, 0.5, 0.25], [0.1, 0.3, 0.6])


def test_kd_by_hand():
    first = 0.25 * np.log(0.25 / 0.5) + 0.5 * np.log(0.5 / 0.25)
    second = 0.3 * np.log(0.3 / 0.6) + 0.6 * np.log(0.6 / 0.3)
    assert losses.kd(STUDENT, TEACHER, 1).item() == pytest.approx((first + second) / 2, rel=1e-5)
    # Logits doubled at temperature 2 soften to the same probabilities; what stays is tau squared.
    assert losses.kd(2 * STUDENT, 2 * TEACHER, 2).item() == pytest.approx(4 * (first + second) / 2, rel=1e-5)
    assert losses.kd(TEACHER + 3, TEACHER, 4).item() == pytest.approx(0, abs=1e-6)


def test_dkd_by_hand():
    # First chip, target 0: student 0.5 against 0.5, others 0.5 : 0.5; teacher 0.25 against 0.75, others 2/3 : 1/3.
    tckd = 0.25 * np.log(0.25 / 0.5) + 0.75 * np.log(0.75 / 0.5)
    nckd = 2 / 3 * np.log(2 / 3 / 0.5) + 1 / 3 * np.log(1 / 3 / 0.5)
    target = torch.tensor([0])
    assert losses.dkd(STUDENT[:1], TEACHER[:1], target, 1, 8).item() == pytest.approx(tckd + 8 * nckd, rel=1e-5)
    assert losses.dkd(STUDENT[:1], TEACHER[:1], target, 1, 0).item() == pytest.approx(tckd, rel=1e-5)


@pytest.mark.parametrize("tau", [1.0, 4.0])
def test_dkd_with_the_beta_of_the_paper_is_kd(tau):
    generator = torch.Generator().manual_seed(0)
    for target in range(5):
        s, t = torch.randn(1, 5, generator=generator), torch.randn(1, 5, generator=generator)
        beta = 1 - torch.softmax(t / tau, dim=1)[0, target].item()
        found = losses.dkd(s, t, torch.tensor([target]), tau, beta)
        assert found.item() == pytest.approx(losses.kd(s, t, tau).item(), rel=1e-4)


def test_dkd_of_two_classes_has_no_other_classes():
    s, t = torch.tensor([[1.0, -1.0]]), torch.tensor([[0.5, 0.0]])
    target = torch.tensor([1])
    assert losses.dkd(s, t, target, 2, 8).item() == pytest.approx(losses.kd(s, t, 2).item(), rel=1e-5)


def test_dist_by_hand():
    # r among classes: first chip -0.5, second chip 4/19 = cov / var of (.1 .6 .3) and (.1 .3 .6).
    deviation_s, deviation_t = np.array([0.1, 0.6, 0.3]) - 1 / 3, np.array([0.1, 0.3, 0.6]) - 1 / 3
    second = deviation_s @ deviation_t / (deviation_s @ deviation_s)
    inter = 1 - (-0.5 + second) / 2
    # r among the two chips is +1 or -1 by class: (+, -, +) for falling/falling, rising/falling, rising/rising.
    intra = 1 - (1 - 1 + 1) / 3
    assert losses.dist(STUDENT, TEACHER, 1).item() == pytest.approx(inter + intra, rel=1e-4)


def test_dist_is_zero_for_a_rising_linear_function_of_the_probabilities():
    p = torch.softmax(torch.randn(6, 4, generator=torch.Generator().manual_seed(0)), dim=1)
    student = (0.5 * p + 0.5 / 4).log()
    assert losses.dist(student, p.log() + 2, 1).item() == pytest.approx(0, abs=1e-5)
    assert losses.kd(student, p.log(), 1).item() > 0.01


def test_standardised_logits_have_mean_0_and_deviation_1_and_forget_the_scale():
    z = torch.randn(5, 7, generator=torch.Generator().manual_seed(0))
    standard = losses.standardise(z)
    assert torch.allclose(standard.mean(dim=1), torch.zeros(5), atol=1e-6)
    assert torch.allclose(standard.std(dim=1), torch.ones(5), atol=1e-5)
    assert torch.allclose(losses.standardise(3 * z + 1), standard, atol=1e-5)


def test_scd_by_hand():
    first = (torch.tensor([[1.0, 0.0], [0.0, 0.0]]), torch.tensor([[0.0, 0.0], [0.0, 2.0]]))
    second = (torch.tensor([[1.0, 1.0, 1.0]]), torch.tensor([[1.0, 1.0, 4.0]]))
    assert losses.scd([first[0], second[0]], [first[1], second[1]]).item() == pytest.approx(5 / 4 + 3)


def test_srd_is_the_sum_of_kd_over_stages():
    expected = losses.kd(STUDENT, TEACHER, 3) + losses.kd(TEACHER, STUDENT, 3)
    assert losses.srd([STUDENT, TEACHER], [TEACHER, STUDENT], 3).item() == pytest.approx(expected.item())


@pytest.mark.parametrize(
    ("direction", "moved"),
    [
        ("shallow_from_deep", [True, True, False]),
        ("deep_from_shallow", [False, True, True]),
        ("both", [True, True, True]),
    ],
)
def test_self_reflection_moves_the_learner_only(direction, moved):
    responses = [torch.randn(4, 3, generator=torch.Generator().manual_seed(s)).requires_grad_() for s in range(3)]
    losses.crd(responses, 2, direction).backward()
    assert [z.grad is not None and z.grad.abs().sum().item() > 0 for z in responses] == moved


def test_self_reflection_by_hand():
    a, b, c = (torch.randn(4, 3, generator=torch.Generator().manual_seed(s)) for s in range(3))
    forth = losses.kd(a, b, 2) + losses.kd(b, c, 2)
    back = losses.kd(b, a, 2) + losses.kd(c, b, 2)
    assert losses.crd([a, b, c], 2, "shallow_from_deep").item() == pytest.approx(forth.item())
    assert losses.crd([a, b, c], 2, "deep_from_shallow").item() == pytest.approx(back.item())
    assert losses.crd([a, b, c], 2, "both").item() == pytest.approx((forth + back).item())
    assert losses.crd([a, a, a], 2, "both").item() == pytest.approx(0, abs=1e-6)


def test_losses_are_means_over_chips():
    twice_s, twice_t = STUDENT.repeat(2, 1), TEACHER.repeat(2, 1)
    target = torch.tensor([0, 2])
    assert losses.kd(twice_s, twice_t, 4).item() == pytest.approx(losses.kd(STUDENT, TEACHER, 4).item())
    once = losses.dkd(STUDENT, TEACHER, target, 4, 8).item()
    assert losses.dkd(twice_s, twice_t, target.repeat(2), 4, 8).item() == pytest.approx(once)
