"""A report, a drift check and a study over results that lie in S3, as a user asks for them, against the same over a folder"""
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from installed import SAMPLE
from typer.testing import CliRunner

from fea.cli.main import app
from fea.cluster.places import fetch_file, list_files, put_result
from fea.local_inference import analyze
from fea.timeline.results import RESULT

PEOPLE = ('p1', 'p2')


@pytest.fixture
def places(aws_url:str, tmp_path:Path, monkeypatch:pytest.MonkeyPatch)->tuple[str, str]: # A folder, and the same in S3
    "Two videos and their results, on disk and in a bucket"
    for name, value in {'AWS_ACCESS_KEY_ID': 'x', 'AWS_SECRET_ACCESS_KEY': 'x', 'AWS_DEFAULT_REGION': 'us-east-1', 'AWS_ENDPOINT_URL': aws_url}.items():
        monkeypatch.setenv(name, value)
    from fea.cluster.places import _open_store
    _open_store.cache_clear() # of another server
    from pyarrow.fs import FileSystem
    FileSystem.from_uri('s3://viewers?allow_bucket_creation=true')[0].create_dir('viewers')
    here = tmp_path/'here'
    here.mkdir()
    for person in PEOPLE:
        shutil.copy2(SAMPLE, here/f'{person}.mp4')
        analyze(here/f'{person}.mp4', 1., here/'out'/person, progress=False)
        put_result([here/f'{person}.mp4'], 's3://viewers')
        put_result([here/'out'/person/f'{RESULT}.{end}' for end in ('json', 'csv')], f's3://viewers/out/{person}')
    rows = [(person, 'film', f'out/{person}/{RESULT}.csv') for person in PEOPLE]
    pd.DataFrame(rows, columns=['respondent', 'stimulus', 'video']).to_csv(here/'manifest.csv', index=False)
    put_result([here/'manifest.csv'], 's3://viewers')
    yield str(here), 's3://viewers'
    _open_store.cache_clear()


def run(*words:object)->str:
    done = CliRunner().invoke(app, [str(word) for word in words], prog_name='fea')
    assert done.exit_code == 0, (done.output, done.exception)
    return done.stdout


def test_a_report(places:tuple[str, str], tmp_path:Path)->None:
    "The page lies beside the timeline, which was used and not made anew"
    before = list_files(f'{places[1]}/out/p1')
    for place in places: assert f'{place}/out/p1/report.html' in run('report', f'{place}/p1.mp4', '--out', f'{place}/out')
    after = list_files(f'{places[1]}/out/p1')
    assert after.keys() == before.keys() | {'report.html'} and all(after[name] == found for name, found in before.items())
    pages = [fetch_file(f'{place}/out/p1/report.html', tmp_path/f'{i}.html').read_text() for i, place in enumerate(places)]
    rows = [re.findall(r'<td[^>]*>.*?</td>', page) for page in pages]
    assert rows[0] == rows[1] and len(rows[0]) > 10


def test_a_drift_check(places:tuple[str, str], tmp_path:Path)->None:
    tables = list[pd.DataFrame]()
    for i, place in enumerate(places):
        run('drift', 'check', f'{place}/out', '--out', tmp_path/f'drift{i}')
        tables.append(pd.read_csv(tmp_path/f'drift{i}'/'drift.csv'))
    pd.testing.assert_frame_equal(*tables)


def test_a_study(places:tuple[str, str], tmp_path:Path)->None:
    for i, place in enumerate(places): run('study', f'{place}/manifest.csv', '--out', tmp_path/f'study{i}', '--min-valid', '.5')
    def read(i:int, name:str)->str: return (tmp_path/f'study{i}'/name).read_text().replace(f'{places[i]}/', '')
    for name in ('scores.csv', 'curves.csv', 'respondents.csv'): assert read(0, name) == read(1, name)


@pytest.mark.parametrize('rows', [False, True])
def test_a_plan(places:tuple[str, str], tmp_path:Path, rows:bool)->None:
    "A study.toml on this machine whose manifest, or whose recordings, lie in S3: as on disk; --check reads the manifest and copies no recording"
    for i, place in enumerate(places):
        named = ''.join(f'[[recordings]]\nrespondent = "{person}"\nstimulus = "film"\nvideo = "{place}/out/{person}/{RESULT}.csv"\n' for person in PEOPLE)
        text = '[exclusion]\nmin_valid = 0.5\n'
        (tmp_path/f'plan{i}.toml').write_text(text + named if rows else f'manifest = "{place}/manifest.csv"\n{text}')
        run('study', tmp_path/f'plan{i}.toml', '--check')
        run('study', tmp_path/f'plan{i}.toml', '--out', tmp_path/f'study{i}')
    def read(i:int, name:str)->str: return (tmp_path/f'study{i}'/name).read_text().replace(f'{places[i]}/', '')
    for name in ('scores.csv', 'curves.csv', 'respondents.csv'): assert read(0, name) == read(1, name)
    assert 's3://viewers/out/p1' in (tmp_path/'study1'/'respondents.csv').read_text()
