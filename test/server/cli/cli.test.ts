import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { initializeCanvas, readPsd } from 'ag-psd';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { projectRoot } from '../../../server/disk/paths.ts';
import { composite } from '../../../shared/composite.ts';
import type { EditResult } from '../../../shared/protocol/result.ts';
import { installAdapted } from '../adapted.ts';
import { temporaryHome } from '../http/running-companion.ts';

initializeCanvas(
  () => {
    throw new Error('no canvas is needed');
  },
  (width, height) => ({ width, height, data: new Uint8ClampedArray(width * height * 4), colorSpace: 'srgb' }),
);

const size = { width: 120, height: 80 };
const masked = { left: 40, top: 20, width: 30, height: 40 };
const photo = new Uint8Array(size.width * size.height * 3).map((_, i) => (i * 31) % 253);

let folder: string;
let temporary: string;
let home: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'acepp-test-'));
  home = await temporaryHome();
  temporary = path.join(folder, 'tmp');
  await mkdir(temporary);
  const mask = Buffer.alloc(size.width * size.height);
  for (let y = masked.top; y < masked.top + masked.height; y++) {
    mask.fill(255, y * size.width + masked.left, y * size.width + masked.left + masked.width);
  }
  await sharp(photo, { raw: { ...size, channels: 3 } }).toFile(path.join(folder, 'photo.png'));
  await sharp(mask, { raw: { ...size, channels: 1 } }).toFile(path.join(folder, 'mask.png'));
  await sharp(photo, { raw: { ...size, channels: 3 } }).toFile(path.join(folder, 'photo.tiff'));
  await writeFile(path.join(folder, 'no-picture.png'), 'this is text');
  await writeFile(path.join(folder, 'photo.heic'), '\0\0\0\x18ftypheic\0\0\0\0mif1heic');
  await writeFile(path.join(folder, 'empty.png'), '');
});
afterAll(async () => {
  await rm(folder, { recursive: true });
  await rm(home, { recursive: true });
});

interface Told {
  readonly code: number | null;
  readonly line: EditResult & { out?: string; error?: { code: string; detail: string } };
  readonly stderr: string;
}

/** `npm run` runs it in the project's folder and passes the user's folder in INIT_CWD. */
function start(...flags: string[]): { child: ChildProcess; told: Promise<Told>; stderr: () => string } {
  const program = path.join(projectRoot, 'dist/server/acepp.js');
  const out = flags.includes('--out') ? [] : ['--out', 'unread.png'];
  const child = spawn(process.execPath, [program, 'edit', '--provider', 'cpu', ...flags, ...out], {
    cwd: projectRoot,
    env: { ...process.env, ACEPP_HOME: home, INIT_CWD: folder, TMPDIR: temporary },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const told = once(child, 'close').then(([code]) => {
    if (!/^[^\n]+\n$/.test(stdout)) throw new Error(`not one line: ${stdout}, ${stderr}`);
    return { code: code as number | null, line: JSON.parse(stdout) as Told['line'], stderr };
  });
  return { child, told, stderr: () => stderr };
}

const edit = (...flags: string[]): Promise<Told> => start(...flags).told;
const fill = [
  '--image',
  'photo.png',
  '--mask',
  'mask.png',
  '--instruction',
  'a red circle',
  '--steps',
  '2',
  '--model',
  'tiny',
];

const pixelsOf = async (file: string) => {
  const { data, info } = await sharp(path.join(folder, file)).raw().toBuffer({ resolveWithObject: true });
  return { data, ...info };
};

describe('the command line', () => {
  it('writes the layer, prints one line of JSON, and leaves every byte outside the mask unchanged', async () => {
    const { code, line, stderr } = await edit(...fill, '--seed', '7', '--out', 'layer.png');
    expect(code).toBe(0);
    expect(line).toMatchObject({ bounds: masked, seed: 7, steps: 2, task: 'inpaint', provider: 'cpu' });
    expect(line.timings.denoising).toBeGreaterThan(0);
    expect(line.out).toBe(path.join(folder, 'layer.png'));
    expect(stderr).toContain('step 2 of 2');

    const layer = await pixelsOf('layer.png');
    expect([layer.width, layer.height, layer.channels]).toEqual([masked.width, masked.height, 4]);
    const whole = composite({ ...size, channels: 3, data: photo }, { ...layer, channels: 4 }, masked);
    let changed = 0;
    for (let i = 0; i < photo.length; i++) {
      const x = Math.floor(i / 3) % size.width;
      const y = Math.floor(i / 3 / size.width);
      const isInside =
        x >= masked.left &&
        x < masked.left + masked.width &&
        y >= masked.top &&
        y < masked.top + masked.height;
      if (!isInside) expect(whole.data[i]).toBe(photo[i]);
      else if (whole.data[i] !== photo[i]) changed++;
    }
    expect(changed).toBeGreaterThan(masked.width * masked.height);
  });

  it('skips steps when allowed, and none when the first block must stay exactly the same', async () => {
    const colours = async (...cache: string[]) => {
      const flags = [...fill, '--steps', '5', '--seed', '7', '--out', 'cached.png', ...cache];
      const { line } = await edit(...flags);
      return { reused: line.stepsReused, data: (await pixelsOf('cached.png')).data };
    };
    const whole = await colours();
    expect(whole.reused).toBeUndefined();
    const strict = await colours('--first-block-cache', '0');
    expect(strict.reused).toBe(0);
    // Three graphs instead of one round float32 differently.
    expect(Math.max(...strict.data.map((value, i) => Math.abs(value - whole.data[i]!)))).toBeLessThan(2);
    expect((await colours('--first-block-cache', '1')).reused).toBeGreaterThan(0);
    const { code, line } = await edit(...fill, '--first-block-cache', '2');
    expect([code, line.error?.code]).toEqual([1, 'request-invalid']);
    expect(line.error?.detail).toContain('firstBlockCache');
  });

  it('gives the same bytes for the same seed, and others for another', async () => {
    const bytes = async (seed: string) => {
      await edit(...fill, '--seed', seed, '--out', 'seed.png');
      return readFile(path.join(folder, 'seed.png'));
    };
    const [first, again, other] = [await bytes('7'), await bytes('7'), await bytes('8')];
    expect(first.equals(again)).toBe(true);
    expect(first.equals(other)).toBe(false);
  });

  it('draws a seed if none is given, and prints it', async () => {
    const seeds = [(await edit(...fill)).line.seed, (await edit(...fill)).line.seed];
    expect(seeds[0]).not.toBe(seeds[1]);
  });

  it('writes a PSD with the photo below and the masked layer in position', async () => {
    await edit(...fill, '--seed', '7', '--out', 'edited.psd');
    const psd = readPsd(await readFile(path.join(folder, 'edited.psd')), { useImageData: true });
    expect([psd.width, psd.height]).toEqual([size.width, size.height]);
    const [below, above] = psd.children!;
    const rgb = Buffer.from(below!.imageData!.data.filter((_, i) => i % 4 < 3));
    expect(rgb.equals(photo)).toBe(true);
    const flat = Buffer.from(psd.imageData!.data.filter((_, i) => i % 4 < 3));
    expect(flat.equals(photo)).toBe(false);
    const place = { left: masked.left, top: masked.top, right: 70, bottom: 60 };
    expect(above).toMatchObject({ name: 'a red circle', ...place, mask: place });
  });

  it('reads a picture from a pipe, and writes file names as long as the disk allows', async () => {
    if (process.platform === 'win32') return;
    const pipe = path.join(folder, 'pipe');
    spawnSync('mkfifo', [pipe]);
    const out = `${'n'.repeat(246)}.psd`;
    const editing = edit(...fill, '--image', 'pipe', '--out', out);
    await writeFile(pipe, await readFile(path.join(folder, 'photo.png')));
    const { code, line } = await editing;
    expect([code, line.error]).toEqual([0, undefined]);
    expect(path.basename(line.out!)).toBe(out);
    expect((await readdir(folder)).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });

  it.runIf(process.platform === 'linux')(
    'keeps a finished edit whose output could not be written, and can save it again',
    async () => {
      const target = path.join(folder, 'gone');
      await mkdir(target);
      const { told, stderr } = start(...fill, '--seed', '7', '--out', 'gone/layer.png');
      await expect.poll(stderr, { timeout: 60_000 }).toContain('step 1 of 2');
      await rm(target, { recursive: true });
      const { line } = await told;
      expect(line.error).toMatchObject({ code: 'disk-unwritable' });
      const [, id] = /acepp save ([0-9a-f-]{36})/.exec(JSON.stringify(line.error))!;
      const acepp = (...args: string[]) => {
        const program = path.join(projectRoot, 'dist/server/acepp.js');
        const env = { ...process.env, ACEPP_HOME: home, INIT_CWD: folder };
        const { stdout } = spawnSync(process.execPath, [program, ...args], { cwd: projectRoot, env });
        return String(stdout);
      };
      expect(acepp('edits', 'unsaved')).toMatch(new RegExp(`^${id}  .*  a red circle\n$`));
      expect(JSON.parse(acepp('save', id!, '--out', 'saved.png'))).toMatchObject({ id });
      await edit(...fill, '--seed', '7', '--out', 'again.png');
      const [saved, again] = await Promise.all(
        ['saved.png', 'again.png'].map((name) => readFile(path.join(folder, name))),
      );
      expect(saved!.equals(again!)).toBe(true);
      expect(acepp('edits', 'unsaved')).toBe('');
    },
  );

  it('edits a folder, matches masks by name, and resumes after an interruption', async () => {
    const many = path.join(folder, 'many');
    await mkdir(many);
    await mkdir(path.join(folder, 'edited'));
    for (const [from, to] of [
      ['photo.png', 'a.png'],
      ['mask.png', 'a.mask.png'],
      ['photo.tiff', 'b.tiff'],
      ['no-picture.png', 'c.png'],
    ] as const) {
      await writeFile(path.join(many, to), await readFile(path.join(folder, from)));
    }
    const program = path.join(projectRoot, 'dist/server/acepp.js');
    const flags = [
      '--batch',
      'many',
      '--out',
      'edited/*.png',
      '--instruction',
      'red',
      '--steps',
      '1',
      '--model',
      'tiny',
    ];
    const run = () => {
      const { status, stdout } = spawnSync(
        process.execPath,
        [program, 'edit', '--provider', 'cpu', ...flags],
        {
          cwd: projectRoot,
          env: { ...process.env, ACEPP_HOME: home, INIT_CWD: folder },
          encoding: 'utf8',
        },
      );
      return {
        status,
        lines: stdout
          .trim()
          .split('\n')
          .map((line) => JSON.parse(line)),
      };
    };
    const first = run();
    expect(first.status).toBe(1);
    expect(first.lines).toMatchObject([
      { image: path.join(many, 'a.png'), bounds: masked, out: path.join(folder, 'edited/a.png') },
      { image: path.join(many, 'b.tiff'), bounds: { left: 0, top: 0, ...size } },
      { image: path.join(many, 'c.png'), error: { code: 'image-invalid' } },
    ]);
    await rm(path.join(many, 'c.png'));
    expect(run()).toMatchObject({ status: 0, lines: [{ skipped: true }, { skipped: true }] });
  });

  it('writes the finished picture if asked to', async () => {
    const { line } = await edit(...fill, '--seed', '7', '--result', 'picture', '--out', 'whole.tif');
    expect(line.error).toBeUndefined();
    const whole = await pixelsOf('whole.tif');
    expect([whole.width, whole.height, whole.channels]).toEqual([size.width, size.height, 3]);
    expect(whole.data.equals(photo)).toBe(false);
  });

  it('takes references in their order', async () => {
    const { line } = await edit(...fill, '--reference', 'photo.png', '--reference', 'mask.png');
    expect(line.task).toBe('local-reference-editing');
  });

  it('creates a picture of the requested size from references alone, or from nothing', async () => {
    const made = ['--instruction', 'a red circle', '--steps', '2', '--model', 'tiny', '--out', 'made.png'];
    const asked = ['--width', '96', '--height', '64'];
    const alone = await edit(...made, ...asked, '--reference', 'photo.png');
    expect(alone.line).toMatchObject({ task: 'reference-generation', bounds: { width: 96, height: 64 } });
    expect(await pixelsOf('made.png')).toMatchObject({ width: 96, height: 64 });
    expect((await edit(...made, ...asked)).line).toMatchObject({ task: 'text-to-image' });
    const { line } = await edit(...made, '--width', '0');
    expect(line.error).toMatchObject({ code: 'request-invalid', detail: expect.stringContaining('width') });
  });

  it('takes the model’s adapters, at full strength by default', async () => {
    await installAdapted(home, 'portrait_lora');
    const bytes = async (...flags: string[]) => {
      const known = ['--model', 'adapted', '--seed', '7', '--steps', '2', '--out', 'adapted.png'];
      const { line } = await edit(...fill, ...known, ...flags);
      expect(line.error).toBeUndefined();
      // Of the pixels: the file names its adapters.
      return (await pixelsOf('adapted.png')).data.toString('base64');
    };
    const [without, whole] = [await bytes(), await bytes('--adapter', 'portrait_lora')];
    expect(whole).not.toBe(without);
    expect(await bytes('--adapter', 'portrait_lora=0')).toBe(without);
    expect(await bytes('--adapter', 'portrait_lora=0.25', '--adapter', 'portrait_lora=0.75')).toBe(whole);
  });

  it('uses the adapter trained for the task if none is named', async () => {
    await installAdapted(home, 'subject');
    const placed = [...fill, '--reference', 'mask.png', '--model', 'adapted', '--steps', '2'];
    const { line } = await edit(...placed);
    expect(line.adapters).toEqual([{ name: 'subject', scale: 1 }]);
    expect((await edit(...fill, '--model', 'adapted', '--steps', '2')).line.adapters).toEqual([]);
    const off = await edit(...placed, '--adapter', 'subject=0');
    expect(off.line.adapters).toEqual([{ name: 'subject', scale: 0 }]);
  });

  it('--plan prints the resolved edit and runs nothing', async () => {
    const { line: plan } = await edit(...fill, '--steps', '2', '--plan');
    const { line: result } = await edit(...fill, '--steps', '2');
    for (const name of ['task', 'model', 'adapters', 'bounds', 'workSize', 'steps', 'guidance'] as const) {
      expect(plan[name], name).toEqual(result[name]);
    }
    expect(plan).not.toHaveProperty('timings');
  });

  it.each<[string, string[], string]>([
    ['an unknown flag', [...fill, '--colour', 'red'], 'request-invalid'],
    ['no instruction', ['--image', 'photo.png'], 'request-invalid'],
    ['a seed that is no number', [...fill, '--seed', 'seven'], 'request-invalid'],
    ['steps beyond the limit', [...fill, '--steps', '100000'], 'request-invalid'],
    ['an unknown task', [...fill, '--task', 'magic'], 'request-invalid'],
    ['an output of another kind', [...fill, '--out', 'layer.heic'], 'request-invalid'],
    ['an output that is an input', [...fill, '--out', './photo.png'], 'request-invalid'],
    ['an output of a name that is too long', [...fill, '--out', `${'x'.repeat(260)}.png`], 'request-invalid'],
    ['a picture of no bytes', ['--image', 'empty.png', '--instruction', 'x'], 'image-invalid'],
    ['a layer of what has none', [...fill, '--layer', 'Fox'], 'request-invalid'],
    [
      'an output that is too large for its format',
      [...fill, '--width', '16384', '--out', 'x.webp'],
      'too-large',
    ],
    ['an adapter whose scale is no number', [...fill, '--adapter', 'portrait=much'], 'request-invalid'],
    ['an adapter without a name', [...fill, '--adapter', '=1'], 'request-invalid'],
    ['an adapter that is not installed', [...fill, '--adapter', 'portrait=1'], 'adapter-unknown'],
    ['an unknown model', [...fill, '--model', 'nothing-like-it'], 'model-unknown'],
    ['a file that is not there', ['--image', 'none.png', '--instruction', 'x'], 'image-invalid'],
    ['a file that is no picture', ['--image', 'no-picture.png', '--instruction', 'x'], 'image-invalid'],
    [
      'a picture of a kind that is not taken',
      ['--image', 'photo.heic', '--instruction', 'x'],
      'image-invalid',
    ],
    ['an empty instruction', ['--image', 'photo.png', '--instruction', ' '], 'instruction-empty'],
    ['a folder that is not there', [...fill, '--out', 'none/layer.png'], 'request-invalid'],
  ])('rejects %s with its code, in one line', async (_, flags, expected) => {
    const { code, line, stderr } = await edit(...flags);
    expect([code, line.error?.code]).toEqual([1, expected]);
    expect(stderr).toContain(`${expected}: ${line.error!.detail}`);
  });

  it('exits cleanly on Ctrl-C: no file, no engine, nothing left in the temporary folder', async () => {
    const { child, told, stderr } = start(...fill, '--steps', '200', '--out', 'never.png');
    await expect.poll(stderr, { timeout: 20_000 }).toContain('step 2 of 200');
    expect(await readdir(temporary)).toHaveLength(1);
    child.kill('SIGINT');
    expect((await told).line.error?.code).toBe('cancelled');
    expect(await readdir(temporary)).toEqual([]);
    expect(await readdir(folder)).not.toContain('never.png');
  });
});

describe('acepp', () => {
  const acepp = (...args: string[]) =>
    spawnSync(process.execPath, [path.join(projectRoot, 'dist/server/acepp.js'), ...args], {
      encoding: 'utf8',
    });

  it.each<[string, string[]]>([
    ['without a name', []],
    ['with an unknown name', ['paint']],
    ['start with an unknown flag', ['start', '--paint']],
    ['start with something else', ['start', 'paint']],
    ['models without a name', ['models']],
    ['cuda with an unknown name', ['cuda', 'paint']],
  ])('%s points to the right help', (_, args) => {
    const { status, stdout, stderr } = acepp(...args);
    expect([status, stdout]).toEqual([1, '']);
    const [command] = args;
    const help = command && command !== 'paint' ? `acepp ${command} --help` : 'acepp --help';
    expect(stderr).toMatch(/^request-invalid: The command line is wrong: /);
    expect(stderr).toContain(`See "${help}".`);
    const shown = acepp(...help.split(' ').slice(1));
    expect([shown.status, shown.stderr]).toEqual([0, '']);
    expect(shown.stdout).toContain(`Usage: ${help.replace(' --help', '')} `);
  });

  it('shows the help of each of its commands', () => {
    const names = [...acepp('--help').stdout.matchAll(/^ {2}(\w+) .*$/gm)].flatMap(([, name]) => name ?? []);
    expect(names).toContain('edit');
    for (const name of names.filter((other) => other !== 'help')) {
      expect(acepp('help', name).stdout).toContain(`Usage: acepp ${name} `);
    }
  });

  it.runIf(process.platform === 'linux')(
    'shows ONNX Runtime’s output with --log-level debug only',
    async () => {
      // Its CUDA library is not in the package for the CPU: ONNX Runtime reports that on stderr.
      const withoutCUDA = [...fill, '--provider', 'cuda'];
      const foreign = /\[E:onnxruntime/;
      expect((await edit(...withoutCUDA)).stderr).not.toMatch(foreign);
      expect((await edit(...withoutCUDA, '--log-level', 'debug')).stderr).toMatch(foreign);
    },
  );
});
