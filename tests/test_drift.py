"`fea drift` on real videos, its page in a browser, and the examples of schedules that call it"
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import yaml

ROOT = Path(__file__).parent.parent
SAMPLE, SCHEDULES = ROOT/'samples'/'sample.mp4', ROOT/'samples'/'schedules'
BIN = Path(sys.executable).parent
CHROMIUM = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)


def run_fea(*args, code=0, **env):
    "Run the command; whatever happens, a user sees no traceback"
    command = [sys.executable, '-c', 'from fea.cli.main import main; main()', *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False,
                          env=os.environ | {'PYTHONPATH': str(ROOT), 'MPLBACKEND': 'Agg', **env})
    assert 'Traceback' not in done.stderr, done.stderr
    assert done.returncode == code, f'exit code {done.returncode}, not {code}\n{done.stdout}{done.stderr}'
    return done


def relit(path, light, step=30):
    "The sample clip with fewer frames and another light; gain and a little noise, so that no two are equal"
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(int(light*1e6))
    with av.open(str(SAMPLE)) as source, av.open(str(path), 'w') as container:
        stream = container.add_stream('libx264', rate=1)
        stream.width, stream.height, stream.pix_fmt = 640, 360, 'yuv420p'
        for i, frame in enumerate(source.decode(video=0)):
            if i % step: continue
            image = (frame.to_ndarray(format='rgb24')*light + rng.normal(0, 2, (360, 640, 3))).clip(0, 255).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format='rgb24')))
        container.mux(stream.encode(None))
    return path


@pytest.fixture(scope='module')
def checked(tmp_path_factory):
    "Six recordings as they were, six in a dark room, and the check of these against those"
    folder = tmp_path_factory.mktemp('drift')
    for name, middle in (('known', 1.), ('dark', .35)):
        for i in range(6): relit(folder/f'{name}_videos'/f'{name}{i}.mp4', middle + .02*(i - 2.5))
        run_fea('analyze', folder/f'{name}_videos', '--fps', '1', '--out', folder/name)
    run_fea('drift', 'baseline', folder/'known', '--videos', folder/'known_videos', '--out', folder/'baseline.json')
    done = run_fea('drift', 'check', folder/'dark', '--videos', folder/'dark_videos', '--baseline', folder/'baseline.json', '--out', folder/'check', code=3)
    return folder, done


def test_a_dark_room_is_an_alarm(checked):
    folder, done = checked
    assert done.stdout.startswith('Alarm: ') and 'Faces are darker: median' in done.stdout and f"page: {folder/'check'/'drift.html'}" in done.stdout
    found = json.loads((folder/'check'/'drift.json').read_text())
    verdicts = {row['measure']: row['verdict'] for row in found['measures']}
    assert (found['verdict'], found['exit_code'], verdicts['brightness'], verdicts['face_rate']) == ('alarm', 3, 'alarm', 'undecided')
    assert verdicts['embedding'] != 'not compared'
    assert {'effects.png', 'measures.svg', 'labels.png', 'network.png'} <= {p.name for p in (folder/'check'/'figures').iterdir()}
    assert not re.search(r'(known|dark)\d', (folder/'baseline.json').read_text()), 'a baseline names nobody'


def test_six_of_the_same_recordings_are_too_few_to_say(checked):
    folder, _ = checked
    done = run_fea('drift', 'check', folder/'known', '--videos', folder/'known_videos', '--baseline', folder/'baseline.json', '--out', folder/'same')
    assert done.stdout.startswith('Undecided: 6 recordings against 6 are too few to say')


def test_all_recordings_of_one_person_are_one_unit(checked):
    folder, _ = checked
    (folder/'who.csv').write_text('recording,respondent\n' + ''.join(f'dark{i},anna\n' for i in range(6)))
    done = run_fea('drift', 'check', folder/'dark', '--baseline', folder/'baseline.json', '--respondents', folder/'who.csv', '--out', folder/'one')
    assert '1 recording against 6' in done.stdout and json.loads((folder/'one'/'drift.json').read_text())['batch']['units'] == 1
    (folder/'who.csv').write_text('recording,respondent\ndark0,anna\n')
    done = run_fea('drift', 'check', folder/'dark', '--baseline', folder/'baseline.json', '--respondents', folder/'who.csv', '--out', folder/'two', code=2)
    assert 'no respondent is given for dark1' in done.stderr and not (folder/'two').exists()


def test_bad_input_leaves_nothing(checked, tmp_path):
    folder, _ = checked
    other = json.loads((folder/'baseline.json').read_text())
    (tmp_path/'changed.json').write_text(json.dumps(other | {'created': '2020-01-01'}))
    (tmp_path/'empty').mkdir()
    (tmp_path/'file').touch()
    cases = {('changed.json', 'known', 'out'): 'was changed or damaged', ('gone.json', 'known', 'out'): 'no such baseline',
             ('file', 'known', 'out'): 'not a readable baseline', ('', 'empty', 'out'): 'no timeline in it',
             ('', 'known', 'file'): 'is a file; choose another folder'}
    for (baseline, results, out), words in cases.items():
        where = tmp_path if results == 'empty' else folder
        done = run_fea('drift', 'check', where/results, '--baseline', tmp_path/baseline if baseline else folder/'baseline.json', '--out', tmp_path/out, code=2)
        assert words in done.stderr and len(done.stderr.strip().splitlines()) == 1, done.stderr
        assert not (tmp_path/'out').exists()
    same = ('--baseline', folder/'baseline.json', '--out', tmp_path/'out')
    done = run_fea('drift', 'check', folder/'dark', '--videos', folder/'known_videos', *same, code=2)
    assert 'no video was found for' in done.stderr


def test_figures_and_the_automatic_check_go_to_a_stand_in_for_aws(checked, aws_url):
    "`--publish` sends figures, `upload` puts the check into the bucket once and prints what the deployment needs"
    boto3, folder = pytest.importorskip('boto3'), checked[0]
    env = {'AWS_ACCESS_KEY_ID': 'x', 'AWS_SECRET_ACCESS_KEY': 'x', 'AWS_EC2_METADATA_DISABLED': 'true', 'AWS_DEFAULT_REGION': 'eu-central-1',
           'AWS_CONFIG_FILE': '/nowhere', 'AWS_SHARED_CREDENTIALS_FILE': '/nowhere', 'AWS_ENDPOINT_URL': aws_url,
           'FEA_BUCKET': 's3://study-7/p01'}
    def client(service):
        return boto3.client(service, 'eu-central-1', endpoint_url=env['AWS_ENDPOINT_URL'], aws_access_key_id='x', aws_secret_access_key='x')
    client('s3').create_bucket(Bucket='study-7', CreateBucketConfiguration={'LocationConstraint': 'eu-central-1'})
    done = run_fea('drift', 'check', folder/'dark', '--videos', folder/'dark_videos', '--baseline', folder/'baseline.json', '--out', folder/'sent',
                   '--publish', 'tuesday', code=3, **env)
    assert 'figures sent to CloudWatch as tuesday' in done.stdout
    found = {metric['MetricName'] for metric in client('cloudwatch').list_metrics(Namespace='fea')['Metrics']}
    assert {'drift_verdict', 'drift_alarms', 'drift_effect_brightness', 'drift_distance_embedding'} <= found
    printed = [run_fea('drift', 'upload', '--baseline', folder/'baseline.json', **env).stdout for _ in range(2)]
    image = r'\d{12}\.dkr\.ecr\.eu-central-1\.amazonaws\.com/pytorch-training:\S+cpu\S+'
    assert printed[0] == printed[1] and re.fullmatch(rf'DriftCheck=s3://study-7/p01/drift/[0-9a-f]{{16}}/\nDriftImage={image}\n', printed[0])
    assert len(client('s3').list_objects_v2(Bucket='study-7')['Contents']) == 2


@pytest.fixture(scope='module')
def browser():
    if CHROMIUM is None: pytest.skip('NO BROWSER: the page of a drift check was not opened; install chromium to test it')
    api = pytest.importorskip('playwright.sync_api', reason='NO PLAYWRIGHT: the page of a drift check was not opened; pip install playwright to test it')
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=['--no-sandbox'])
        yield browser
        browser.close()


@pytest.mark.parametrize('scheme', ['light', 'dark'])
@pytest.mark.parametrize('width', [1280, 390])
def test_page_in_a_browser(browser, checked, width, scheme):
    "It fits the screen, shows its pictures in the colours of the reader, asks nobody for anything, and breaks no rule of its own"
    file = checked[0]/'check'/'drift.html'
    context, wrong, asked = browser.new_context(viewport={'width': width, 'height': 900}, color_scheme=scheme), [], []
    page = context.new_page()
    page.on('console', lambda message: wrong.append(message.text))
    page.on('request', lambda request: asked.append(request.url) if not request.url.startswith(('data:', file.as_uri())) else None)
    page.goto(file.as_uri())
    assert page.evaluate('document.documentElement.scrollWidth') <= width
    pictures = page.evaluate("[...document.querySelectorAll('picture img')].map(i => [i.complete && i.naturalWidth > 0, i.currentSrc == i.src])")
    assert len(pictures) >= 4 and all(shown for shown, _ in pictures) and all(plain == (width > 600 and scheme == 'light') for _, plain in pictures)
    assert page.locator('h1').inner_text() == 'Drift of dark: alarm' and 'Faces are darker' in page.locator('.verdict').inner_text()
    assert page.locator('#measures tbody tr').count() == 12
    context.close()
    assert not wrong and not asked


def fake_fea(folder, code):
    "A command `fea` that ends as told, and notes what it was asked"
    folder.mkdir(exist_ok=True)
    (folder/'fea').write_text(f'#!/bin/sh\necho "$@" > {folder}/asked\necho said\nexit {code}\n')
    (folder/'fea').chmod(0o755)
    return folder


@pytest.mark.parametrize(('code', 'words'), [(0, ''), (3, 'ALARM: this batch is not like'), (2, 'did not run (exit code 2)'), (1, 'did not run (exit code 1)')])
def test_cron_script_speaks_only_when_somebody_should_look(tmp_path, code, words):
    place = fake_fea(tmp_path/'bin', code)
    env = {'PATH': f'{place}:/usr/bin:/bin', 'HOME': str(tmp_path), 'PAGES': str(tmp_path/'pages with blanks'), 'BASELINE': '/b/own.json'}
    done = subprocess.run(['/bin/sh', SCHEDULES/'drift.sh', tmp_path/'a b', '/v'], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == code and (words in done.stdout if words else done.stdout == ''), done.stdout + done.stderr
    asked = (place/'asked').read_text()
    assert asked.startswith(f'drift check {tmp_path}/a b --baseline /b/own.json --out {tmp_path}/pages with blanks/2') and asked.endswith(' --videos /v\n')
    del env['BASELINE']
    done = subprocess.run(['/bin/sh', SCHEDULES/'drift.sh', tmp_path/'a b'], env=env, capture_output=True, text=True, check=False)
    assert done.returncode != 0 and 'name a file that fea drift baseline made' in done.stderr


def test_crontab_calls_the_script():
    lines = [line for line in (SCHEDULES/'crontab').read_text().splitlines() if line and line[0] != '#' and not re.match(r'[A-Z]+=', line)]
    assert len(lines) == 1 and re.fullmatch(r'(?:[\d*/,-]+ +){5}/\S+/drift\.sh( /\S+){1,2}', lines[0])
    tutorial = json.loads((ROOT/'nbs'/'tutorials'/'todays_batch.ipynb').read_text())
    shown = next(found for cell in tutorial['cells'] if (found := re.search(r'^BASELINE=.*?(?=^```)', ''.join(cell['source']), re.MULTILINE | re.DOTALL)))
    assert shown[0].splitlines() == [line for line in (SCHEDULES/'crontab').read_text().splitlines() if line[0] != '#' and not line.startswith('MAILTO')]


def test_workflow_is_valid_and_safe():
    path = SCHEDULES/'drift.yml'
    for command in (('check-jsonschema', '--builtin-schema', 'vendor.github-workflows'), ('zizmor', '--offline', '--no-progress')):
        done = subprocess.run([BIN/command[0], *command[1:], path], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    actions = re.findall(r'uses: (.*)', path.read_text())
    assert actions and all(re.fullmatch(r'[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+', action) for action in actions)
    texts = [file.read_text() for file in (ROOT/'.github'/'workflows').glob('*.yml')]
    ours = dict(action.split('@') for text in texts for action in re.findall(r'uses: (.*)', text))
    assert all(ours.get(name, pin) == pin for name, pin in (action.split('@') for action in actions)), 'pins another version than our workflows'


def test_workflow_keeps_the_page_when_the_check_fails():
    workflow = yaml.load((SCHEDULES/'drift.yml').read_text(), yaml.BaseLoader)
    job, = workflow['jobs'].values()
    steps = {step.get('run', step.get('uses', '')).split('@')[0].split(' #')[0]: step for step in job['steps']}
    assert list(workflow['on']) == ['schedule', 'workflow_dispatch'] and workflow['permissions'] == {}
    check = next(name for name in steps if name.startswith('fea drift check'))
    assert '|| true' not in check and steps['actions/upload-artifact']['if'] == '${{ !cancelled() }}'
    order = list(steps)
    assert order.index('actions/upload-artifact') > order.index(check)
    assert next(i for i, name in enumerate(order) if 'pip install' in name) < order.index('aws-actions/configure-aws-credentials')
    assert 'secrets.' not in (SCHEDULES/'drift.yml').read_text()
