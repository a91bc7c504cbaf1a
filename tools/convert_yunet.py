#!/usr/bin/env python
"""Make the face detector that ships from YuNet as its authors gave it: python tools/convert_yunet.py [--check]

The weights stay. Each of the three scales has four small heads (class, object, box, points), each of a pointwise and a
depthwise convolution; side by side they are one head of 16 channels, which gives the same numbers in fewer steps.
Height and width become symbolic, so that ONNX Runtime takes pictures of any multiple of 32 px. What came after the
heads (sigmoid, order of the axes) is left out: `fea.faces.yunet` reads the numbers as they are. Needs the extra `train`.
"""
import hashlib
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

ROOT = Path(__file__).resolve().parent.parent
ORIGINAL = ROOT/'tests'/'data'/'face_detection_yunet_2023mar.onnx'
MADE = ROOT/'models'/'face_detection_yunet_2023mar_merged.onnx'
SHA256 = '8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4' # As opencv_zoo has it
STRIDES = 8, 16, 32
HEADS = 'cls', 'obj', 'bbox', 'kps' # 1 + 1 + 4 + 10 channels


def merge_heads(nodes: list, weights: dict, level: int, stride: int) -> tuple[list, list]:
    "One head in place of four: its two nodes, and their weights"
    parts = {n: [] for n in ('point', 'point_bias', 'depth', 'depth_bias')}
    for head in HEADS:
        for which, step in ((1, 'point'), (2, 'depth')):
            node, = (n for n in nodes if n.op_type == 'Conv' and n.input[1] == f'bbox_head.multi_level_{head}.{level}.conv{which}.weight')
            parts[step].append(weights[node.input[1]])
            parts[f'{step}_bias'].append(weights[node.input[2]])
            if which == 1: source = node.input[0]
    names = {n: f'head_{stride}_{n}' for n in parts}
    made = [helper.make_node('Conv', [source, names['point'], names['point_bias']], [f'mixed_{stride}'], kernel_shape=[1, 1]),
            helper.make_node('Conv', [f'mixed_{stride}', names['depth'], names['depth_bias']], [f'raw_{stride}'], kernel_shape=[3, 3], pads=[1]*4, group=16)]
    return made, [numpy_helper.from_array(np.concatenate(parts[n]), names[n]) for n in parts]


def convert(data: bytes) -> bytes:
    "The merged network"
    if hashlib.sha256(data).hexdigest() != SHA256: sys.exit(f'{ORIGINAL}: not the file that is known')
    model = onnx.load_from_string(data)
    nodes, weights = list(model.graph.node), {w.name: numpy_helper.to_array(w) for w in model.graph.initializer}
    first = next(i for i, n in enumerate(nodes) if any('bbox_head' in name for name in n.input))
    kept, initial = nodes[:first], []
    for level, stride in enumerate(STRIDES):
        made, values = merge_heads(nodes, weights, level, stride)
        kept, initial = kept + made, initial + values
    used = {name for n in kept for name in n.input}
    outputs = [helper.make_tensor_value_info(f'raw_{s}', TensorProto.FLOAT, [1, 16, f'height_{s}', f'width_{s}']) for s in STRIDES]
    graph = helper.make_graph(kept, 'yunet_2023mar', [helper.make_tensor_value_info('input', TensorProto.FLOAT, [1, 3, 'height', 'width'])], outputs,
                              [w for w in model.graph.initializer if w.name in used] + initial)
    result = helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version, producer_name='fea',
                               doc_string=f'YuNet 2023mar, (c) 2020 Shiqi Yu, MIT licence; heads merged; made from {SHA256}')
    onnx.checker.check_model(result)
    return result.SerializeToString(deterministic=True)


if __name__ == '__main__':
    made = convert(ORIGINAL.read_bytes())
    if '--check' in sys.argv: sys.exit(f'{MADE.name} is not what comes out' if MADE.read_bytes() != made else 0)
    MADE.write_bytes(made)
    print(f'{hashlib.sha256(made).hexdigest()}  {MADE.name}; put it into models/SHA256SUMS')
