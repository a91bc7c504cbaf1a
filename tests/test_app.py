"""The page of `fea app` in a real browser: what a user does with it, and what a stranger tries"""
import io
import itertools
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import httpx
import pandas as pd
import psutil
import pytest
from installed import ROOT, SAMPLE

import fea
from fea.app.workspaces import remove_leftovers
from fea.local_inference import analyze
from fea.timeline.table import read_timeline

sync_api = pytest.importorskip('playwright.sync_api', reason='playwright is not installed: pip install playwright')
CHROMIUM = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason='no Chromium found: the page was not tested in a browser (apt-get install chromium)')
KEEP, LIMIT = 3, 4 # s that files outlive the browser; MB that a file may have
WAIT = 300_000 # ms


@dataclass(frozen=True)
class Server:
    "A running page"
    url:str # Its address
    process:subprocess.Popen # It
    temporary:Path # Its temporary folder, which it shares with nobody

    @property
    def sessions(self)->list[Path]: # Folders of the sessions
        return sorted(self.temporary.glob('fea-app-*/sessions/session_*'))

    @property
    def workers(self)->list[psutil.Process]: # Processes that analyse
        return psutil.Process(self.process.pid).children(recursive=True)


def free_port()->int:
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def wait_for(what:Callable[[], object], limit:float=300)->object:
    "Until it is true"
    end = time.monotonic() + limit
    while not (found := what()) and time.monotonic() < end: time.sleep(.1)
    return found


def serve(temporary:Path)->Server:
    "Start the page as `fea app` does, and wait until it answers"
    port = free_port()
    command = f'from fea.app.page import main; main(port={port}, open_browser=False, max_upload_mb={LIMIT}, keep={KEEP})'
    env = os.environ | {'TMPDIR': str(temporary), 'PYTHONPATH': str(ROOT), 'MPLBACKEND': 'Agg'}
    with (temporary/'log').open('w') as log:
        process = subprocess.Popen([sys.executable, '-c', command], cwd=temporary, env=env, stdout=log, stderr=log)
    def answers()->bool:
        try: return httpx.get(f'http://127.0.0.1:{port}/_stcore/health').status_code == 200
        except httpx.TransportError: return False
    assert wait_for(lambda: answers() or process.poll() is not None) and process.poll() is None, (temporary/'log').read_text()
    return Server(f'http://127.0.0.1:{port}', process, temporary)


@pytest.fixture(scope='module')
def server(tmp_path_factory:pytest.TempPathFactory)->Iterator[Server]:
    server = serve(tmp_path_factory.mktemp('served'))
    try: yield server
    finally:
        server.process.kill()
        server.process.wait()


@pytest.fixture(scope='module')
def chromium()->Iterator[Callable[..., 'sync_api.Browser']]:
    "Starts a browser with further arguments"
    with sync_api.sync_playwright() as playwright, ExitStack() as stack:
        root = ['--no-sandbox'] if hasattr(os, 'geteuid') and os.geteuid() == 0 else []
        def start(*arguments:str)->'sync_api.Browser':
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*root, *arguments])
            stack.callback(browser.close)
            return browser
        yield start


@pytest.fixture(scope='module')
def browser(chromium:Callable)->'sync_api.Browser':
    return chromium()


@contextmanager
def open_page(server:Server, browser:'sync_api.Browser')->Iterator['sync_api.Page']:
    "The page in a browser of its own; nothing may be asked of another machine, and nothing may run that a stranger sent"
    elsewhere, alerts = [], []
    context = browser.new_context(viewport={'width': 1280, 'height': 900}, accept_downloads=True)
    page = context.new_page()
    page.set_default_timeout(WAIT)
    page.on('request', lambda r: None if r.url.startswith((server.url, 'data:', 'blob:')) else elsewhere.append(r.url))
    page.on('dialog', lambda d: (alerts.append(d.message), d.dismiss()))
    page.goto(server.url)
    page.get_by_text('What is the analysis for?').wait_for()
    yield page
    broken = 0 if page.is_closed() else page.get_by_test_id('stException').count()
    context.close()
    assert not broken, (server.temporary/'log').read_text()[-3000:]
    assert not elsewhere, elsewhere
    assert not alerts, alerts


@pytest.fixture
def visit(server:Server, browser:'sync_api.Browser')->Iterator[Callable[..., 'sync_api.Page']]:
    "Open the page, as often as wanted"
    with ExitStack() as stack:
        def visit(told:bool=True)->'sync_api.Page':
            page = stack.enter_context(open_page(server, browser))
            if told: answer(page)
            return page
        yield visit


@pytest.fixture(scope='module')
def short()->bytes:
    "The first two seconds of the sample clip"
    out = io.BytesIO()
    with av.open(str(SAMPLE)) as source, av.open(out, 'w', 'mp4') as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in itertools.islice(source.demux(video=0), 60):
            packet.stream = stream
            target.mux(packet)
    return out.getvalue()


@pytest.fixture(scope='module')
def camera(chromium:Callable, tmp_path_factory:pytest.TempPathFactory)->'sync_api.Browser':
    "A browser whose camera sees the sample clip, over and over"
    seen = tmp_path_factory.mktemp('camera')/'sample.mjpeg'
    with av.open(str(SAMPLE)) as source, av.open(str(seen), 'w', 'mjpeg') as target:
        stream = target.add_stream('mjpeg', rate=30, options={'q:v': '3'})
        stream.width, stream.height, stream.pix_fmt = 640, 360, 'yuvj420p'
        for i, frame in enumerate(itertools.islice(source.decode(video=0), 180, 330)):
            picture = frame.reformat(format='yuvj420p')
            picture.pts, picture.time_base = i, Fraction(1, 30)
            target.mux(stream.encode(picture))
        target.mux(stream.encode(None))
    return chromium('--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream', f'--use-file-for-fake-video-capture={seen}')


def clip(name:str, content:bytes)->dict[str, object]:
    "A file for the upload field"
    return {'name': name, 'mimeType': 'video/mp4', 'buffer': content}


def answer(page:'sync_api.Page')->None:
    "Purpose and consent"
    page.get_by_text('Trying it out').click()
    page.get_by_role('textbox', name='Note for the record').fill('a <b>public</b> sample')
    page.get_by_text('The people in these videos know').click()
    page.get_by_role('button', name='Continue').click()
    page.locator('input[type=file]').wait_for(state='attached')


def upload(page:'sync_api.Page', *files:Path|dict)->None:
    "Give files to the page"
    page.locator('input[type=file]').first.set_input_files(list(files)) # another one takes norms


def choose_rate(page:'sync_api.Page', rate:str)->None:
    page.get_by_test_id('stSelectbox').filter(has_text='Stills').click()
    page.get_by_role('option', name=rate).click()


def download(page:'sync_api.Page', label:str)->tuple[str, bytes]:
    "Name and content of a file that the page offers"
    with page.expect_download() as started: page.get_by_role('button', name=label, exact=True).click()
    return started.value.suggested_filename, Path(started.value.path()).read_bytes()


@pytest.mark.parametrize('use', ['Work: applicants', 'Education: pupils'])
def test_two_purposes_are_refused_with_the_reason(visit:Callable, use:str)->None:
    page = visit(told=False)
    page.get_by_text(use).click()
    page.get_by_text('nobody should be judged by it').wait_for()
    assert 'art. 5(1)(f)' in page.get_by_role('alert').inner_text()
    assert page.locator('input[type=file]').count() == page.get_by_role('button', name='Continue').count() == 0


def test_nothing_starts_before_people_were_told(visit:Callable)->None:
    page = visit(told=False)
    page.get_by_text('A scientific study').click()
    page.get_by_role('button', name='Continue').click()
    page.get_by_text('People must be told before').wait_for()
    assert page.locator('input[type=file]').count() == 0


@pytest.fixture(scope='module')
def analysed(server:Server, browser:'sync_api.Browser')->Iterator['sync_api.Page']:
    "A page that has analysed the sample clip"
    with open_page(server, browser) as page:
        answer(page)
        upload(page, SAMPLE)
        page.get_by_role('button', name='Analyse 1 file').click()
        page.get_by_text('Most frequent').wait_for()
        yield page


def held(server:Server, kind:str)->float:
    "Bytes that Streamlit holds in memory"
    found = re.search(rf'cache_type="{kind}".*? ([0-9.]+)$', httpx.get(f'{server.url}/_stcore/metrics').text, re.MULTILINE)
    return float(found[1]) if found else 0.


def test_an_upload_leaves_the_memory(analysed:'sync_api.Page', server:Server)->None:
    "Streamlit would keep it there until the session ends"
    assert held(server, 'st_memory_media_file_storage') > 0 # the player's copy
    assert held(server, 'UploadedFileManager') == 0


def test_the_timeline_follows_the_video(analysed:'sync_api.Page')->None:
    video, plots = analysed.get_by_test_id('stVideo'), analysed.get_by_role('slider', name='Position in the video')
    assert wait_for(lambda: video.evaluate('v => v.readyState') >= 1)
    assert video.evaluate('v => v.duration') == pytest.approx(12, abs=.1)
    box = plots.bounding_box()
    plots.click(position={'x': box['width'] * .6, 'y': box['height'] / 2})
    assert wait_for(lambda: abs(video.evaluate('v => v.currentTime') - 7.2) < .1)
    assert 'Happy' in plots.get_attribute('aria-valuetext')
    plots.press('ArrowRight')
    assert wait_for(lambda: abs(video.evaluate('v => v.currentTime') - 8.2) < .1)
    video.evaluate('v => { v.currentTime = 1 }')
    assert wait_for(lambda: 'Neutral' in plots.get_attribute('aria-valuetext'))


def test_the_files_are_those_of_analyze(analysed:'sync_api.Page', tmp_path:Path)->None:
    expected = analyze(SAMPLE, progress=False)
    name, table = download(analysed, 'CSV')
    assert name == 'sample_timeline.csv'
    (tmp_path/name).write_bytes(table)
    assert read_timeline(tmp_path/name).equals(expected)
    assert pd.read_parquet(io.BytesIO(download(analysed, 'Parquet')[1])).equals(expected)
    note = json.loads(download(analysed, 'How it was made (JSON)')[1])['consent']
    assert note == 'purpose: trying it out; the people know and agreed; a <b>public</b> sample'
    report, full = (download(analysed, label)[1].decode() for label in ('Report', 'Report with the video'))
    assert 'sample.mp4' in report and '<b>public' not in report + full and '<video' not in report and 'data:video/mp4' in full and fea.__version__ in full
    with zipfile.ZipFile(io.BytesIO(download(analysed, 'All as ZIP')[1])) as archive: names = archive.namelist()
    assert {'sample/timeline.csv', 'sample/timeline.parquet', 'sample/report.html', 'sample/quality.json'} <= set(names)


@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_a_phone_shows_all_of_it(analysed:'sync_api.Page', scheme:str)->None:
    analysed.set_viewport_size({'width': 390, 'height': 844})
    analysed.emulate_media(color_scheme=scheme)
    app = analysed.get_by_test_id('stApp')
    colour = "e => getComputedStyle(e).backgroundColor.match(/[0-9]+/g).map(Number).reduce((a, b) => a + b)"
    assert wait_for(lambda: (app.evaluate(colour) > 600) == (scheme == 'light'))
    assert wait_for(lambda: analysed.get_by_test_id('stMain').evaluate('e => e.scrollWidth') <= 390)
    slider = analysed.get_by_role('slider', name='Position in the video')
    assert wait_for(lambda: slider.bounding_box()['width'] > 300)
    analysed.set_viewport_size({'width': 1280, 'height': 900})


FAINT = """() => { // texts whose contrast with what is behind them is below 4.5 to 1; what is disabled may be faint
    const numbers = s => {
        const n = s.match(/[0-9.]+/g).map(Number)
        return s.startsWith('color(') ? [255*n[0], 255*n[1], 255*n[2], n[3] ?? 1] : [...n, 1].slice(0, 4)
    }
    const over = (top, under) => [0, 1, 2].map(i => top[i]*top[3] + under[i]*(1 - top[3]))
    const light = c => c.map(v => v/255 <= .03928 ? v/255/12.92 : ((v/255 + .055)/1.055)**2.4).reduce((sum, v, i) => sum + v*[.2126, .7152, .0722][i], 0)
    return [...document.querySelectorAll('.stMain *')].flatMap(e => {
        const text = [...e.childNodes].filter(n => n.nodeType === 3).map(n => n.textContent.trim()).join(''), place = e.getBoundingClientRect()
        if (!text || place.width < 3 || place.height < 3 || e.closest('button:disabled, style')) return []
        const all = []
        for (let a = e; a; a = a.parentElement || a.getRootNode().host) all.push(getComputedStyle(a))
        const ground = all.map(s => numbers(s.backgroundColor)).filter(c => c[3]).reverse().reduce((under, c) => over(c, under), [255, 255, 255])
        const ink = numbers(all[0].color)
        ink[3] *= all.reduce((share, s) => share*Number(s.opacity), 1)
        const [a, b] = [light(over(ink, ground)), light(ground)].sort((x, y) => y - x)
        return (a + .05)/(b + .05) < 4.5 ? [`${((a + .05)/(b + .05)).toFixed(2)} ${text.slice(0, 60)}`] : []
    })
}"""

@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_every_text_can_be_read(analysed:'sync_api.Page', scheme:str)->None:
    analysed.emulate_media(color_scheme=scheme)
    for name in ('Study', 'Live', 'About', 'Videos'):
        analysed.get_by_role('tab', name=name).click()
        analysed.mouse.move(5, 5) # what the mouse is on has another colour
        assert wait_for(lambda: not analysed.evaluate(FAINT), 10), (name, analysed.evaluate(FAINT))


def test_a_bad_file_is_a_sentence_and_the_others_become_a_study(visit:Callable, short:bytes)->None:
    page = visit()
    upload(page, {'name': 'holiday.mp4', 'mimeType': 'video/mp4', 'buffer': b'no video at all' * 1000}, *(clip(name, short) for name in ('ann.mp4', 'bob.mp4')))
    choose_rate(page, '5 per second')
    page.get_by_role('button', name='Analyse 3 files').click()
    page.get_by_text('Most frequent').wait_for()
    words = page.get_by_test_id('stAlertContentError').inner_text()
    assert words.startswith('holiday.mp4') and 'Traceback' not in words and 'fea-app' not in words and '/' not in words
    assert words.count('\n') == 0

    page.get_by_text('Blur the faces').click()
    page.get_by_role('button', name='Make the annotated video').click()
    page.get_by_role('button', name='Annotated video', exact=True).wait_for()
    assert download(page, 'Annotated video')[1][4:8] == b'ftyp'
    assert page.get_by_role('checkbox', name='Blur the faces').is_checked() # the next one hides them, too
    chosen = page.get_by_role('radio', name='Annotated video')
    assert chosen.get_attribute('aria-checked') == 'true'
    chosen.click() # a second time, which must not leave nothing chosen
    assert chosen.get_attribute('aria-checked') == 'true' and page.get_by_test_id('stVideo').count() == 1

    page.get_by_role('tab', name='Study').click()
    page.get_by_role('textbox', name='Name of the study').fill('Ads <b>2026</b>')
    page.get_by_role('textbox', name='Name of the study').press('Enter')
    page.get_by_role('button', name='Compare the viewers').click()
    report = download(page, 'Study report')[1].decode()
    for scheme in ('light', 'dark'):
        page.emulate_media(color_scheme=scheme)
        shown = page.locator('.variants').first.locator('img:visible')
        assert wait_for(lambda shown=shown: shown.count() == 1 and shown.evaluate('e => e.complete && e.naturalWidth > 0'))
        assert shown.get_attribute('class') in (f'wide-{scheme}', f'always-{scheme}')
    assert 'ann' in report and 'bob' in report and 'fea-app' not in report and '<b>public' not in report
    with zipfile.ZipFile(io.BytesIO(download(page, 'Study as ZIP')[1])) as archive: people = pd.read_csv(archive.open('study/respondents.csv'))
    assert people.respondent.tolist() == ['ann', 'bob'] and people.included.all()
    check_what_is_taken_away(page)


def check_what_is_taken_away(page:'sync_api.Page')->None:
    "Workbook, slides and norms of a study; then the same study against earlier ones"
    for label, called, inside in (('Excel workbook', 'study.xlsx', 'xl/workbook.xml'), ('Slides', 'study_slides.pptx', 'ppt/presentation.xml')):
        name, content = download(page, label)
        with zipfile.ZipFile(io.BytesIO(content)) as archive: assert name == called and inside in archive.namelist()
    name, content = download(page, 'Norms with this study')
    norms = json.loads(content)
    assert name == 'norms.json' and [study['name'] for study in norms['studies']] == ['Ads <b>2026</b>']
    earlier = norms['studies'][0] | {'name': 'earlier', 'people': 'others'}
    others = earlier | {'name': '*older*', 'people': 'more', 'conditions': earlier['conditions'] | {'bin': 2.}}
    given = json.dumps(norms | {'studies': [earlier, others]}).encode()
    page.get_by_text('Compare with earlier studies').click()
    field = page.get_by_test_id('stFileUploader').last.locator('input[type=file]')
    counted = 'A percentile is the share of 1 stimulus of 1 earlier study (our norms.json) with a lower score.'
    for name, content, words in (('damaged.json', b'{', 'is no norms file, or damaged'), ('our norms.json', given, counted)):
        field.set_input_files([{'name': name, 'mimeType': 'application/json', 'buffer': content}])
        sent = page.get_by_test_id('stFileChip').filter(has_text=name)
        sent.wait_for()
        assert wait_for(lambda sent=sent: sent.count() and not sent.get_by_test_id('stFileChipIconSpinner').count()) # else the button is faster
        page.get_by_role('button', name='Compare the viewers').click()
        page.get_by_text(words).wait_for()
    page.get_by_text("Left out: '*older*' (1 stimulus), made under other conditions: bins of 2 s instead of 1 s.").wait_for()
    assert 'percentile among earlier stimuli' in download(page, 'Study report')[1].decode()
    assert [study['name'] for study in json.loads(download(page, 'Norms with this study')[1])['studies']] == ['earlier', '*older*', 'Ads <b>2026</b>']


def test_what_is_no_video_or_too_large_is_refused_at_once(visit:Callable, server:Server)->None:
    page = visit()
    upload(page, {'name': 'letter.txt', 'mimeType': 'text/plain', 'buffer': b'dear'})
    page.get_by_text('not allowed').wait_for()
    assert page.get_by_text('not allowed').bounding_box()['width'] > 100 # seen, not only read aloud
    upload(page, clip('huge.mp4', bytes(LIMIT * 1024 ** 2 + 1)))
    page.get_by_text(f'must be {LIMIT}.0MB or smaller').wait_for()
    assert page.get_by_role('button', name=re.compile('^Analyse')).count() == 0
    assert not [path for session in server.sessions for path in session.rglob('huge*')]
    forged = httpx.put(f'{server.url}/_stcore/upload_file/any/one', files={'file': ('x.mp4', b'x')})
    assert forged.status_code == 403 # without the page's token


def test_a_name_is_only_a_name(visit:Callable, server:Server)->None:
    page = visit()
    names = ['<img src=x onerror=alert(1)>.mp4', '../../../../tmp/escaped.mp4', ':red[**loud**] $x$ [click](www.example.org).mp4']
    upload(page, *(clip(name, b'no video') for name in names))
    page.get_by_role('button', name='Analyse 3 files').click()
    assert wait_for(lambda: page.get_by_test_id('stAlertContentError').count() == 3, 600)
    session = next(session for session in server.sessions if list(session.rglob('escaped.mp4')))
    kept = sorted(path.name for path in session.rglob('*.mp4'))
    assert kept == ['escaped.mp4', 'img src_x onerror_alert(1).mp4', 'red_loud_ _x_ _click_(www_example_org).mp4']
    assert not [path for path in server.temporary.rglob('*.mp4') if 'session_' not in str(path)]
    main = page.get_by_test_id('stMain')
    assert main.locator('img, a[href*=example]').count() == 0
    assert 'red_loud_ _x_ _click_(www_example_org).mp4' in main.inner_text()


def test_two_people_at_once_see_only_their_own(visit:Callable, server:Server, short:bytes)->None:
    before, shown = set(server.sessions), held(server, 'st_memory_media_file_storage')
    one, other = visit(), visit()
    upload(one, clip('one.mp4', short))
    upload(other, clip('other.mp4', short))
    for page in (one, other): page.get_by_role('button', name='Analyse 1 file').click()
    for page in (one, other): page.get_by_text('Most frequent').wait_for()
    assert 'other.mp4' not in one.content() and 'one.mp4' not in other.content()
    mine, others = (next(session for session in server.sessions if list(session.rglob(name))) for name in ('one.mp4', 'other.mp4'))
    assert mine != others and not {mine, others} & before and {folder.stat().st_mode & 0o777 for folder in (mine, others)} == {0o700}
    left = time.monotonic()
    one.context.close()
    assert wait_for(lambda: not mine.exists()) and time.monotonic() - left > KEEP / 2
    assert others.exists()
    other.get_by_role('tab', name='About').click()
    other.get_by_role('button', name='Delete my files').click()
    other.get_by_text('What is the analysis for?').wait_for()
    assert not others.exists()
    other.context.close()
    assert wait_for(lambda: held(server, 'st_memory_media_file_storage') == shown)


def long_clip(times:int)->bytes:
    "The sample, several times in a row"
    out, packets = io.BytesIO(), 0
    with av.open(out, 'w', 'mp4') as target:
        for _ in range(times):
            with av.open(str(SAMPLE)) as source:
                stream = source.streams.video[0]
                copy = target.streams.video[0] if target.streams.video else target.add_stream_from_template(stream)
                length = int(stream.duration or 0)
                for packet in source.demux(stream):
                    if packet.dts is None: continue
                    packet.pts, packet.dts, packet.stream = packet.pts + packets*length, packet.dts + packets*length, copy
                    target.mux(packet)
            packets += 1
    return out.getvalue()


def press_stop(page:'sync_api.Page')->None:
    "Once more after a while, as a user would: a bar that moves may draw the button anew just when it is pressed"
    button, stopped = page.get_by_role('button', name='Stop'), page.get_by_text('stopped, a part is there')
    for _ in range(30):
        try:
            button.click(timeout=5000)
            return stopped.wait_for(timeout=5000)
        except sync_api.TimeoutError:
            if stopped.count(): return
    stopped.wait_for()


def test_stop_ends_the_work(visit:Callable, server:Server)->None:
    page = visit()
    times = 6 # so that it is still at work when Stop is pressed, however slow the browser is
    upload(page, clip('long.mp4', long_clip(times)))
    choose_rate(page, 'every frame')
    page.get_by_role('button', name='Analyse 1 file').click()
    page.get_by_text(re.compile('Looking for faces, [1-9]')).wait_for() # the bar moves
    assert server.workers
    press_stop(page)
    assert wait_for(lambda: not server.workers)
    part = pd.read_csv(io.BytesIO(download(page, 'CSV')[1]))
    assert 0 < part.frame.nunique() < times*360 and not json.loads(download(page, 'How it was made (JSON)')[1])['complete']
    page.reload() # the address brings all of it back
    page.get_by_role('button', name='Go on').click()
    page.get_by_text('· analysed').wait_for(timeout=10 * WAIT)
    whole = pd.read_csv(io.BytesIO(download(page, 'CSV')[1]))
    assert whole.frame.nunique() == times*360
    pd.testing.assert_frame_equal(whole.iloc[:len(part)], part, check_dtype=False) # a column without a gap is one of integers


def test_one_click_shows_what_it_is_about_and_a_reload_keeps_it(visit:Callable, server:Server)->None:
    page = visit()
    page.get_by_role('button', name='Try it with a sample clip').click()
    page.get_by_text(re.compile('Looking for faces|Starting|Measuring')).wait_for()
    page.reload() # in the middle of the work
    page.get_by_text('Most frequent').wait_for()
    assert page.get_by_text('What is the analysis for?').count() == 0
    context = page.context
    other = context.new_page() # a second tab at the same address
    other.set_default_timeout(WAIT)
    other.goto(page.url)
    other.get_by_text('Most frequent').wait_for()
    page.close()
    time.sleep(2 * KEEP)
    other.get_by_role('tab', name='About').click()
    other.get_by_role('button', name='Delete my files').click()
    other.get_by_text('What is the analysis for?').wait_for()
    other.close()


def reach(page:'sync_api.Page', target:'sync_api.Locator', key:str='Tab')->None:
    "Go there with one key alone"
    for _ in range(120):
        if target.count() == 1 and target.evaluate('e => e.matches(":focus-within")'): return
        page.keyboard.press(key)
    pytest.fail(f'not reached by {key}: {target}')


def press_enter(page:'sync_api.Page', target:'sync_api.Locator', seen:'sync_api.Locator')->None:
    "Press it by keyboard; once more after a while, as a user would, when the page was just being drawn anew"
    for patience in (20, 40, 80, 160, 320):
        if not target.count(): break
        reach(page, target)
        page.keyboard.press('Enter')
        try: return seen.first.wait_for(timeout=1000*patience)
        except sync_api.TimeoutError: pass
    seen.first.wait_for()


def choose_files(page:'sync_api.Page', target:'sync_api.Locator', files:list[dict])->None:
    "The same with the chooser of files"
    for patience in (20, 40, 80, 160, 320):
        reach(page, target, 'Shift+Tab')
        try:
            with page.expect_file_chooser(timeout=1000*patience) as chooser: page.keyboard.press('Enter')
            return chooser.value.set_files(files)
        except sync_api.TimeoutError: pass
    pytest.fail('no chooser of files by keyboard')


def test_a_whole_session_by_keyboard(visit:Callable, short:bytes)->None:
    page = visit(told=False)
    def button(name:str)->'sync_api.Locator': return page.get_by_role('button', name=name, exact=True)
    reach(page, page.get_by_role('radiogroup'))
    for key in ('Space', 'ArrowDown', 'ArrowDown'): page.keyboard.press(key)
    reach(page, page.get_by_role('checkbox'))
    page.keyboard.press('Space')
    press_enter(page, button('Continue'), button('Try it with a sample clip'))
    press_enter(page, button('Try it with a sample clip'), page.get_by_text('Most frequent'))

    position = page.get_by_role('slider', name='Position in the video')
    reach(page, position)
    before = position.get_attribute('aria-valuetext')
    for _ in range(3): page.keyboard.press('ArrowRight')
    assert wait_for(lambda: position.get_attribute('aria-valuetext') != before)

    choose_files(page, button('Upload'), [clip('ann.mp4', short)])
    button('Analyse 1 file').wait_for()
    press_enter(page, button('Analyse 1 file'), page.get_by_text(re.compile(r'ann\.mp4 .* analysed$')))

    reach(page, page.get_by_role('tablist'), 'Shift+Tab')
    page.keyboard.press('ArrowRight')
    page.keyboard.press('Enter')
    button('Compare the viewers').wait_for()
    press_enter(page, button('Compare the viewers'), button('Study report'))
    reach(page, button('Study report'))
    with page.expect_download() as started: page.keyboard.press('Enter')
    assert started.value.suggested_filename == 'study_report.html'


def test_an_address_whose_files_are_gone_says_so(server:Server, browser:'sync_api.Browser')->None:
    page = browser.new_page()
    page.set_default_timeout(WAIT)
    page.goto(f'{server.url}/?visit=of-last-week')
    page.get_by_text(f'files stay until {KEEP} seconds after the last tab is closed').wait_for()
    assert 'of-last-week' not in page.url
    page.close()


def test_a_picture_is_shown_with_its_face(visit:Callable, server:Server)->None:
    with av.open(str(SAMPLE)) as container: picture = next(container.decode(video=0)).to_image()
    photo = io.BytesIO()
    picture.save(photo, 'jpeg')
    page = visit()
    upload(page, {'name': 'portrait.jpg', 'mimeType': 'image/jpeg', 'buffer': photo.getvalue()})
    page.get_by_role('button', name='Analyse 1 file').click()
    page.get_by_text('Most frequent').wait_for()
    assert wait_for(lambda: page.get_by_test_id('stImage').locator('img').first.evaluate('e => e.naturalWidth') == 640)
    assert len(pd.read_csv(io.BytesIO(download(page, 'CSV')[1]))) == 1
    assert 'id="photo"' in download(page, 'Report with the picture')[1].decode() and 'id="photo"' not in download(page, 'Report')[1].decode()
    page.locator('.timeline .bars').wait_for() # of one moment there is no curve, no time and no video
    assert page.locator('.timeline .share').count() == 7
    assert page.get_by_role('slider').count() == page.get_by_role('button', name='Make the annotated').count() == 0


def test_an_animation_moves_in_its_report_and_has_an_annotated_video(visit:Callable)->None:
    with av.open(str(SAMPLE)) as container: stills = [frame.to_image().resize((320, 180)) for frame in itertools.islice(container.decode(video=0), 0, 60, 6)]
    film = io.BytesIO()
    stills[0].save(film, 'gif', save_all=True, append_images=stills[1:], duration=200)
    page = visit()
    upload(page, {'name': 'moves.gif', 'mimeType': 'image/gif', 'buffer': film.getvalue()})
    page.get_by_role('button', name='Analyse 1 file').click()
    page.get_by_text('Most frequent').wait_for()
    assert 'id="play"' in download(page, 'Report with the video')[1].decode()
    page.get_by_role('button', name='Make the annotated video').click()
    page.get_by_role('radio', name='Annotated video').wait_for()
    assert page.get_by_test_id('stVideo').count() == 1
    page.get_by_text('Picture', exact=True).first.click()
    page.get_by_test_id('stImage').wait_for()


def start_camera(page:'sync_api.Page')->'sync_api.Locator':
    "Press Start in the tab with the camera; what it says"
    answer(page)
    page.get_by_role('tab', name='Live').click()
    page.get_by_role('button', name='Start the camera').click()
    return page.locator('.live .said')


def test_the_camera_shows_who_smiles_and_records_numbers_alone(server:Server, camera:'sync_api.Browser')->None:
    def pictures()->set[Path]: return {path for session in server.sessions for path in session.rglob('*') if path.suffix in ('.jpg', '.jpeg', '.png')}
    before = pictures() # of other visits
    with open_page(server, camera) as page:
        said = start_camera(page)
        page.locator('.live .box', has_text='Happy').first.wait_for()
        page.get_by_role('button', name='Record', exact=True).click()
        page.get_by_text('Recording: numbers alone').wait_for()
        began = int(said.get_attribute('data-number'))
        assert wait_for(lambda: int(said.get_attribute('data-number')) > began + 15)
        print(said.inner_text())
        page.get_by_role('button', name='End the recording').click()
        name, content = download(page, 'Recording (CSV)')
        table = pd.read_csv(io.BytesIO(content))
        assert name == 'live_timeline.csv' and len(table) >= 15 and table.time.is_monotonic_increasing and 'Happy' in set(table.emotion)
        page.get_by_role('button', name='Stop the camera').click()
        assert page.locator('video').evaluate_all('all => all.every(v => !v.srcObject)')
        assert not pictures() - before


def test_a_camera_that_is_missing_or_refused_is_a_sentence(server:Server, browser:'sync_api.Browser')->None:
    with open_page(server, browser) as page:
        said = start_camera(page)
        assert wait_for(lambda: re.search('There is no camera|may not use the camera', said.inner_text())), said.inner_text()
        page.evaluate("() => { navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('', 'NotAllowedError')) }")
        page.get_by_role('button', name='Start the camera').click()
        assert wait_for(lambda: 'Allow it beside the address' in said.inner_text())


def test_another_host_name_is_turned_away(server:Server)->None:
    "A page on the internet may point its own name at 127.0.0.1; the browser then sends that name"
    for host, status in ((server.url[7:], 101), ('evil.example', 403)):
        with socket.create_connection(('127.0.0.1', int(server.url.rsplit(':', 1)[1])), timeout=10) as connection:
            connection.sendall((f'GET /_stcore/stream HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'
                'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n').encode())
            assert connection.recv(100).split()[1] == str(status).encode(), host
    forged = httpx.put(f'{server.url}/_stcore/upload_file/any/one', files={'file': ('x.mp4', b'x')}, headers={'Host': 'evil.example'})
    assert forged.status_code == 403


def alive(processes:list[psutil.Process])->list[psutil.Process]:
    return [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.parametrize('how', ['SIGTERM', 'SIGKILL'])
def test_nothing_is_left_when_the_server_ends(browser:'sync_api.Browser', tmp_path:Path, how:str)->None:
    server = serve(tmp_path)
    page = browser.new_page()
    page.set_default_timeout(WAIT)
    page.goto(server.url)
    answer(page)
    upload(page, SAMPLE)
    choose_rate(page, 'every frame')
    page.get_by_role('button', name='Analyse 1 file').click()
    workers = wait_for(lambda: server.workers)
    assert workers and server.sessions
    server.process.send_signal(getattr(signal, how))
    server.process.wait(120)
    page.close()
    assert wait_for(lambda: not alive(workers))
    if how == 'SIGKILL': remove_leftovers(tmp_path) # as the next server does when it starts
    assert not list(tmp_path.glob('fea-app-*'))
