"""The archive on the server of AWS's image for Ray, which is the default: Ray Serve itself, and AWS's small server before it by its contract

FEA_RAY_PYTHON names another interpreter to run it with, for example one with the very versions of the image.
"""
import io
import json
import os
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import pandas as pd
import pytest
from installed import ROOT, SAMPLE

from fea.aws.container import ENVIRONMENT
from fea.emotions import P_COLUMNS
from fea.extract import extract
from fea.local_inference import analyze
from fea.serving.package import build_package, unpack_archive
from fea.timeline.table import make_timeline

PYTHON = os.environ.get('FEA_RAY_PYTHON', sys.executable)
PATIENCE = 1200 # s; nothing takes that long, but a machine may be ten times slower


@dataclass(frozen=True)
class Host:
    "Where it listens, and how it began"
    url:str # Of AWS's server
    ray_port:int # Of Ray Serve
    began:dict[str, float] # When Ray called itself well ('ray'), and when the container did ('container'), s after the start


def free_ports(count:int)->list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets: s.bind(('127.0.0.1', 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets: s.close()
    return ports


def is_well(url:str)->bool:
    try: return httpx.get(url, timeout=5).status_code == 200
    except httpx.TransportError: return False


@contextmanager
def running(log:Path, port:int, ray_port:int, *more:Path, **environment:str)->Iterator[subprocess.Popen]:
    "The host as a process, with the variables that every container of ours gets"
    env = {name: value for name, value in os.environ.items() if name != 'PYTHONPATH'} | ENVIRONMENT
    env |= {'RAYSERVE_BACKEND_URL': ENVIRONMENT['RAYSERVE_BACKEND_URL'].replace(':8000', f':{ray_port}'), 'NO_PROXY': '127.0.0.1', 'no_proxy': '127.0.0.1'}
    command = [PYTHON, str(ROOT/'tests'/'ray_host.py'), str(port), str(ray_port), *map(str, more)]
    with log.open('w') as out:
        process = subprocess.Popen(command, cwd=log.parent, env=env | environment, stdout=out, stderr=subprocess.STDOUT, start_new_session=True)
    try: yield process
    finally:
        process.terminate() # Ray ends what it started
        try: process.wait(60)
        except subprocess.TimeoutExpired: os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture(scope='module')
def host(tmp_path_factory:pytest.TempPathFactory)->Iterator[Host]:
    base, (port, ray_port) = tmp_path_factory.mktemp('ray'), free_ports(2)
    model = unpack_archive(build_package(base/'model.tar.gz'), base/'model')
    with ExitStack() as stack:
        temp = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix='ray', ignore_cleanup_errors=True))) # Ray's sockets need a short path
        process = stack.enter_context(running(base/'out.log', port, ray_port, model, temp))
        def wait_for(url:str)->float:
            begin = time.monotonic()
            while process.poll() is None and time.monotonic() < begin + PATIENCE and not is_well(url): time.sleep(.2)
            return time.monotonic() - begin
        with ThreadPoolExecutor(2) as pool:
            ray, container = pool.map(wait_for, (f'http://127.0.0.1:{ray_port}/-/healthz', f'http://127.0.0.1:{port}/ping'))
        if process.poll() is not None or container > PATIENCE: pytest.fail(f"Ray did not start: {(base/'out.log').read_text()[-3000:]}")
        yield Host(f'http://127.0.0.1:{port}', ray_port, {'ray': ray, 'container': container})


def ask(host:Host, body:bytes, content_type:str, accept:str='application/jsonlines')->httpx.Response:
    return httpx.post(f'{host.url}/invocations', content=body, headers={'Content-Type': content_type, 'Accept': accept}, timeout=PATIENCE)


def read_rows(answer:httpx.Response)->pd.DataFrame:
    assert answer.status_code == 200, answer.text[-2000:]
    *rows, last = [json.loads(line) for line in answer.text.splitlines()]
    assert last['fea']['complete']
    return make_timeline(rows)


def test_it_is_ready_when_a_replica_answers(host:Host)->None:
    "Ray calls itself well before our program is there; AWS's server with our address does not, and the first request after that is answered"
    assert ask(host, b'hello', 'image/jpeg', 'application/json').status_code == 400
    assert host.began['ray'] < host.began['container'], host.began


def test_a_clip_gets_the_timeline_of_analyze(host:Host)->None:
    there, here = read_rows(ask(host, SAMPLE.read_bytes(), 'video/mp4; fps=2')), analyze(SAMPLE, 2., progress=False)
    numbers = list(here.select_dtypes('number'))
    assert there.drop(columns=numbers).equals(here.drop(columns=numbers))
    assert (there[numbers] - here[numbers]).abs().max().max() < 1e-4 and there[numbers].isna().equals(here[numbers].isna())


def test_frames_get_the_probabilities_of_analyze(host:Host, tmp_path:Path)->None:
    extract(SAMPLE, tmp_path/'stills')
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode='w') as archive:
        for file in sorted((tmp_path/'stills').glob('*.jpg')): archive.add(file, file.name)
        bad = tarfile.TarInfo('bad.jpg')
        bad.size = 4
        archive.addfile(bad, io.BytesIO(b'oops'))
    answer = ask(host, packed.getvalue(), 'application/x-tar')
    *frames, last = [json.loads(line) for line in answer.text.splitlines()]
    assert (answer.status_code, last) == (200, {'name': 'bad.jpg', 'error': 'neither JPEG nor PNG'})
    here = analyze(tmp_path/'stills', None, progress=False).dropna(subset=['emotion'])
    there = [list(face['probabilities'].values()) for frame in frames for face in frame['faces'] if face['probabilities']]
    assert len(there) == len(here) > 5
    assert np.abs(np.array(there) - here[list(P_COLUMNS)].to_numpy()).max() < 1e-4


@pytest.mark.parametrize(('body', 'content_type', 'status', 'words'), [
    (b'hello', 'image/jpeg', 400, 'neither JPEG nor PNG'), (b'hello', 'application/zip', 415, 'is not served'), (b'hello', 'video/mp4', 400, 'not a video')])
def test_a_bad_request_gets_its_status(host:Host, body:bytes, content_type:str, status:int, words:str)->None:
    answer = ask(host, body, content_type, '*/*')
    assert (answer.status_code, words in answer.text) == (status, True), answer.text


def test_a_large_body_arrives(host:Host)->None:
    "More than the usual six megabytes: 40 MB of a tar that is none"
    answer = ask(host, bytes(40_000_000), 'application/x-tar')
    assert answer.status_code in (200, 400), answer.text[-500:]


def test_an_answer_may_take_long(host:Host, tmp_path:Path)->None:
    "AWS's server gives up after its own time, not SageMaker's: with a second it says 504, with what our containers get it waits"
    port, = free_ports(1)
    with running(tmp_path/'out.log', port, host.ray_port, RAYSERVE_BACKEND_TIMEOUT='1') as process:
        end = time.monotonic() + PATIENCE
        while not is_well(f'http://127.0.0.1:{port}/ping'): assert process.poll() is None and time.monotonic() < end, (tmp_path/'out.log').read_text()
        hasty = Host(f'http://127.0.0.1:{port}', host.ray_port, {})
        answer = ask(hasty, SAMPLE.read_bytes(), 'video/mp4; fps=all')
        assert (answer.status_code, answer.json()) == (504, {'error': 'Request timeout'})
    begin = time.monotonic()
    read_rows(ask(host, SAMPLE.read_bytes(), 'video/mp4; fps=all'))
    assert time.monotonic() - begin > 1 # else the first half of this test says nothing
    assert int(ENVIRONMENT['RAYSERVE_BACKEND_TIMEOUT']) == 3600


def test_it_stays_well_while_it_works(host:Host)->None:
    """SageMaker asks every five seconds, waits two, and restarts what does not answer: requests that wait must not be in the way. The wait is short
    beside the work, since a machine may be slow, and taken with a plain socket, since httpx reads all certificates at each call"""
    def ping()->bytes:
        with socket.create_connection(('127.0.0.1', int(host.url.rsplit(':', 1)[1])), timeout=PATIENCE) as client:
            client.sendall(b'GET /ping HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n')
            return client.recv(100)
    started, waits = time.monotonic(), list[float]()
    with ThreadPoolExecutor(12) as pool:
        answers = [pool.submit(ask, host, SAMPLE.read_bytes(), 'video/mp4; fps=2') for _ in range(12)]
        while not all(answer.done() for answer in answers):
            begin = time.monotonic()
            assert ping().startswith(b'HTTP/1.1 200')
            waits.append(time.monotonic() - begin)
            time.sleep(.2)
        assert {answer.result().status_code for answer in answers} == {200}
    whole = time.monotonic() - started
    assert np.median(waits) < whole/4, (whole, waits) # behind twelve requests a ping would wait for half of it
