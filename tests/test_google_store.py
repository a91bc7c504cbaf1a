"""Videos and results in Google Cloud Storage: an emulator of it on 127.0.0.1, asked by the client of pyarrow as a user's would be"""
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from unittest.mock import patch

import pandas as pd
import pytest
from installed import SAMPLE
from typer.testing import CliRunner, Result

from fea.cli.main import app
from fea.cluster import places
from fea.cluster.places import StorageError, check_bucket, fetch_file, find_videos_there, list_files, put_result
from fea.cluster.work import Report, Task, analyze_there
from fea.core.errors import InputError
from fea.local_inference import analyze
from fea.timeline.results import RESULT
from fea.timeline.table import read_timeline

FOLDER, NAMES = 'gs://viewers/Filme der Woche', ('Anna Müller', 'p 2 (ß)')


def run(*words:object)->Result: return CliRunner().invoke(app, [str(word) for word in words], prog_name='fea')


@pytest.fixture
def port(monkeypatch:pytest.MonkeyPatch)->Iterator[int]:
    "A bucket, viewers, of an emulator, which is where this process and its children find Google's store"
    from gcp_storage_emulator.server import create_server
    from pyarrow.fs import FileSystem
    server = create_server('127.0.0.1', 0, in_memory=True)
    server.start()
    number = server._api._httpd.server_address[1]
    monkeypatch.setenv('CLOUD_STORAGE_EMULATOR_ENDPOINT', f'http://127.0.0.1:{number}')
    places._open_store.cache_clear() # of another server
    FileSystem.from_uri('gs://anonymous@viewers?project_id=fea')[0].create_dir('viewers')
    yield number
    server.stop()
    places._open_store.cache_clear()


def test_there_and_back(port:int, tmp_path:Path)->None:
    "Names as people give them, a file of several requests, an empty one; no folder was ever made in the bucket"
    content = {'Anna Müller.mp4': b'first', 'x#1?%20.mp4': b'', 'large.mp4': bytes(range(256))*2**15, 'notes.txt': b'second'}
    for name, data in content.items(): (tmp_path/name).write_bytes(data)
    put_result([tmp_path/name for name in content], FOLDER)
    put_result([tmp_path/'notes.txt'], f'{FOLDER}/below')
    assert {name: found.size for name, found in list_files(FOLDER).items()} == {name: len(data) for name, data in content.items()}
    assert sorted(list_files('gs://viewers', deep=True)) == sorted(f'Filme der Woche/{name}' for name in (*content, 'below/notes.txt'))
    assert all(abs(found.changed - time.time()) < 600 for found in list_files(FOLDER).values())
    assert sorted(found.place for found in find_videos_there([FOLDER + '/'])) == sorted(f'{FOLDER}/{name}' for name in content if name.endswith('.mp4'))
    for name, data in content.items(): assert fetch_file(f'{FOLDER}/{name}', tmp_path/'back').read_bytes() == data
    put_result([tmp_path/'large.mp4'], FOLDER, ['x#1?%20.mp4', 'never'])
    assert sorted(list_files(FOLDER)) == sorted({*content} - {'x#1?%20.mp4'})


def test_what_is_not_there_is_named_at_once(port:int, tmp_path:Path)->None:
    (tmp_path/'table.csv').write_text('x')
    begun = time.monotonic()
    for work in (lambda: fetch_file('gs://viewers/gone.mp4', tmp_path/'gone'), lambda: fetch_file('gs://others/gone.mp4', tmp_path/'gone'),
                 lambda: put_result([tmp_path/'table.csv'], 'gs://others/out')):
        with pytest.raises(InputError, match='no such file, folder or bucket; check the address'): work()
    with pytest.raises(InputError, match='gs://others/out: no such bucket as others'): check_bucket('gs://others/out')
    check_bucket('gs://viewers/out')
    assert list_files('gs://viewers/none') == list_files('gs://others/none') == {}
    assert time.monotonic() - begun < 300 # the client's own patience is a quarter of an hour, each time


def test_a_store_that_is_gone_is_given_up(port:int, monkeypatch:pytest.MonkeyPatch)->None:
    "Google's client would ask by itself for a quarter of an hour, each time"
    monkeypatch.setenv('CLOUD_STORAGE_EMULATOR_ENDPOINT', 'http://127.0.0.1:9')
    places._open_store.cache_clear()
    begun = time.monotonic()
    with patch.object(places._ask_store, '__defaults__', ([0.],)), pytest.raises(StorageError, match='gs://viewers/out: the store did not answer 2 times'):
        list_files('gs://viewers/out')
    assert time.monotonic() - begun < 600


def work_here(ray:object, tasks:Sequence[Task], model:bytes, most:int|None)->Iterator[Report]:
    "What Ray's processes do, in this one: tests/test_cluster.py tries Ray itself"
    return (analyze_there(task, model) for task in tasks)


@patch('fea.cluster.run.connected', lambda *args: nullcontext())
@patch('fea.cluster.run.run_tasks', work_here)
def test_from_bucket_to_bucket(port:int, tmp_path:Path)->None:
    "The command of the how-to: all timelines, once, those of the plain loop; then a report, a study and a drift check of them"
    (here := tmp_path/'films').mkdir()
    for name in NAMES: (here/f'{name}.mp4').write_bytes(SAMPLE.read_bytes())
    put_result(sorted(here.iterdir()), FOLDER)
    command = ('analyze', FOLDER, f'{FOLDER}/Ferien.mp4', '--cluster', 'local', '--jobs', 1, '--fps', 2, '--out')
    refused = run(*command, 'gs://others/out')
    assert isinstance(refused.exception, InputError) and 'gs://others/out: no such bucket as others' in str(refused.exception)
    made = list[dict[str, places.Found]]()
    for status in ('done', 'kept'):
        told = run(*command, 'gs://viewers/out')
        assert told.exit_code == 1 and 'Ferien.mp4: no such file, folder or bucket' in ' '.join(told.output.split()), told.output
        table = pd.read_csv(fetch_file('gs://viewers/out/videos.csv', tmp_path/'videos.csv'))
        assert dict(zip(table.video, table.status, strict=True)) == {**dict.fromkeys([f'{name}.mp4' for name in NAMES], status), 'Ferien.mp4': 'failed'}
        made.append({name: found for name, found in list_files('gs://viewers/out', deep=True).items() if name != 'videos.csv'})
    assert made[0] == made[1] and len(made[0]) == 2*len(NAMES)
    for name in NAMES:
        (folder := tmp_path/'out'/name).mkdir(parents=True)
        for end in ('csv', 'json'): fetch_file(f'gs://viewers/out/{name}/{RESULT}.{end}', folder/f'{RESULT}.{end}')
        pd.testing.assert_frame_equal(read_timeline(folder/f'{RESULT}.csv'), analyze(here/f'{name}.mp4', 2., progress=False, cores=1))
    read_there(tmp_path)


def read_there(here:Path)->None:
    "What reads results says the same of those in the bucket and of their copies"
    rows = [(name, 'film', f'out/{name}/{RESULT}.csv') for name in NAMES]
    pd.DataFrame(rows, columns=['respondent', 'stimulus', 'video']).to_csv(here/'Zuschauer.csv', index=False)
    put_result([here/'Zuschauer.csv'], 'gs://viewers')
    for i, place in enumerate((str(here), 'gs://viewers')):
        done = [run('study', f'{place}/Zuschauer.csv', '--out', here/f'study{i}', '--min-valid', .5),
                run('drift', 'check', f'{place}/out', '--out', here/f'drift{i}')]
        assert [one.exit_code for one in done] == [0, 0], [one.output for one in done]
    def read(i:int, name:str)->str: return re.sub(f'{re.escape(str(here))}/|gs://viewers/', '', (here/name.format(i)).read_text())
    for name in ('study{}/scores.csv', 'study{}/curves.csv', 'study{}/respondents.csv', 'drift{}/drift.csv'): assert read(0, name) == read(1, name), name
    other = run('report', f'{FOLDER}/{NAMES[0]}.mp4', '--fps', 3, '--out', 'gs://viewers/out')
    assert str(other.exception).startswith(f'gs://viewers/out/{NAMES[0]}/{RESULT}.csv: another settings than in this run')
    told = run('report', f'{FOLDER}/{NAMES[0]}.mp4', '--fps', 2, '--out', 'gs://viewers/out')
    assert told.exit_code == 0 and 'report.html' in list_files(f'gs://viewers/out/{NAMES[0]}'), told.output
