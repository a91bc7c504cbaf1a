"The page of a study in a browser: curves can be pointed at, the film goes along, nothing else is loaded, and no text becomes markup."
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from test_report_page import SAMPLE, browser, open_page, wait # noqa: F401

from fea.report.sections import make_section
from fea.study.run import run_study
from fea.study.simulation import simulate_study
from fea.timeline.table import GEOMETRY_COLUMNS

BAD = '</script><script>document.title = "owned"</script>'


@pytest.fixture(scope='module')
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp('study')
    shutil.copy(SAMPLE, folder/'a film #1.mp4')
    manifest = simulate_study(folder, 8, {'calm': (), BAD: [(8, .3)]}, groups={'group_city': ['Lyon', '<b>Graz</b>']}, duration=12.)
    for file in (folder/'synthetic_timelines').glob('*.csv'): # heads that turn by 20 degrees in the ninth second
        timeline = pd.read_csv(file)
        geometry = dict.fromkeys(GEOMETRY_COLUMNS, .5) | {'yaw': np.where((timeline.time >= 8) & (timeline.time < 9), 25., 5.)}
        timeline.assign(**{name: np.where(timeline.face.notna(), value, np.nan) for name, value in geometry.items()}).to_csv(file, index=False)
    (folder/'scenes.csv').write_text(f'stimulus,start,end,label\n"{BAD.replace(chr(34), chr(34)*2)}",0,6,<i>opening</i>\n')
    run_study(manifest, folder/'out', segments=folder/'scenes.csv', films={BAD: folder/'a film #1.mp4'}, more={'seen': make_section(BAD, BAD)}, progress=False)
    return folder


@pytest.fixture
def page(open_page, study): # noqa: F811
    return open_page(study/'out'/'report.html', [study/'a film #1.mp4'])


def said(page, film=1): return page.locator('[data-role=readout]').nth(film).inner_text()

def click_at(page, moment, film=1, length=12.):
    over = page.locator('.u-over').nth(film)
    over.evaluate("element => element.scrollIntoView({block: 'center', behavior: 'instant'})")
    box = over.bounding_box()
    page.mouse.click(box['x'] + box['width']*moment/length, box['y'] + box['height']/2)


def test_names_are_names(page):
    assert page.title() != 'owned' and page.locator('b, i').count() == 0
    assert page.locator('h2').filter(has_text='document.title').count() == 2 # the film and our own section
    assert page.locator('.moments button').first.inner_text().startswith('Scene: <i>opening</i>')


def test_a_click_takes_the_film_along(page):
    wait(page, "document.querySelector('video').readyState > 1")
    click_at(page, 8.5)
    wait(page, "!document.querySelector('video').seeking")
    assert page.evaluate("document.querySelector('video').currentTime") == pytest.approx(8.5, abs=.1)
    assert said(page).startswith('8 s to 9 s: Happy 0.') and said(page).endswith(' seen')
    grid = page.locator('canvas[data-role=grid]').nth(1)
    box = grid.bounding_box()
    page.mouse.click(box['x'] + box['width']*2.5/12, box['y'] + 5)
    wait(page, "!document.querySelector('video').seeking")
    assert page.evaluate("document.querySelector('video').currentTime") == pytest.approx(2.5, abs=.1)
    page.locator('.moments button').last.click()
    wait(page, "document.querySelector('video').currentTime > 3")


def test_any_curve_and_groups_everywhere(page):
    page.locator('[data-choice=measure]').first.select_option('expressiveness')
    page.locator('[data-choice=split]').first.select_option('city')
    assert page.locator('[data-choice=measure]').nth(1).input_value() == 'expressiveness'
    click_at(page, 4.5, film=0)
    assert '<b>Graz</b> 0.' in said(page, 0) and 'Lyon 0.' in said(page, 0)
    assert page.locator('ul.legend').first.locator('li').all_inner_texts() == ['<b>Graz</b>', 'Lyon']


def test_heads_have_curves_too(page):
    page.locator('[data-choice=measure]').first.select_option('yaw')
    click_at(page, 8.5)
    assert said(page).startswith('8 s to 9 s: Head: yaw, degrees 20.00')
    assert page.locator('canvas[data-role=grid]').nth(1).is_hidden()
    page.locator('[data-choice=measure]').first.select_option('p_happy')
    assert page.locator('canvas[data-role=grid]').nth(1).is_visible()


def test_smoothing_keeps_the_numbers(page):
    click_at(page, 8.5)
    before = said(page)
    pixels = "document.querySelectorAll('.uplot canvas')[1].toDataURL()"
    drawn = page.evaluate(pixels)
    page.locator('[data-choice=smooth]').first.check()
    page.wait_for_timeout(200)
    assert said(page) == before and page.evaluate(pixels) != drawn


def test_keyboard_alone(page):
    page.locator('[data-role=moment]').nth(1).focus()
    for _ in range(3): page.keyboard.press('ArrowRight')
    assert said(page).startswith('3 s to 4 s: Happy')
    assert page.locator('[data-role=moment]').nth(1).get_attribute('aria-valuetext').startswith('3 s to 4 s: Happy')


@pytest.mark.parametrize('width', [1280, 390])
def test_nothing_is_wider_than_the_screen(open_page, study, width): # noqa: F811
    page = open_page(study/'out'/'report.html', [study/'a film #1.mp4'], viewport={'width': width, 'height': 800}, color_scheme='dark')
    assert page.evaluate('document.documentElement.scrollWidth') <= width


def test_a_film_that_went_away(browser, study, tmp_path): # noqa: F811
    shutil.copy(study/'out'/'report.html', tmp_path/'report.html')
    page = browser.new_page()
    page.goto((Path(tmp_path)/'report.html').as_uri())
    page.wait_for_selector('.no-film:visible')
    click_at(page, 8.5)
    assert said(page).startswith('8 s to 9 s: Happy')
    page.close()


def test_on_paper(open_page, study): # noqa: F811
    page = open_page(study/'out'/'report.html', [study/'a film #1.mp4'])
    page.emulate_media(media='print')
    assert page.locator('picture.printed').first.is_visible() and page.locator('.moments img').first.is_visible()
    assert not page.locator('select').first.is_visible() and not page.locator('video').is_visible()
