/**
 * `npm run measure:edits [-- COMMAND ...]`: twenty seeded edits of pocket over the command line, a line of JSON each with
 * the SHA-256 of the layer's pixels. Two trees that print the same compute the same bytes:
 *
 *     npm run --silent measure:edits > after.jsonl
 *     npm run --silent measure:edits -- node ../before/dist/server/acepp.js edit > before.jsonl && diff before.jsonl after.jsonl
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import sharp from 'sharp';
import { projectRoot } from '../../../server/disk/paths.ts';

const assets = path.join(projectRoot, 'plugins', 'browser', 'assets');
const pictures = path.join(projectRoot, 'test', 'reference', 'pictures');
const at = (name: string) => path.join(pictures, `${name}.png`);

const folder = mkdtempSync(path.join(os.tmpdir(), 'acepp-seeded-'));
const made = (name: string) => path.join(folder, `${name}.png`);

/** Pictures that the repository does not have: 16 bits, transparency, a soft mask, one that is wide. */
async function makePictures(): Promise<void> {
  const [width, height] = [200, 150];
  const deep = Uint16Array.from({ length: width * height * 3 }, (_, i) => (i * 977) % 65536);
  await sharp(deep, { raw: { width, height, channels: 3 } })
    .toColourspace('rgb16')
    .png()
    .toFile(made('deep'));
  const clear = Uint8Array.from({ length: width * height * 4 }, (_, i) =>
    i % 4 < 3 ? (i * 7) % 251 : (i >> 2) % width < width / 2 ? 0 : 255,
  );
  await sharp(clear, { raw: { width, height, channels: 4 } })
    .png()
    .toFile(made('clear'));
  const soft = Uint8Array.from({ length: width * height }, (_, i) => {
    const [x, y] = [(i % width) - 100, Math.floor(i / width) - 75];
    return Math.max(0, Math.min(255, 510 - 8 * Math.hypot(x, y)));
  });
  await sharp(soft, { raw: { width, height, channels: 1 } })
    .png()
    .toFile(made('soft'));
  await sharp(path.join(assets, 'sample-picture.jpg'))
    .resize(640, 120, { fit: 'cover' })
    .toFile(made('wide'));
}

const sample = [
  '--image',
  path.join(assets, 'sample-picture.jpg'),
  '--mask',
  path.join(assets, 'sample-mask.png'),
];
const sampleReference = ['--reference', path.join(assets, 'sample-reference.png')];
const task = (name: string) => ['--task', name];

const edits: readonly (readonly string[])[] = [
  ['--instruction', 'a red circle on a blue ground'],
  ['--instruction', 'a green square', '--width', '200', '--height', '120', '--steps', '6'],
  ['--instruction', 'put {image1} here', ...sample, ...sampleReference],
  ['--instruction', 'a yellow star', ...sample],
  ['--instruction', '', ...sample, ...task('inpaint')],
  ['--instruction', 'a blue cup', ...sample, ...task('local-editing')],
  ['--instruction', 'make it purple', ...sample, ...task('recolor')],
  ['--instruction', 'follow the lines', ...sample, ...task('control'), '--control', 'canny'],
  ['--instruction', 'the same in the evening', '--image', at('photo_edit')],
  ['--instruction', '', '--image', at('local_edit'), ...task('super-resolution'), '--width', '300'],
  [
    '--instruction',
    '',
    '--image',
    at('photo_edit'),
    ...task('outpaint'),
    '--width',
    '1300',
    '--height',
    '700',
  ],
  ['--instruction', '', '--image', made('clear'), ...task('outpaint')],
  ['--instruction', 'a portrait of {image1}', '--reference', at('portrait_ref')],
  [
    ['--instruction', '{image1} beside {image2}', '--reference', at('portrait_ref')],
    ['--reference', at('subject_ref')],
  ].flat(),
  ['--instruction', 'a red disc', '--image', made('deep'), '--mask', made('soft')],
  [
    ['--instruction', 'put {image1} here', '--image', made('clear'), '--mask', made('soft')],
    ['--reference', at('subject_ref'), '--adapter', 'subject=0.7'],
  ].flat(),
  ['--instruction', 'a lamp', ...sample, '--adapter', 'local-editing', '--adapter', 'subject=-0.5'],
  ['--instruction', 'a wider sky', '--image', made('wide')],
  ['--instruction', 'a dog', ...sample, '--steps', '20', '--guidance', '2', '--first-block-cache', '0.1'],
  [
    ['--instruction', 'the logo of {image1}', '--image', at('local_edit'), '--mask', at('local_mask')],
    [...task('local-reference-editing'), ...sampleReference, '--guidance', '7.5'],
  ].flat(),
];

const [program = process.execPath, ...words] =
  process.argv.length > 2
    ? process.argv.slice(2)
    : [process.execPath, path.join(projectRoot, 'dist', 'server', 'acepp.js'), 'edit'];

async function run(flags: readonly string[]): Promise<string> {
  const child = spawn(program, [...words, ...flags], { stdio: ['ignore', 'pipe', 'pipe'] });
  const texts = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      texts[name] += text;
    });
  }
  const code = await new Promise((resolve) => child.once('close', resolve));
  if (code !== 0)
    throw new Error(`${[program, ...words, ...flags].join(' ')}\n${texts.stderr}${texts.stdout}`);
  return texts.stdout;
}

try {
  await makePictures();
  for (const [i, flags] of edits.entries()) {
    const out = path.join(folder, 'out.png');
    const seeded = ['--seed', String(1000 + i), '--model', 'pocket', '--provider', 'cpu', '--out', out];
    const answer = JSON.parse(await run([...flags, ...seeded]));
    const { depth } = await sharp(out).metadata();
    const data = await sharp(out).raw({ depth: 'ushort' }).toBuffer();
    const { task, bounds, seed, steps, guidance, adapters, workSize } = answer;
    const sha256 = createHash('sha256').update(data).digest('hex');
    const line = {
      edit: i + 1,
      task,
      seed,
      steps,
      guidance,
      adapters,
      workSize,
      bounds,
      depth,
      sha256,
    };
    process.stdout.write(`${JSON.stringify(line)}\n`);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
