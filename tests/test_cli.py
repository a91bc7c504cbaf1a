"The `fea` command as a user runs it: in a process of its own, with its exit codes, messages and files."
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fea.timeline.table import has_geometry, read_timeline

ROOT = Path(__file__).parent.parent
SAMPLE = ROOT/'samples'/'sample.mp4'
NAME = 'emotion_predictions_with_timestamps'


def command(*args):
    return [sys.executable, '-c', 'from fea.cli.main import main; main()', *map(str, args)]


def run_fea(*args, code=0, cwd=None, env=None):
    "Run the command; whatever happens, a user sees no traceback"
    done = subprocess.run(command(*args), capture_output=True, text=True, timeout=900, cwd=cwd,
                          env={**os.environ, 'PYTHONPATH': str(ROOT), **(env or {})})
    assert 'Traceback' not in done.stderr, done.stderr
    assert done.returncode == code, f'exit code {done.returncode}, not {code}\n{done.stdout}{done.stderr}'
    return done


def write_video(path, seconds=2, fps=10, codec='libx264', audio=False):
    "A clip of noise without any face"
    rng = np.random.default_rng(0)
    with av.open(str(path), 'w') as container:
        if audio:
            stream = container.add_stream('aac', rate=44100)
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 44100), np.float32), format='fltp', layout='mono')
            frame.rate = 44100
        else:
            stream = container.add_stream(codec, rate=fps)
            stream.width, stream.height, stream.pix_fmt = 320, 240, 'yuv420p'
        for _ in range(1 if audio else seconds * fps):
            if not audio: frame = av.VideoFrame.from_ndarray(rng.integers(90, 110, (240, 320, 3), np.uint8), format='rgb24')
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def test_version_and_help():
    assert run_fea('--version').stdout.startswith('fea 0.')
    text = run_fea('--help').stdout
    for word in ('analyze', 'extract', 'train', 'average', 'evaluate', 'does not measure what a person feels'): assert word in ' '.join(text.split())
    assert '--resume' in run_fea('analyze', '--help').stdout


def test_sample_clip(tmp_path):
    done = run_fea('analyze', SAMPLE, '--out', tmp_path, '--plot')
    for words in ('Neutral', 'no face', 'Happy', f'{NAME}.csv', 'timeline.png'): assert words in done.stdout
    assert (tmp_path/'sample'/'timeline.png').read_bytes()[:4] == b'\x89PNG'
    lines = (tmp_path/'sample'/f'{NAME}.csv').read_text().splitlines()
    assert lines[0].startswith('frame,timestamp,emotion,time,face,')
    assert lines[1].startswith('frame_0000.jpg,0:00:00,Neutral,0.0,1,')
    assert len(lines) == 1 + 4 + 2 + 3 + 2*3


def test_result_is_kept_unless_overwrite(tmp_path):
    run_fea('analyze', SAMPLE, '--out', tmp_path)
    csv = tmp_path/'sample'/f'{NAME}.csv'
    csv.write_text('precious')
    assert 'exists already and was kept' in run_fea('analyze', SAMPLE, '--out', tmp_path, code=2).stderr
    assert csv.read_text() == 'precious'
    run_fea('analyze', SAMPLE, '--out', tmp_path, '--overwrite')
    assert csv.read_text() != 'precious'


def test_parquet(tmp_path):
    run_fea('analyze', SAMPLE, '--out', tmp_path, '--format', 'parquet')
    from fea.timeline.table import read_timeline
    assert read_timeline(tmp_path/'sample'/f'{NAME}.parquet').attrs['fea']['complete']


def test_geometry_blendshapes_and_tables_without(tmp_path):
    run_fea('analyze', SAMPLE, '--fps', '.5', '--out', tmp_path/'plain', '--no-geometry')
    run_fea('analyze', SAMPLE, '--fps', '.5', '--out', tmp_path/'full', '--blendshapes')
    folders = [tmp_path/name/'sample' for name in ('plain', 'full')]
    narrow, wide = (read_timeline(folder/f'{NAME}.csv') for folder in folders)
    assert not has_geometry(narrow) and has_geometry(wide)
    pd.testing.assert_frame_equal(narrow, wide[narrow.columns])
    shapes = pd.read_csv(folders[1]/'blendshapes.csv')
    assert len(shapes.columns) == 54 and len(shapes) == wide.emotion.notna().sum()
    assert not (folders[0]/'blendshapes.csv').exists()
    about = folders[0]/f'{NAME}.json' # does not say what was not known yet
    older = json.loads(about.read_text())
    for name in ('geometry', 'blendshapes'): del older['settings'][name]
    about.write_text(json.dumps(older))
    run_fea('analyze', SAMPLE, '--fps', '.5', '--out', tmp_path/'plain', '--resume')
    about.write_text(json.dumps({key: value for key, value in older.items() if key != 'mesh'})) # its faces were found without the networks of the points
    assert 'another mesh than in this run; start anew' in run_fea('analyze', SAMPLE, '--fps', '.5', '--out', tmp_path/'plain', '--resume', code=2).stderr
    refused = run_fea('analyze', SAMPLE, '--out', tmp_path/'none', '--no-geometry', '--blendshapes', code=2)
    assert 'leave out --no-geometry' in refused.stderr


@pytest.mark.parametrize('fps', ['0', '-1', 'nan', 'fast'])
def test_bad_sampling_rate(tmp_path, fps):
    assert f'--fps {fps}' in run_fea('analyze', SAMPLE, '--fps', fps, '--out', tmp_path/'out', code=2).stderr
    assert not (tmp_path/'out').exists()


def make_bad_input(kind, folder):
    path = folder/f'{kind}.mp4'
    if kind == 'empty': path.touch()
    if kind == 'text': path.write_text('this is no video\n' * 100)
    if kind == 'audio': write_video(path, audio=True)
    if kind == 'folder': path.mkdir()
    if kind == 'headless': path.write_bytes(SAMPLE.read_bytes()[100_000:])
    return path


@pytest.mark.parametrize('kind', ['missing', 'empty', 'text', 'audio', 'folder', 'headless'])
def test_bad_input_is_named_and_leaves_nothing(tmp_path, kind):
    path = make_bad_input(kind, tmp_path)
    done = run_fea('analyze', path, '--out', tmp_path/'out', code=2)
    assert path.name in done.stderr and len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert not list((tmp_path/'out').rglob('*.csv'))


def test_no_face_is_said(tmp_path):
    done = run_fea('analyze', write_video(tmp_path/'noise.mp4'), '--out', tmp_path)
    assert 'no face was found in any of the 2 stills' in done.stdout
    rows = (tmp_path/'noise'/f'{NAME}.csv').read_text().splitlines()[1:]
    assert [row.split(',')[2] for row in rows] == ['', '']


def test_more_fps_than_the_video_has(tmp_path):
    done = run_fea('analyze', write_video(tmp_path/'slow.mp4', fps=5), '--fps', '50', '--out', tmp_path)
    assert 'note:' in done.stderr
    assert len((tmp_path/'slow'/f'{NAME}.csv').read_text().splitlines()) == 1 + 10


def test_truncated_video_is_kept_and_marked(tmp_path):
    cut = tmp_path/'cut.mp4'
    cut.write_bytes(SAMPLE.read_bytes()[:150_000])
    done = run_fea('analyze', cut, '--out', tmp_path, code=2)
    assert 'cut.mp4' in done.stderr
    assert sorted(p.name for p in (tmp_path/'cut').iterdir()) == [f'{NAME}.partial.csv', f'{NAME}.partial.json']
    assert len((tmp_path/'cut'/f'{NAME}.partial.csv').read_text().splitlines()) > 3


def test_one_bad_video_of_many(tmp_path):
    (tmp_path/'bad.mp4').write_text('no video')
    done = run_fea('analyze', SAMPLE, tmp_path/'bad.mp4', write_video(tmp_path/'noise.mp4'), '--out', tmp_path/'out', code=1)
    assert '2 of 3 videos analysed' in done.stdout and 'bad.mp4' in done.stdout
    assert sorted(p.parent.name for p in (tmp_path/'out').rglob('*.csv')) == ['noise', 'sample']


def test_folder_that_cannot_be_written(tmp_path):
    (tmp_path/'file').touch()
    assert 'cannot be written' in run_fea('analyze', SAMPLE, '--out', tmp_path/'file', code=2).stderr


@pytest.mark.skipif(not Path('/dev/full').exists(), reason='needs /dev/full, a device that is always full')
def test_full_disk(tmp_path):
    (tmp_path/'out'/'sample').mkdir(parents=True)
    older = tmp_path/'out'/'sample'/f'{NAME}.partial.csv'
    older.write_text('what an interrupted run left')
    full = tmp_path/'full' # a Python in which everything that is flushed to the disk finds it full
    full.mkdir()
    (full/'sitecustomize.py').write_text('import os\nos.fsync = lambda _: os.write(os.open("/dev/full", os.O_WRONLY), b"x")\n')
    done = run_fea('analyze', SAMPLE, '--out', tmp_path/'out', '--overwrite', code=2, env={'PYTHONPATH': f'{full}:{ROOT}'})
    assert 'cannot be written (No space left on device); make room' in done.stderr
    assert older.read_text() == 'what an interrupted run left'
    assert [path.name for path in older.parent.iterdir()] == [older.name]


def test_interrupt_leaves_a_readable_part_that_can_be_resumed(tmp_path):
    partial = tmp_path/'sample'/f'{NAME}.partial.csv'
    args = ['analyze', SAMPLE, '--fps', 'all', '--out', tmp_path]
    process = subprocess.Popen(command(*args), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, 'PYTHONPATH': str(ROOT)},
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)) # a shell in the background ignores it
    deadline = time.monotonic() + 900
    while not (partial.exists() and partial.read_text().count('\n') > 30):
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 130 and 'Traceback' not in errors and 'go on with --resume' in errors, errors
    from fea.timeline.table import read_timeline
    left = read_timeline(partial)
    run_fea(*args, '--resume')
    whole = read_timeline(tmp_path/'sample'/f'{NAME}.csv')
    assert 30 <= len(left) < len(whole)
    assert whole.frame.nunique() == 360
    assert whole.frame.tolist()[:len(left)] == left.frame.tolist()
    assert not partial.exists()



def test_several_at_a_time_are_the_same_as_one_by_one(tmp_path):
    videos = [tmp_path/f'{name}.mp4' for name in 'ab']
    for video in videos: video.symlink_to(SAMPLE)
    (tmp_path/'broken.mp4').write_bytes(b'no video')
    given = [videos[0], tmp_path/'broken.mp4', videos[1]]
    one, two = (run_fea('analyze', *given, '--jobs', jobs, '--out', tmp_path/jobs, code=1) for jobs in '12')
    assert one.stdout == two.stdout.replace(f'{tmp_path}/2/', f'{tmp_path}/1/') and '2 of 3 videos analysed' in two.stdout
    assert one.stderr == two.stderr and 'broken.mp4' in two.stderr
    for name in 'ab': assert len({(tmp_path/jobs/name/f'{NAME}.csv').read_bytes() for jobs in '12'}) == 1 # to the last byte
    assert run_fea('analyze', *videos, '--jobs', '2', '--out', tmp_path/'2', '--resume').stdout.count('12 stills') == 2


def test_interrupt_of_several_at_a_time_leaves_a_part_of_each(tmp_path):
    for name in 'ab': (tmp_path/f'{name}.mp4').symlink_to(SAMPLE)
    partial = [tmp_path/'out'/name/f'{NAME}.partial.csv' for name in 'ab']
    args = ['analyze', tmp_path/'a.mp4', tmp_path/'b.mp4', '--fps', 'all', '--jobs', '2', '--out', tmp_path/'out']
    process = subprocess.Popen(command(*args), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, 'PYTHONPATH': str(ROOT)},
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    deadline = time.monotonic() + 900
    while not all(path.exists() and path.read_text().count('\n') > 10 for path in partial):
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 130 and 'Traceback' not in errors and 'go on with --resume' in errors, errors
    from fea.timeline.table import read_timeline
    left = [read_timeline(path) for path in partial]
    assert [json.loads(path.with_suffix('.json').read_text())['reason'] for path in partial] == ['interrupted']*2
    run_fea(*args, '--resume')
    for path, before in zip(partial, left, strict=True):
        whole = read_timeline(path.with_name(f'{NAME}.csv'))
        assert 10 <= len(before) < whole.frame.nunique() == 360 and whole.frame.tolist()[:len(before)] == before.frame.tolist() and not path.exists()


def test_extract(tmp_path):
    run_fea('extract', SAMPLE, '--fps', '2', '--out', tmp_path/'stills')
    assert len(list((tmp_path/'stills').glob('frame_????.jpg'))) == 24
    assert 'missing.mp4' in run_fea('extract', 'missing.mp4', '--out', tmp_path/'x', code=2).stderr


def test_training_without_data_says_what_is_missing(tmp_path):
    assert 'no data set in a known layout' in run_fea('train', tmp_path, '--out', tmp_path/'run', '--weights', 'none', code=2).stderr


def test_training_takes_the_labels_that_a_data_set_has(tmp_path):
    pytest.importorskip('torch')
    rng, rows = np.random.default_rng(0), {'train': [], 'test': []}
    for part, count in (('train', 140), ('test', 7)):
        for i in range(count):
            folder = tmp_path/'raf'/'DATASET'/part/str(i % 7 + 1)
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 255, (100, 100), np.uint8)).save(folder/f'{part}_{i}_aligned.jpg')
            rows[part].append(f'{part}_{i}_aligned.jpg,{i % 7 + 1}')
        (tmp_path/'raf'/f'{part}_labels.csv').write_text('\n'.join(['image,label', *rows[part]]) + '\n')
    refused = run_fea('train', tmp_path/'raf', '--weights', 'none', '--batch-size', '500', '--out', tmp_path/'run', code=2).stderr
    assert 'do not fill one batch of 500' in refused, refused
    assert 'give --votes fer2013new' in run_fea('evaluate', tmp_path/'raf', '--votes', 'label_csv', code=2).stderr
    assert 'votes' not in run_fea('average', tmp_path/'raf', tmp_path/'none', '--out', tmp_path/'average', code=2).stderr
    run_fea('evaluate', tmp_path/'raf', '--quick', '--out', tmp_path/'evaluation')
    assert json.loads((tmp_path/'evaluation'/'metrics.json').read_text())['votes'] == 'RAF-DB'


def test_evaluate_refuses_options_that_it_would_ignore(tmp_path):
    clips = ('evaluate', '--videos', tmp_path)
    for option in (('--groups', 'people.csv'), ('--split', 'test'), ('--quick',), ('--votes', 'label_csv')):
        assert f'{option[0]}: only for DATA' in run_fea(*clips, *option, code=2).stderr
    for option in (('--labels', 'l.csv'), ('--truth', 'crowd'), ('--answer', 'apex'), ('--fps', '2')):
        assert f'{option[0]}: only for clips' in run_fea('evaluate', tmp_path, *option, code=2).stderr


def test_a_name_that_no_disk_can_hold_is_the_inputs_fault(tmp_path):
    name = tmp_path/('x'*300 + '.mp4')
    for args in (('analyze', name), ('analyze', name, '--out', tmp_path/'out'), ('extract', name, '--out', tmp_path/'stills'), ('report', name)):
        said = run_fea(*args, code=2, cwd=tmp_path).stderr
        assert said.startswith('error: ') and 'defect' not in said and 'written' not in said, said


def test_study_drops_no_option_without_a_word(tmp_path):
    (tmp_path/'viewers.csv').write_text('respondent,stimulus,video\nP01,film,viewers.csv\n')
    (tmp_path/'scenes.csv').write_text('start,end,label\n0,4,opening\n')
    said = run_fea('study', 'viewers.csv', '--segments', 'scenes.csv', '--write-config', 'study.toml', code=2, cwd=tmp_path).stderr
    assert 'study.toml: --segments cannot be written into it' in said and not (tmp_path/'study.toml').exists()
    films = ('--stimulus-video', 'a.mp4', '--stimulus-video', 'b.mp4')
    assert 'a.mp4 and b.mp4 belong to one stimulus' in run_fea('study', 'viewers.csv', *films, code=2, cwd=tmp_path).stderr
    films = ('--stimulus-video', 'film=a.mp4', '--stimulus-video', 'film=b.mp4')
    assert 'a.mp4 and b.mp4 belong to one stimulus' in run_fea('study', 'viewers.csv', *films, code=2, cwd=tmp_path).stderr


def test_quiet_prints_paths_alone(tmp_path):
    done = run_fea('--quiet', 'analyze', SAMPLE, '--out', 'out', '--plot', cwd=tmp_path)
    assert done.stdout.splitlines() == [f'out/sample/{NAME}.csv', 'out/sample/timeline.png']
    assert done.stderr == ''
    assert 'gone.mp4' in run_fea('--quiet', 'analyze', 'gone.mp4', code=2, cwd=tmp_path).stderr


def test_options_from_files(tmp_path):
    "What is typed counts more than --config, and that more than fea.toml"
    (tmp_path/'fea.toml').write_text('[extract]\nfps = 4\nout = "stills"\n')
    (tmp_path/'mine.toml').write_text('[extract]\nfps = "2"\n')
    def count(*words): return run_fea(*words, '--overwrite', cwd=tmp_path), len(list((tmp_path/'stills').glob('frame_*.jpg')))
    done, stills = count('extract', SAMPLE)
    assert 'note: options of fea extract from fea.toml' in done.stderr and stills == 48
    done, stills = count('--config', 'mine.toml', 'extract', SAMPLE)
    assert 'from fea.toml and mine.toml' in done.stderr and stills == 24
    assert count('--config', 'mine.toml', 'extract', SAMPLE, '--fps', '1')[1] == 12
    assert count('--quiet', 'extract', SAMPLE)[0].stderr == ''


@pytest.mark.parametrize(('text', 'said'), [
    ('[analyze]\nfsp = 5', 'fea.toml: [analyze] fsp: no such option of fea analyze; did you mean fps?'),
    ('[analyze]\nplot = "yes"', "fea.toml: [analyze] plot = 'yes': give true or false"),
    ('[drift.check]\nstills = "many"', "fea.toml: [drift.check] stills = 'many': give a whole number"),
    ('[analyse]\nfps = 5', 'fea.toml: analyse: no such command of fea; did you mean analyze?'),
    ('[analyze]\nformat = "xlsx"', "fea.toml: [analyze] format = 'xlsx'"),
    ('[analyze', 'fea.toml: no readable TOML'),
])
def test_a_settings_file_that_is_not_understood(tmp_path, text, said):
    (tmp_path/'fea.toml').write_text(text)
    done = run_fea('analyze', SAMPLE, code=2, cwd=tmp_path)
    assert said in done.stderr and len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ['fea.toml']


def test_a_mistake_is_answered_in_plain_lines():
    done = run_fea('analyze', SAMPLE, '--fpss', '5', code=2)
    assert 'No such option: --fpss' in done.stderr and '─' not in done.stderr


def all_commands(group, name='fea'):
    for word in getattr(group, 'commands', {}):
        command = group.resolve_command(None, [word])[1]
        yield f'{name} {command.name}', command
        yield from all_commands(command, f'{name} {command.name}')


def test_reference_and_examples_name_every_command():
    from docs_cli import cli_markdown
    from typer.main import get_command

    from fea.cli.main import app
    page, program = cli_markdown(), get_command(app)
    commands = dict(all_commands(program))
    assert len(commands) > 20
    for name, command in commands.items():
        assert f'# {name}\n' in page, name
        for parameter in command.params:
            if parameter.param_type_name == 'option': assert f'`{parameter.opts[0]}`' in page, (name, parameter.opts)
        if hasattr(command, 'commands'): continue
        examples = command.help.partition('\n\nExample:\n')[2].splitlines()
        assert examples, f'{name} has no example'
        for example in examples: # parsed as typed, without running it
            words = shlex.split(example)
            assert ' '.join(words[:len(name.split())]) == name
            command.make_context(name, words[len(name.split()):])
