"""What a cluster meets: killed processes, a machine that leaves, bad videos, a store that refuses for a while, whoever waits being killed

Ray itself, two nodes of one core on 127.0.0.1. After each fault: no result lost, none twice, every row that of the plain loop.
"""
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from unittest.mock import patch

import av
import pandas as pd
import psutil
import pytest
from installed import ROOT, SAMPLE

from fea.cluster.places import fetch_file, list_files
from fea.cluster.run import SUMMARY, run_on_cluster
from fea.cluster.tasks import RETRIES
from fea.cluster.work import Report, Task, analyze_there
from fea.local_inference import analyze
from fea.timeline.results import RESULT
from fea.timeline.table import read_timeline

pytestmark = pytest.mark.skipif(find_spec('ray') is None, reason='NO RAY: the cluster was not tried') # not loaded yet: it reads the environment when it is
FPS, PATIENCE = 10., 1200 # s; nothing takes that long, but a machine may be ten times slower
LENGTHS = {'p1': 2., 'p2': 3., 'p3': 4., 'p4': 5.} # s of the sample


def cut(path:Path, length:float)->None:
    "The beginning of the sample, its packets as they are"
    with av.open(str(SAMPLE)) as source, av.open(str(path), 'w') as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        for packet in source.demux(stream):
            if packet.pts is None or float(packet.pts*packet.time_base) >= length: continue
            packet.stream = copy
            target.mux(packet)


@pytest.fixture(scope='module')
def films(tmp_path_factory:pytest.TempPathFactory)->Path:
    "Four clips"
    folder = tmp_path_factory.mktemp('films')
    for name, length in LENGTHS.items(): cut(folder/f'{name}.mp4', length)
    return folder


@pytest.fixture(scope='module')
def plain(films:Path)->dict[str, pd.DataFrame]:
    "What the plain loop makes of them"
    return {name: analyze(films/f'{name}.mp4', FPS, progress=False, cores=1) for name in LENGTHS}


@dataclass
class Store:
    "An S3 on this machine that can refuse"
    url:str
    refusals:int=0 # Requests that it will refuse
    refused:int=0 # That it has refused


@pytest.fixture(scope='module')
def store()->Iterator[Store]:
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server
    class Silent(WSGIRequestHandler):
        protocol_version = 'HTTP/1.1'
        def log_request(self, *args:object)->None: pass
    backend, lock = DomainDispatcherApplication(create_backend_app), threading.Lock()
    def answer(environ:dict, start:Callable)->object:
        with lock:
            busy = known.refusals > 0
            known.refusals, known.refused = known.refusals - busy, known.refused + busy
        if not busy: return backend(environ, start)
        environ['wsgi.input'].read(int(environ.get('CONTENT_LENGTH') or 0))
        start('503 Slow Down', [('Content-Type', 'application/xml')])
        return [b'<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>']
    server = make_server('127.0.0.1', 0, answer, threaded=True, request_handler=Silent)
    known = Store(f'http://127.0.0.1:{server.port}')
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield known
    server.shutdown()


@dataclass
class Nodes:
    "A cluster of Ray on this machine"
    address:str
    raylets:list[int] # Processes of the two nodes
    process:subprocess.Popen[str] # That holds them

    def workers(self, node:slice=slice(2))->list[psutil.Process]: # That have a task of ours in hand
        "Processes at work; of one node, or of both"
        found = list[psutil.Process]()
        for raylet in self.raylets[node]:
            with contextlib.suppress(psutil.NoSuchProcess):
                for child in psutil.Process(raylet).children(recursive=True):
                    with contextlib.suppress(psutil.NoSuchProcess):
                        if 'analyze_there' in ' '.join(child.cmdline()): found.append(child)
        return found

    def remove_second(self)->None:
        "Take the second node away, at once"
        assert self.process.stdin is not None
        self.process.stdin.write('remove\n')
        self.process.stdin.flush()


@pytest.fixture(scope='module')
def nodes(store:Store)->Iterator[Nodes]:
    environment = {'AWS_ACCESS_KEY_ID': 'x', 'AWS_SECRET_ACCESS_KEY': 'x', 'AWS_EC2_METADATA_DISABLED': 'true', 'AWS_DEFAULT_REGION': 'us-east-1',
                   'AWS_ENDPOINT_URL': store.url, 'PYTHONPATH': str(ROOT), 'OMP_WAIT_POLICY': 'PASSIVE', 'RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER': '0'}
    with pytest.MonkeyPatch.context() as patched:
        for name, value in environment.items(): patched.setenv(name, value)
        process = subprocess.Popen([sys.executable, str(ROOT/'tests'/'ray_nodes.py')], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert process.stdin is not None and process.stdout is not None
        try:
            told = process.stdout.readline()
            if not told: pytest.skip('RAY DID NOT START ON THIS MACHINE: the faults of a cluster were not tried')
            yield Nodes(**json.loads(told), process=process)
        finally:
            process.stdin.close()
            try: process.wait(60)
            except subprocess.TimeoutExpired: process.kill()


def wait_until(check:Callable[[], object])->None:
    end = time.monotonic() + PATIENCE
    while not check():
        assert time.monotonic() < end, 'it never happened'
        time.sleep(.02)


@contextlib.contextmanager
def meanwhile(work:Callable[[], None])->Iterator[None]:
    "Do something at the side, and tell how it went"
    errors = list[BaseException]()
    def run()->None:
        try: work()
        except BaseException as e: errors.append(e)
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield
    thread.join(PATIENCE)
    assert not errors, errors
    assert not thread.is_alive()


def check_results(out:str, plain:dict[str, pd.DataFrame], tmp_path:Path)->None:
    "Every clip has one whole result, row by row that of the plain loop, and nothing else lies there"
    ends = (f'{RESULT}.csv', f'{RESULT}.json')
    assert sorted(list_files(out, deep=True)) == sorted([*(f'{name}/{end}' for name in plain for end in ends), SUMMARY])
    for name, table in plain.items():
        here = tmp_path/f'check-{name}'
        here.mkdir()
        for end in ends: fetch_file(f'{out}/{name}/{end}', here/end)
        pd.testing.assert_frame_equal(read_timeline(here/ends[0]), table)
    if '://' not in out: assert not list(Path(out).rglob('.*'))


def run(nodes:Nodes, videos:list[str], out:str)->dict[str, Report]: # By the name of the result
    return {report.folder.rpartition('/')[2]: report for report in run_on_cluster(videos, out, FPS, cluster=nodes.address, progress=False)}


def test_bad_videos_stop_nobody(nodes:Nodes, films:Path, plain:dict[str, pd.DataFrame], tmp_path:Path)->None:
    "One that breaks off, one that is none, one that is not there; both nodes work"
    (tmp_path/'cut.mp4').write_bytes(SAMPLE.read_bytes()[:150_000])
    (tmp_path/'text.mp4').write_text('no video')
    bad = [str(tmp_path/name) for name in ('cut.mp4', 'text.mp4', 'gone.mp4')]
    found = run(nodes, [bad[0], str(films), *bad[1:]], str(tmp_path/'out'))
    assert {name: report.status for name, report in found.items()} == {
        'cut': 'partial', **dict.fromkeys(plain, 'done'), 'text': 'failed', 'gone': 'failed'}
    assert 'breaks off' in found['cut'].note and 'is not a video' in found['text'].note and 'no such file' in found['gone'].note
    assert {path.name for path in (tmp_path/'out'/'cut').iterdir()} == {f'{RESULT}.partial.csv', f'{RESULT}.partial.json'}
    shutil.rmtree(tmp_path/'out'/'cut')
    check_results(str(tmp_path/'out'), plain, tmp_path)
    table = pd.read_csv(tmp_path/'out'/SUMMARY)
    assert table.status.tolist() == ['partial', *['done']*4, 'failed', 'failed']


def test_a_killed_process_costs_nothing(nodes:Nodes, films:Path, plain:dict[str, pd.DataFrame], tmp_path:Path)->None:
    "SIGKILL for two processes that are at work"
    killed = list[int]()
    def kill_two()->bool:
        for worker in nodes.workers():
            if worker.pid in killed or len(killed) == 2: continue
            worker.kill()
            killed.append(worker.pid)
        return len(killed) == 2
    with meanwhile(lambda: wait_until(kill_two)): found = run(nodes, [str(films)], str(tmp_path/'out'))
    assert len(killed) == 2 and {report.status for report in found.values()} == {'done'}
    check_results(str(tmp_path/'out'), plain, tmp_path)


def die_of_p2(task:Task, model:bytes)->Report:
    "As `analyze_there`, but one video ends its process, as one would that takes all the memory"
    if 'p2' not in task.source: return analyze_there(task, model)
    with open(f'{task.folder}-attempts', 'a') as file: file.write('x')
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def test_a_video_that_always_kills_is_given_up(nodes:Nodes, films:Path, plain:dict[str, pd.DataFrame], tmp_path:Path)->None:
    import ray
    (tmp_path/'out').mkdir()
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    try:
        with patch('fea.cluster.tasks.analyze_there', die_of_p2): found = run(nodes, [str(films/'p1.mp4'), str(films/'p2.mp4')], str(tmp_path/'out'))
    finally: ray.cloudpickle.unregister_pickle_by_value(sys.modules[__name__])
    assert {name: report.status for name, report in found.items()} == {'p1': 'done', 'p2': 'failed'}
    assert 'its process or machine ended each time (WorkerCrashedError)' in found['p2'].note
    assert (tmp_path/'out'/'p2-attempts').read_text() == 'x'*(RETRIES + 1)
    (tmp_path/'out'/'p2-attempts').unlink()
    check_results(str(tmp_path/'out'), {'p1': plain['p1']}, tmp_path)


def test_a_store_that_refuses_for_a_while(nodes:Nodes, store:Store, films:Path, plain:dict[str, pd.DataFrame], tmp_path:Path)->None:
    "503 from S3 when it is listed, when videos are fetched, when results are written; then the same again, and nothing is done twice"
    import boto3
    s3 = boto3.client('s3')
    s3.create_bucket(Bucket='study')
    for name in plain: s3.upload_file(str(films/f'{name}.mp4'), 'study', f'films/{name}.mp4')
    def refuse()->None:
        for folder in ('films', 'out'):
            store.refusals += 12
            wait_until(lambda: store.refusals == 0)
            if folder == 'films': wait_until(lambda: s3.list_objects_v2(Bucket='study', Prefix='out/').get('KeyCount'))
    with meanwhile(refuse): found = run(nodes, ['s3://study/films'], 's3://study/out')
    assert store.refused >= 24 and {report.status for report in found.values()} == {'done'}
    check_results('s3://study/out', plain, tmp_path)
    made = {item['Key']: item['LastModified'] for item in s3.list_objects_v2(Bucket='study', Prefix='out/p')['Contents']}
    assert {report.status for report in run(nodes, ['s3://study/films'], 's3://study/out').values()} == {'kept'}
    assert {item['Key']: item['LastModified'] for item in s3.list_objects_v2(Bucket='study', Prefix='out/p')['Contents']} == made


def test_whoever_waits_is_killed_and_begins_again(nodes:Nodes, films:Path, plain:dict[str, pd.DataFrame], tmp_path:Path)->None:
    "The command is killed after its first result; the second one keeps what is there and does the rest"
    out = tmp_path/'out'
    command = [sys.executable, '-c', 'from fea.cli.main import main; main()', 'analyze', str(films), '--fps', f'{FPS:g}', '--out', str(out)]
    command += ['--cluster', nodes.address]
    first = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=tmp_path, text=True)
    def whole()->list[Path]: return list(out.glob(f'*/{RESULT}.csv'))
    wait_until(lambda: whole() or first.poll() is not None)
    first.kill()
    said = first.communicate()[0]
    assert whole(), said
    wait_until(lambda: not nodes.workers()) # Ray ends the tasks of somebody who is gone
    ready = out.glob(f'*/.*.fea-ready/{RESULT}.csv') # whole; who wrote them was killed before they had their names
    kept = {file.relative_to(out).parts[0]: file.stat().st_mtime_ns for file in [*whole(), *ready]}
    found = run(nodes, [str(films)], str(out))
    assert {name for name, report in found.items() if report.status == 'kept'} == kept.keys()
    assert {report.status for report in found.values()} <= {'kept', 'done'}
    assert {name: (out/name/f'{RESULT}.csv').stat().st_mtime_ns for name in kept} == kept
    check_results(str(out), plain, tmp_path)


def test_a_machine_that_leaves(nodes:Nodes, films:Path, plain:dict[str, pd.DataFrame], tmp_path:Path)->None:
    "The second node is taken away while it works; the first one does the rest"
    def leave()->None:
        wait_until(lambda: nodes.workers(slice(1, 2)))
        nodes.remove_second()
    with meanwhile(leave): found = run(nodes, [str(films)], str(tmp_path/'out'))
    assert {report.status for report in found.values()} == {'done'}
    check_results(str(tmp_path/'out'), plain, tmp_path)
