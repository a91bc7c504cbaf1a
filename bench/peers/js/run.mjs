// One npm package over the pictures of a job, as job.py does it in Python: node run.mjs PACKAGE ENVIRONMENT JOB RESULT [VARIANT]
import fs from 'node:fs';
import path from 'node:path';
import { createRequire } from 'node:module';

const [name, folder, job, result, variant] = process.argv.slice(2);
const { open } = await import(`./${name}/peer.mjs`);
const peer = await open(createRequire(path.join(folder, 'package.json')), folder, variant);
const kinds = JSON.parse(fs.readFileSync(path.join(job, 'job.json')));

function* pictures(kind) { // RGB, one at a time
  const { n, shape } = kinds[kind];
  const [height, width, channels = 1] = shape;
  const file = fs.openSync(path.join(job, kind));
  for (let i = 0; i < n; i += 1) {
    const bytes = new Uint8Array(height * width * channels);
    fs.readSync(file, bytes, 0, bytes.length, i * bytes.length);
    const data = channels === 3 ? bytes : new Uint8Array(3 * bytes.length);
    if (channels === 1) for (let k = 0; k < data.length; k += 1) data[k] = bytes[Math.floor(k / 3)];
    yield { data, shape: [height, width, 3] };
  }
  fs.closeSync(file);
}

async function timed(kind, work) { // What the work returned for each picture, and the median time, ms
  const output = [], times = [];
  for (const picture of pictures(kind)) {
    const start = performance.now();
    output.push(await work(picture, kind)); // eslint-disable-line no-await-in-loop
    times.push(performance.now() - start);
  }
  times.sort((a, b) => a - b);
  return { output, ms: times[Math.floor(times.length / 2)] };
}

const found = { version: peer.version, labels: peer.labels };
found.crops = await timed('crops', peer.classify);
found.canvases = await timed('canvases', peer.analyze);
found.frames = await timed('frames', peer.analyze);
fs.writeFileSync(result, JSON.stringify(found));
