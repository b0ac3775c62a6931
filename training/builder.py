"""Builder: where a config becomes a network: on a device, with the first weights that follow from the run's seed."""

import math
from collections.abc import Callable

import torch
from torch import nn

from config import ModelConfig
from model import CNN, Network

Builder = Callable[[ModelConfig], Network]  # a network as its settings describe it, its weights not yet of use
DEFAULT_NETWORK: Builder = CNN  # where no other is given
META = torch.device("meta")  # what is built there takes no memory


def build_blank(config: ModelConfig, build: Builder = DEFAULT_NETWORK) -> Network:
    """Return the network without weights, to be asked about its layers and what they take."""
    with META:
        return build(config)


def build_model(config: ModelConfig, device: torch.device, build: Builder = DEFAULT_NETWORK) -> Network:
    """Return the initialised network on a device, its convolutions in channels-last layout.

    Raises TypeError where a part of the network has weights that `initialise_weights` knows no rule for.
    """
    model = build_blank(config, build).to_empty(device=device)
    initialise_weights(model, config)
    return model.to(memory_format=torch.channels_last)


def initialise_weights(model: Network, config: ModelConfig) -> None:
    """Fill the weights as PyTorch does by default (He et al. 2015, uniform), from the run's own seed.

    Each layer draws from its own stream, so two models that agree in seed and in the shape of a
    layer start with the same weights there, whatever the rest of them looks like. A layer's name is
    that of its module. Raises TypeError for a module with weights of another kind than those below.
    """
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            generator = torch.Generator().manual_seed(config.random_seed(f"weights {name}"))
            weight = torch.empty(module.weight.shape)
            nn.init.kaiming_uniform_(weight, a=math.sqrt(5), generator=generator)
            with torch.no_grad():
                module.weight.copy_(weight)
                if module.bias is not None:
                    bound = 1 / math.sqrt(weight[0].numel())
                    module.bias.copy_(torch.empty(module.bias.shape).uniform_(-bound, bound, generator=generator))
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()
        elif next(module.parameters(recurse=False), None) is not None:
            raise TypeError(f"no rule for the first weights of {name or 'the network'}, a {type(module).__name__}")
