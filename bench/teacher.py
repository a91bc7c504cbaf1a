#!/usr/bin/env python
"""Train a teacher: another network, fine-tuned on FERPlus, whose answers to the training images `fea train --teacher TABLE.npz` learns from.

    python bench/teacher.py --data FERPLUS --weights faceres_deep.safetensors --out teacher0 --seed 0 --epochs 8

The network is MobileNet V1 (1.0) with the weights of faceres-deep, which began with faces of VGGFace2: they are given as a file, are no
part of this project and do not ship. Of each label a share (half, unless --share says otherwise) are the answers of the model that ships,
mirrored and averaged, after its lean to rare classes was taken back: seven biases and one scale, fitted to the votes of the training
images. The rest are the votes.
A run that was stopped goes on from the last epoch. At its end `train.npz` and `valid.npz` hold the probabilities, mirrored and averaged.
`bench/teacher_answers.npz` is the mean of those of `--share 0 --earlier 80 96 112 112 --epochs 10` and of the model 0.1.0 without its lean;
it taught model 0.2.0.
"""
import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn

from fea.core.models import model_path
from fea.emotions import EMOTIONS
from fea.faces.classifier import Classifier
from fea.stats.metrics import softmax
from fea.train.data import Augmentation, FaceSet, enlarge, read_ferplus, vote_distribution
from fea.train.evaluation import predict
from fea.train.loop import Trainer, TrainingConfig, keep_memory, normalise, predict_logits, score

STRIDES = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)]*5, (1024, 2), (1024, 1)] # MobileNet V1: channels and stride of each block
BGR_MEAN = (103.939/255, 116.779/255, 123.68/255) # Of the network's first training; its inputs run from 0 to 255


class Layer(nn.Module):
    "Convolution, batch norm and ReLU6; a stride pads at the right and the bottom alone, as TensorFlow does"
    def __init__(self, inputs:int, outputs:int, kernel:int, stride:int=1, groups:int=1):
        super().__init__()
        self.uneven = stride == 2
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, 0 if self.uneven else kernel//2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(outputs)
        nn.init.constant_(self.bn.running_var, 1 - self.bn.eps) # the file's weights hold the statistics of its own training already

    def forward(self, x:torch.Tensor)->torch.Tensor:
        return nn.functional.relu6(self.bn(self.conv(nn.functional.pad(x, (0, 1, 0, 1)) if self.uneven else x)))


class FaceNetwork(nn.Module):
    "MobileNet V1 with seven outputs; names of the weights as in the file"
    def __init__(self, dropout:float=.2):
        super().__init__()
        self.stem, blocks, inputs = Layer(3, 32, 3, 2), [], 32
        for outputs, stride in STRIDES:
            blocks.append(nn.Sequential(Layer(inputs, inputs, 3, stride, inputs), Layer(inputs, outputs, 1)))
            inputs = outputs
        self.blocks = nn.ModuleList(blocks)
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(inputs, len(EMOTIONS)))

    @property
    def features(self)->nn.Sequential: # Empty
        "What `Trainer` may keep frozen: nothing here"
        return nn.Sequential()

    def forward(self, x:torch.Tensor)->torch.Tensor:
        x = self.stem(x)
        for block in self.blocks: x = block(x)
        return self.classifier(x.mean((2, 3)))


@torch.no_grad()
def settle_norms(network:nn.Module, x:torch.Tensor)->None:
    "Let every batch norm hold the statistics of these images, without a change of what the network computes"
    def settle(norm:nn.BatchNorm2d, inputs:tuple[torch.Tensor, ...])->None:
        mean, var = inputs[0].mean((0, 2, 3)), inputs[0].var((0, 2, 3), unbiased=False).clamp(min=1e-4)
        gain = norm.weight/(norm.running_var + norm.eps).sqrt()
        offset = norm.bias - norm.running_mean*gain
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(var)
        norm.weight.copy_(gain*(var + norm.eps).sqrt())
        norm.bias.copy_(offset + mean*gain)
    hooks = [norm.register_forward_pre_hook(settle) for norm in network.modules() if isinstance(norm, nn.BatchNorm2d)]
    network.eval()(x)
    for hook in hooks: hook.remove()


def take_back_lean(logits:np.ndarray, targets:np.ndarray, fit:slice=slice(None))->tuple[np.ndarray, np.ndarray]: # Logits anew; the eight numbers
    "Seven biases and a scale that make the logits agree best with the votes of the images in `fit`"
    x, y = torch.from_numpy(logits).double(), torch.from_numpy(targets).double()
    bias, scale = torch.zeros(len(EMOTIONS), dtype=torch.double, requires_grad=True), torch.ones(1, dtype=torch.double, requires_grad=True)
    optimiser = torch.optim.LBFGS([bias, scale], max_iter=200, line_search_fn='strong_wolfe')
    def loss()->torch.Tensor:
        optimiser.zero_grad()
        value = -(y[fit] * (x[fit]*scale + bias).log_softmax(1)).sum(1).mean()
        value.backward()
        return value
    optimiser.step(loss)
    return (x*scale + bias).detach().float().numpy(), torch.cat([bias, scale]).detach().numpy()


def ask_shipped(faces:FaceSet, valid:FaceSet, folder:Path)->tuple[np.ndarray, np.ndarray]: # Probabilities of both splits
    "The shipped model's answers, mirrored and averaged, without its lean; kept in `folder`"
    kept = folder/'shipped.npz'
    if not kept.is_file():
        asked = [predict(Classifier(model_path('model.onnx')), split.images, flip=True, progress=False) for split in (faces, valid)]
        logits = np.concatenate([np.log(softmax(part).clip(1e-7)) for part in asked])
        targets = np.concatenate([vote_distribution(split.votes) for split in (faces, valid)])
        fair, numbers = take_back_lean(logits, targets, slice(0, len(faces)))
        print('biases and scale', np.round(numbers, 3).tolist(), flush=True)
        np.savez_compressed(kept, train=softmax(fair[:len(faces)]), valid=softmax(fair[len(faces):]))
    with np.load(kept) as file: return file['train'], file['valid']


def mirrored(trainer:Trainer, images:np.ndarray)->np.ndarray: # Probabilities, shape (n, 7)
    "Answers of the averaged weights, mirrored and averaged"
    views = (images, images[:, :, ::-1].copy())
    return np.mean([softmax(predict_logits(trainer.average, view, trainer.config)) for view in views], axis=0)


def start(config:TrainingConfig, weights:Path, images:np.ndarray)->Trainer:
    "A trainer whose network is the face network"
    trainer = Trainer(config)
    torch.manual_seed(config.seed)
    network = FaceNetwork()
    missing, unknown = network.load_state_dict(load_file(weights), strict=False)
    if unknown or any(not name.startswith('classifier') and 'running' not in name and 'num_batches' not in name for name in missing):
        raise SystemExit(f'{weights}: not the weights of this network')
    settle_norms(network, normalise(enlarge(torch.from_numpy(images[:512]), config.input_size), config))
    trainer.network = network.to(memory_format=torch.channels_last)
    trainer.average = FaceNetwork().requires_grad_(False)
    trainer.average.load_state_dict(network.state_dict())
    trainer.parameters = list(network.parameters())
    trainer.optimiser = torch.optim.AdamW(trainer.parameters, config.learning_rate, weight_decay=config.weight_decay, fused=True)
    return trainer


def main()->None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', type=Path, required=True, help='Folder with the FERPlus shards')
    parser.add_argument('--weights', type=Path, required=True, help='Safetensors of faceres-deep without heads')
    parser.add_argument('--out', type=Path, required=True)
    parser.add_argument('--epochs', type=int, default=12)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--size', type=int, default=112, help='Side of the input, px')
    parser.add_argument('--share', type=float, default=.5, help='Weight of the answers of the model that ships in the labels; 0: the votes alone')
    parser.add_argument('--earlier', type=int, nargs='*', default=[], metavar='PX', help='Sides in the stretches of equal length before it')
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    config = TrainingConfig(epochs=args.epochs, input_size=args.size, earlier_sizes=tuple(args.earlier), seed=args.seed,
                            teacher_share=args.share, mean=BGR_MEAN, std=(1/255,)*3)
    faces, valid = (read_ferplus(args.data, split, 'label_csv') for split in ('train', 'valid'))
    keep_memory()
    taught, _ = ask_shipped(faces, valid, args.out)
    trainer, checkpoint, log = start(config, args.weights, faces.images), args.out/'checkpoint.pt', []
    if checkpoint.is_file():
        state = torch.load(checkpoint, weights_only=True)
        for part in ('network', 'average', 'optimiser'): getattr(trainer, part).load_state_dict(state[part])
        trainer.generator.set_state(state['generator'])
        trainer.epoch, trainer.step, log = state['epoch'], state['step'], json.loads(state['log'])
    while trainer.epoch < config.epochs:
        begun = time.perf_counter()
        loss = trainer.train_epoch(faces, Augmentation(), False, taught)
        log.append({'epoch': trainer.epoch, 'loss': loss, **score(predict_logits(trainer.average, valid.images, config), valid),
                    'seconds': round(time.perf_counter() - begun)})
        print(json.dumps({name: round(value, 4) for name, value in log[-1].items()}), flush=True)
        state = {part: getattr(trainer, part).state_dict() for part in ('network', 'average', 'optimiser')}
        state |= {'generator': trainer.generator.get_state(), 'epoch': trainer.epoch, 'step': trainer.step, 'log': json.dumps(log)}
        torch.save(state, checkpoint.with_suffix('.new'))
        checkpoint.with_suffix('.new').replace(checkpoint)
        for name, split in (('train', faces), ('valid', valid)):
            if trainer.epoch == config.epochs: np.savez_compressed(args.out/f'{name}.npz', probabilities=mirrored(trainer, split.images).astype(np.float16))


if __name__ == '__main__': main()
