// The charts of a study's page: reads #data, draws with uPlot, takes the film along; loads nothing.
'use strict';
(() => {
const D = JSON.parse(document.getElementById('data').textContent);
const LABEL = Object.fromEntries(D.measures.map(({name, label}) => [name, label]));
const COLOUR = Object.fromEntries(D.measures.map(({name, colour}) => [name, colour]));
const LINES = [[], [8, 3], [2, 2], [8, 3, 2, 3], [14, 4]];
const GROUPS = {light: ['#0b5fae', '#b4470f', '#2c7a4f', '#7d4cc0', '#a8316b'], dark: ['#6cb4ff', '#ff9d66', '#6fd39b', '#c3a3ff', '#ff8fc1']};
const SMOOTHING = 3; // s
const state = {measure: D.first, smooth: false, split: 'everybody'};
const dark = matchMedia('(prefers-color-scheme: dark)');

document.documentElement.classList.add('js');
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const make = (tag, text, className) => {
    const element = document.createElement(tag);
    if (text !== undefined) element.textContent = text;
    if (className) element.className = className;
    return element;
};
const number = (value) => value === null || value === undefined ? 'not seen' : value.toFixed(2).replace('-', '−');
const seconds = (value) => `${Math.round(value * 100) / 100} s`;

function smoothed(values) { // centred moving average of what is there; a gap stays a gap
    const half = Math.floor(Math.max(1, Math.round(SMOOTHING / D.bin)) / 2);
    if (!state.smooth || !half) return values;
    return values.map((value, i) => {
        if (value === null) return null;
        const near = values.slice(Math.max(0, i - half), i + half + 1).filter((v) => v !== null);
        return near.reduce((a, b) => a + b, 0) / near.length;
    });
}

const groupsOf = (film) => (film.splits.find(({split}) => split === state.split) ?? film.splits[0]).groups;
const colourOf = (i, alone) => alone && state.measure.startsWith('p_') ? COLOUR[state.measure]
    : GROUPS[dark.matches ? 'dark' : 'light'][alone && state.measure === 'expressiveness' ? 1 : i];

function limits() { // one scale for all films
    let low = 0, high = .05;
    for (const film of D.stimuli) for (const group of groupsOf(film)) {
        const [mean, from, to] = group.curves[state.measure];
        for (const values of [mean, from, to]) for (const value of values) if (value !== null) { low = Math.min(low, value); high = Math.max(high, value); }
    }
    const room = .05 * (high - low);
    return [low < 0 ? low - room : 0, high + room];
}

// ---- one film
function open(figure, film) {
    const find = (role) => figure.querySelector(`[data-role="${role}"]`);
    const parts = {holder: find('plot'), grid: find('grid'), readout: find('readout'), legend: find('legend'), slider: find('moment'), heads: find('heads'), note: find('note')};
    const video = figure.querySelector('video'), bins = film.times.length, middle = film.times.map((t) => t + D.bin / 2);
    const panel = {figure, film, parts, u: null, order: [], now: 0};
    const binAt = (time) => Math.min(Math.max(Math.floor((time - film.times[0]) / D.bin + 1e-6), 0), bins - 1);
    const endOf = (bin) => Math.min(film.times[bin] + D.bin, film.duration);
    const usable = () => Boolean(video) && !video.error && video.readyState > 0;

    function words(bin) {
        const span = `${seconds(film.times[bin])} to ${seconds(endOf(bin))}`;
        return `${span}: ` + groupsOf(film).map((group) => {
            const [mean, low, high] = group.curves[state.measure].map((values) => values[bin]);
            const ends = low === null || low === undefined ? '' : ` (${number(low)} to ${number(high)})`;
            return `${group.name === 'everybody' ? LABEL[state.measure] : group.name} ${number(mean)}${ends}, ${group.n[bin]} seen`;
        }).join('; ');
    }

    panel.draw = (range) => {
        panel.u?.destroy();
        const groups = groupsOf(film), alone = groups.length === 1, data = [middle], series = [{}], bands = [];
        groups.forEach((group, i) => {
            const [mean, low, high] = group.curves[state.measure].map(smoothed), colour = colourOf(i, alone), base = series.length;
            data.push(high, low, mean);
            series.push({show: true, width: 0, points: {show: false}}, {show: true, width: 0, points: {show: false}},
                        {stroke: colour, width: 2, dash: LINES[i], points: {show: bins < 3}});
            bands.push({series: [base, base + 1], fill: colour + (alone ? '33' : '1c')});
        });
        const axis = {stroke: () => css('--ink'), grid: {stroke: () => css('--grid'), width: 1}, ticks: {stroke: () => css('--grid'), width: 1}, font: '12px system-ui, sans-serif'};
        panel.u = new uPlot({
            width: parts.holder.clientWidth || 300, height: 210, legend: {show: false}, padding: [18, 12, 0, 0],
            scales: {x: {time: false, range: () => [film.times[0], film.duration]}, y: {range: () => range}},
            axes: [{...axis, size: 28, space: 60, values: (_, ticks) => ticks.map(seconds)}, {...axis, size: 48, values: (_, ticks) => ticks.map((t) => String(Math.round(t * 1e4) / 1e4).replace('-', '−'))}],
            series, bands, cursor: {points: {show: false}, y: false, drag: {x: false, y: false}},
            hooks: {
                drawClear: [(u) => {
                    film.scenes.forEach(([label, start, end], i) => {
                        const left = u.valToPos(start, 'x', true), right = u.valToPos(end, 'x', true);
                        if (i % 2 === 0) { u.ctx.fillStyle = css('--grid'); u.ctx.fillRect(left, u.bbox.top, right - left, u.bbox.height); }
                        u.ctx.fillStyle = css('--quiet');
                        u.ctx.font = `${11 * devicePixelRatio}px system-ui, sans-serif`;
                        u.ctx.textAlign = 'left';
                        let text = label;
                        while (text.length > 1 && u.ctx.measureText(text).width > right - left - 6 * devicePixelRatio) text = `${text.slice(0, -2)}…`;
                        if (text.length > 1) u.ctx.fillText(text, left + 3 * devicePixelRatio, u.bbox.top - 5 * devicePixelRatio);
                    });
                }],
                draw: [() => panel.place(panel.time())],
                setCursor: [(u) => { if (u.cursor.event) parts.readout.textContent = words(u.cursor.left >= 0 ? binAt(u.posToVal(u.cursor.left, 'x')) : panel.now); }],
            },
        }, data, parts.holder);
        panel.u.over.addEventListener('click', (event) => panel.go(panel.u.posToVal(event.clientX - panel.u.over.getBoundingClientRect().left, 'x')));
        panel.u.over.addEventListener('mouseleave', () => { parts.readout.textContent = words(panel.now); });
        parts.legend.replaceChildren(...(alone ? [] : groups.map((group, i) => {
            const item = make('li', group.name), swatch = make('span', '', 'swatch');
            swatch.style.background = colourOf(i, false);
            item.prepend(swatch);
            return item;
        })));
        panel.drawGrid();
        parts.readout.textContent = words(panel.now);
    };

    // ---- everybody's row: a byte a bin, 0 where not seen, else -1 to 1
    panel.drawGrid = () => {
        const packed = film.grid.values[state.measure], canvas = parts.grid, names = film.grid.names;
        canvas.parentElement.hidden = parts.note.hidden = packed === undefined;
        if (packed === undefined) return;
        const bytes = Uint8Array.from(atob(packed), (c) => c.charCodeAt(0));
        panel.value = (row, bin) => bytes[row * bins + bin] ? (bytes[row * bins + bin] - 128) / 127 : null;
        const mean = names.map((_, row) => {
            let sum = 0, seen = 0;
            for (let bin = 0; bin < bins; bin++) { const v = panel.value(row, bin); if (v !== null) { sum += v; seen++; } }
            return seen ? sum / seen : -9;
        });
        panel.order = names.map((_, row) => row).sort((a, b) => mean[b] - mean[a]);
        const rgb = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
        const up = rgb(colourOf(0, true)), down = rgb(GROUPS[dark.matches ? 'dark' : 'light'][1]), tile = new OffscreenCanvas(bins, names.length), pen = tile.getContext('2d');
        const image = pen.createImageData(bins, names.length);
        panel.order.forEach((row, place) => {
            for (let bin = 0; bin < bins; bin++) {
                const v = panel.value(row, bin), colour = v === null ? [128, 128, 128] : v < 0 ? down : up;
                image.data.set([...colour, v === null ? 90 : Math.round(255 * Math.min(1, Math.abs(v)) ** .8)], 4 * (place * bins + bin));
            }
        });
        pen.putImageData(image, 0, 0);
        const left = panel.u.bbox.left / devicePixelRatio, width = panel.u.bbox.width / devicePixelRatio, high = Math.min(Math.max(names.length * 3, 60), 420);
        canvas.width = Math.round(width * devicePixelRatio); canvas.height = Math.round(high * devicePixelRatio);
        canvas.style.width = `${width}px`; canvas.style.height = `${high}px`; canvas.parentElement.style.marginLeft = `${left}px`;
        const target = canvas.getContext('2d');
        target.imageSmoothingEnabled = false;
        target.drawImage(tile, 0, 0, canvas.width * (bins * D.bin) / (film.duration - film.times[0]), canvas.height); // the last bin may be cut
    };
    const inGrid = (event) => {
        const box = parts.grid.getBoundingClientRect();
        return {time: film.times[0] + (event.clientX - box.left) / box.width * (film.duration - film.times[0]),
                row: panel.order[Math.min(Math.max(Math.floor((event.clientY - box.top) / box.height * panel.order.length), 0), panel.order.length - 1)]};
    };
    parts.grid.addEventListener('mousemove', (event) => {
        const {time, row} = inGrid(event), bin = binAt(time);
        parts.readout.textContent = `${film.grid.names[row]}, ${seconds(film.times[bin])}: ${LABEL[state.measure]} ${number(panel.value(row, bin))}`;
    });
    parts.grid.addEventListener('mouseleave', () => { parts.readout.textContent = words(panel.now); });
    parts.grid.addEventListener('click', (event) => panel.go(inGrid(event).time));

    // ---- the present moment
    panel.time = () => usable() && !video.paused ? video.currentTime : panel.at ?? film.times[0];
    panel.place = (time) => {
        if (!panel.u?.bbox) return;
        const left = panel.u.valToPos(Math.min(Math.max(time, film.times[0]), film.duration), 'x') + panel.u.bbox.left / devicePixelRatio;
        parts.heads.style.transform = `translateX(${left}px)`;
    };
    panel.show = (time) => {
        panel.at = time;
        panel.now = binAt(time);
        parts.slider.value = panel.now;
        parts.slider.setAttribute('aria-valuetext', words(panel.now));
        parts.readout.textContent = words(panel.now);
        panel.place(time);
    };
    panel.go = (time) => {
        const to = Math.min(Math.max(time, film.times[0]), film.duration);
        if (usable()) video.currentTime = Math.min(to, video.duration || to);
        panel.show(to);
    };
    parts.slider.max = bins - 1;
    parts.slider.addEventListener('input', () => panel.go(film.times[Number(parts.slider.value)]));
    for (const button of figure.querySelectorAll('button[data-time]')) button.addEventListener('click', () => panel.go(Number(button.dataset.time)));
    if (video) {
        const follow = () => { if (usable() && !video.paused) { panel.show(video.currentTime); requestAnimationFrame(follow); } };
        const failed = () => { figure.querySelector('.no-film').hidden = false; video.hidden = true; };
        video.addEventListener('play', follow);
        for (const event of ['seeked', 'pause']) video.addEventListener(event, () => panel.show(video.currentTime));
        video.addEventListener('error', failed);
        if (video.error) failed();
    }
    return panel;
}

// ---- start
const panels = [...document.querySelectorAll('[data-stimulus]')].map((figure) => open(figure, D.stimuli[Number(figure.dataset.stimulus)]));
const drawAll = () => { const range = limits(); for (const panel of panels) panel.draw(range); };
for (const input of document.querySelectorAll('[data-choice]')) {
    const name = input.dataset.choice, value = () => input.type === 'checkbox' ? input.checked : input.value;
    if (input.type === 'checkbox') input.checked = state[name]; else input.value = state[name];
    input.addEventListener('change', () => {
        state[name] = value();
        for (const other of document.querySelectorAll(`[data-choice="${name}"]`)) if (other.type === 'checkbox') other.checked = state[name]; else other.value = state[name];
        drawAll();
    });
}
dark.addEventListener('change', drawAll);
let width = 0;
new ResizeObserver(() => {
    const wide = panels[0]?.parts.holder.clientWidth ?? 0;
    if (wide && wide !== width) { width = wide; drawAll(); }
}).observe(document.getElementById('content'));
width = panels[0]?.parts.holder.clientWidth ?? 0;
drawAll();
document.documentElement.dataset.ready = Math.round(performance.now()); // ms since the page was asked for
})();
