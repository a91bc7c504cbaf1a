#!/usr/bin/env python
"""Fine-tune a model for eight bits: python bench/eight_bits.py FERPLUS --out tuned [--steps 250]

Weights of seven bits for each output channel and activations of eight are imitated while the network learns its own float32 answers to
the training images (quantisation-aware training, Jacob et al. 2018, arXiv 1712.05877); batch norms keep their statistics. The tuned weights
go through `fea.train.export.quantise` and are compared with the model that ships.
"""
import argparse
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F
from torchvision.models import MobileNetV2

from fea.core.models import model_path
from fea.faces.classifier import Classifier
from fea.train.data import Augmentation, augment, batches, read_ferplus
from fea.train.export import _compare_models, _export_onnx, _model_metadata, quantise
from fea.train.loop import TrainingConfig, keep_memory, learning_rate, normalise
from fea.train.network import load_network


class Steps(nn.Module):
    "Activations in 256 steps over all that was seen; until `on` only the range is learnt"
    def __init__(self):
        super().__init__()
        self.low, self.high, self.on = torch.zeros(()), torch.zeros(()), False

    def forward(self, x:torch.Tensor)->torch.Tensor:
        self.low, self.high = torch.minimum(self.low, x.detach().min()), torch.maximum(self.high, x.detach().max())
        if not self.on: return x
        scale = (self.high - self.low).clamp(min=1e-8)/255
        return torch.fake_quantize_per_tensor_affine(x, scale, torch.round(-self.low/scale).to(torch.int32), 0, 255)


def seven_bits(weight:torch.Tensor)->torch.Tensor:
    "Weights in 127 steps, each output channel with a scale of its own"
    scale = weight.detach().flatten(1).abs().amax(1).clamp(min=1e-8)/64
    return torch.fake_quantize_per_channel_affine(weight, scale, torch.zeros(len(weight), dtype=torch.int32), 0, -64, 63)


class Layer(nn.Module):
    "Convolution with its batch norm folded in"
    def __init__(self, conv:nn.Conv2d, norm:nn.BatchNorm2d, bounded:bool):
        super().__init__()
        self.conv, self.norm, self.bounded, self.steps = conv, norm, bounded, Steps()

    def forward(self, x:torch.Tensor)->torch.Tensor:
        gain = self.norm.weight/(self.norm.running_var + self.norm.eps).sqrt()
        weight = seven_bits(self.conv.weight*gain[:, None, None, None])
        x = F.conv2d(x, weight, self.norm.bias - self.norm.running_mean*gain, self.conv.stride, self.conv.padding, 1, self.conv.groups)
        return self.steps(F.relu6(x) if self.bounded else x)


class Block(nn.Module):
    "Some layers, and past them"
    def __init__(self, layers:list[Layer], skip:bool):
        super().__init__()
        self.layers, self.skip, self.steps = nn.Sequential(*layers), skip, Steps()

    def forward(self, x:torch.Tensor)->torch.Tensor: return self.steps(x + self.layers(x)) if self.skip else self.layers(x)


class EightBits(nn.Module):
    "What the network will be in eight bits; it trains the weights of `network`"
    def __init__(self, network:MobileNetV2):
        super().__init__()
        self.network, self.before, self.pooled = network, Steps(), Steps()
        self.blocks = nn.Sequential(*map(self._block, network.features))

    def _block(self, part:nn.Module)->nn.Module:
        if not hasattr(part, 'conv'): return Layer(part[0], part[1], True)
        rest, layers = list(part.conv), []
        while rest:
            first = rest.pop(0)
            layers.append(Layer(first[0], first[1], True) if isinstance(first, nn.Sequential) else Layer(first, rest.pop(0), False))
        return Block(layers, part.use_res_connect)

    def forward(self, x:torch.Tensor)->torch.Tensor:
        last = self.network.classifier[1]
        return F.linear(self.pooled(self.blocks(self.before(x)).mean((2, 3))), seven_bits(last.weight), last.bias)


def main()->None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('data', type=Path, help='folder with the FERPlus shards')
    parser.add_argument('--out', type=Path, required=True)
    parser.add_argument('--steps', type=int, default=250)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    keep_memory()
    shipped = Classifier(model_path('model.onnx'))
    config = TrainingConfig(input_size=shipped.meta.input_size, learning_rate=5e-5)
    network, teacher = (load_network(model_path('model.onnx').with_suffix('.safetensors')).eval() for _ in range(2))
    faces, valid = (read_ferplus(options.data, split, 'label_csv') for split in ('train', 'valid'))
    images, chance = torch.from_numpy(faces.images), torch.Generator().manual_seed(0)
    imitated = EightBits(network).to(memory_format=torch.channels_last)
    def draw(index:torch.Tensor)->torch.Tensor:
        return normalise(augment(images[index], config.input_size, Augmentation(), chance), config).to(memory_format=torch.channels_last)
    with torch.no_grad():
        for index in torch.randperm(len(images), generator=chance)[:512].split(64): imitated(draw(index))
    for part in imitated.modules():
        if isinstance(part, Steps): part.on = True
    optimiser, order = torch.optim.AdamW(imitated.parameters(), config.learning_rate, weight_decay=0), batches(len(images), config.batch_size, chance)
    for step, index in zip(range(options.steps), order, strict=False):
        x = draw(index)
        with torch.no_grad(): goal = teacher(x).softmax(1)
        for group in optimiser.param_groups: group['lr'] = learning_rate(step, options.steps, config)
        loss = -(goal*imitated(x).log_softmax(1)).sum(1).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % 50 == 0: print(step, round(loss.item(), 4), flush=True)
    _export_onnx(network, options.out/'tuned.onnx', _model_metadata(config, shipped.meta.version))
    quantise(options.out/'tuned.onnx', options.out/'int8.onnx', faces.images[::len(faces)//512][:512])
    print(_compare_models(shipped, Classifier(options.out/'int8.onnx'), valid))


if __name__ == '__main__': main()
