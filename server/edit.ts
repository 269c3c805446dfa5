/** `npm run edit`: one edit without the page, by the same engine and pipeline. */
import { randomInt, randomUUID } from 'node:crypto';
import { mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import sharp from 'sharp';
import { boundsOf } from '../shared/bounds.ts';
import { composite } from '../shared/composite.ts';
import { CodedError } from '../shared/errors.ts';
import type { EditEventBody } from '../shared/events.ts';
import { layeredPSD, type Pixels } from '../shared/psd.ts';
import { controls, parseEditRequest, tasks } from '../shared/request.ts';
import { type Container, decodeContainer, encodeContainer, type Tensor } from '../shared/safetensors.ts';
import { Engine } from './engine/engine.ts';
import { requestFile, resultFile } from './engine/files.ts';
import { type Provider, providers } from './engine/provider.ts';
import { layerPNG } from './jobs/layer-png.ts';

interface Flags {
  readonly image?: string;
  readonly mask?: string;
  readonly reference: readonly string[];
  readonly instruction: string;
  readonly task?: string;
  readonly control?: string;
  readonly seed?: number;
  readonly steps?: number;
  readonly guidance?: number;
  readonly model?: string;
  readonly adapter: readonly { name: string; scale: number }[];
  readonly provider?: Provider;
  readonly out?: string;
}

// Exactly one line, also of a failure.
try {
  console.log(JSON.stringify(await main()));
} catch (thrown) {
  // Help was asked for, and is on stdout.
  if (thrown instanceof CommanderError && thrown.exitCode === 0) process.exit(0);
  const error = thrown instanceof CommanderError ? wrongFlags(thrown.message) : CodedError.from(thrown);
  console.error(`${error.code}: ${error.message}`);
  console.log(JSON.stringify({ error: error.toProblem() }));
  process.exitCode = 1;
}

async function main(): Promise<object> {
  const flags = readFlags();
  const out = flags.out === undefined ? undefined : outFile(flags.out);
  const request = await encodeRequest(flags);
  const folder = await mkdtemp(path.join(tmpdir(), 'acepp-edit-'));
  const progress = new Progress();
  const engine = new Engine({ provider: flags.provider, log: (text) => progress.line(text) });
  const id = randomUUID();
  const interrupt = () => engine.cancel(id);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, interrupt);
  try {
    await writeFile(requestFile(folder), request);
    const [result] = await engine.run(id, folder, (event) => progress.show(event));
    const layer = decodeContainer(await readFile(resultFile(folder, 0)), 'The result');
    if (out) await writeWhole(out, await (isPSD(out) ? layerPSD(layer, flags) : layerPNG(layer)));
    return { ...result, ...(out && { out }) };
  } finally {
    progress.end();
    await engine.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

function readFlags(): Flags {
  const whole = (text: string) => {
    if (!/^\d+$/.test(text)) throw new InvalidArgumentError('It must be a whole number.');
    return Number(text);
  };
  const decimal = (text: string) => {
    if (text.trim() === '' || !Number.isFinite(Number(text)))
      throw new InvalidArgumentError('It must be a number.');
    return Number(text);
  };
  const adapter = (text: string, before: readonly object[]) => {
    const at = text.lastIndexOf('=');
    if (at < 1) throw new InvalidArgumentError('It must be NAME=SCALE.');
    return [...before, { name: text.slice(0, at), scale: decimal(text.slice(at + 1)) }];
  };
  const command = new Command('npm run --silent edit --')
    .description('Edits one picture and prints one line of JSON: bounds, seed, steps, timings.')
    .option('--image <file>', 'picture to edit')
    .option('--mask <file>', 'white where the picture may change')
    .option(
      '--reference <file>',
      'may be given several times, in order',
      (file, before: string[]) => [...before, file],
      [],
    )
    .requiredOption('--instruction <text>', 'what should be seen')
    .addOption(new Option('--task <task>', 'chosen from what is given if left out').choices([...tasks]))
    .addOption(new Option('--control <kind>', 'with --task control').choices([...controls]))
    .option('--seed <number>', 'drawn by chance if left out', whole)
    .option('--steps <number>', 'of the sampler', whole)
    .option('--guidance <number>', 'how strictly the instruction is followed', decimal)
    .option('--model <id>', 'of the catalogue')
    .option('--adapter <name=scale>', 'may be given several times', adapter, [])
    .addOption(new Option('--provider <name>', 'compute with this and nothing else').choices([...providers]))
    .option('--out <file>', 'the layer as .png, or a layered .psd')
    .allowExcessArguments(false)
    .configureOutput({ writeErr: () => {} })
    .exitOverride();
  return command.parse().opts<Flags>();
}

function wrongFlags(message: string): CodedError {
  return new CodedError('request-invalid', {
    detail: `The command line is wrong: ${message.replace(/^error: /, '').replace(/\.?$/, '.')}`,
    remedy: 'See "npm run --silent edit -- --help".',
  });
}

/** npm runs in the package's folder; what a person types is relative to where they are. */
function fromPerson(file: string): string {
  return path.resolve(process.env.INIT_CWD ?? process.cwd(), file);
}

function isPSD(file: string): boolean {
  return path.extname(file).toLowerCase() === '.psd';
}

function outFile(given: string): string {
  const file = fromPerson(given);
  if (isPSD(file) || path.extname(file).toLowerCase() === '.png') return file;
  throw wrongFlags(`--out "${given}" is neither .png nor .psd`);
}

async function encodeRequest(flags: Flags): Promise<Uint8Array> {
  const { task, control, instruction, steps, guidance, model, adapter } = flags;
  const request = JSON.stringify({
    version: 1,
    task,
    control,
    instruction,
    seed: flags.seed ?? randomInt(2 ** 32),
    steps,
    guidance,
    model,
    ...(adapter.length > 0 && { adapters: adapter }),
  });
  // Before any file is read: a wrong number is found at once.
  parseEditRequest(request);
  const tensors = new Map<string, Tensor>();
  const add = async (name: string, file: string) => {
    const { encoding, data } = await readPicture(file);
    tensors.set(`${name}.${encoding}`, { dtype: 'U8', shape: [data.length], data });
  };
  if (flags.image !== undefined) await add('edit', flags.image);
  if (flags.mask !== undefined) await add('mask', flags.mask);
  for (const [i, file] of flags.reference.entries()) await add(`reference.${i}`, file);
  return encodeContainer({ metadata: { request }, tensors });
}

async function readPicture(given: string): Promise<{ encoding: string; data: Buffer }> {
  let data: Buffer;
  try {
    data = await readFile(fromPerson(given));
  } catch (cause) {
    throw unreadable(
      given,
      (cause as Error).message,
      'Check the path; it is relative to your folder.',
      cause,
    );
  }
  const remedy = 'Save the picture as PNG, JPEG or WebP.';
  const format = await sharp(data)
    .metadata()
    .then((header) => header.format)
    .catch((cause: Error) => {
      throw unreadable(given, cause.message, remedy, cause);
    });
  const encoding = { png: 'png', jpeg: 'jpg', webp: 'webp' }[format as string];
  if (!encoding) throw unreadable(given, `it is ${format}`, remedy);
  return { encoding, data };
}

function unreadable(file: string, reason: string, remedy: string, cause?: unknown): CodedError {
  return new CodedError('image-invalid', { detail: `"${file}" cannot be read: ${reason}.`, remedy, cause });
}

/** The picture as 8-bit RGBA, upright and in sRGB as the pipeline takes it. */
async function picturePixels(file: string): Promise<Pixels> {
  const { data, info } = await sharp(fromPerson(file))
    .autoOrient()
    .toColourspace('srgb')
    .ensureAlpha()
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true });
  return { width: info.width, height: info.height, data };
}

async function layerPSD(result: Container, { image, instruction }: Flags): Promise<Uint8Array> {
  const { data, info } = await sharp(await layerPNG(result))
    .toColourspace('srgb')
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true });
  const layer: Pixels = { width: info.width, height: info.height, data };
  const own = JSON.parse(result.metadata.bounds!) as {
    left: number;
    top: number;
    width: number;
    height: number;
  };
  const picture =
    image === undefined
      ? { width: layer.width, height: layer.height, data: new Uint8Array(layer.data.length) }
      : await picturePixels(image);
  const flat = composite({ ...picture, channels: 4 }, { ...layer, channels: 4 }, own);
  const name = instruction.trim().slice(0, 60) || 'ACE++';
  return layeredPSD(
    picture,
    [{ name, bounds: { ...boundsOf(layer), left: own.left, top: own.top }, picture: layer, visible: true }],
    {
      ...picture,
      data: flat.data as Uint8Array,
    },
  );
}

/** The file appears as a whole or not at all. */
async function writeWhole(file: string, content: Uint8Array): Promise<void> {
  const unfinished = `${file}.${process.pid}.tmp`;
  try {
    await writeFile(unfinished, content);
    await rename(unfinished, file);
  } catch (cause) {
    await rm(unfinished, { force: true });
    const isFull = (cause as NodeJS.ErrnoException).code === 'ENOSPC';
    throw new CodedError(isFull ? 'disk-full' : 'request-invalid', {
      detail: `The result cannot be written: ${(cause as Error).message}.`,
      remedy: 'Let --out name a file in a folder that exists and that you may write to.',
      cause,
    });
  }
}

/** On stderr: a line that changes in a terminal, else a line for each event. */
class Progress {
  readonly #isTerminal = Boolean(process.stderr.isTTY);
  #open = false;

  show(event: EditEventBody): void {
    switch (event.type) {
      case 'stage':
        this.#state(event.stage);
        break;
      case 'step':
        this.#state(`step ${event.step} of ${event.steps}, ${Math.ceil(event.secondsLeft)} s left`);
        break;
      case 'note':
        this.line(event.text);
    }
  }

  line(text: string): void {
    this.end();
    process.stderr.write(`${text}\n`);
  }

  end(): void {
    if (this.#open) process.stderr.write('\n');
    this.#open = false;
  }

  #state(text: string): void {
    process.stderr.write(this.#isTerminal ? `\r\x1b[K${text}` : `${text}\n`);
    this.#open = this.#isTerminal;
  }
}
