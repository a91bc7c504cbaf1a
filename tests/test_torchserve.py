"""The archive on the server of AWS's prebuilt PyTorch image: the real TorchServe and SageMaker toolkit, with a Java of the test requirements"""
import io
import json
import os
import signal
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from installed import ROOT, SAMPLE

from fea.serving.package import build_package, unpack_archive
from fea.emotions import P_COLUMNS
from fea.extract import extract
from fea.local_inference import analyze
from fea.timeline.table import make_timeline


def free_ports(count:int)->list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets: s.bind(('127.0.0.1', 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets: s.close()
    return ports


def wait_until_ready(url:str, process:subprocess.Popen, log:Path, limit:float=180)->None:
    "Until it answers a real request: its /ping says 200 before a worker has loaded the model"
    end = time.monotonic() + limit
    while time.monotonic() < end and process.poll() is None:
        try:
            if httpx.get(f'{url}/ping', timeout=5).status_code == 200: return
        except httpx.TransportError: pass
        time.sleep(.3)
    pytest.fail(f'TorchServe did not start: {log.read_text()[-3000:]}')


@pytest.fixture(scope='module')
def url(tmp_path_factory:pytest.TempPathFactory)->Iterator[str]:
    base, ports = tmp_path_factory.mktemp('torchserve'), free_ports(3)
    unpack_archive(build_package(base/'model.tar.gz'), base/'ml'/'model')
    log = base/'out.log'
    command = [sys.executable, str(ROOT/'tests'/'torchserve_host.py'), str(base), *map(str, ports)]
    with log.open('w') as out: process = subprocess.Popen(command, cwd=base, stdout=out, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        wait_until_ready(f'http://127.0.0.1:{ports[0]}', process, log)
        yield f'http://127.0.0.1:{ports[0]}'
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def ask(url:str, body:bytes, content_type:str, accept:str='application/jsonlines')->httpx.Response:
    return httpx.post(f'{url}/invocations', content=body, headers={'Content-Type': content_type, 'Accept': accept}, timeout=120)


def test_a_clip_gets_the_timeline_of_analyze(url:str)->None:
    answer = ask(url, SAMPLE.read_bytes(), 'video/mp4; fps=2')
    assert answer.status_code == 200, answer.text[-2000:]
    *rows, last = [json.loads(line) for line in answer.text.splitlines()]
    assert make_timeline(rows).equals(analyze(SAMPLE, 2., progress=False))
    assert last['fea']['complete']


def test_frames_get_the_probabilities_of_analyze(url:str, tmp_path:Path)->None:
    extract(SAMPLE, tmp_path/'stills')
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode='w') as archive:
        for file in sorted((tmp_path/'stills').glob('*.jpg')): archive.add(file, file.name)
        bad = tarfile.TarInfo('bad.jpg')
        bad.size = 4
        archive.addfile(bad, io.BytesIO(b'oops'))
    answer = ask(url, packed.getvalue(), 'application/x-tar')
    *frames, last = [json.loads(line) for line in answer.text.splitlines()]
    assert (answer.status_code, last) == (200, {'name': 'bad.jpg', 'error': 'neither JPEG nor PNG'})
    here = analyze(tmp_path/'stills', None, progress=False).dropna(subset=['emotion'])
    there = [list(face['probabilities'].values()) for frame in frames for face in frame['faces'] if face['probabilities']]
    assert len(there) == len(here) > 5
    assert np.abs(np.array(there) - here[list(P_COLUMNS)].to_numpy()).max() < 1e-4


@pytest.mark.parametrize(('body', 'content_type', 'status', 'words'), [
    (b'hello', 'image/jpeg', 400, 'neither JPEG nor PNG'), (b'hello', 'application/zip', 415, 'is not served'), (b'hello', 'video/mp4', 400, 'not a video')])
def test_a_bad_request_gets_its_status(url:str, body:bytes, content_type:str, status:int, words:str)->None:
    answer = ask(url, body, content_type)
    assert (answer.status_code, words in answer.text) == (status, True), answer.text
