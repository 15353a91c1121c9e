"""The hand-written network: gradients, the step, and that it learns."""

import math
import re

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from torch.testing import assert_close

from hw1lib.activations import sigmoid, tanh
from hw1lib.gradient_check import numerical_jacobian
from hw1lib.history import History
from hw1lib.losses import cross_entropy, one_hot
from hw1lib.network import FullyConnectedNetwork
from hw1lib.training import (
    Batches,
    NonFiniteLossError,
    evaluate,
    fit,
    one_thread_without_autograd,
    set_seed,
)
from tests.test_activations import ORACLES

ACTIVATIONS = pytest.mark.parametrize("activation", ORACLES, ids=lambda f: f.__name__)
SIZES = (0, -1, 2.0, "8", None)  # that no layer can have


@pytest.fixture
def batch():
    set_seed(0)
    return torch.rand(7, 6, dtype=torch.float64), torch.tensor([0, 3, 1, 2, 3, 0, 1])


def small(activation, lr=0.1):
    return FullyConnectedNetwork(6, 4, 5, activation, lr, dtype=torch.float64)


def gradients(network, x, labels):
    return network.gradients(x, one_hot(labels, 4, torch.float64), network.forward(x))


@ACTIVATIONS
def test_gradients_agree_with_autograd(activation, batch):
    x, labels = batch
    network = small(activation)
    ours = gradients(network, x, labels)
    leaves = {k: v.clone().requires_grad_() for k, v in network.weights().items()}
    hidden = ORACLES[activation](x @ leaves["W1"] + leaves["b1"])
    F.cross_entropy(hidden @ leaves["W2"] + leaves["b2"], labels).backward()
    for name, leaf in leaves.items():
        assert_close(ours[name], leaf.grad, msg=lambda m, name=name: f"{name}: {m}")


@ACTIVATIONS
@pytest.mark.parametrize("name", ["W1", "b1", "W2", "b2"])
def test_gradients_agree_with_centred_differences(activation, name, batch):
    x, labels = batch
    network = small(activation)
    ours = gradients(network, x, labels)[name]

    def mean_loss(parameter):
        setattr(network, name, parameter)
        network.forward(x)
        return cross_entropy(network.log_y_hat, one_hot(labels, 4, torch.float64)) / len(x)

    numerical = numerical_jacobian(mean_loss, getattr(network, name))
    assert_close(ours, numerical, atol=1e-8, rtol=1e-6)


@ACTIVATIONS
def test_train_batch_takes_one_step_of_gradient_descent(activation, batch):
    x, labels = batch
    network = small(activation, lr=0.3)
    before = {k: v.clone() for k, v in network.weights().items()}
    step = gradients(network, x, labels)
    network.train_batch(x, labels)
    for name, parameter in network.weights().items():
        assert_close(parameter, before[name] - 0.3 * step[name])


def test_train_batch_reports_the_figures_from_before_its_step(batch):
    network = small(sigmoid, lr=1.0)
    expected = network.eval_batch(*batch)
    assert network.train_batch(*batch) == expected
    assert network.eval_batch(*batch) != expected


def test_eval_batch_agrees_with_torch_and_changes_nothing(batch):
    x, labels = batch
    network = small(tanh)
    before = {k: v.clone() for k, v in network.weights().items()}
    loss_sum, correct, count = network.eval_batch(x, labels)
    logits = torch.tanh(x @ network.W1 + network.b1) @ network.W2 + network.b2
    assert loss_sum == pytest.approx(F.cross_entropy(logits, labels, reduction="sum").item())
    assert (correct, count) == ((logits.argmax(1) == labels).sum().item(), 7)
    for name, parameter in network.weights().items():
        assert_close(parameter, before[name], atol=0, rtol=0)


def test_forward_returns_probabilities_of_float32_images():
    y_hat = FullyConnectedNetwork(784, 10, 128, sigmoid, 0.01).forward(torch.rand(3, 784))
    assert y_hat.shape == (3, 10)
    assert y_hat.dtype == torch.float32
    assert_close(y_hat.sum(1), torch.ones(3))


def test_loss_of_a_network_that_knows_nothing_is_ln_of_the_number_of_classes(batch):
    network = small(sigmoid)
    network.W2.zero_()
    loss_sum, _, count = network.eval_batch(*batch)
    assert loss_sum / count == pytest.approx(math.log(4))


@ACTIVATIONS
def test_network_can_learn_twenty_examples_by_heart(activation):
    set_seed(1)
    x, labels = torch.rand(20, 30), torch.arange(20) % 10
    network = FullyConnectedNetwork(30, 10, 64, activation, lr=1.0)
    for _ in range(1500):
        network.train_batch(x, labels)
    assert network.eval_batch(x, labels)[1] == 20


def test_weights_are_drawn_by_randn_after_the_seed_and_biases_are_zero():
    set_seed(42)
    network = FullyConnectedNetwork(784, 10, 128, sigmoid, 0.01)
    set_seed(42)
    assert torch.equal(network.W1, torch.randn(784, 128))
    assert torch.equal(network.W2, torch.randn(128, 10))
    assert not network.b1.any()
    assert not network.b2.any()


@pytest.mark.parametrize(
    ("activation", "reason"),
    [
        *(
            (built_in, "forbids those that torch has built in")
            for built_in in (torch.sigmoid, torch.Tensor.tanh, F.softmax, torch.nn.Sigmoid())
        ),
        (lambda x: x, "its derivative is not known"),
    ],
)
def test_activation_that_does_not_do_is_refused_with_the_reason_and_those_that_do(
    activation, reason
):
    with pytest.raises(ValueError, match=f"{reason}; use sigmoid, tanh, softmax"):
        FullyConnectedNetwork(2, 2, 2, activation, 0.1)


# The course's loop, as a student writes it. --------------------------------------------------


def course_sigmoid():
    """As it stands in the course's notebook."""

    def sigmoid(x):
        return 1 / (1 + torch.exp(-x))

    return sigmoid


@pytest.mark.parametrize("activation", [sigmoid, course_sigmoid()], ids=["ours", "theirs"])
def test_the_course_s_loop_gives_the_weights_of_the_project_s_training(activation):
    set_seed(42)
    images, labels = torch.rand(70, 784), torch.randint(0, 10, (70,))
    set_seed(42)
    model = FullyConnectedNetwork(784, 10, 128, activation)
    before = model.W1.clone()
    for _ in range(3):
        for i in range(0, len(images), 32):
            x = images[i : i + 32]
            y_hat = model.forward(x)
            model.backward(x, one_hot(labels[i : i + 32]), y_hat)

    set_seed(42)
    ours = FullyConnectedNetwork(784, 10, 128, sigmoid, lr=0.01)
    batches = Batches(images, labels, 32)
    with one_thread_without_autograd():
        fit(ours, batches, num_epochs=3, splits={}, history=History("ours"))
    assert not torch.equal(model.W1, before)
    assert_close(model.weights(), ours.weights())


@pytest.mark.parametrize("kind", [torch.float64, torch.bool, torch.int64, torch.uint8])
def test_one_hot_labels_of_any_kind_do(kind):
    x, labels = torch.rand(7, 6), torch.arange(7) % 4
    network = FullyConnectedNetwork(6, 4, 5, sigmoid)
    y_hat, y = network.forward(x), one_hot(labels, 4)
    expected = network.gradients(x, y, y_hat)
    assert_close(network.gradients(x, y.to(kind), y_hat), expected, atol=0, rtol=0)
    network.backward(x, y.to(kind), y_hat)
    assert network.W1.dtype == torch.float32


def test_activation_of_a_harness_that_only_executes_text_is_known_by_its_name():
    harness = {}
    exec("def sigmoid(x): return 1 / (1 + (-x).exp())", harness)
    network = FullyConnectedNetwork(6, 4, 5, harness["sigmoid"])
    assert network.forward(torch.rand(2, 6)).shape == (2, 4)


def test_course_s_own_tanh_and_softmax_have_their_derivatives(batch):
    def tanh(x):
        return (torch.exp(x) - torch.exp(-x)) / (torch.exp(x) + torch.exp(-x))

    def softmax(x):
        return torch.exp(x) / torch.exp(x).sum(dim=-1, keepdim=True)

    x, labels = batch
    for theirs, ours in zip((tanh, softmax), list(ORACLES)[1:], strict=True):
        set_seed(3)
        expected = gradients(small(ours), x, labels)
        set_seed(3)
        assert_close(gradients(small(theirs), x, labels), expected)


def test_arguments_stay_readable_and_gradients_change_nothing(batch):
    x, labels = batch
    network = small(sigmoid)
    found = network.input_size, network.output_size, network.hidden_size, network.lr
    assert found == (6, 4, 5, 0.1)
    assert network.activation_func is sigmoid
    before = {name: tensor.clone() for name, tensor in network.weights().items()}
    first, second = (gradients(network, x, labels) for _ in range(2))
    assert_close(first, second, atol=0, rtol=0)
    assert_close(network.weights(), before, atol=0, rtol=0)


def test_numbers_of_numpy_are_numbers():
    sizes = (np.int64(6), np.int32(4), np.uint8(5))
    network = FullyConnectedNetwork(*sizes, sigmoid, lr=np.float32(0.5))
    network.train_batch(torch.rand(3, 6), torch.tensor([0, 1, 2]))
    assert network.W1.shape == (6, 5)


@pytest.mark.parametrize("labels", [1, 2, 4])
def test_another_number_of_labels_than_images_names_both_and_takes_no_step(labels):
    x, y = torch.rand(3, 20), torch.zeros(labels, dtype=torch.int64)
    learner = network()
    before = learner.W1.clone()
    for use in (learner.train_batch, learner.eval_batch):
        with pytest.raises(ValueError, match=rf"3 images, y of .*\({labels} labels\)"):
            use(x, y)
    assert torch.equal(learner.W1, before)


def test_weights_of_another_network_are_refused_and_nothing_changes():
    network, other = small(sigmoid), FullyConnectedNetwork(6, 4, 9, sigmoid, 0.1)
    before = network.W1.clone()
    with pytest.raises(ValueError, match="expected"):
        network.load_weights(other.weights())
    assert torch.equal(network.W1, before)


# Odd numbers ---------------------------------------------------------------------------------


def network(**changes):
    settings = {"input_size": 20, "output_size": 10, "hidden_size": 8, "lr": 0.5}
    return FullyConnectedNetwork(activation_func=sigmoid, **(settings | changes))


def data(count=50):
    set_seed(0)
    return torch.rand(count, 20), torch.arange(count) % 10


def train(learner, X, y, batch_size=16):
    batches = Batches(X, y, batch_size)
    splits = {"train": batches}
    return fit(learner, batches, num_epochs=2, splits=splits, history=History("run"))


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        *(
            (name, size)
            for name in ("input_size", "output_size", "hidden_size")
            for size in SIZES
        ),
        *(("lr", lr) for lr in (-0.1, math.nan, math.inf, -math.inf, "0.1", None)),
        *(("dtype", dtype) for dtype in (torch.float16, torch.bfloat16, torch.int64)),
    ],
)
def test_setting_that_makes_no_network_is_named_with_what_was_expected(argument, value):
    with pytest.raises(ValueError, match=rf"^{argument}='?{re.escape(str(value))}'?: expected"):
        network(**{argument: value})


def test_learning_rate_of_zero_changes_nothing():
    learner = network(lr=0)
    before = {name: tensor.clone() for name, tensor in learner.weights().items()}
    history = train(learner, *data())
    assert history.curve("train", "loss")[0] == history.curve("train", "loss")[1]
    for name, tensor in learner.weights().items():
        assert torch.equal(tensor, before[name])


@pytest.mark.parametrize("lr", [1e6, 1e30])
def test_absurd_learning_rate_gives_finite_figures_or_our_own_error(lr):
    try:
        history = train(network(lr=lr), *data())
    except NonFiniteLossError as error:
        assert f"learning rate {lr:g}" in str(error)  # noqa: PT017
    else:
        assert all(map(math.isfinite, history.curve("train", "loss")))


@pytest.mark.parametrize("batch_size", [1, 49, 50, 51, 10**9])
def test_batch_of_any_size_trains_on_every_example(batch_size):
    history = train(network(lr=0.1), *data(), batch_size=batch_size)
    assert history.final("running").count == history.final("train").count == 50
    losses = history.curve("train", "loss")
    assert losses[1] < losses[0]


@ACTIVATIONS
def test_gradients_of_a_single_hidden_unit_agree_with_autograd(activation, batch):
    x, labels = batch
    learner = FullyConnectedNetwork(6, 4, 1, activation, 0.1, dtype=torch.float64)
    ours = gradients(learner, x, labels)
    leaves = {k: v.clone().requires_grad_() for k, v in learner.weights().items()}
    hidden = ORACLES[activation](x @ leaves["W1"] + leaves["b1"])
    F.cross_entropy(hidden @ leaves["W2"] + leaves["b2"], labels).backward()
    for name, leaf in leaves.items():
        assert_close(ours[name], leaf.grad)


@pytest.mark.parametrize("value", [1e30, -1e30])
@ACTIVATIONS
def test_huge_inputs_saturate_and_give_finite_figures(value, activation):
    X, y = data()
    X[::3] *= value
    learner = FullyConnectedNetwork(20, 10, 8, activation, 0.5)
    history = train(learner, X, y)
    assert all(map(math.isfinite, history.curve("train", "loss")))
    assert all(tensor.isfinite().all() for tensor in learner.weights().values())


@pytest.mark.parametrize("value", [math.nan, math.inf, 3e38])
def test_inputs_beyond_all_numbers_stop_training_with_the_step(value):
    X, y = data()
    X[20] = value
    with pytest.raises(NonFiniteLossError, match=r"epoch 1, step 2.*inputs are finite"):
        train(network(), X, y)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda X: X.half(), r"torch\.float16, \(16, 20\)"),
        (lambda X: X.double(), r"torch\.float64, \(16, 20\)"),
        (lambda X: (255 * X).byte(), r"torch\.uint8, \(16, 20\)"),
        (lambda X: X.long(), r"torch\.int64, \(16, 20\)"),
        (lambda X: X[:, :19], r"torch\.float32, \(16, 19\)"),
        (lambda X: X.view(-1, 4, 5), r"torch\.float32, \(16, 4, 5\)"),
        (lambda X: X[:, 0], r"torch\.float32, \(16,\)"),
    ],
)
def test_inputs_of_another_type_or_shape_are_named_with_what_was_expected(change, found):
    X, y = data()
    expected = r"x: expected torch\.float32 on cpu, shape \(B, 20\).*got "
    with pytest.raises(ValueError, match=expected + found):
        train(network(), change(X), y)


def test_inputs_that_are_no_tensor_are_named():
    with pytest.raises(ValueError, match="got ndarray"):
        network().forward(torch.rand(3, 20).numpy())


@pytest.mark.parametrize("label", [10, -1, 2**40])
def test_label_out_of_range_is_named(label):
    X, y = data()
    y[17] = label
    with pytest.raises(ValueError, match=rf"each in 0\.\.9; got .*{label}"):
        train(network(), X, y)
    with pytest.raises(ValueError, match=r"each in 0\.\.9"):
        evaluate(network(), Batches(X, y, 16))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bool, torch.uint8])
def test_labels_of_another_type_are_refused(dtype):
    X, y = data()
    with pytest.raises(ValueError, match=f"labels must be int64.*{dtype}"):
        train(network(), X, y.to(dtype))


@ACTIVATIONS
def test_every_tensor_of_a_step_lives_on_the_network_s_device(activation):
    network = FullyConnectedNetwork(6, 4, 5, activation, 0.1, device="meta")  # has no values
    x, y = torch.rand(7, 6, device="meta"), torch.zeros(7, 4, device="meta")
    network.backward(x, y, network.forward(x))
    assert {tensor.device.type for tensor in network.weights().values()} == {"meta"}


def test_one_seed_draws_the_same_weights_for_every_device():
    set_seed(42)
    here = FullyConnectedNetwork(6, 4, 5, sigmoid, 0.1)
    after = torch.rand(1)
    set_seed(42)
    FullyConnectedNetwork(6, 4, 5, sigmoid, 0.1, device="meta")
    assert torch.equal(torch.rand(1), after), "the generator of another device was used"
    assert here.W1.device.type == "cpu"
