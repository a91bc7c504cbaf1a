"The HTML report in a browser: it draws, a click takes the video along, nothing else is loaded, and no text becomes markup."
import csv
import io
import itertools
import json
import shutil
import subprocess
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from fea.core.tables import format_table
from fea.faces.detection import Face
from fea.faces.geometry import Pose, rotation_of
from fea.local_inference import analyze
from fea.report.heads import head_lines
from fea.report.page import write_report
from fea.timeline.table import check_timeline, format_timestamp, make_timeline, read_csv, timeline_row

ROOT = Path(__file__).parent.parent
SAMPLE = ROOT/'samples'/'sample.mp4'
CHROMIUM = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)


def acted(stills=60, fps=5, faces=(1, 2)):
    "Face 1 smiles in the middle; face 2 is seen from 6 s on; nobody from 9 to 10 s"
    rows = []
    for i in range(stills):
        now, seen = i/fps, [f for f in faces if f == 1 or i/fps >= 6]
        if 9 <= now < 10: seen = []
        for face in seen:
            smile = np.exp(-.5*((now - 4)/.8)**2)
            p = np.array([1.05 - smile, smile, .02, .02, .02, .02, .02])
            rows.append(timeline_row(i, now, True, Face(50.*face, 40., 90., 110., .93, np.zeros((5, 2)), face), p/p.sum()))
        if not seen: rows.append(timeline_row(i, now, True))
    return make_timeline(rows)


@pytest.mark.skipif(shutil.which('node') is None, reason='NO NODE: the clock of the scripts was not asked; install nodejs to test them')
@pytest.mark.parametrize('digits', [True, False])
def test_the_clock_says_what_the_table_says(digits):
    "Before the start of a video, too, where some recorders put their first frames"
    times = [-3725.25, -65.5, -1., -.412, -.0004, 0., .04, .9996, 59.9999, 65.25, 3725.125]
    asked = f"{(ROOT/'web'/'clock.js').read_text()}\nconsole.log(JSON.stringify({json.dumps(times)}.map(t => clock(t, {json.dumps(digits)}))))"
    said = json.loads(subprocess.run(['node', '-e', asked], capture_output=True, text=True, check=True).stdout)
    assert said == [format_timestamp(t, digits) for t in times]


@pytest.fixture(scope='module')
def browser():
    if CHROMIUM is None: pytest.skip('NO BROWSER: the HTML report was not opened; install chromium to test it')
    api = pytest.importorskip('playwright.sync_api', reason='NO PLAYWRIGHT: the HTML report was not opened; pip install playwright to test it')
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=['--no-sandbox', '--autoplay-policy=no-user-gesture-required'])
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser):
    "Open a report; afterwards nothing may have gone wrong and nothing but the page and its video may have been asked for"
    contexts, wrong, asked = [], [], []
    def open_file(file, allowed=(), **options):
        context = browser.new_context(**{'viewport': {'width': 1280, 'height': 900}, **options})
        contexts.append(context)
        page = context.new_page()
        page.on('console', lambda message: wrong.append(message.text) if message.type in ('error', 'warning')
                and 'willReadFrequently' not in message.text else None) # our own look at the pixels
        page.on('pageerror', lambda error: wrong.append(str(error)))
        own = {Path(path).resolve().as_uri() for path in (file, *allowed)}
        page.on('request', lambda request: asked.append(request.url) if request.url not in own and request.url[:5] not in ('data:', 'blob:') else None)
        page.goto(Path(file).resolve().as_uri())
        page.wait_for_selector('html[data-ready]')
        return page
    yield open_file
    for context in contexts: context.close()
    assert not wrong
    assert not asked


@pytest.fixture(scope='module')
def report(tmp_path_factory):
    return write_report(acted(), tmp_path_factory.mktemp('report')/'report.html', SAMPLE)


def wait(page, expression, seconds=200):
    "Wait until something is true; the page's policy forbids the tool's own way, which needs `eval`"
    end = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < end, f'not within {seconds} s: {expression}'
        page.wait_for_timeout(20)


def panel_box(page, panel=0):
    over = page.locator('.u-over').nth(panel)
    over.evaluate("element => element.scrollIntoView({block: 'center', behavior: 'instant'})")
    return over.bounding_box()


def click_at(page, moment, panel=0, length=12.):
    box = panel_box(page, panel)
    page.mouse.click(box['x'] + box['width']*moment/length, box['y'] + box['height']/2)


def moment(page):
    wait(page, "!document.getElementById('video').seeking")
    return page.evaluate("document.getElementById('video').currentTime")


def wait_for_video(page):
    wait(page, "document.getElementById('video').readyState > 1")


def colour_at(page, moment, height, panel=0, length=12.):
    "What is drawn at a moment; `height` from 0 (bottom) to 1 (top) of a panel"
    return page.evaluate("""([panel, part, height]) => {
        const over = document.querySelectorAll('.u-over')[panel], canvas = document.querySelectorAll('.uplot canvas')[panel];
        const ratio = canvas.width / canvas.getBoundingClientRect().width, a = over.getBoundingClientRect(), b = canvas.getBoundingClientRect();
        const x = (a.left - b.left + a.width * part) * ratio, y = (a.top - b.top + a.height * (1 - height)) * ratio;
        return [...canvas.getContext('2d').getImageData(Math.round(x), Math.round(y), 1, 1).data];
    }""", [panel, moment/length, height])


def test_click_seeks_the_video(open_page, report):
    page = open_page(report, [SAMPLE])
    wait_for_video(page)
    for seconds, panel in ((4.05, 0), (8.3, 1), (.5, 0)):
        click_at(page, seconds, panel)
        assert moment(page) == pytest.approx(int(seconds*5 + 1e-6)/5, abs=.01) # the still that was judged, not the pixel
    assert 'face 1' in page.locator('#faces').inner_text()
    click_at(page, 9.5)
    assert page.locator('#faces').inner_text() == 'no face'
    assert page.locator('#clock').inner_text() == '0:00:09.400'


def test_the_curves_follow_the_video(open_page, report):
    page = open_page(report, [SAMPLE])
    wait_for_video(page)
    page.evaluate("document.getElementById('video').currentTime = 7.1")
    wait(page, "document.getElementById('clock').textContent === '0:00:07.000'")
    page.evaluate("document.getElementById('video').muted = true; document.getElementById('video').play()")
    wait(page, "document.getElementById('video').currentTime > 7.9")
    page.evaluate("document.getElementById('video').pause()")
    wait(page, "Math.abs(Number(document.getElementById('moment').value) - Math.floor(5 * document.getElementById('video').currentTime + 1e-6)) <= 1")


def test_keyboard_alone(open_page, report):
    page = open_page(report, [SAMPLE])
    wait_for_video(page)
    page.locator('#moment').focus()
    for _ in range(3): page.keyboard.press('ArrowRight')
    assert moment(page) == pytest.approx(.6, abs=.01)
    assert page.locator('#moment').get_attribute('aria-valuetext') == '0:00:00.600, face 1: Neutral 91 %'
    page.keyboard.press('End')
    assert page.locator('#clock').inner_text() == '0:00:11.800'


def test_what_is_drawn(open_page, report):
    page = open_page(report, [SAMPLE])
    grey, orange, white = [153, 153, 153, 255], [230, 159, 0, 255], [255, 255, 255, 255]
    assert colour_at(page, 1.1, .3) == grey # neutral
    assert colour_at(page, 4.1, .6) == orange # the smile on top of it
    assert colour_at(page, 4.1, 1.09/1.26) == orange # and in the strip
    assert colour_at(page, 1.1, 1.09/1.26) == grey
    gap = [colour_at(page, 9.5 + i/80, .5) for i in range(12)]
    assert white in gap and not {tuple(grey), tuple(orange)} & set(map(tuple, gap)) # hatched
    page.locator('input[value=lines]').check()
    assert colour_at(page, 1.1, .3) == white
    page.locator('#legend input[value=Neutral]').uncheck()
    page.locator('input[value=stack]').check()
    assert colour_at(page, 1.1, .3) == white
    page.locator('input[value=valence]').check()
    assert page.locator('#legend input').first.is_disabled()


def test_zoom(open_page, report):
    page = open_page(report, [SAMPLE])
    wait_for_video(page)
    box = panel_box(page)
    page.mouse.move(box['x'] + box['width']/4, box['y'] + 40)
    page.mouse.down()
    page.mouse.move(box['x'] + box['width']/2, box['y'] + 40, steps=5)
    page.mouse.up()
    assert page.locator('#whole').is_enabled()
    assert moment(page) == pytest.approx(0, abs=.01) # a drag is no click
    click_at(page, .5, length=1., panel=1) # both panels show 3 to 6 s
    assert moment(page) == pytest.approx(4.4, abs=.11)
    page.locator('#whole').click()
    click_at(page, 6.1)
    assert moment(page) == pytest.approx(6, abs=.01)
    page.locator('#closer').click()
    click_at(page, .5, length=1.)
    assert moment(page) == pytest.approx(6, abs=.21)


def test_table_and_peaks(open_page, report):
    page = open_page(report, [SAMPLE])
    wait_for_video(page)
    assert page.locator('#page').inner_text() == 'page 1 of 4, 85 rows'
    page.locator('#later').click()
    page.locator('#rows button.go').first.click()
    assert moment(page) == pytest.approx(5, abs=.01)
    assert page.locator('#rows tr.now').count() == 1
    page.locator('#only').select_option('2')
    assert page.locator('#page').inner_text() == 'page 1 of 1, 25 rows'
    page.locator('#peaks button.go').first.click()
    assert moment(page) == pytest.approx(4, abs=.01)


def test_the_table_comes_back(open_page, report, tmp_path):
    page = open_page(report, [SAMPLE])
    with page.expect_download() as download: page.locator('#csv').click()
    download.value.save_as(tmp_path/'timeline.csv')
    back = check_timeline(read_csv(tmp_path/'timeline.csv')[0])
    assert back.equals(acted())


def test_video_inside(open_page, tmp_path):
    page = open_page(write_report(acted(), tmp_path/'report.html', SAMPLE, embed=True))
    wait_for_video(page)
    click_at(page, 7.1)
    assert moment(page) == pytest.approx(7, abs=.01)


def test_without_video(open_page, tmp_path):
    page = open_page(write_report(acted(), tmp_path/'report.html'))
    assert page.locator('video').count() == 0
    click_at(page, 4.05)
    assert 'Happy' in page.locator('#faces').inner_text()


def test_a_video_that_went_away(browser, tmp_path):
    video = tmp_path/'clip.mp4'
    shutil.copy(SAMPLE, video)
    report = write_report(acted(), tmp_path/'report.html', video)
    video.unlink()
    page = browser.new_page()
    page.goto(report.as_uri())
    page.wait_for_selector('#no-video:visible')
    click_at(page, 4.05)
    assert 'Happy' in page.locator('#faces').inner_text()
    page.close()


def test_a_name_is_a_name(open_page, tmp_path):
    "Markup, another scheme, and a percent sign in a file's name; markup in the table"
    folder = tmp_path/'a b#c'
    folder.mkdir()
    video = folder/'javascript:alert(1) %41 "\'<img src=x onerror=alert(1)>.mp4'
    shutil.copy(SAMPLE, video)
    bad = '</script><script>document.title = "owned"</script>'
    timeline = acted().assign(remark=bad, formula='=1+1', **{bad: 'a,"b"'})
    timeline.attrs['fea'] = {'source': {'name': video.name}, 'consent': bad, 'reason': bad}
    page = open_page(write_report(timeline, tmp_path/'report.html', video), [video])
    wait_for_video(page)
    click_at(page, 4.05)
    assert moment(page) == pytest.approx(4, abs=.01)
    assert page.title() == f'Expressions in {video.name}'
    assert page.locator('#rows td').filter(has_text='owned').first.inner_text() == bad
    with page.expect_download() as download: page.locator('#csv').click()
    download.value.save_as(tmp_path/'timeline.csv')
    rows = list(csv.reader(io.StringIO((tmp_path/'timeline.csv').read_text())))
    assert rows[0][-3:] == ['remark', 'formula', bad] and rows[1][-3:] == [bad, "'=1+1", 'a,"b"']
    assert read_csv(tmp_path/'timeline.csv')[0].formula.tolist() == ['=1+1'] * len(timeline)


def test_the_policy_stops_foreign_scripts(browser, report):
    "Even if markup got in, it would not run"
    page = browser.new_page()
    page.goto(report.as_uri())
    page.wait_for_selector('html[data-ready]')
    page.evaluate("""() => { window.stopped = []; addEventListener('securitypolicyviolation', (event) => window.stopped.push(event.effectiveDirective));
                             const s = document.createElement('script'); s.textContent = 'window.owned = true'; document.body.append(s);
                             const i = new Image(); i.src = 'http://127.0.0.1:9/x.png'; document.body.append(i); }""")
    wait(page, 'window.stopped.length >= 2')
    assert page.evaluate('window.owned') is None and sorted(page.evaluate('window.stopped')) == ['img-src', 'script-src-elem']
    page.close()


def test_narrow_dark_and_printed(open_page, report):
    page = open_page(report, [SAMPLE], viewport={'width': 390, 'height': 844}, color_scheme='dark', has_touch=True)
    wait_for_video(page)
    assert page.evaluate('document.documentElement.scrollWidth') <= 390
    assert colour_at(page, 9.5, 1.02/1.26) != [255, 255, 255, 255]
    box = panel_box(page)
    page.touchscreen.tap(box['x'] + box['width']*4.05/12, box['y'] + 30)
    assert moment(page) == pytest.approx(4, abs=.21)
    assert page.locator('img.printed').is_hidden()
    page.emulate_media(media='print')
    assert page.locator('img.printed').is_visible() and page.locator('video').is_hidden()


def test_without_scripts_the_picture_stands_in(browser, report):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(report.as_uri())
    assert page.locator('img.printed').is_visible() and page.locator('#curves').is_hidden()
    context.close()


def test_nobody_in_the_video(open_page, tmp_path):
    page = open_page(write_report(make_timeline([timeline_row(i, float(i), False) for i in range(4)]), tmp_path/'report.html'))
    assert 'there are no curves' in page.locator('#curves').inner_text()
    page.locator('#moment').focus()
    page.keyboard.press('ArrowRight')
    assert page.locator('#clock').inner_text() == '0:00:01'


def test_one_still(open_page, tmp_path):
    page = open_page(write_report(acted(1), tmp_path/'report.html'))
    assert page.locator('.u-over').count() == 1


def test_contrast(open_page, report):
    "WCAG 2: text at 4.5 to 1 in both schemes"
    for scheme in ('light', 'dark'):
        page = open_page(report, [SAMPLE], color_scheme=scheme)
        colours = page.evaluate("""() => { const probe = document.createElement('i'); document.body.append(probe);
            return Object.fromEntries(['--page','--panel','--now','--ink','--quiet','--accent','--warn','--warn-page'].map((name) => {
                probe.style.color = `var(${name})`; return [name, getComputedStyle(probe).color.match(/[\\d.]+/g).slice(0, 3).map(Number)]; })); }""")
        light = {name: np.dot([.2126, .7152, .0722], [c/12.92 if c <= .04045 else ((c + .055)/1.055)**2.4 for c in np.array(rgb)/255])
                 for name, rgb in colours.items()}
        pairs = [(ink, ground) for ink in ('--ink', '--quiet', '--accent') for ground in ('--page', '--panel', '--now')] + [('--warn', '--warn-page')]
        for ink, ground in pairs:
            low, high = sorted((light[ink], light[ground]))
            assert (high + .05)/(low + .05) >= 4.5, (scheme, ink, ground)


@pytest.fixture(scope='module')
def seen(tmp_path_factory):
    "The sample as it was analysed, and a photo; reports with pictures"
    folder = tmp_path_factory.mktemp('seen')
    timeline = analyze(SAMPLE, 5, progress=False)
    write_report(timeline, folder/'video.html', SAMPLE)
    write_report(timeline, folder/'nobody.html', SAMPLE, thumbnails=False)
    with av.open(str(SAMPLE)) as container: picture = list(container.decode(video=0))[-1].to_image()
    picture.save(folder/'photo.png')
    write_report(analyze(folder/'photo.png', progress=False), folder/'photo.html', folder/'photo.png')
    return folder


def test_faces_and_scenes_are_shown(open_page, seen):
    page = open_page(seen/'video.html', [SAMPLE])
    wait_for_video(page)
    sizes = page.locator('img.face, .scenes img').evaluate_all('all => all.map(image => image.naturalWidth)')
    assert len(sizes) == 2*2 + 8 and all(sizes)
    page.locator('.scenes button').nth(5).click()
    assert moment(page) == pytest.approx(8.4, abs=.01)
    heat = page.locator('#heat')
    heat.click(position={'x': heat.bounding_box()['width']*.25, 'y': 4})
    assert moment(page) == pytest.approx(3, abs=.21)
    assert 'data:image' not in (seen/'nobody.html').read_text().split('class="interactive"')[1].split('id="peaks"')[0].replace('image/svg', '')


def test_boxes_lie_on_the_faces(open_page, seen):
    page = open_page(seen/'video.html', [SAMPLE])
    wait_for_video(page)
    click_at(page, 10.05)
    moment(page)
    assert page.locator('#boxes div').count() == 0
    page.get_by_label('Boxes in the picture').check()
    rows = [r for r in csv.DictReader(io.StringIO(format_table(analyze(SAMPLE, 5, progress=False)))) if r['time'] == '10.0']
    row = next(r for r in rows if r['face'] == '2')
    assert [r['emotion'] for r in rows] == ['Neutral', 'Happy']
    assert page.locator('#boxes div').all_inner_texts() == [f"{r['face']}: {r['emotion']} {float(r['confidence']):.0%}".replace('%', ' %') for r in rows]
    screen, box = page.locator('#video').bounding_box(), page.locator('#boxes div').nth(1).bounding_box()
    scale = screen['width']/640 # the sample is 640 px wide
    assert box['x'] + box['width']/2 - screen['x'] == pytest.approx((float(row['x']) + float(row['width'])/2)*scale, abs=3)
    assert box['y'] + box['height']/2 - screen['y'] == pytest.approx((float(row['y']) + float(row['height'])/2)*scale, abs=3)
    page.locator('#moment').press('Home')
    assert page.locator('#boxes div').all_inner_texts()[0].startswith('1: Neutral')


def test_curves_can_be_smoothed(open_page, report):
    page = open_page(report, [SAMPLE])
    def share(time): return page.evaluate("""([time]) => {
        const canvas = document.querySelector('.uplot canvas'), over = document.querySelector('.u-over').getBoundingClientRect();
        const place = canvas.getBoundingClientRect();
        const ratio = canvas.width / place.width, x = Math.round((over.left - place.left + over.width * time / 12) * ratio), ctx = canvas.getContext('2d');
        const column = ctx.getImageData(x, Math.round((over.top - place.top) * ratio), 1, Math.round(over.height * ratio)).data;
        let orange = 0;
        for (let i = 0; i < column.length; i += 4) if (column[i] === 230 && column[i + 1] === 159 && column[i + 2] === 0) orange += 1;
        return orange / over.height / ratio; }""", [time])
    raw = share(4.1)
    page.get_by_label('Smoothed over 1 s').check()
    soft = share(4.1)
    assert .1 < soft < raw - .01, (raw, soft) # the top of a smile of 1.9 s is a little lower
    page.get_by_label('Smoothed over 1 s').uncheck()
    assert share(4.1) == raw


def test_a_photo_is_shown_with_its_faces(open_page, seen):
    page = open_page(seen/'photo.html')
    assert page.locator('#photo').evaluate('image => image.naturalWidth') == 640
    wait(page, "document.querySelectorAll('#boxes div').length === 2")
    for absent in ('#moment', '#closer', '#heat', '#smooth', '#head', 'video'): assert page.locator(absent).count() == 0, absent


def test_a_head_turns_with_the_video(open_page, seen, report):
    "The nose's line in the page lies where the pose of the table says; without geometry there is no head"
    timeline = analyze(SAMPLE, 5, progress=False)
    page = open_page(seen/'video.html', [SAMPLE])
    wait_for_video(page)
    lines = 'all => all.map(line => ["x1", "y1", "x2", "y2"].map(name => Number(line.getAttribute(name))))'
    for seconds in (1., 10.):
        click_at(page, seconds + .05)
        moment(page)
        rows = timeline[(timeline.time.sub(seconds).abs() < 1e-6) & timeline.yaw.notna()].sort_values('face')
        shown = page.locator('.turning .points-to').evaluate_all(lines)
        assert len(rows) and len(shown) == len(rows)
        for line, pose in zip(shown, rows.itertuples(), strict=True):
            turned = np.array(head_lines()['nose']) @ rotation_of(Pose(pose.yaw, pose.pitch, pose.roll)).T
            assert line == pytest.approx([turned[0, 0], -turned[0, 1], turned[1, 0], -turned[1, 1]], abs=.03)
            assert f'face {pose.face}\nyaw {round(pose.yaw)}°'.replace('-', '−') in page.locator('.turning').all_inner_texts()[int(pose.face) - 1]
    click_at(page, 1.05)
    moment(page)
    assert page.locator('.turning').nth(1).inner_text() == 'face 2\nno pose'
    for mode, colour in (('head', [11, 95, 174, 255]), ('mouth', [11, 95, 174, 255])):
        page.locator(f'input[value={mode}]').check()
        assert page.locator('#legend input').first.is_disabled()
        found = page.evaluate("""() => { const canvas = document.querySelector('.uplot canvas');
            const all = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data, seen = new Set();
            for (let i = 0; i < all.length; i += 4) seen.add([...all.slice(i, i + 4)].join());
            return [...seen]; }""")
        assert ','.join(map(str, colour)) in found
    old = open_page(report, [SAMPLE])
    assert old.locator('.turning').count() == 0 and old.locator('input[value=head]').count() == 0


def test_a_gif_moves_with_its_own_times(open_page, tmp_path):
    gif, times = tmp_path/'wave.gif', [0, 40, 120, 160, 240] # hundredths of a second
    with av.open(str(SAMPLE)) as source, av.open(str(gif), 'w') as out:
        stream = out.add_stream('gif', rate=100, width=320, height=180, pix_fmt='rgb8')
        stream.codec_context.time_base = Fraction(1, 100)
        for time, frame in zip(times, itertools.islice(source.decode(video=0), 0, None, 60), strict=False):
            picture = frame.reformat(320, 180, 'rgb8')
            picture.pts, picture.time_base = time, Fraction(1, 100)
            out.mux(stream.encode(picture))
        out.mux(stream.encode(None))
    page = open_page(write_report(analyze(gif, 5, progress=False), tmp_path/'gif.html', gif))
    pictures = []
    for _ in range(page.evaluate("Number(document.getElementById('moment').max)") + 1):
        pictures.append(page.locator('#photo').get_attribute('src'))
        page.locator('#moment').press('ArrowRight')
    assert len(dict.fromkeys(pictures)) == len(times) and page.locator('#boxes div').count() > 0
    page.get_by_role('button', name='Play', exact=True).click()
    page.get_by_role('button', name='Pause', exact=True).wait_for()
    page.get_by_role('button', name='Play', exact=True).wait_for() # it ends by itself
    assert page.locator('#photo').get_attribute('src') == pictures[-1]
