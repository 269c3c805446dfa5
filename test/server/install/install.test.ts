import { type ChildProcess, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import {
  cp,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  stat,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { build } from 'esbuild';
import sharp from 'sharp';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { projectRoot } from '../../../server/disk/paths.ts';
import type { PublishedFile, PublishedModel } from '../../../server/install/published.ts';
import { bytesOf, decodeContainer, encodeContainer, type Tensor } from '../../../shared/safetensors.ts';
import { encodeGGUF, tinyInBlocks } from '../checkpoints/gguf-writer.ts';
import { FakeHub } from './fake-hub.ts';

const chunkBytes = 4096;
/** A process starts slowly while another computes. */
const patient = { timeout: 30_000 };
const tiny = path.join(projectRoot, 'test/reference/arrays/tiny');
const files = [
  'transformer.safetensors',
  't5.safetensors',
  'clip.safetensors',
  'ae.safetensors',
  't5/tokenizer.json',
  't5/tokenizer_config.json',
  'clip/tokenizer.json',
  'clip/tokenizer_config.json',
];
/** A low-rank pair of zeros for the tiny transformer. */
const adapter = Buffer.from(
  encodeContainer({
    metadata: {},
    tensors: new Map([
      [
        'final_layer.linear.lora_A.weight',
        { dtype: 'F32', shape: [2, 64], data: bytesOf(new Float32Array(128)) },
      ],
      [
        'final_layer.linear.lora_B.weight',
        { dtype: 'F32', shape: [64, 2], data: bytesOf(new Float32Array(128)) },
      ],
    ]),
  }),
);

const gated = 'lab/Fill';
const part = (file: string, more: Partial<PublishedFile> = {}): PublishedFile => ({
  file,
  title: file,
  source: { repo: gated, path: file, revision: 'main', licence: 'flux-1-dev-non-commercial' },
  ...more,
});
const fill: PublishedModel = {
  id: 'tiny-fill',
  title: 'the tiny model',
  parts: [...files.map((file) => part(file)), part('adapters/portrait.safetensors')],
};
const second: PublishedModel = {
  id: 'tiny-second',
  title: 'the same text encoders',
  parts: files.map((file) => part(file)),
};
const bigSize = 3_000_000;
const big: PublishedModel = {
  id: 'big',
  title: 'one file, of random bytes',
  parts: [
    part('weights.safetensors', {
      source: { repo: 'lab/big', path: 'w.safetensors', revision: 'main', licence: 'mit' },
    }),
  ],
};

let fake: FakeHub;
let script: string;
let bigBytes: Buffer;
let home: string;
let person: string;
const running = new Set<ChildProcess>();
beforeAll(async () => {
  fake = await FakeHub.start();
  for (const file of files)
    fake.publish(gated, file, await readFile(path.join(tiny, file)), !file.endsWith('json'));
  fake.publish(gated, 'adapters/portrait.safetensors', adapter);
  bigBytes = randomBytes(bigSize);
  fake.publish('lab/big', 'w.safetensors', bigBytes);
  script = path.join(projectRoot, 'test/artifacts/models.mjs');
  await build({
    entryPoints: [path.join(projectRoot, 'test/server/install/run.ts')],
    outfile: script,
    bundle: true,
    platform: 'node',
    format: 'esm',
    packages: 'external',
    logLevel: 'warning',
  });
});
afterAll(() => fake.close());
beforeEach(async () => {
  fake.forget();
  home = await mkdtemp(path.join(tmpdir(), 'acepp-home-'));
  person = await mkdtemp(path.join(tmpdir(), 'acepp-person-'));
});
afterEach(async () => {
  // Left by a failed test.
  for (const child of running) child.kill('SIGKILL');
  await rm(home, { recursive: true });
  await rm(person, { recursive: true });
});

interface Told {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The real program in its own process, with a home folder that only contains what the test put there. */
function start(args: readonly string[], env: NodeJS.ProcessEnv = {}, models = [fill, second, big]) {
  const child: ChildProcess = spawn(process.execPath, [script, ...args], {
    env: {
      PATH: process.env.PATH,
      HOME: person,
      USERPROFILE: person,
      ACEPP_HOME: home,
      HF_ENDPOINT: fake.endpoint,
      TEST_CATALOGUE: JSON.stringify({ models, grain: { chunkBytes, firstDelayMs: 1 } }),
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.add(child);
  child.once('close', () => running.delete(child));
  let [stdout, stderr] = ['', ''];
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const told = once(child, 'close').then(([code]): Told => ({ code: code as number | null, stdout, stderr }));
  return { child, told, stderr: () => stderr };
}

const models = (...args: string[]): Promise<Told> => start(args).told;
const install = (id: string, ...args: string[]): Promise<Told> =>
  models('install', id, '--accept-licence', ...args);
const inModel = (id: string, file: string): string => path.join(home, 'models', id, file);
const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

/** What `acepp edit` reports about a model, through the real command line. */
async function edit(model: string): Promise<{ error?: { code: string }; steps?: number }> {
  const photo = path.join(person, 'photo.png');
  await sharp({ create: { width: 64, height: 64, channels: 3, background: 'gray' } }).toFile(photo);
  const flags = [
    '--provider',
    'cpu',
    '--model',
    model,
    '--steps',
    '1',
    '--image',
    photo,
    '--instruction',
    'x',
    '--out',
    path.join(home, 'layer.png'),
  ];
  const program = path.join(projectRoot, 'dist/server/acepp.js');
  const env = { ...process.env, ACEPP_HOME: home };
  const child = spawn(process.execPath, [program, 'edit', ...flags], {
    env,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  let stdout = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  await once(child, 'close');
  return JSON.parse(stdout);
}

describe('a model', () => {
  it('is installed by one command, and an edit runs with it', async () => {
    const { code, stderr } = await install('tiny-fill');
    expect([code, stderr]).toEqual([0, expect.stringContaining('tiny-fill is installed in')]);
    for (const file of files) {
      expect((await readFile(inModel('tiny-fill', file))).equals(await readFile(path.join(tiny, file)))).toBe(
        true,
      );
    }
    expect(await edit('tiny-fill')).toMatchObject({ steps: 1 });
    expect((await models('list')).stdout).toMatch(/tiny-fill: the tiny model\n {2}installed; in /);

    fake.forget();
    expect((await install('tiny-fill')).code).toBe(0);
    // Only asks whether the hub's file has changed.
    expect(fake.asked.filter(({ method }) => method !== 'HEAD')).toEqual([]);
  });

  it('is verified offline; a byte that rots later is found, and only its chunk is refetched', async () => {
    await install('tiny-fill');
    fake.forget();
    const right = await models('verify', 'tiny-fill');
    expect([right.code, right.stdout.match(/ is intact: (?:sha256|git-sha1):/g)]).toEqual([
      0,
      expect.objectContaining({ length: 9 }),
    ]);
    expect(fake.asked).toEqual([]);

    const place = inModel('tiny-fill', 'transformer.safetensors');
    const bytes = await readFile(place);
    bytes[3 * chunkBytes + 5]! ^= 1;
    await writeFile(place, bytes);
    const wrong = await models('verify', 'tiny-fill');
    expect(wrong.code).toBe(1);
    expect(wrong.stdout).toMatch(/transformer\.safetensors is damaged: 1 of \d+ parts/);
    // No edit with files known to be wrong.
    expect((await edit('tiny-fill')).error?.code).toBe('model-missing');
    expect((await models('list')).stdout).toContain('damaged: install it again');

    fake.forget();
    expect((await install('tiny-fill')).code).toBe(0);
    expect(fake.sent).toBe(chunkBytes);
    expect((await models('verify', 'tiny-fill')).code).toBe(0);
    expect(await edit('tiny-fill')).toMatchObject({ steps: 1 });
  });

  it('is reported if the hub’s file has changed, and stays as fetched', async () => {
    await install('tiny-fill');
    const changed = Buffer.from(adapter);
    changed[changed.length - 1]! ^= 1;
    fake.publish(gated, 'adapters/portrait.safetensors', changed);
    const { code, stderr } = await install('tiny-fill');
    expect(code).toBe(0);
    expect(stderr).toMatch(
      /adapters\/portrait\.safetensors: lab\/Fill\/.* has changed since it was fetched \(sha256:\w+ then, sha256:\w+ now\)/,
    );
    expect(stderr.match(/has changed/g)).toHaveLength(1);
    expect(await readFile(inModel('tiny-fill', 'adapters/portrait.safetensors'))).toEqual(adapter);
    fake.publish(gated, 'adapters/portrait.safetensors', adapter);
    expect((await install('tiny-fill')).stderr).not.toContain('has changed');
  });

  it('shares files with another; either can be removed without the other', async () => {
    await install('tiny-fill');
    fake.forget();
    expect((await install('tiny-second')).code).toBe(0);
    expect(fake.sent).toBe(0);
    const inode = async (id: string) => (await stat(inModel(id, 't5.safetensors'))).ino;
    expect(await inode('tiny-second')).toBe(await inode('tiny-fill'));
    expect((await models('remove', 'tiny-fill')).stdout).toMatch(/^Removed tiny-fill: freed \d+ kB\.\n$/);
    expect(await readdir(path.join(home, 'models'))).toEqual(['tiny-second']);
    expect((await models('verify', 'tiny-second')).code).toBe(0);
    expect(await edit('tiny-second')).toMatchObject({ steps: 1 });
  });

  it('is removed with its quantized files, but not with what another model needs', async () => {
    const quantized = async () => (await readdir(path.join(home, 'quantized'))).sort();
    const quantize = async (id: string) => {
      const program = path.join(projectRoot, 'dist/server/acepp.js');
      const env = { ...process.env, ACEPP_HOME: home };
      const flags = ['--model', id, '--bits', '8'];
      const child = spawn(process.execPath, [program, 'quantize', ...flags], { env, stdio: 'ignore' });
      expect(await once(child, 'close')).toEqual([0, null]);
      return quantized();
    };
    await install('tiny-fill');
    await install('tiny-second');
    const made = await quantize('tiny-fill');
    expect(made.length).toBeGreaterThan(0);
    // The same bytes under another name are the same cached file.
    expect(await quantize('tiny-second')).toEqual(made);
    expect((await models('remove', 'tiny-fill')).code).toBe(0);
    expect(await quantized()).toEqual(made);
    expect((await models('remove', 'tiny-second')).code).toBe(0);
    expect(await quantized()).toEqual([]);
  });

  it('is listed with what is present and what is missing, without network access', async () => {
    const before = (await models('list')).stdout;
    expect(before).toMatch(/big: one file, of random bytes\n {2}not installed: needs a file of unknown size/);
    expect(before).toContain('FOR NON-COMMERCIAL USE ONLY');
    expect(before).toContain('not yet accepted');
    expect(before).toMatch(/Free on the disk of .*: [\d.]+ GB/);
    expect(fake.asked).toEqual([]);
    expect(await readdir(home)).toEqual([]);
  });

  it.each([
    ['an unknown model', ['install', 'nothing'], 'model-unknown'],
    ['an unknown command', ['destroy'], 'request-invalid'],
    ['no command', [], 'request-invalid'],
    ['another precision than there are', ['install', 'big', '--t5', 'fp4'], 'request-invalid'],
    ['a folder that is not there', ['install', 'big', '--from', '/not/there'], 'request-invalid'],
  ])('is not installed by %s', async (_, args, code) => {
    const told = await models(...args);
    expect([told.code, told.stderr.split(':')[0]]).toEqual([1, code]);
  });

  it('is not installed from a mirror with an invalid address', async () => {
    const { code, stderr } = await start(['install', 'big'], { HF_ENDPOINT: 'mirror' }).told;
    expect([code, stderr]).toEqual([1, expect.stringContaining('request-invalid: HF_ENDPOINT is "mirror"')]);
  });
});

describe('a licence', () => {
  it('is shown before the hub is contacted, and nothing is fetched without a yes', async () => {
    const { code, stderr } = await models('install', 'tiny-fill');
    expect(code).toBe(1);
    expect(stderr).toContain('FOR NON-COMMERCIAL USE ONLY');
    expect(stderr).toContain(
      'https://github.com/black-forest-labs/flux/blob/main/model_licenses/LICENSE-FLUX1-dev',
    );
    expect(stderr).toContain('licence-not-accepted: ');
    expect(fake.asked).toEqual([]);
    expect(await readdir(home)).toEqual([]);
  });

  it('is accepted once', async () => {
    await install('tiny-fill');
    await models('remove', 'tiny-fill');
    const { code, stderr } = await models('install', 'tiny-fill');
    expect([code, stderr.includes('NON-COMMERCIAL')]).toEqual([0, false]);
    expect((await models('list')).stdout).toMatch(/accepted 20\d\d-/);
  });

  it('is not asked about if it has no terms to accept', async () => {
    expect((await models('install', 'big')).code).toBe(0);
    expect(existsSync(path.join(home, 'licences.json'))).toBe(false);
  });
});

describe('a lack of disk space', () => {
  it('is reported with both sizes before anything is fetched', async () => {
    fake.sizeOf = () => 10 ** 15;
    const { code, stderr } = await models('install', 'big');
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /To download: 1000000\.0 GB\. Free disk space: [\d.]+ GB\.\ndisk-full: big needs 1000000\.1 GB more/,
    );
    expect(fake.asked.filter(({ method }) => method !== 'HEAD')).toEqual([]);
    expect(await readdir(path.join(home, 'models/big'))).toEqual([]);
  });
});

describe('an interrupted install', () => {
  const place = () => inModel('big', 'weights.safetensors');
  const fetched = () =>
    stat(`${place()}.part`).then(
      (stats) => stats.size,
      () => 0,
    );

  it('killed twenty times at random resumes each time and ends with the same bytes', async () => {
    // Slow enough that even a busy machine kills it before the end.
    fake.paceMs = 8;
    const kept: number[] = [];
    for (let kills = 0; kills < 20; kills++) {
      const before = await fetched();
      const begun = start(['install', 'big']);
      const after = before + Math.floor((Math.random() * bigSize) / 25);
      await expect.poll(async () => (await fetched()) > after, { ...patient, interval: 1 }).toBe(true);
      await sleep(Math.random() * 20);
      begun.child.kill('SIGKILL');
      expect((await begun.told).code).toBe(null);
      kept.push(await fetched());
      expect(existsSync(place())).toBe(false);
    }
    expect(kept).toEqual([...kept].sort((a, b) => a - b));
    expect((await models('install', 'big')).code).toBe(0);
    expect(sha256(await readFile(place()))).toBe(sha256(bigBytes));
    // Each starts where the previous one was killed.
    const begins = fake.asked.filter(({ method, host }) => host === 'storage' && method === 'GET');
    expect(begins.map(({ begin }) => begin)).toEqual([0, ...kept].filter((begin) => begin < bigSize));
    expect((await models('verify', 'big')).code).toBe(0);
  }, 300_000);

  it('survives SIGKILL while connections also break at random', async () => {
    fake.fault = () => ({ kind: 'drop', after: Math.floor(Math.random() * 200_000) });
    fake.paceMs = 1;
    for (let kills = 0; kills < 5; kills++) {
      const begun = start(['install', 'big']);
      await sleep(300 + Math.random() * 400);
      begun.child.kill('SIGKILL');
      await begun.told;
    }
    expect((await models('install', 'big')).code).toBe(0);
    expect(sha256(await readFile(place()))).toBe(sha256(bigBytes));
  });

  it('says after Ctrl-C that it can be resumed, and resumes', async () => {
    fake.paceMs = 5;
    const begun = start(['install', 'big']);
    await expect.poll(fetched, patient).toBeGreaterThan(100_000);
    begun.child.kill('SIGINT');
    const { code, stderr } = await begun.told;
    expect([code, stderr]).toEqual([130, expect.stringContaining('Run the same command to resume.')]);
    expect(await readdir(path.join(home, 'models/big'))).toEqual([
      'weights.safetensors.chunks',
      'weights.safetensors.part',
    ]);
    const before = await fetched();
    expect((await models('list')).stdout).toMatch(
      /weights\.safetensors +weights\.safetensors +\d+ kB of size unknown/,
    );
    fake.forget();
    expect((await models('install', 'big')).code).toBe(0);
    expect(fake.sent).toBe(bigSize - before);
    expect(sha256(await readFile(place()))).toBe(sha256(bigBytes));
  });

  it('is rejected if started a second time at the same time', async () => {
    fake.paceMs = 5;
    const begun = start(['install', 'big']);
    await expect.poll(fetched, patient).toBeGreaterThan(0);
    const { code, stderr } = await models('install', 'big');
    expect([code, stderr]).toEqual([1, expect.stringContaining('install-running: ')]);
    begun.child.kill('SIGKILL');
    await begun.told;
  });

  it('leaves nothing once removed', async () => {
    fake.paceMs = 5;
    const begun = start(['install', 'big']);
    await expect.poll(fetched, patient).toBeGreaterThan(0);
    begun.child.kill('SIGKILL');
    await begun.told;
    expect((await models('remove', 'big')).code).toBe(0);
    expect(await readdir(path.join(home, 'models'))).toEqual([]);
  });
});

describe('a person’s own files', () => {
  /** ComfyUI's names. */
  async function comfyUI(): Promise<string> {
    const folder = path.join(person, 'some where/ComfyUI');
    const places: Record<string, string> = {
      'transformer.safetensors': 'models/diffusion_models/flux1-fill-dev.safetensors',
      't5.safetensors': 'models/clip/t5xxl_fp16.safetensors',
      'clip.safetensors': 'models/text_encoders/clip_l.safetensors',
      'ae.safetensors': 'models/vae/FLUX/ae.safetensors',
    };
    for (const [file, place] of Object.entries(places)) {
      await mkdir(path.dirname(path.join(folder, place)), { recursive: true });
      await cp(path.join(tiny, file), path.join(folder, place));
    }
    await mkdir(path.join(folder, 'models/loras'));
    await writeFile(path.join(folder, 'models/loras/portrait64.safetensors'), adapter);
    return folder;
  }
  // The hub redirects.
  const gets = () => [
    ...new Set(fake.asked.filter(({ method }) => method === 'GET').map(({ path: name }) => name)),
  ];
  const tokenizers = files.filter((file) => file.endsWith('.json')).map((file) => `${gated}/${file}`);

  /** Every file in a folder, with its hash. */
  async function contents(folder: string): Promise<string[]> {
    const entries = await readdir(folder, { recursive: true, withFileTypes: true });
    const inside = entries
      .filter((entry) => entry.isFile())
      .map((entry) => path.join(entry.parentPath, entry.name));
    return Promise.all(inside.sort().map(async (file) => `${file} ${sha256(await readFile(file))}`));
  }

  it('in ComfyUI’s folders are used in place, neither fetched nor copied', async () => {
    const comfy = await comfyUI();
    const before = await contents(comfy);
    const { code, stderr } = await install('tiny-fill', '--from', comfy);
    expect([code, stderr]).toEqual([0, expect.stringContaining(`t5.safetensors: yours, ${comfy}`)]);
    expect(gets()).toEqual(tokenizers);
    const link = inModel('tiny-fill', 'transformer.safetensors');
    expect((await lstat(link)).isSymbolicLink()).toBe(true);
    expect(await readlink(link)).toBe(path.join(comfy, 'models/diffusion_models/flux1-fill-dev.safetensors'));
    expect(await edit('tiny-fill')).toMatchObject({ steps: 1 });
    expect((await models('verify', 'tiny-fill')).code).toBe(0);
    expect((await models('list')).stdout).toContain(`yours: ${comfy}`);

    const { stdout } = await models('remove', 'tiny-fill');
    expect(stdout).toContain('flux1-fill-dev.safetensors: your own file');
    expect(existsSync(path.join(home, 'models/tiny-fill'))).toBe(false);
    expect(await contents(comfy)).toEqual(before);
  });

  it('in the hub’s cache are found automatically, also under HF_HOME', async () => {
    const cache = path.join(person, 'elsewhere/hub');
    const repo = path.join(cache, 'models--lab--Fill');
    await mkdir(path.join(repo, 'blobs'), { recursive: true });
    for (const file of files) {
      const bytes = await readFile(path.join(tiny, file));
      await writeFile(path.join(repo, 'blobs', sha256(bytes)), bytes);
      const snapshot = path.join(repo, 'snapshots', fake.commit, file);
      await mkdir(path.dirname(snapshot), { recursive: true });
      await symlink(path.join(repo, 'blobs', sha256(bytes)), snapshot);
    }
    const { told } = start(['install', 'tiny-second', '--accept-licence'], { HF_HOME: path.dirname(cache) });
    expect((await told).code).toBe(0);
    expect(gets()).toEqual([]);
    // Linked to the blob: the snapshot's link may be cleaned up first.
    expect(path.dirname(await readlink(inModel('tiny-second', 't5.safetensors')))).toBe(
      path.join(repo, 'blobs'),
    );
    expect(await edit('tiny-second')).toMatchObject({ steps: 1 });
  });

  /** The tiny transformer with one value changed, so that its hash isn't a published one. */
  async function tuned(name: string): Promise<string> {
    const bytes = await readFile(path.join(tiny, 'transformer.safetensors'));
    bytes[bytes.length - 1]! ^= 1;
    const file = path.join(person, name);
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, bytes);
    return file;
  }
  const shapes = { 'img_in.weight': [64, 384] };
  const known: PublishedModel = {
    ...fill,
    parts: [part('transformer.safetensors', { shapes }), ...fill.parts.slice(1)],
  };

  it('that are fine-tuned are used if named, with a note that they are not the published ones', async () => {
    const file = await tuned('tuned.safetensors');
    const { told } = start(['install', 'tiny-fill', '--accept-licence', '--from', file], {}, [known]);
    expect((await told).stderr).toContain(`yours, ${file} (not the published file, but the same network`);
    expect(gets()).not.toContain(`${gated}/transformer.safetensors`);
    expect(await edit('tiny-fill')).toMatchObject({ steps: 1 });
  });

  it('of an unsupported type are not used, but named', async () => {
    const file = await tuned('integers.safetensors');
    const bytes = await readFile(file, 'latin1');
    await writeFile(file, bytes.replace('"dtype":"BF16"', '"dtype": "I16"'), 'latin1');
    const { told } = start(['install', 'tiny-fill', '--accept-licence', '--from', file], {}, [known]);
    expect((await told).stderr).toMatch(
      /integers\.safetensors is not used: it has ".+" as I16, which is not supported/,
    );
    expect(gets()).toContain(`${gated}/transformer.safetensors`);
  });

  it('that are something else are each reported with what they are', async () => {
    const put = async (name: string, bytes: string | Uint8Array) => {
      await writeFile(path.join(person, name), bytes);
      return path.join(person, name);
    };
    const nf4 = encodeContainer({
      metadata: {},
      tensors: new Map([['img_in.weight.absmax', { dtype: 'F32', shape: [1], data: new Uint8Array(4) }]]),
    });
    const named = {
      [await put('pointer.safetensors', 'version https://git-lfs.github.com/spec/v1\noid sha256:0\n')]:
        'a pointer of Git LFS',
      [await put('page.safetensors', '<!DOCTYPE html><html>')]: 'a web page',
      [await put('old.ckpt', Buffer.from('PK\u0003\u0004...', 'latin1'))]: 'a PyTorch pickle',
      [await put('nf4.safetensors', nf4)]: 'bitsandbytes (NF4 or FP4)',
      [await put('picture.png', 'png')]: '".png" is no kind of weights file',
      [await put('vae.safetensors', (await readFile(path.join(tiny, 'ae.safetensors'))).subarray(0, -1))]: '',
    };
    const from = Object.keys(named).flatMap((file) => ['--from', file]);
    const { stderr } = await start(['install', 'tiny-fill', '--accept-licence', ...from], {}, [known]).told;
    for (const [file, words] of Object.entries(named)) {
      const line = stderr.split('\n').find((text) => text.startsWith(`${file} is not used: `));
      expect(line, file).toContain(words);
    }
    const again = await start(
      ['install', 'tiny-fill', '--accept-licence', '--from', Object.keys(named)[0]!],
      {},
      [known],
    ).told;
    expect(again.stderr).toContain('is not needed: every file is there already');
  });

  it('that are one checkpoint with all networks, or end in .sft, are used in place', async () => {
    const bundled = new Map<string, Tensor>();
    let metadata = {};
    const prefixes = {
      'transformer.safetensors': 'model.diffusion_model.',
      't5.safetensors': 'text_encoders.t5xxl.transformer.',
      'clip.safetensors': 'text_encoders.clip_l.transformer.',
      'ae.safetensors': 'vae.',
    };
    for (const [file, prefix] of Object.entries(prefixes)) {
      const container = decodeContainer(await readFile(path.join(tiny, file)));
      metadata = { ...metadata, ...container.metadata };
      for (const [name, tensor] of container.tensors) bundled.set(prefix + name, tensor);
    }
    const file = path.join(person, 'all-in-one.sft');
    await writeFile(file, encodeContainer({ metadata, tensors: bundled }));
    const shapesOf: Record<string, NonNullable<PublishedFile['shapes']>> = {
      'transformer.safetensors': shapes,
      't5.safetensors': { 'encoder.final_layer_norm.weight': [32] },
      'clip.safetensors': { 'text_model.final_layer_norm.weight': [128] },
    };
    const model = {
      ...fill,
      parts: fill.parts.map((one) => ({
        ...one,
        ...(shapesOf[one.file] ? { shapes: shapesOf[one.file]! } : {}),
      })),
    };
    const { stderr } = await start(['install', 'tiny-fill', '--accept-licence', '--from', file], {}, [model])
      .told;
    for (const network of Object.keys(prefixes)) {
      expect(stderr).toContain(`${network}: yours, ${file}`);
      expect(gets()).not.toContain(`${gated}/${network}`);
      expect(await readlink(inModel('tiny-fill', network))).toBe(file);
    }
    expect(stderr).not.toContain('is not used');
    expect(await edit('tiny-fill')).toMatchObject({ steps: 1 });
  });

  /** The quantized tiny transformer, where ComfyUI's GGUF loader looks for it. */
  async function inBlocks(): Promise<string> {
    const file = path.join(person, 'Comfy/models/unet/flux1-fill-dev-Q4_K_S.gguf');
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, encodeGGUF((await tinyInBlocks()).inBlocks));
    return file;
  }

  it.each([
    ['file', 'models/unet/flux1-fill-dev-Q4_K_S.gguf'],
    ['folder', ''],
  ])('in GGUF, named by their %s, are linked and converted once', async (_, named) => {
    const file = await inBlocks();
    const place = path.join(person, 'Comfy', named);
    await writeFile(path.join(path.dirname(file), 'chat.gguf'), encodeGGUF({}, { architecture: 'llama' }));
    const other = { type: 'F32', shape: [64, 64], data: new Uint8Array(4 * 64 * 64) } as const;
    await writeFile(path.join(path.dirname(file), 'dev.gguf'), encodeGGUF({ 'img_in.weight': other }));
    const { told } = start(['install', 'tiny-fill', '--accept-licence', '--from', place], {}, [known]);
    const { code, stderr } = await told;
    expect([code, stderr]).toEqual([0, expect.stringContaining(`transformer.safetensors: yours, ${file}`)]);
    expect(stderr).toContain('transformer.gguf: converting its blocks, once');
    expect(/chat.gguf is not used: .* of "llama"/.test(stderr)).toBe(named === '');
    expect(/dev.gguf is not used: it has "img_in.weight" as \[64, 64\]/.test(stderr)).toBe(named === '');
    expect(gets()).not.toContain(`${gated}/transformer.safetensors`);
    expect(await readlink(inModel('tiny-fill', 'transformer.gguf'))).toBe(file);
    expect(await readdir(path.join(home, 'quantized'))).toEqual([
      expect.stringMatching(/^transformer\.[0-9a-f]{16}\.blocks\.safetensors$/),
    ]);
    expect(await edit('tiny-fill')).toMatchObject({ steps: 1 });
    const { stdout } = await start(['list'], {}, [known]).told;
    expect(stdout).toContain(`yours: ${file}`);
    expect(stdout).toContain('Ready for --model: pocket, tiny-fill');

    await start(['remove', 'tiny-fill'], {}, [known]).told;
    expect(await readdir(path.join(home, 'quantized'))).toEqual([]);
    expect(existsSync(path.join(home, 'models/tiny-fill'))).toBe(false);
    expect(existsSync(file)).toBe(true);
  });

  it('in GGUF are converted again by the command an edit names if the conversion was lost', async () => {
    const file = await inBlocks();
    await start(['install', 'tiny-fill', '--accept-licence', '--from', file], {}, [known]).told;
    await rm(path.join(home, 'quantized'), { recursive: true });
    expect((await edit('tiny-fill')).error).toMatchObject({
      code: 'model-missing',
      remedy: expect.stringContaining('acepp models install tiny-fill'),
    });
    expect((await start(['list'], {}, [known]).told).stdout).toContain('not been converted yet');
    await start(['install', 'tiny-fill', '--accept-licence'], {}, [known]).told;
    expect((await start(['list'], {}, [known]).told).stdout).not.toContain('not been converted yet');
    expect(await edit('tiny-fill')).toMatchObject({ steps: 1 });
    await rm(path.join(home, 'quantized'), { recursive: true });
    const program = path.join(projectRoot, 'dist/server/acepp.js');
    const child = spawn(process.execPath, [program, 'quantize', '--model', 'tiny-fill', '--bits', '8'], {
      env: { ...process.env, ACEPP_HOME: home },
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    let stdout = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    await once(child, 'close');
    // Its text encoder is narrower than a block of 64: so there is nothing that would be smaller.
    expect(JSON.parse(stdout)).toMatchObject({ model: 'tiny-fill' });
    expect(await edit('tiny-fill')).toMatchObject({ steps: 1 });
  });

  it('in GGUF are not picked up from the usual places, nor for the text encoder', async () => {
    const file = await inBlocks();
    const usual = path.join(person, 'ComfyUI/models/unet/flux.gguf');
    await mkdir(path.dirname(usual), { recursive: true });
    await cp(file, usual);
    await start(['install', 'tiny-fill', '--accept-licence'], {}, [known]).told;
    expect(gets()).toContain(`${gated}/transformer.safetensors`);
    const t5: PublishedModel = { ...second, parts: [part('t5.safetensors', { shapes })] };
    await start(['install', 'tiny-second', '--accept-licence', '--from', file], {}, [t5]).told;
    expect(gets()).toContain(`${gated}/t5.safetensors`);
  });

  it('that are fine-tuned are not picked up from the usual places unless named', async () => {
    await tuned('ComfyUI/models/diffusion_models/tuned.safetensors');
    await start(['install', 'tiny-fill', '--accept-licence'], {}, [known]).told;
    expect(gets()).toContain(`${gated}/transformer.safetensors`);
  });

  it('are never guessed at if two could match', async () => {
    await tuned('both/a.safetensors');
    const other = await tuned('both/b.safetensors');
    const { told } = start(['install', 'tiny-fill', '--accept-licence', '--from', path.dirname(other)], {}, [
      known,
    ]);
    expect((await told).stderr).toContain('None is used; name one with --from');
    expect(gets()).toContain(`${gated}/transformer.safetensors`);
  });

  it('in diffusers’ shards in the cache replace the published file, along with their index', async () => {
    const snapshot = path.join(person, '.cache/huggingface/hub/models--lab--Fill/snapshots/abc/transformer');
    await mkdir(snapshot, { recursive: true });
    await shardsOf(path.join(tiny, 'transformer.safetensors'), snapshot);
    const diffusers = { repo: gated, path: 'transformer/diffusion_pytorch_model.safetensors' };
    const sharded = {
      ...fill,
      parts: [part('transformer.safetensors', { diffusers }), ...fill.parts.slice(1)],
    };
    const { told } = start(['install', 'tiny-fill', '--accept-licence'], {}, [sharded]);
    expect((await told).code).toBe(0);
    expect(gets()).not.toContain(`${gated}/transformer.safetensors`);
    expect(await edit('tiny-fill')).toMatchObject({ steps: 1 });
    const before = await contents(snapshot);
    expect((await start(['remove', 'tiny-fill'], {}, [sharded]).told).code).toBe(0);
    expect(await contents(snapshot)).toEqual(before);
    expect(existsSync(path.join(home, 'models/tiny-fill'))).toBe(false);
  });

  it('that are later gone or changed are reported, left alone, and fetched instead', async () => {
    const comfy = await comfyUI();
    await install('tiny-fill', '--from', comfy);
    const t5 = path.join(comfy, 'models/clip/t5xxl_fp16.safetensors');
    const clip = path.join(comfy, 'models/text_encoders/clip_l.safetensors');
    await rename(t5, `${t5}.moved`);
    await truncate(clip, 5000);
    const { code, stdout } = await models('verify', 'tiny-fill');
    expect(code).toBe(1);
    expect(stdout).toMatch(/tiny-fill\/t5\.safetensors is missing\. It is yours/);
    expect(stdout).toMatch(
      /tiny-fill\/clip\.safetensors has 5000 bytes, not \d+\. It is yours .* left alone/,
    );
    expect((await models('list')).stdout).toContain(`missing: ${t5} no longer exists`);
    fake.forget();
    expect((await install('tiny-fill')).code).toBe(0);
    expect(gets()).toEqual([`${gated}/t5.safetensors`, `${gated}/clip.safetensors`]);
    expect((await stat(clip)).size).toBe(5000);
    expect((await models('verify', 'tiny-fill')).code).toBe(0);
  });

  it('in the model’s folder are used unchanged, and stay when the model is removed', async () => {
    const place = inModel('tiny-fill', 'transformer.safetensors');
    await mkdir(path.dirname(place), { recursive: true });
    await cp(await tuned('mine.safetensors'), place);
    const mine = sha256(await readFile(place));
    const { code, stderr } = await install('tiny-fill');
    expect([code, stderr]).toEqual([0, expect.stringContaining('added by you')]);
    expect((await models('remove', 'tiny-fill')).stdout).toContain('added by you');
    expect(sha256(await readFile(place))).toBe(mine);
    expect(await readdir(path.dirname(place))).toEqual(['transformer.safetensors']);
  });
});

describe('the text encoder', () => {
  const [fp16, fp8] = [randomBytes(9000), randomBytes(5000)];
  const source = (name: string) =>
    ({ repo: 'lab/t5', path: name, revision: 'main', licence: 'mit' }) as const;
  const choice: PublishedModel = {
    id: 'choice',
    title: 'a choice',
    parts: [
      part('t5.safetensors', { title: '16 bits', t5: 'fp16', source: source('16.safetensors') }),
      part('t5.safetensors', { title: '8 bits', t5: 'fp8', source: source('8.safetensors') }),
    ],
  };
  beforeAll(() => {
    fake.publish('lab/t5', '16.safetensors', fp16);
    fake.publish('lab/t5', '8.safetensors', fp8);
  });
  const run = (...args: string[]) => start(args, {}, [choice]).told;
  const installed = () => readFile(inModel('choice', 't5.safetensors'));

  it('is the 16-bit one, or the 8-bit one if requested; one replaces the other', async () => {
    await run('install', 'choice');
    expect((await installed()).equals(fp16)).toBe(true);
    await run('install', 'choice', '--t5', 'fp8');
    expect((await installed()).equals(fp8)).toBe(true);
    // Without a request for a precision, it stays.
    await run('install', 'choice');
    expect((await installed()).equals(fp8)).toBe(true);
    expect((await run('verify')).code).toBe(0);
  });

  it('is the one already present, whatever its precision', async () => {
    await writeFile(path.join(person, 't5xxl_fp8_e4m3fn.safetensors'), fp8);
    await run('install', 'choice', '--from', person);
    expect((await installed()).equals(fp8)).toBe(true);
    expect(fake.asked.filter(({ method }) => method === 'GET')).toEqual([]);
  });
});

/** A safetensors file as two shards with an index, as diffusers saves a large one. */
async function shardsOf(file: string, folder: string): Promise<void> {
  const bytes = await readFile(file);
  const end = 8 + Number(bytes.readBigUInt64LE());
  const { __metadata__: metadata, ...entries } = JSON.parse(bytes.subarray(8, end).toString()) as Record<
    string,
    { dtype: 'F32'; shape: number[]; data_offsets: [number, number] }
  >;
  const names = Object.keys(entries);
  const weight_map: Record<string, string> = {};
  for (const [i, part] of [names.slice(0, 20), names.slice(20)].entries()) {
    const shard = `diffusion_pytorch_model-0000${i + 1}-of-00002.safetensors`;
    const tensors = new Map(
      part.map((name) => {
        const { dtype, shape, data_offsets } = entries[name]!;
        const data = new Uint8Array(bytes.subarray(end + data_offsets[0], end + data_offsets[1]));
        weight_map[name] = shard;
        return [name, { dtype, shape, data }] as const;
      }),
    );
    await writeFile(path.join(folder, shard), encodeContainer({ metadata: {}, tensors }));
  }
  const index = path.join(folder, 'diffusion_pytorch_model.safetensors.index.json');
  await writeFile(index, JSON.stringify({ metadata, weight_map }));
}
