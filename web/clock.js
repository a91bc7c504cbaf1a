// Seconds as people read them, as fea.timeline.table.format_timestamp writes them: 0:01:05, or with digits 0:01:05.250. Needs nothing else.
'use strict';
const clock = (seconds, digits) => {
    if (seconds < 0) return (seconds <= (digits ? -5e-4 : -1) ? '-' : '') + clock(-seconds, digits);
    const whole = Math.round(seconds * 1000), ms = whole % 1000, s = Math.floor(whole / 1000);
    const text = `${Math.floor(s / 3600)}:${String(Math.floor(s / 60) % 60).padStart(2, '0')}:${String(s % 60).padStart(2, '0')}`;
    return digits ? `${text}.${String(ms).padStart(3, '0')}` : text;
};
