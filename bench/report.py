#!/usr/bin/env python
"""Size of the HTML report of a ten-minute video at 5 stills a second, and how soon it can be used in Chromium.

Prints a table. Needs playwright (`pip install playwright`) and a Chromium; `--chromium PATH` when it is not found. The page is
opened anew each time. "Usable" is when its script has drawn every curve and filled the table, in ms since the page was asked
for; "click" is from a click on a curve to the next picture on the screen. Aim: below 5 MB without the video, usable within 2 s.
"""
import argparse
import shutil
import statistics
import tempfile
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use('Agg')

from fea.faces.detection import Face
from fea.report.page import write_report
from fea.timeline.table import make_timeline, timeline_row

CLICK = """async () => {
    const over = document.querySelector('.u-over'), box = over.getBoundingClientRect(), before = performance.now();
    over.dispatchEvent(new MouseEvent('click', {clientX: box.left + box.width / 2, clientY: box.top + 20, bubbles: true}));
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    return performance.now() - before;
}"""


def acted_timeline(
    faces:int, # Seen at once
    seconds:int=600, # Length, s
    fps:int=5, # Stills per second
):
    "A timeline of wandering expressions, with a gap of five seconds in each minute"
    rng, rows, count = np.random.default_rng(0), [], seconds*fps
    walks = np.cumsum(rng.normal(0, .35, (faces, count, 7)), axis=1)
    walks -= np.apply_along_axis(lambda walk: np.convolve(walk, np.ones(101)/101, 'same'), 1, walks)
    for i in range(count):
        for number in range(faces):
            if i/fps % 60 >= 55: continue
            p = np.exp(walks[number, i] + np.eye(7)[0])
            rows.append(timeline_row(i, i/fps, True, Face(100. + 150*number, 80., 90., 110., .93, np.zeros((5, 2)), number + 1), p/p.sum()))
        if i/fps % 60 >= 55: rows.append(timeline_row(i, i/fps, True))
    return make_timeline(rows)


def measure(
    browser, # Of playwright
    file:Path, # A report
    width:int, # Of the window, px
    runs:int=5, # Openings
):
    "Median and largest time to use (ms), median time of a click (ms)"
    ready, click = [], []
    for _ in range(runs):
        page = browser.new_page(viewport={'width': width, 'height': 900})
        page.goto(file.resolve().as_uri())
        page.wait_for_selector('html[data-ready]')
        ready.append(float(page.evaluate('document.documentElement.dataset.ready')))
        click.append(page.evaluate(CLICK))
        page.close()
    return statistics.median(ready), max(ready), statistics.median(click)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--chromium', default=next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None))
    options = parser.parse_args()
    from playwright.sync_api import sync_playwright
    print('| faces | rows | size MB | window | usable ms (median) | usable ms (largest of 5) | click ms |\n|---|---|---|---|---|---|---|')
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=options.chromium, args=['--no-sandbox'])
        for faces in (1, 3, 6):
            timeline = acted_timeline(faces)
            file = write_report(timeline, Path(folder)/f'{faces}.html')
            for width in (1280, 390):
                median, largest, click = measure(browser, file, width)
                print(f'| {faces} | {len(timeline)} | {file.stat().st_size/1e6:.2f} | {width} | {median:.0f} | {largest:.0f} | {click:.0f} |', flush=True)
        browser.close()


if __name__ == '__main__': main()
