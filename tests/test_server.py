"""The server of our own image, as a process of its own, and what a stranger may send it: it answers soon, in one sentence, and stays below its memory"""
import errno
import io
import json
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import tarfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from unittest.mock import patch

import av
import cv2
import httpx
import numpy as np
import psutil
import pytest
from installed import ROOT, SAMPLE

from fea.serving.handler import MAX_FRAME, MAX_PIXELS, model_fn
from fea.serving.server import answer_request

SOON, MEMORY = 200, 1e9 # s until there is an answer; bytes that a request may take beside what the server takes anyway


@dataclass(frozen=True)
class Server:
    "A running server"
    url:str
    process:psutil.Process
    temporary:Path # Its temporary folder

    @property
    def port(self)->int: return int(self.url.rsplit(':', 1)[1])


@contextmanager
def serve(folder:Path, prepare:Callable[[], None]|None=None, **environment:str)->Iterator[Server]:
    "Start the server as the container does"
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        port = s.getsockname()[1]
    own = {'FEA_MODEL_DIR': str(ROOT/'models'), 'FEA_HOST': '127.0.0.1', 'SAGEMAKER_BIND_TO_PORT': str(port), 'FEA_WORKERS': '2', 'FEA_PATIENCE_S': '2',
           'FEA_MAX_PAYLOAD_MB': '200', 'TMPDIR': str(folder), 'PYTHONPATH': str(ROOT)}
    with (folder.parent/'log').open('w') as log:
        process = subprocess.Popen([sys.executable, '-m', 'fea.serving.server'], env=os.environ | own | environment, stdout=log, stderr=log, preexec_fn=prepare)
    url, end = f'http://127.0.0.1:{port}', time.monotonic() + 600
    try:
        while True:
            assert process.poll() is None and time.monotonic() < end, (folder.parent/'log').read_text()
            try:
                if httpx.get(f'{url}/ping').status_code == 200: break
            except httpx.TransportError: pass
            time.sleep(.1)
        yield Server(url, psutil.Process(process.pid), folder)
    finally:
        process.send_signal(signal.SIGTERM)
        try: process.wait(120)
        except subprocess.TimeoutExpired: process.kill()
    assert 'Traceback' not in (folder.parent/'log').read_text()
    assert not list(folder.iterdir())


@pytest.fixture(scope='module')
def server(tmp_path_factory:pytest.TempPathFactory)->Iterator[Server]:
    folder = tmp_path_factory.mktemp('server')/'tmp'
    folder.mkdir()
    with serve(folder) as server: yield server


def ask(server:Server, body:bytes|Path, content_type:str, accept:str='*/*', timeout:float=SOON)->httpx.Response:
    content = body.read_bytes() if isinstance(body, Path) else body
    return httpx.post(f'{server.url}/invocations', content=content, headers={'content-type': content_type, 'accept': accept}, timeout=timeout)


@contextmanager
def watch_memory(server:Server)->Iterator[list[float]]:
    "How much more than before the server takes at most, bytes"
    before, most, over = server.process.memory_info().rss, [0.], threading.Event()
    def watch()->None:
        while not over.wait(.005): most[0] = max(most[0], server.process.memory_info().rss - before)
    thread = threading.Thread(target=watch)
    thread.start()
    try: yield most
    finally:
        over.set()
        thread.join()


def png(width:int, height:int)->bytes:
    "A grey picture, without needing its memory"
    def chunk(kind:bytes, data:bytes)->bytes: return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))
    packer, line = zlib.compressobj(1), bytes(1 + width)
    packed = b''.join(packer.compress(line) for _ in range(height)) + packer.flush()
    return b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', width, height, 8, 0, 0, 0, 0)) + chunk(b'IDAT', packed) + chunk(b'IEND', b'')


def forge(size:bytes|int=b'', name:bytes=b'evil.jpg', kind:bytes=b'0', body:bytes=b'')->bytes:
    "One header of a tar with a right checksum, whatever it says, and what follows it"
    number = b'\x80' + size.to_bytes(11, 'big') if isinstance(size, int) else size or b'%011o\0' % len(body)
    block = bytearray(name.ljust(100, b'\0') + b'0000644\0' + bytes(16) + number + b'00000000000\0' + b' '*8 + kind + bytes(100) + b'ustar\x0000' + bytes(247))
    block[148:156] = b'%06o\0 ' % sum(block)
    return bytes(block) + body + bytes(-len(body) % 512)


def pack(*members:tuple[str, bytes], **about:object)->bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode='w') as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            for key, value in about.items(): setattr(info, key, value)
            archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


SMALL = cv2.imencode('.png', np.zeros((30, 40, 3), np.uint8))[1].tobytes()
GOOD, END, DIGITS = pack(('good.png', SMALL))[:-9216], bytes(1024), b'9'*100_000 # a member without the end of its archive
GOOD = GOOD[:512 + -(-len(SMALL)//512)*512]
HOSTILE = {
    'claims 2^63 bytes': forge(2**63) + END, 'claims 2^80 bytes': forge(2**80) + END, 'claims 8 GB': forge(b'77777777777\0') + END,
    'claims 5 kB': forge(5000) + END,
    'a negative size': forge(b'\xff'*12) + END, 'a length of 100,000 digits': forge(kind=b'x', body=DIGITS + b' size=1\n') + forge() + END,
    'a size of 100,000 digits': forge(kind=b'x', body=b'100011 size=' + DIGITS + b'\n') + forge() + END,
    'the same for all members': forge(kind=b'g', body=b'100011 size=' + DIGITS + b'\n') + forge() + END,
    'a header of 1 TB': forge(2**40, kind=b'x') + END, 'names without an end': forge(kind=b'L', body=b'n')*10_000,
    'a sparse map of 100,000 digits': forge(kind=b'x', body=b'100020 GNU.sparse.map=' + DIGITS + b'\n') + forge() + END,
    'no end': forge(), 'half a header': forge()[:300], 'more after the end': forge() + END + b'more',
}


@pytest.mark.parametrize('kind', HOSTILE)
def test_an_archive_that_lies_is_refused_at_once(server:Server, kind:str)->None:
    begun = time.monotonic()
    for body in (HOSTILE[kind], GOOD + HOSTILE[kind]):
        answer = ask(server, body, 'application/x-tar')
        lines = [json.loads(line) for line in answer.text.splitlines()]
        assert answer.status_code in (200, 400) and 'error' in lines[-1]
        assert 'defect' not in answer.text and len(answer.text) < 2000
    assert lines[0]['name'] == 'good.png' and 'error' not in lines[0] # what came before is answered
    assert time.monotonic() - begun < 5


def test_links_devices_and_holes_are_refused_by_name(server:Server)->None:
    kinds = [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.GNUTYPE_SPARSE]
    sparse = pack(('holes.png', SMALL), pax_headers={'GNU.sparse.major': '1', 'GNU.sparse.minor': '0', 'GNU.sparse.realsize': '9' * 19})
    for body in [*(pack(('it.png', b''), type=kind, linkname='/etc/passwd') for kind in kinds), sparse]:
        assert [json.loads(line)['error'] for line in ask(server, body, 'application/x-tar').text.splitlines()] == ['refused: not a plain file']


def write_clip(size:tuple[int, int], frames:int, kind:str='mpegts', codec:str='libx264', pixels:str='yuv420p', **options:str)->bytes:
    "Noise in large blocks, so that it is quick to make"
    file, noise = io.BytesIO(), np.random.default_rng(0)
    with av.open(file, 'w', kind) as container:
        stream = container.add_stream(codec, rate=10, options={'preset': 'ultrafast', 'threads': '2'} | options)
        (stream.width, stream.height), stream.pix_fmt = size, pixels
        for i in range(frames):
            blocks = cv2.resize(noise.integers(0, 255, (9, 16, 3), np.uint8), size, interpolation=cv2.INTER_NEAREST)
            frame = av.VideoFrame.from_ndarray(blocks).reformat(format=pixels)
            frame.pts = i
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


@pytest.fixture(scope='module')
def large()->dict[str, tuple[bytes, str]]:
    "Pictures and clips at the limit, and their types"
    side = int(MAX_PIXELS**.5)
    picture = np.zeros((side, side, 3), np.uint8)
    picture[::97] = 200
    how = [cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    progressive = cv2.imencode('.jpg', picture, how)[1].tobytes()
    grey = png(side, side)
    return {'png': (grey, 'image/png'), 'progressive jpeg': (progressive, 'image/jpeg'), 'crop': (grey, 'image/png; view=crop'),
            'tar': (pack(*((f'{i}.jpg', progressive) for i in range(4))), 'application/x-tar'),
            'tar of crops': (pack(*((f'{i}.png', grey) for i in range(4))), 'application/x-tar; view=crop'),
            '4K': (write_clip((4096, 2160), 18, refs='16'), 'video/mp4; fps=all'),
            '4K with 10 bits': (write_clip((4096, 2160), 18, pixels='yuv420p10le', refs='16'), 'video/mp4; fps=all'),
            'grows': (write_clip((320, 240), 60) + write_clip((4096, 2160), 8), 'video/mp4; fps=all')}


@pytest.mark.parametrize('kind', ['png', 'progressive jpeg', 'crop', 'tar', 'tar of crops', '4K', '4K with 10 bits', 'grows'])
def test_what_is_within_the_limits_is_answered_in_little_memory(server:Server, large:dict[str, tuple[bytes, str]], kind:str)->None:
    with watch_memory(server) as most: answer = ask(server, *large[kind], timeout=600)
    print(f'{kind}: {most[0]/1e6:.0f} MB')
    assert answer.status_code == 200, answer.text[:500]
    assert most[0] < MEMORY


def test_what_is_beyond_the_limits_takes_none(server:Server)->None:
    assert 4096*2160 < MAX_FRAME < 4200*2200
    bomb, clip = png(20_000, 20_000), write_clip((4200, 2200), 2)
    beyond = {'image/png': bomb, 'application/x-tar': pack(('bomb.png', bomb)), 'video/mp4': clip, 'video/mp4; fps=all': write_clip((320, 240), 60) + clip,
              'video/webm': write_clip((4096, 2160), 2, pixels='yuv444p10le')}
    for kind, body in beyond.items():
        with watch_memory(server) as most: answer = ask(server, body, kind, timeout=600)
        assert 'million that are decoded' in answer.text and '--max' not in answer.text and str(server.temporary) not in answer.text, kind
        assert most[0] < 300e6, kind


def test_slow_clients_are_let_go_and_leave_nothing(server:Server)->None:
    head = b'POST /invocations HTTP/1.1\r\nhost: x\r\ncontent-type: image/png\r\ncontent-length: 1000\r\n'
    slow = {'silent': [], 'half a header': [head], 'a header for ever': [head, *[b'x: y\r\n']*60], 'half a body': [head + b'\r\n' + b'x'*10],
            'a body for ever': [head + b'\r\n', *[b'x']*60]}
    told, begun = dict[str, bytes](), time.monotonic()
    def behave(name:str)->None:
        with socket.create_connection(('127.0.0.1', server.port), timeout=SOON) as client:
            try:
                for part in slow[name]:
                    client.sendall(part)
                    time.sleep(.2)
            except OSError: pass
            try: told[name] = client.recv(1000)
            except ConnectionError: told[name] = b''
    threads = [threading.Thread(target=behave, args=(name,)) for name in slow for _ in range(4)]
    for thread in threads: thread.start()
    assert httpx.get(f'{server.url}/ping', timeout=SOON).status_code == 200 # others are served meanwhile
    assert ask(server, SMALL, 'image/png').status_code == 200
    for thread in threads: thread.join()
    assert time.monotonic() - begun < SOON
    assert {name: said.split(b' ')[1] for name, said in told.items() if said} == {name: b'408' for name, said in told.items() if said} and len(told) == 5
    assert told['silent'] and told['half a body']
    assert not list(server.temporary.iterdir()) and len(server.process.net_connections()) <= 3


def test_a_full_disk_is_a_sentence(tmp_path:Path)->None:
    def limit()->None: # no file may grow beyond 1 MB: the system refuses to write, as it does on a full disk
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
    (folder := tmp_path/'tmp').mkdir()
    with serve(folder, limit) as server:
        answer = ask(server, bytes(3_000_000), 'video/mp4')
        assert (answer.status_code, answer.headers['content-type']) == (507, 'application/json')
        assert 'the server cannot keep the body' in answer.json()['error']
        assert ask(server, SMALL, 'image/png').status_code == 200
        folder.rmdir() # nowhere to write at all
        assert ask(server, SMALL, 'image/png').status_code == 507
        folder.mkdir()


def test_a_full_disk_while_blendshapes_are_written()->None:
    with patch('fea.timeline.results.replace_file', side_effect=OSError(errno.ENOSPC, 'No space left on device')):
        status, body, _ = answer_request(model_fn(str(ROOT/'models')), SAMPLE, 'video/mp4; blendshapes=on', '*/*')
    assert (status, 'cannot keep the body (No space left on device)' in body.decode()) == (507, True)


def test_a_clip_is_answered_as_before(server:Server)->None:
    assert ask(server, SAMPLE, 'video/mp4', 'text/csv').text.count('\n') > 12


def test_it_says_that_it_is_well_while_it_works(server:Server)->None:
    """SageMaker waits 2 s for /ping; here it must be short beside the work, so that a slow machine does not matter. A plain socket, since httpx reads
    all certificates at each call, which on busy cores takes longer than the answer"""
    body, taken, answers = SAMPLE.read_bytes(), list[float](), list[httpx.Response]()
    def ping()->bytes:
        with socket.create_connection(('127.0.0.1', server.port), timeout=SOON) as client:
            client.sendall(b'GET /ping HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n')
            return client.recv(100)
    threads = [threading.Thread(target=lambda: answers.append(ask(server, body, 'video/mp4', 'text/csv', 1200))) for _ in range(8)]
    for thread in threads: thread.start()
    started = time.monotonic()
    while any(thread.is_alive() for thread in threads):
        begun = time.monotonic()
        assert ping().startswith(b'HTTP/1.1 200')
        taken.append(time.monotonic() - begun)
        time.sleep(.1)
    whole = time.monotonic() - started
    print(f'{len(taken)} pings in {whole:.1f} s, half within {median(taken):.3f} s, the slowest {max(taken):.3f} s')
    assert len(taken) > 10 and median(taken) < whole/50 and max(taken) < whole/2
    assert {(answer.status_code, answer.text) for answer in answers} == {(200, answers[0].text)} and len(answers) == 8
