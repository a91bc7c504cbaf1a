"""Starts what AWS's image for Ray starts: Ray Serve with config.yaml of a model, and a small server before it, on 127.0.0.1 and without docker

The server keeps the contract of AWS's own (`sagemaker_serve.py` of aws/deep-learning-containers, images 1.4): `/invocations` goes to the root of
RAYSERVE_BACKEND_URL with the headers of SageMaker, a backend that is silent for RAYSERVE_BACKEND_TIMEOUT seconds (300) is answered with 504, one
that cannot be reached with 503; `/ping` is 200 when `/-/healthz` below the same address is, else 503.
"""
import json
import os
import sys
from pathlib import Path

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

BACKEND, PATIENCE = os.environ.get('RAYSERVE_BACKEND_URL', 'http://127.0.0.1:8000'), int(os.environ.get('RAYSERVE_BACKEND_TIMEOUT', '300'))


def open_client()->httpx.AsyncClient: return httpx.AsyncClient(timeout=PATIENCE, verify=False) # nothing speaks TLS here, and reading certificates takes time


def refuse(status:int, error:str)->Response: return Response(json.dumps({'error': error}), status, media_type='application/json')


async def invocations(request:Request)->Response:
    headers = {name: value for name, value in request.headers.items() if name.startswith('x-amzn-sagemaker-')}
    headers |= {name: request.headers.get(name, 'application/json') for name in ('content-type', 'accept')}
    try:
        async with open_client() as client: answer = await client.post(f'{BACKEND}/', content=await request.body(), headers=headers)
    except httpx.TimeoutException: return refuse(504, 'Request timeout')
    except httpx.ConnectError: return refuse(503, 'Service unavailable')
    return Response(answer.content, answer.status_code, media_type=answer.headers.get('content-type', headers['accept']))


async def ping(request:Request)->Response:
    try:
        async with open_client() as client: well = (await client.get(f'{BACKEND}/-/healthz')).status_code == 200
    except httpx.HTTPError: well = False
    return Response(b'', 200 if well else 503)


def start_ray(model:Path, port:int, temp:Path)->None:
    "Deploy a model as `serve run config.yaml` does"
    sys.path.append(str(Path(__file__).parents[1])) # for an interpreter that does not have fea
    from fea.cluster.tasks import import_ray, start_patiently
    sys.path.pop() # else replicas would find it, too
    import_ray() # its own patience ends after half a minute
    sys.path[:0] = [str(model), str(model/'code')]
    os.environ['PYTHONPATH'] = os.pathsep.join([str(model), str(model/'code')])
    os.environ['OMP_WAIT_POLICY'] = 'PASSIVE'
    import ray
    import yaml
    from ray import serve
    from ray.serve.context import _get_global_client
    from ray.serve.schema import ServeDeploySchema
    start_patiently(lambda: ray.init(num_cpus=2, include_dashboard=False, object_store_memory=80_000_000, _temp_dir=str(temp), _node_ip_address='127.0.0.1'))
    serve.start(http_options={'host': '127.0.0.1', 'port': port})
    _get_global_client().deploy_apps(ServeDeploySchema.model_validate(yaml.safe_load((model/'config.yaml').read_text())))


def main(port:int, model:Path|None, ray_port:int, temp:Path|None)->None:
    "Run until a signal ends it; without a model only the server, before a Ray that runs already"
    if model and temp: start_ray(model, ray_port, temp)
    app = Starlette(routes=[Route('/ping', ping), Route('/invocations', invocations, methods=['POST'])])
    uvicorn.run(app, host='127.0.0.1', port=port, log_level='warning')


if __name__ == '__main__':
    given = [Path(text) for text in sys.argv[3:]]
    main(int(sys.argv[1]), given[0] if given else None, int(sys.argv[2]), given[1] if given else None)
