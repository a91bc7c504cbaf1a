"""What a client gets of 100 respondents and 6 stimuli of a minute: the page (size, and how soon it is usable in Chromium), the workbook and the slides:
python bench/study_page.py. Timelines are synthetic; one stimulus has the sample clip as its film."""
import shutil
import tempfile
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

from fea.study.page import write_study_report
from fea.study.run import run_study
from fea.study.simulation import simulate_study
from fea.study.slides import write_slides
from fea.study.workbook import write_workbook

FILMS = {f'film {i}': [(8 + 6*i, .1 + .04*i)] for i in range(6)}
SAMPLE = Path(__file__).resolve().parents[1]/'samples'/'sample.mp4'
CHROMIUM = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)


def open_page(file:Path)->float: # s
    "Until all curves are drawn and answer a click; median of three"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=['--no-sandbox'])
        times = []
        for _ in range(3):
            page = browser.new_page(viewport={'width': 1280, 'height': 900})
            page.goto(file.as_uri())
            page.wait_for_selector('html[data-ready]')
            times.append(float(page.evaluate('document.documentElement.dataset.ready')) / 1000)
            page.close()
        browser.close()
    return sorted(times)[1]


def main()->None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        manifest = simulate_study(folder, 100, FILMS, groups={'group_city': ['Lyon', 'Graz', 'Oslo']}, duration=60.)
        start = time.perf_counter()
        study = run_study(manifest, folder/'out', compare=[('film 0', 'film 5')], report=False, progress=False)
        print(f'tables {time.perf_counter() - start:.1f} s')
        for write in (lambda s: write_study_report(s, {'film 5': SAMPLE}), write_workbook, write_slides):
            start, worked = time.perf_counter(), time.process_time()
            file = write(study)
            print(f'{file.name} {time.perf_counter() - start:.1f} s, of the processor {time.process_time() - worked:.1f} s, {file.stat().st_size / 1e6:.2f} MB')
        print(f"report.html usable after {open_page(folder/'out'/'report.html'):.2f} s")


if __name__ == '__main__': main()
