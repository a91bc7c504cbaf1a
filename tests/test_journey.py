"""The notebooks that users open: each runs through papermill as it stands, and with what somebody else might give it"""
import json
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import matplotlib.pyplot as plt
import nbformat
import numpy as np
import papermill
import pytest
from pytest_notebooks import test_environment as environment

from fea.core.errors import FeaError

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted(path.relative_to(ROOT/'nbs').with_suffix('').as_posix() for pattern in ('0[1-9]_*.ipynb', 'tutorials/*.ipynb')
    for path in (ROOT/'nbs').glob(pattern))
OF_VIDEOS = ['01_extract', '02_batch_transform', '03_local_inference'] # take a video, or a folder of them
OF_A_VIDEO = ['tutorials/one_viewer', 'tutorials/sagemaker', 'tutorials/what_a_face_does']
RESULT = 'emotion_predictions_with_timestamps.csv'
pytestmark = pytest.mark.timeout(600)


def cells_of(
    name:str, # Notebook below nbs/, without its suffix
)->list[nbformat.NotebookNode]: # Its cells
    "Read a notebook"
    return nbformat.read(ROOT/'nbs'/f'{name}.ipynb', as_version=4).cells


def folder_of(
    name:str, # Notebook below nbs/, without its suffix
)->Path: # Where Jupyter would run it
    "The folder that relative paths in a notebook start from"
    return (ROOT/'nbs'/name).parent


@pytest.fixture(autouse=True)
def at_home(
    monkeypatch:pytest.MonkeyPatch, # Undoes it
)->Iterator[None]:
    "The environment of every test of a notebook; pictures are closed in the end"
    for name in ('FEA_BUCKET', 'SAGEMAKER_ROLE', 'AWS_PROFILE', 'AWS_ENDPOINT_URL', 'AWS_DEFAULT_REGION'): monkeypatch.delenv(name, raising=False)
    for name, value in environment(ROOT).items(): monkeypatch.setenv(name, value)
    yield
    plt.close('all')


@pytest.fixture
def run_in_jupyter(
    tmp_path:Path, # Gets the copy that ran, and the results
    monkeypatch:pytest.MonkeyPatch, # Jupyter has a backend of its own
)->Callable[..., nbformat.NotebookNode]:
    "Run a notebook in a kernel, as papermill does for SageMaker's notebook jobs"
    def run(name:str, **parameters:Any)->nbformat.NotebookNode:
        monkeypatch.delenv('MPLBACKEND')
        return papermill.execute_notebook(
            ROOT/'nbs'/f'{name}.ipynb', tmp_path/'done.ipynb', {'out': str(tmp_path/'out')} | parameters, kernel_name='python3', progress_bar=False,
            cwd=folder_of(name), start_timeout=1200)
    return run


@pytest.fixture
def run_here(
    tmp_path:Path, # Gets the results
    monkeypatch:pytest.MonkeyPatch, # Changes the folder for a while
)->Callable[..., dict[str, Any]]:
    "Run the cells of a notebook in this process, which takes less time than a kernel; gives its variables"
    def run(name:str, **parameters:Any)->dict[str, Any]:
        monkeypatch.chdir(folder_of(name))
        names:dict[str, Any] = {'__name__': '__main__'}
        try:
            for cell in cells_of(name):
                if cell.cell_type != 'code': continue
                exec(compile(cell.source, name, 'exec'), names) # as Jupyter does
                if 'parameters' in cell.metadata.get('tags', ()): names.update({'out': str(tmp_path/'out')} | parameters)
            return names
        except BaseException: # a notebook that stops leaves its stand-in running, as a user's does until the kernel ends
            if names.get('stand_in'): names['stand_in'].__exit__(None, None, None)
            raise
    return run


def write_clip(
    path:Path, # `.mp4`
    pictures:Iterator[np.ndarray], # RGB, uint8 (H, W, 3), sides even
    fps:Fraction, # Frames per second
)->Path: # The same
    "Encode pictures"
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('libx264', rate=fps, options={'preset': 'veryfast'})
        for number, picture in enumerate(pictures):
            if not number: stream.height, stream.width = picture.shape[:2]
            frame = av.VideoFrame.from_ndarray(picture, format='rgb24')
            frame.pts, frame.time_base = number, 1 / fps
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def read_pictures(
    video:Path, # The sample
)->Iterator[np.ndarray]: # RGB, uint8 (H, W, 3)
    "Its second half, every other frame, mirrored and cropped"
    with av.open(str(video)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            picture = frame.to_ndarray(format='rgb24')
            if frame.time >= 7 and number % 2 == 0: yield np.ascontiguousarray(picture[:-8, -4:8:-1])


@pytest.fixture(scope='session')
def other_clip(
    tmp_path_factory:pytest.TempPathFactory, # Where to
)->Path:
    "A video that the repository does not have: other length, size, rate and name"
    return write_clip(tmp_path_factory.mktemp('other')/'Ânna $1$ take 2.mp4', read_pictures(ROOT/'samples/sample.mp4'), Fraction(30000, 1001))


@pytest.fixture(scope='session')
def empty_wall(
    tmp_path_factory:pytest.TempPathFactory, # Where to
)->Path:
    "A video in which nobody is seen"
    ramp = np.tile(np.linspace(90, 160, 192).astype(np.uint8), (144, 1))
    return write_clip(tmp_path_factory.mktemp('wall')/'wall.mp4', (np.stack([np.roll(ramp, 2 * i, 1)] * 3, -1) for i in range(40)), Fraction(10))


@pytest.mark.parametrize('name', NOTEBOOKS)
def test_notebook_opens_with_its_parameters(
    name:str, # Notebook
)->None:
    "One cell of parameters near the top, a result within eight cells, at most thirty cells, nothing that only developers have"
    cells = cells_of(name)
    tagged = [i for i, cell in enumerate(cells) if 'parameters' in cell.metadata.get('tags', ())]
    assert len(tagged) == 1 and tagged[0] <= 3
    assert len(cells) <= 30
    assert any(cell.cell_type == 'code' and cell.outputs for cell in cells[:8])
    code = '\n'.join(cell.source for cell in cells if cell.cell_type == 'code')
    assert 'fastcore' not in code and '\nout = ' in '\n' + cells[tagged[0]].source
    assert f'{ROOT}/' not in json.dumps(cells) # With a slash: a checkout may be called as a word of the text begins, such as /check


@pytest.mark.parametrize('name', NOTEBOOKS)
def test_notebook_as_it_stands(
    name:str, # Notebook
    run_in_jupyter:Callable[..., nbformat.NotebookNode], # Runner
    tmp_path:Path, # Results
)->None:
    "It runs to its end, and its results stay"
    run_in_jupyter(name)
    assert [path for path in (tmp_path/'out').rglob('*') if path.is_file()]


@pytest.mark.parametrize('name', [name for name in OF_VIDEOS + OF_A_VIDEO if name in NOTEBOOKS])
def test_another_clip(
    name:str, # Notebook
    run_in_jupyter:Callable[..., nbformat.NotebookNode], # Runner
    other_clip:Path, # A video
    tmp_path:Path, # Results
)->None:
    "It runs with a video of the user's own, whose result stays"
    run_in_jupyter(name, video=str(other_clip), fps=2)
    assert list((tmp_path/'out').rglob('frames.csv' if name == '01_extract' else RESULT))


@pytest.mark.parametrize('name', [name for name in OF_VIDEOS + OF_A_VIDEO if name in NOTEBOOKS])
def test_nobody_is_seen(
    name:str, # Notebook
    run_here:Callable[..., dict[str, Any]], # Runner
    empty_wall:Path, # A video
)->None:
    "It runs with a video without a face"
    run_here(name, video=str(empty_wall))


@pytest.mark.parametrize('name', [name for name in OF_VIDEOS if name in NOTEBOOKS])
def test_folder_with_a_bad_file(
    name:str, # Notebook
    run_here:Callable[..., dict[str, Any]], # Runner
    other_clip:Path, # A video
    tmp_path:Path, # Results
)->None:
    "Timelines of the good videos are written although one cannot be read; stills say which one it is"
    films = tmp_path/'films'
    films.mkdir()
    (films/'a broken.mp4').write_bytes(b'no video')
    (films/'b.mp4').write_bytes(other_clip.read_bytes())
    if name == '01_extract':
        with pytest.raises(FeaError, match=r'a broken\.mp4'): run_here(name, video=str(films))
    else:
        run_here(name, video=str(films))
        assert (tmp_path/'out'/'b'/RESULT).is_file()


@pytest.mark.parametrize(('given', 'sentence'), [
    ({'video': 'gone.mp4'}, 'gone.mp4: no such file'), ({'video': 'EMPTY'}, 'holds neither pictures nor videos'),
    ({'fps': 'fast'}, 'fps is fast: give the number')])
@pytest.mark.parametrize('name', [name for name in OF_VIDEOS + OF_A_VIDEO if name in NOTEBOOKS])
def test_bad_request(
    name:str, # Notebook
    given:dict[str, Any], # Parameters
    sentence:str, # What is said
    run_here:Callable[..., dict[str, Any]], # Runner
    tmp_path:Path, # An empty folder in it
)->None:
    "It stops with the sentence that the command line prints"
    (tmp_path/'nothing').mkdir()
    given = {key: str(tmp_path/'nothing') if value == 'EMPTY' else value for key, value in given.items()}
    with pytest.raises(FeaError) as caught: run_here(name, **given)
    assert sentence in str(caught.value) and '\n' not in str(caught.value)


def test_jupyter_shows_the_sentence_alone(
    run_in_jupyter:Callable[..., nbformat.NotebookNode], # Runner
    tmp_path:Path, # The copy that ran
)->None:
    "An error of fea is one line in the notebook, without a traceback"
    with pytest.raises(papermill.PapermillExecutionError, match=r'InputError: gone\.mp4: no such file'): run_in_jupyter('01_extract', video='gone.mp4')
    done = nbformat.read(tmp_path/'done.ipynb', as_version=4)
    shown = [output.traceback for cell in done.cells if cell.cell_type == 'code' for output in cell.outputs if output.output_type == 'error']
    assert shown == [['InputError: gone.mp4: no such file; check its name and the folder']]
