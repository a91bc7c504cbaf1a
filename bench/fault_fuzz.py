"""Change good files at random, read them in a child, keep what goes wrong as small as it can be made.

Every input follows from the seed and its number, so a run can be taken up where it stopped and any input made again.
"""
import csv
import io
import json
import re
import struct
import tarfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from itertools import pairwise
from pathlib import Path

import numpy as np
from fault_cases import judge_body, load_all, read_body, read_clip, read_study, read_table, seed_of
from fault_files import manifests, pictures, recordings, timeline_files
from fault_judge import Ending, complain, run_case
from fault_media import FORMS, Damaged, judge_rows, later, make_clip

ROOT = Path(__file__).resolve().parent.parent
NUMBERS = (0, 1, 2, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1)
WORDS = (b'nan', b'inf', b'-inf', b'1e400', b'-1', b'', b'9'*40, b'=1+1', b'\0', b'"', b'\xff', b'0', b'1e308', b'null', b'[]', b'{}', b'true', b' ', b'\n',
         b',', b';', b'\t', b'1e-320')


@dataclass(frozen=True)
class Target:
    "What is read, and how an ending is judged"
    name: str # of the file that is changed
    files: dict[str, bytes]
    task: Callable[[Path], dict]
    judge: Callable[[Ending, bytes, list], str] # '' for nothing wrong
    text: bool = False
    low: int = 0 # changes begin here
    high: int = 0 # and end here; 0: at the end of the file


Change = tuple[str, int, int, bytes] # what, place, length, bytes


def plan_changes(data: bytes, target: Target, rng: np.random.Generator) -> list[Change]:
    "One to six changes"
    low, high = target.low, target.high or len(data)
    changes = list[Change]()
    for _ in range(1 + min(5, int(rng.exponential(1.5)))):
        at = int(rng.integers(low, max(low + 1, high)))
        length = int(min(high - at, 2**rng.integers(0, 13)))
        other = int(rng.integers(low, max(low + 1, high)))
        if target.text and rng.random() < .6:
            tokens = [m.span() for m in re.finditer(rb'[^,;\t\r\n:{}\[\]" ]+', data[low:high][:200_000])]
            if tokens:
                start, end = tokens[int(rng.integers(len(tokens)))]
                changes.append(('set', low + start, end - start, WORDS[int(rng.integers(len(WORDS)))]))
                continue
        match int(rng.integers(9)):
            case 0: changes.append(('set', at, 1, bytes([data[at] ^ (1 << int(rng.integers(8)))]) if at < len(data) else b'x'))
            case 1: changes.append(('set', at, 1, bytes([int(rng.integers(256))])))
            case 2 | 3:
                number, form = NUMBERS[int(rng.integers(len(NUMBERS)))], '<>'[int(rng.integers(2))] + 'BHIQ'[int(rng.integers(4))]
                size = struct.calcsize(form)
                changes.append(('set', at, size, struct.pack(form, number & ((1 << 8*size) - 1))))
            case 4: changes.append(('set', at, length, b''))
            case 5: changes.append(('set', at, 0, data[other:other + length]))
            case 6: changes.append(('set', at, length, bytes(length)))
            case 7: changes.append(('set', at, length, rng.bytes(length)))
            case _: changes.append(('cut', at, 0, b'') if not target.high and rng.random() < .5 else ('set', at, length, data[other:other + length]))
    return changes


def apply_changes(data: bytes, changes: list[Change]) -> bytes:
    "The changed file; places are those of the whole one"
    for what, at, length, new in sorted(changes, key=lambda change: -change[1]):
        data = data[:at] if what == 'cut' else data[:at] + new + data[at + length:]
    return data


def judge_plain(ending: Ending, data: bytes, changes: list[Change]) -> str:
    "Nothing but an orderly end"
    times = [t for t, _ in ending.data['rows']] if isinstance(ending.data.get('rows'), list) else []
    if any(not np.isfinite(t) or abs(t) > 1e7 for t in times): return 'a time that cannot be'
    if any(b <= a for a, b in pairwise(times)): return 'times do not rise'
    return ''


def judge_payload(name: str, ending: Ending, data: bytes, changes: list[Change]) -> str:
    "Only bytes of pictures were changed, so every other picture still belongs at its time"
    clip, spoilt = make_clip(name), frozenset[int]()
    for _, at, length, new in changes:
        spoilt |= later(clip, at) if len(new) != length and FORMS[name].indexed else clip.hit(at, at + max(length, 1))
    damaged = Damaged(data, spoilt, shifted=0 in spoilt, timing=name != 'gif', mixed=any(len(new) > 16 for _, _, _, new in changes))
    if ending.kind == 'refused': return ''
    found = judge_rows(clip, damaged, [tuple(row) for row in ending.data['rows']], True)
    return re.sub(r'\d+(\.\d+)?', 'N', str(found['wrong']))


@cache
def targets() -> dict[str, Target]: # By name
    "Everything that fea reads"
    found = dict[str, Target]()
    for name, form in FORMS.items():
        clip, file = make_clip(name), f'clip{form.suffix}'
        first, last = min(p.start for p in clip.packets), max(p.end for p in clip.packets)
        found[f'clip {name}'] = Target(file, {file: clip.data}, partial(read_clip, file, None), judge_plain)
        found[f'header {name}'] = Target(file, {file: clip.data}, partial(read_clip, file, None), judge_plain, high=max(64, first))
        found[f'payload {name}'] = Target(file, {file: clip.data}, partial(read_clip, file, None), partial(judge_payload, name), low=first, high=last)
        if last + 32 < len(clip.data): found[f'index {name}'] = Target(file, {file: clip.data}, partial(read_clip, file, 5.), judge_plain, low=last)
    for kind, (file, data, _) in pictures().items(): found[f'picture {kind}'] = Target(file, {file: data}, partial(read_clip, file, None), judge_plain)
    found |= requests()
    csv_files, parquet_files = timeline_files(), timeline_files('parquet')
    found['timeline csv'] = Target('timeline.csv', csv_files, partial(read_table, 'timeline.csv'), judge_plain, text=True)
    found['timeline json'] = Target('timeline.json', csv_files, partial(read_table, 'timeline.csv'), judge_plain, text=True)
    found['timeline parquet'] = Target('timeline.parquet', parquet_files, partial(read_table, 'timeline.parquet'), judge_plain)
    found['manifest'] = Target('study.csv', next(iter(manifests()))[1], read_study, judge_plain, text=True)
    for kind, (name, files) in recordings().items():
        for file in files:
            text = not file.endswith(('.edf', '.bdf', '.fif', '.eeg', '.xdf', '.xdfz'))
            label = f'recording {kind}' if len(files) == 1 else f'recording {kind} {Path(file).name}'
            found[label] = Target(file, files, partial(read_body, name), partial(judge_recording, kind), text)
    return found


def answer_request(name: str, content_type: str, folder: Path) -> dict:
    "What the container's server answers to a body; the type of the content may lie in a file of its own"
    from fea.serving.handler import model_fn
    from fea.serving.server import answer_request
    kind = (folder/'type').read_bytes().decode('latin-1') if (folder/'type').exists() else content_type
    status, body, form = answer_request(model_fn(str(ROOT/'models')), folder/name, kind, '*/*')
    return {'status': status, 'form': form, 'answer': body.decode()}


def judge_answer(ending: Ending, data: bytes, changes: list[Change]) -> str:
    "Every answer is JSON or lines of it, a refusal is the client's fault and one sentence, and nothing of the server is named"
    status, answer = ending.data['status'], ending.data['answer']
    if status not in (200, 400, 413, 415): return f'status {status}'
    try: lines = [json.loads(line) for line in (answer.splitlines() if 'lines' in ending.data['form'] else [answer])]
    except ValueError: return 'an answer that is no JSON'
    told = [str(line['error']) for line in lines if isinstance(line, dict) and 'error' in line]
    if status != 200 and len(told) != 1: return f'status {status} without a reason'
    if any('\n' in text or 'defect' in text or 'fault-' in text or len(text) > 1000 for text in told): return 'a reason that is no sentence'
    return ''


def requests() -> dict[str, Target]: # By name
    "Bodies that the server gets, in all types of content, and the type itself"
    found, pack = dict[str, Target](), io.BytesIO()
    shots = {kind: data for kind, (_, data, _) in pictures().items() if kind in ('png', 'jpg', 'jpeg', 'webp', 'tiff')}
    with tarfile.open(fileobj=pack, mode='w', format=tarfile.PAX_FORMAT) as archive:
        for kind, data in shots.items():
            member = tarfile.TarInfo(f'{"folder/"*20}é{kind}.{kind}') # long and not ASCII: more headers
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    bodies = {'tar': (pack.getvalue(), 'application/x-tar; view=frame'), 'clip': (make_clip('mp4').data, 'video/mp4; fps=5')}
    bodies |= {kind: (data, 'application/x-image') for kind, data in shots.items()}
    for kind, (data, content_type) in bodies.items():
        found[f'request {kind}'] = Target('body', {'body': data}, partial(answer_request, 'body', content_type), judge_answer)
    found['request type'] = Target('type', {'type': b'application/x-tar; view=frame; long_side=480', 'body': bodies['tar'][0]},
                                   partial(answer_request, 'body', ''), judge_answer, text=True)
    return found


def judge_recording(kind: str, ending: Ending, data: bytes, changes: list[Change]) -> str:
    "Times are times"
    return re.sub(r'^.*?: ', '', judge_body(kind, False, False, ending)['why'])


def try_input(target: Target, data: bytes, changes: list[Change]) -> tuple[str, Ending]:
    "What is wrong with a changed file"
    ending = run_case(target.task, target.files | {target.name: data})
    why = complain(ending) or target.judge(ending, data, changes)
    return re.sub(r'\d+ s, \d+ MB', '', why).strip(), ending


def minimise(target: Target, changes: list[Change], why: str, seconds: float = 60.) -> tuple[bytes, list[Change]]:
    "Fewer changes, then fewer bytes, with the same finding"
    whole, until = target.files[target.name], time.monotonic() + seconds
    def same(data: bytes, kept: list[Change]) -> bool: return time.monotonic() < until and try_input(target, data, kept)[0] == why
    for change in list(changes):
        fewer = [c for c in changes if c is not change]
        if fewer and same(apply_changes(whole, fewer), fewer): changes = fewer
    data = apply_changes(whole, changes)
    if target.judge is not judge_plain and 'in ' not in why: return data, changes # a payload is held against its places
    step = max(1, len(data)//2)
    while step >= max(1, len(data)//256):
        at = 0
        while at < len(data):
            shorter = data[:at] + data[at + step:]
            if shorter and same(shorter, changes): data = shorter
            else: at += step
        step //= 2
    return data, changes


def write_finding(out: Path, name: str, number: int, seed: int, why: str, target: Target, data: bytes, changes: list[Change], ending: Ending) -> None:
    "A folder for a finding: the files, and what came of them"
    folder = out/'findings'/re.sub(r'[^A-Za-z0-9]+', '_', f'{name} {why}')[:100].strip('_')
    for file, content in (target.files | {target.name: data}).items():
        (folder/file).parent.mkdir(parents=True, exist_ok=True)
        (folder/file).write_bytes(content)
    said = [f'{name}: {why}', f'seed {seed}, input {number}, {len(changes)} changes, {len(data)} bytes',
            f'{ending.kind}, {ending.seconds:.1f} s, {ending.megabytes:.0f} MB']
    (folder/'what.txt').write_text('\n'.join([*said, *(f'{c[0]} at {c[1]}, {c[2]} bytes, to {c[3][:40]!r}' for c in changes), '', ending.text,
                                              ending.data.get('printed', '')]))


def fuzz(out: Path, hours: float, seed: int, only: str) -> int:
    "Go on until the time is over; how many kinds of findings there are"
    load_all()
    names = [name for name in targets() if only in name]
    out.mkdir(parents=True, exist_ok=True)
    state_file = out/f'fuzz_{seed}{"_" + re.sub("[^a-z0-9]+", "_", only) if only else ""}.json'
    state = json.loads(state_file.read_text()) if state_file.exists() else {'next': 0, 'seconds': 0., 'counts': {}, 'found': {}}
    counts, found, started, spent = Counter(state['counts']), dict(state['found']), time.monotonic(), state['seconds']
    def save() -> None:
        state_file.with_suffix('.part').write_text(json.dumps({'next': number + 1, 'seconds': spent + time.monotonic() - started, 'counts': counts,
                                                               'found': found}))
        state_file.with_suffix('.part').replace(state_file)
    number = state['next'] - 1
    while time.monotonic() - started < hours*3600:
        number += 1
        name = names[number % len(names)]
        target, rng = targets()[name], seed_of('fuzz', str(seed), str(number))
        changes = plan_changes(target.files[target.name], target, rng)
        data = apply_changes(target.files[target.name], changes)
        why, ending = try_input(target, data, changes)
        kind = name.split()[0]
        counts[f'{kind}: {(why and "findings") or ending.kind}'] += 1
        key = f'{kind}: {why}'
        if why:
            if key not in found:
                print(f'input {number}: {name}: {why}', flush=True)
                small, fewer = minimise(target, changes, why)
                write_finding(out, name, number, seed, why, target, small, fewer, try_input(target, small, fewer)[1])
            found[key] = found.get(key, 0) + 1
        if number % 50 == 0: save()
    save()
    with (out/'fuzz.csv').open('w', newline='') as file:
        table = csv.writer(file)
        table.writerow(['finding', 'inputs'])
        table.writerows(sorted(found.items()))
    print(f'{number + 1} inputs, seed {seed}, {(spent + time.monotonic() - started)/3600:.2f} h;', ', '.join(f'{k} {v}' for k, v in sorted(counts.items())))
    return len(found)
