// The interactive part of fea's HTML report. Reads the table from #data; draws it with uPlot; loads nothing.
'use strict';
(() => {
const $ = (id) => document.getElementById(id);
const D = JSON.parse($('data').textContent);
const N = D.times.length, BEGIN = D.times[0], END = D.end;
const column = Object.fromEntries(D.columns.map((name, i) => [name, D.values[i]]));
const rowsAt = Array.from({length: N}, () => []);
D.still.forEach((still, row) => rowsAt[still].push(row));
const video = $('video');
const STRIP = [1.04, 1.14], TOP = 1.26, STEP = 1e-4; // as in fea.report; above it the marks of the peaks
const DASHES = [[], [], [6, 3], [2, 2], [8, 3, 2, 3], [12, 4], [4, 4]];
const photo = $('photo'), screen = video || photo;
const moving = {frames: D.moving, shown: 0, request: 0, time: 0}; // an animation: its frames, and where it is while it plays
const state = {still: 0, mode: 'stack', smooth: false, hidden: new Set(), range: [BEGIN, END], page: 0, face: ''};
let panels = [];

document.documentElement.classList.add('js');
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const make = (tag, text, className) => {
    const element = document.createElement(tag);
    if (text !== undefined) element.textContent = text;
    if (className) element.className = className;
    return element;
};

// ---- time
const endOf = (still) => still + 1 < N ? D.times[still + 1] : END;
const stillAt = (time) => {
    let low = 0, high = N - 1;
    while (low < high) {
        const middle = (low + high + 1) >> 1;
        if (D.times[middle] <= time + 1e-6) low = middle; else high = middle - 1;
    }
    return low;
};
const INCREMENTS = [.1, .2, .5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400];
const tickText = (time) => clock(time, Math.abs(time) % 1 > 1e-6 && Math.abs(time) % 1 < 1 - 1e-6).replace(/^(-?)0:/, '$1').replace(/(\.\d*?)0+$/, '$1');
const percent = (value) => `${Math.round(100 * value)} %`;

// ---- one panel per face
function curves(face) { // times with a step's both ends; null where the face was not judged
    const x = [], rows = [], runs = [];
    let before = -1;
    for (let still = 0; still < N; still++) {
        const row = rowsAt[still].find((r) => column.face[r] === face && column.emotion[r] !== null);
        if (row === undefined) {
            if (before >= 0) { x.push(D.times[still]); rows.push(before); x.push(D.times[still] + STEP); rows.push(-1); }
            before = -1;
            continue;
        }
        const last = runs[runs.length - 1];
        if (before >= 0 && last[2] === column.emotion[row]) last[1] = endOf(still);
        else runs.push([D.times[still], endOf(still), column.emotion[row]]);
        x.push(D.times[still]); rows.push(row);
        before = row;
    }
    if (before >= 0) { x.push(END); rows.push(before); }
    if (!x.length || x[0] > BEGIN) { x.unshift(BEGIN); rows.unshift(-1); }
    if (x[x.length - 1] < END) { x.push(END); rows.push(-1); }
    return {x, rows, runs};
}

const HALF = .5; // s on each side that are averaged
function soften(curve, values) { // of each spell by itself, so that nothing is invented where nobody was seen
    const soft = curve.rows.map((row) => row < 0 ? null : values[row]);
    for (let from = 0; from < soft.length; from++) {
        if (curve.rows[from] < 0) continue;
        let to = from;
        while (to + 1 < soft.length && curve.rows[to + 1] >= 0) to++;
        const rows = [...new Set(curve.rows.slice(from, to + 1))], times = rows.map((row) => D.times[D.still[row]]);
        const means = new Map();
        const known = (row) => values[row] === null ? 0 : 1; // a face may be judged and yet too small for its mouth
        for (let i = 0, low = 0, high = 0, sum = 0, count = 0; i < rows.length; i++) {
            for (; high < rows.length && times[high] <= times[i] + HALF + 1e-6; high++) { sum += values[rows[high]]; count += known(rows[high]); }
            for (; times[low] < times[i] - HALF - 1e-6; low++) { sum -= values[rows[low]]; count -= known(rows[low]); }
            means.set(rows[i], known(rows[i]) ? sum / count : null);
        }
        for (let i = from; i <= to; i++) soft[i] = means.get(curve.rows[i]);
        from = to;
    }
    return soft;
}

const LINES = { // what is no share of the labels: columns, names, lines
    valence: [['valence', 'valence', [], '--ink'], ['expressiveness', 'expressiveness', [6, 3], '--ink']],
    head: [['yaw', 'yaw', [], '--first'], ['pitch', 'pitch', [6, 3], '--second'], ['roll', 'roll', [2, 2], '--third']],
    mouth: [['mouth_opening', 'opening', [], '--first'], ['mouth_width', 'width', [6, 3], '--second']],
};
const largest = (names) => names.reduce((most, name) => (column[name] ?? []).reduce((a, v) => Math.max(a, Math.abs(v ?? 0)), most), 0);
const HEAD = Math.max(30, 10 * Math.ceil(largest(['yaw', 'pitch', 'roll']) / 10)), MOUTH = Math.max(1, Math.ceil(5 * largest(['mouth_opening', 'mouth_width'])) / 5);
const SPANS = {stack: [0, 1], lines: [0, 1], valence: [-1, 1], head: [-HEAD, HEAD], mouth: [0, MOUTH]}; // ends of the scale; above it the strip of labels
const labelled = () => state.mode === 'stack' || state.mode === 'lines';

function seriesOf(curve) {
    const pick = (values) => state.smooth ? soften(curve, values) : curve.rows.map((row) => row < 0 ? null : values[row]);
    const stepped = uPlot.paths.stepped({align: 1});
    const common = {paths: stepped, points: {show: false}, spanGaps: false};
    if (LINES[state.mode]) {
        return LINES[state.mode].map(([name, label, dash, colour]) => ({data: pick(column[name]), series: {...common, label, dash, width: 1.6, stroke: () => css(colour)}}));
    }
    const shown = D.emotions.map((emotion, i) => ({...emotion, dash: DASHES[i], values: pick(column[emotion.column])}))
        .filter((emotion) => !state.hidden.has(emotion.name));
    if (state.mode === 'lines') {
        return shown.map(({name, colour, dash, values}) => ({data: values, series: {...common, label: name, dash, width: 1.8, stroke: colour}}));
    }
    const below = new Array(curve.x.length).fill(0); // stacked: the highest first, each painted down to zero
    return shown.map(({name, colour, values}) => ({
        data: values.map((value, i) => value === null ? null : (below[i] += value)),
        series: {...common, label: name, fill: colour, fillTo: 0, width: 0},
    })).reverse();
}

function hatch(context) {
    const tile = document.createElement('canvas'), size = 8 * devicePixelRatio;
    tile.width = tile.height = size;
    const pen = tile.getContext('2d');
    pen.strokeStyle = css('--hatch');
    pen.lineWidth = devicePixelRatio;
    for (const shift of [-size, 0, size]) { pen.beginPath(); pen.moveTo(shift, size); pen.lineTo(shift + size, 0); pen.stroke(); }
    return context.createPattern(tile, 'repeat');
}

function inside(u, paint) {
    u.ctx.save();
    u.ctx.beginPath();
    u.ctx.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height);
    u.ctx.clip();
    paint(u.ctx, (time) => u.valToPos(time, 'x', true), (value) => u.valToPos(value, 'y', true));
    u.ctx.restore();
}

function paintGround(u, runs) {
    inside(u, (ctx, x) => {
        ctx.fillStyle = css('--paper');
        ctx.fillRect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height);
        ctx.fillStyle = hatch(ctx);
        ctx.fillRect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height);
        ctx.fillStyle = css('--paper');
        for (const [start, end] of runs) ctx.fillRect(x(start), u.bbox.top, x(end) - x(start), u.bbox.height);
    });
}

function paintLabels(u, face, runs) {
    const colours = Object.fromEntries(D.emotions.map((emotion) => [emotion.name, emotion.colour]));
    const [bottom, top] = SPANS[state.mode], [low, high] = labelled() ? STRIP : [top + .02 * (top - bottom), top + .115 * (top - bottom)];
    inside(u, (ctx, x, y) => {
        for (const [start, end, emotion] of runs) {
            ctx.fillStyle = colours[emotion];
            ctx.fillRect(x(start), y(high), Math.max(x(end) - x(start), 1), y(low) - y(high));
        }
        if (!labelled()) return;
        const size = 5 * devicePixelRatio;
        ctx.setLineDash([]);
        ctx.lineWidth = devicePixelRatio;
        for (const peak of D.peaks) {
            if (peak.face !== face || state.hidden.has(peak.emotion)) continue;
            ctx.fillStyle = colours[peak.emotion];
            ctx.strokeStyle = css('--ink');
            ctx.beginPath();
            ctx.moveTo(x(peak.time), y(STRIP[1]) - 1);
            ctx.lineTo(x(peak.time) - size, y(STRIP[1]) - 1 - 1.5 * size);
            ctx.lineTo(x(peak.time) + size, y(STRIP[1]) - 1 - 1.5 * size);
            ctx.closePath(); ctx.fill(); ctx.stroke();
        }
    });
}

function draw(figure) {
    const face = Number(figure.dataset.face), holder = figure.querySelector('.plot'), curve = curves(face), lines = seriesOf(curve);
    const axis = {stroke: () => css('--ink'), grid: {stroke: () => css('--grid'), width: 1}, ticks: {stroke: () => css('--grid'), width: 1},
                  font: '12px system-ui, sans-serif'};
    const [bottom, top] = SPANS[state.mode], high = labelled() ? TOP : top + .12 * (top - bottom);
    const u = new uPlot({
        width: holder.clientWidth || 300, height: 150, legend: {show: false}, padding: [6, 26, 0, 0],
        scales: {x: {time: false, range: () => state.range}, y: {range: () => [bottom, high]}},
        axes: [
            {...axis, size: 28, space: 64, incrs: INCREMENTS, values: (_, ticks) => ticks.map((time) => N > 1 ? tickText(time) : '')},
            {...axis, size: 34, splits: () => [bottom, (bottom + top) / 2, top], values: (_, ticks) => ticks.map((t) => String(t).replace('-', '−'))},
        ],
        series: [{}, ...lines.map((line) => line.series)],
        cursor: {sync: {key: 'fea'}, points: {show: false}, y: false, drag: {x: true, y: false, setScale: false}, bind: {dblclick: () => () => zoom(BEGIN, END)}},
        hooks: {
            drawClear: [(self) => paintGround(self, curve.runs)],
            draw: [(self) => paintLabels(self, face, curve.runs)],
            setSelect: [(self) => {
                if (self.select.width < 8) return;
                const from = self.posToVal(self.select.left, 'x'), to = self.posToVal(self.select.left + self.select.width, 'x');
                self.setSelect({left: 0, top: 0, width: 0, height: 0}, false);
                zoom(from, to);
            }],
            setCursor: [(self) => {
                if (self.cursor.event) describe(self.cursor.left >= 0 ? stillAt(self.posToVal(self.cursor.left, 'x')) : state.still);
            }],
        },
    }, [curve.x, ...lines.map((line) => line.data)], holder);
    u.over.addEventListener('click', (event) => {
        if (u.select.width > 0) return;
        moveTo(stillAt(u.posToVal(event.clientX - u.over.getBoundingClientRect().left, 'x')), true);
    });
    u.over.addEventListener('mouseleave', () => describe(state.still));
    const head = make('div', undefined, 'playhead');
    u.over.append(head);
    return {u, head, holder, face};
}

// ---- the whole video as a strip: the colour of the label, the stronger the higher its probability
const LANE = 9; // px
function drawHeat() {
    const canvas = $('heat');
    if (!canvas) return;
    const faces = panels.map(({face}) => face), width = canvas.clientWidth, ratio = devicePixelRatio;
    canvas.style.height = `${faces.length * LANE}px`;
    canvas.width = Math.round(width * ratio);
    canvas.height = faces.length * LANE * ratio;
    const ctx = canvas.getContext('2d'), colours = Object.fromEntries(D.emotions.map((emotion) => [emotion.name, emotion.colour]));
    ctx.fillStyle = css('--panel');
    ctx.fillRect(0, 0, canvas.width, canvas.height);
    const x = (time) => (time - BEGIN) / (END - BEGIN) * canvas.width;
    for (let still = 0; still < N; still++) for (const row of rowsAt[still]) {
        const lane = faces.indexOf(column.face[row]);
        if (lane < 0 || column.emotion[row] === null) continue;
        ctx.globalAlpha = .15 + .85 * column.confidence[row] ** 2;
        ctx.fillStyle = colours[column.emotion[row]];
        ctx.fillRect(x(D.times[still]), (lane * LANE + 1) * ratio, Math.max(x(endOf(still)) - x(D.times[still]), 1), (LANE - 2) * ratio);
    }
}

// ---- boxes of the present still, where the picture lies on the screen
function drawBoxes() {
    const holder = $('boxes'), wanted = $('show-boxes');
    if (!holder || !wanted) return;
    const wide = photo ? photo.naturalWidth : video.videoWidth, high = photo ? photo.naturalHeight : video.videoHeight;
    const rows = wanted.checked && wide && high && !screen.hidden ? rowsAt[state.still].filter((row) => column.face[row] !== null) : [];
    const scale = Math.min(screen.clientWidth / wide, screen.clientHeight / high), [width, height] = [wide * scale, high * scale];
    const left = (screen.clientWidth - width) / 2, top = (screen.clientHeight - height) / 2;
    holder.replaceChildren(...rows.map((row) => {
        const box = make('div'), [w, h] = D.size;
        box.style.left = `${left + column.x[row] / w * width}px`;
        box.style.top = `${top + column.y[row] / h * height}px`;
        box.style.width = `${column.width[row] / w * width}px`;
        box.style.height = `${column.height[row] / h * height}px`;
        box.append(make('span', column.emotion[row] === null ? `${column.face[row]}: too small` : `${column.face[row]}: ${column.emotion[row]} ${percent(column.confidence[row])}`));
        return box;
    }));
}

function drawAll() {
    for (const panel of panels) panel.u.destroy();
    panels = [...document.querySelectorAll('figure[data-face]')].map(draw);
    drawHeat();
    placeHeads(headTime());
}

function zoom(from, to) {
    const least = Math.max(3 * (END - BEGIN) / N, .2), middle = (from + to) / 2, half = Math.max(to - from, least) / 2;
    const low = Math.min(Math.max(middle - half, BEGIN), Math.max(END - 2 * half, BEGIN));
    state.range = [low, Math.min(low + 2 * half, END)];
    for (const panel of panels) panel.u.setScale('x', {min: state.range[0], max: state.range[1]});
    if ($('whole')) $('whole').disabled = state.range[1] - state.range[0] >= END - BEGIN - 1e-6;
    placeHeads(headTime());
}

function zoomBy(factor) {
    const width = (state.range[1] - state.range[0]) * factor, time = D.times[state.still];
    const place = time >= state.range[0] && time <= state.range[1] ? time : (state.range[0] + state.range[1]) / 2;
    zoom(place - width / 2, place + width / 2);
}

// ---- the present moment
const usable = () => Boolean(video) && !video.error && video.readyState > 0;
const headTime = () => moving.request ? moving.time : usable() && !video.paused ? video.currentTime : D.times[state.still];

function placeHeads(time) {
    for (const {u, head} of panels) {
        const left = u.valToPos(Math.max(time, BEGIN), 'x');
        head.hidden = !(left >= 0 && left <= u.over.clientWidth);
        head.style.transform = `translateX(${left}px)`;
    }
    const mark = document.querySelector('.heat .playhead');
    if (mark) mark.style.transform = `translateX(${(Math.max(time, BEGIN) - BEGIN) / (END - BEGIN) * $('heat').clientWidth}px)`;
}

function words(row) {
    if (column.face[row] === null) return 'no face';
    if (column.emotion[row] === null) return `face ${column.face[row]}: not judged (too small)`;
    return `face ${column.face[row]}: ${column.emotion[row]} ${percent(column.confidence[row])}`;
}

function describe(still) {
    const list = $('faces');
    $('clock').textContent = N > 1 ? clock(D.times[still], D.milliseconds) : ''; // a photo has no time
    list.replaceChildren(...rowsAt[still].map((row) => {
        const item = make('li', words(row));
        const emotion = D.emotions.find(({name}) => name === column.emotion[row]);
        if (emotion) {
            const swatch = make('span', '', 'swatch');
            swatch.style.background = emotion.colour;
            item.prepend(swatch);
            item.append(make('span', `valence ${column.valence[row].toFixed(2).replace('-0.00', '0.00').replace('-', '−')}, expressiveness ${column.expressiveness[row].toFixed(2)}`, 'quiet'));
        }
        return item;
    }));
    turnHeads(still);
}

// ---- heads that turn
const turning = [...document.querySelectorAll('[data-head]')];
const several = new Set(column.face.filter((face) => face !== null)).size > 1;
const degrees = (value) => `${Math.round(value)}°`.replace('-0°', '0°').replace('-', '−');

function turnHeads(still) {
    for (const box of turning) {
        const face = Number(box.dataset.head), svg = box.querySelector('svg'), text = box.querySelector('span');
        const row = rowsAt[still].find((r) => column.face[r] === face && column.yaw[r] !== null), name = several ? [`face ${face}`] : [];
        if (row === undefined) svg.replaceChildren();
        else turnHead(svg, D.head, {yaw: column.yaw[row], pitch: column.pitch[row], roll: column.roll[row], opening: column.mouth_opening[row]});
        const said = row === undefined ? ['no pose'] : ['yaw', 'pitch', 'roll'].map((angle) => `${angle} ${degrees(column[angle][row])}`);
        text.textContent = [...name, ...said].join('\n');
        svg.setAttribute('aria-label', `Head of face ${face}: ${said.join(', ')}`);
    }
}

function moveTo(still, seek) {
    if (seek) pause();
    state.still = Math.min(Math.max(still, 0), N - 1);
    showFrame(headTime());
    const time = D.times[state.still], slider = $('moment');
    if (seek && usable()) video.currentTime = Math.min(time + 1e-3, video.duration || time);
    if (slider) {
        slider.value = state.still;
        slider.setAttribute('aria-valuetext', `${clock(time, D.milliseconds)}, ${rowsAt[state.still].map(words).join(', ')}`);
    }
    describe(state.still);
    drawBoxes();
    placeHeads(headTime());
    if (seek) showRow();
    for (const row of $('rows').rows) row.classList.toggle('now', Number(row.dataset.still) === state.still);
}

// ---- an animation
function showFrame(time) {
    let place = 0;
    while (place + 1 < moving.frames.length && moving.frames[place + 1][0] <= time + 1e-6) place++;
    if (place !== moving.shown) photo.src = moving.frames[place][1];
    moving.shown = place;
}

function pause() {
    cancelAnimationFrame(moving.request);
    moving.request = 0;
    if ($('play')) $('play').textContent = 'Play';
}

function play() {
    if (moving.request) { pause(); return; }
    const from = state.still === N - 1 ? BEGIN : D.times[state.still], began = performance.now();
    const step = (now) => {
        moving.time = Math.min(from + Math.max(now - began, 0) / 1000, END);
        const still = stillAt(moving.time);
        if (still !== state.still) moveTo(still, false);
        showFrame(moving.time);
        placeHeads(moving.time);
        if (moving.time < END) moving.request = requestAnimationFrame(step); else pause();
    };
    moving.request = requestAnimationFrame(step);
    $('play').textContent = 'Pause';
}

function follow() {
    if (!usable() || video.paused) return;
    const still = stillAt(video.currentTime);
    if (still !== state.still) moveTo(still, false); else placeHeads(video.currentTime);
    requestAnimationFrame(follow);
}

// ---- the table, a page at a time
const PAGE = 25;
const decimals = Object.fromEntries(D.columns.map((name) => [name, name === 'time' ? 3 : /^(x|y|width|height)$/.test(name) ? 0 : 3]));
const cell = (value, name) => value === null ? '' : typeof value === 'number' && name !== 'face' ? value.toFixed(decimals[name]) : String(value);
const chosen = () => state.face === '' ? D.still.map((_, row) => row) : D.still.map((_, row) => row).filter((row) => String(column.face[row]) === state.face);

function showPage(page) {
    const rows = chosen(), pages = Math.max(Math.ceil(rows.length / PAGE), 1);
    state.page = Math.min(Math.max(page, 0), pages - 1);
    $('rows').replaceChildren(...rows.slice(PAGE * state.page, PAGE * (state.page + 1)).map((row) => {
        const line = make('tr');
        line.dataset.still = D.still[row];
        line.classList.toggle('now', D.still[row] === state.still);
        D.columns.forEach((name) => {
            const box = make('td');
            if (name === 'timestamp') {
                const button = make('button', column.timestamp[row], 'go');
                button.dataset.time = D.times[D.still[row]];
                box.append(button);
            } else {
                box.textContent = cell(column[name][row], name);
                if (typeof column[name][row] === 'number') box.className = 'number';
            }
            line.append(box);
        });
        return line;
    }));
    $('page').textContent = `page ${state.page + 1} of ${pages}, ${rows.length} row${rows.length === 1 ? '' : 's'}`;
    $('earlier').disabled = state.page === 0;
    $('later').disabled = state.page === pages - 1;
}

function showRow() { // turn to the page of the present moment
    const place = chosen().findIndex((row) => D.still[row] >= state.still);
    if (place >= 0 && Math.floor(place / PAGE) !== state.page) showPage(Math.floor(place / PAGE));
}

function download() {
    const formula = /^'*[=+\-@\t\r\n＝＋－＠]/, harmless = /^[+-][\d.:]+(?:[eE][+-]?\d+)?$/; // as in fea.core.tables
    const guard = (value) => typeof value === 'string' && formula.test(value) && !harmless.test(value) ? `'${value}` : String(value);
    const quote = (value) => value === null ? '' : /[",\n\r]/.test(String(value)) ? `"${guard(value).replaceAll('"', '""')}"` : guard(value);
    const lines = [D.columns.map(quote).join(','), ...D.still.map((_, row) => D.columns.map((name) => quote(column[name][row])).join(','))];
    const link = make('a');
    link.href = URL.createObjectURL(new Blob([lines.join('\n') + '\n'], {type: 'text/csv'}));
    link.download = 'timeline.csv';
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

// ---- start
function start() {
    for (const input of document.querySelectorAll('input[name=mode]')) {
        input.addEventListener('change', () => { state.mode = input.value; $('legend').disabled = !labelled(); drawAll(); });
    }
    for (const input of document.querySelectorAll('#legend input')) {
        input.addEventListener('change', () => { if (input.checked) state.hidden.delete(input.value); else state.hidden.add(input.value); drawAll(); });
    }
    const when = (id, event, act) => { if ($(id)) $(id).addEventListener(event, act); }; // a photo has fewer controls
    when('moment', 'input', (event) => moveTo(Number(event.target.value), true));
    when('closer', 'click', () => zoomBy(.5));
    when('wider', 'click', () => zoomBy(2));
    when('whole', 'click', () => zoom(BEGIN, END));
    when('smooth', 'change', (event) => { state.smooth = event.target.checked; drawAll(); });
    when('show-boxes', 'change', drawBoxes);
    when('play', 'click', play);
    when('heat', 'click', (event) => {
        const place = $('heat').getBoundingClientRect();
        moveTo(stillAt(BEGIN + (event.clientX - place.left) / place.width * (END - BEGIN)), true);
    });
    if (photo) photo.addEventListener('load', drawBoxes);
    $('earlier').addEventListener('click', () => showPage(state.page - 1));
    $('later').addEventListener('click', () => showPage(state.page + 1));
    $('only').addEventListener('change', (event) => { state.face = event.target.value; showPage(0); showRow(); });
    $('csv').addEventListener('click', download);
    document.addEventListener('click', (event) => {
        const button = event.target.closest('button.go');
        if (!button) return;
        moveTo(stillAt(Number(button.dataset.time)), true);
        if (!button.closest('#rows, .scenes')) $('curves').scrollIntoView({block: 'start', behavior: matchMedia('(prefers-reduced-motion: reduce)').matches ? 'auto' : 'smooth'});
    });
    if (video) {
        video.addEventListener('play', follow);
        for (const event of ['seeked', 'pause']) video.addEventListener(event, () => { const still = stillAt(video.currentTime); if (still !== state.still) moveTo(still, false); });
        const failed = () => { $('no-video').hidden = false; video.hidden = true; };
        video.addEventListener('error', failed);
        const settle = () => { if (!video.currentTime) video.currentTime = D.times[state.still] + 1e-3; }; // some browsers show a black box until then
        video.addEventListener('loadedmetadata', settle);
        video.addEventListener('loadeddata', drawBoxes);
        if (video.error) failed(); else if (video.readyState > 0) settle();
    }
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', drawAll);
    new ResizeObserver(() => {
        for (const {u, holder} of panels) if (holder.clientWidth && holder.clientWidth !== u.width) u.setSize({width: holder.clientWidth, height: 150});
        drawHeat();
        drawBoxes();
        placeHeads(headTime());
    }).observe($('curves'));
    drawAll();
    showPage(0);
    moveTo(0, false);
    document.documentElement.dataset.ready = Math.round(performance.now()); // ms since the page was asked for
}
start();
})();
