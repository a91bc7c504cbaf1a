// @vladmandic/human with its defaults (BlazeFace, face mesh, emotion net); off is only what no expression needs
import fs from 'node:fs';
import path from 'node:path';
import { pathToFileURL, fileURLToPath } from 'node:url';

const OFF = { enabled: false };
const CONFIG = {
  backend: 'wasm', async: false, warmup: 'none',
  face: { emotion: { minConfidence: 0 }, iris: OFF, description: OFF }, body: OFF, hand: OFF, gesture: OFF,
};

// TensorFlow.js without native bindings reads no files; this reads the models that lie in the package
function loadFile(url) {
  const file = fileURLToPath(url);
  const model = JSON.parse(fs.readFileSync(file));
  const weights = model.weightsManifest.flatMap((group) => group.paths).map((name) => fs.readFileSync(path.join(path.dirname(file), name)));
  const { buffer } = new Uint8Array(Buffer.concat(weights));
  return { ...model, weightSpecs: model.weightsManifest.flatMap((group) => group.weights), weightData: buffer };
}

export async function open(require, folder) {
  const modules = path.join(folder, 'node_modules');
  const tf = require('@tensorflow/tfjs-core');
  tf.io.registerLoadRouter((url) => (String(url).startsWith('file:') ? { load: async () => loadFile(url) } : null));
  const { Human } = require(path.join(modules, '@vladmandic/human/dist/human.node-wasm.js'));
  const human = new Human({
    ...CONFIG,
    modelBasePath: `${pathToFileURL(path.join(modules, '@vladmandic/human/models'))}/`,
    wasmPath: path.join(modules, '@tensorflow/tfjs-backend-wasm/dist/'),
  });
  await human.load();
  const net = human.models.models.emotion;

  async function classify({ data, shape }) { // As src/gear/emotion.ts does with the face that the detector cut out
    const output = tf.tidy(() => {
      const face = tf.image.resizeBilinear(tf.expandDims(tf.div(tf.tensor3d(data, shape, 'float32'), 255), 0), [64, 64]);
      const grey = tf.sum(tf.mul(face, [0.2989, 0.5870, 0.1140]), 3, true);
      return net.execute(tf.mul(tf.sub(grey, 0.5), 2));
    });
    const probabilities = [...await output.data()];
    output.dispose();
    return probabilities;
  }

  async function analyze({ data, shape }, kind) {
    const picture = tf.tensor3d(data, shape, 'int32');
    const { face } = await human.detect(picture, { cacheSensitivity: kind === 'frames' ? 0.7 : 0 }); // 0.7, its default, reuses results between similar frames
    picture.dispose();
    return face.map((f) => ({ box: f.box, emotions: Object.fromEntries((f.emotion ?? []).map((e) => [e.emotion, e.score])) }));
  }

  return {
    version: `${human.version}, tfjs ${tf.version_core} ${tf.getBackend()}`,
    labels: ['angry', 'disgust', 'fear', 'happy', 'sad', 'surprise', 'neutral'], // Of a net with one channel
    classify,
    analyze,
  };
}
