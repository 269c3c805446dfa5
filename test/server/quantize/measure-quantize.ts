/**
 * Measures the quantization of weights.
 *
 *     npm run measure:quantize                    peak memory for 1 GB of random bfloat16, and the second run
 *     npm run measure:quantize -- errors [FILE]   error and cost of each rounding, of random weights or of each layer of a file
 *     npm run measure:quantize -- gguf            bytes and time of what is written of each type of a GGUF file's blocks
 *
 * JSON lines on stdout.
 */
import { fork } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, writeSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { openStored } from '../../../server/checkpoints/header.ts';
import { asFloats, isReadable } from '../../../server/checkpoints/numbers.ts';
import { quantizeFile, writeBlocks } from '../../../server/quantize/quantize.ts';
import {
  type Bits,
  blockSize,
  dequantizeRows,
  quantizeRows,
  type Rounding,
} from '../../../server/quantize/rounding.ts';
import { randn } from '../../../server/sampling/noise.ts';
import { blockTypes, drawBlocks, writeGGUF } from '../checkpoints/gguf-writer.ts';
import { relativeError } from '../models/arrays.ts';

const self = fileURLToPath(import.meta.url);
const width = 3072;

/** Random weights of FLUX's double blocks, bfloat16. */
function writeRandom(file: string, gigabytes: number): void {
  const rows = 4 * width;
  const bytes = rows * width * 2;
  const header: Record<string, object> = {};
  const count = Math.round((gigabytes * 1e9) / bytes);
  for (let i = 0; i < count; i++) {
    const data_offsets = [i * bytes, (i + 1) * bytes];
    header[`double_blocks.${i}.img_mlp.0.weight`] = { dtype: 'BF16', shape: [rows, width], data_offsets };
  }
  const json = Buffer.from(JSON.stringify(header));
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(BigInt(json.length));
  const output = openSync(file, 'w');
  writeSync(output, Buffer.concat([prefix, json]));
  const noise = new Uint32Array(randn(7, (rows * width) / 8).buffer);
  const halves = Uint16Array.from(noise, (bits) => bits >>> 16);
  for (let i = 0; i < count * 8; i++) writeSync(output, new Uint8Array(halves.buffer));
  closeSync(output);
}

export interface QuantizeReport {
  readonly bits: Bits;
  readonly sourceMegabytes: number;
  /** The process's peak resident memory, including Node's own. */
  readonly peakMegabytes: number;
  readonly seconds: number;
  /** The second run, in a new process. */
  readonly againSeconds: number;
}

interface Ran {
  readonly seconds: number;
  readonly peak: number;
}

async function runChild(source: string, target: string, bits: Bits): Promise<Ran> {
  const child = fork(self, ['--child', source, target, String(bits)], { execArgv: ['--import', 'tsx'] });
  return new Promise((resolve, reject) => {
    child.on('message', (ran) => resolve(ran as Ran));
    child.once('exit', (code) => reject(new Error(`the measured process ended with ${code}`)));
  });
}

/** Linux only: the peak is the kernel's own (VmHWM). */
export async function measureQuantize(gigabytes: number, bits: Bits): Promise<QuantizeReport> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'acepp-quantize-'));
  try {
    const source = path.join(folder, 'transformer.safetensors');
    writeRandom(source, gigabytes);
    const target = path.join(folder, 'quantized.safetensors');
    const first = await runChild(source, target, bits);
    const again = await runChild(source, target, bits);
    return {
      bits,
      sourceMegabytes: Math.round(gigabytes * 1000),
      peakMegabytes: Math.round(first.peak / 1e6),
      seconds: first.seconds,
      againSeconds: again.seconds,
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function runOnce([source, target, bits]: string[]): Promise<void> {
  const started = performance.now();
  await quantizeFile(source!, target!, bits === '4' ? 4 : 8);
  const seconds = Math.round(performance.now() - started) / 1000;
  const status = readFileSync('/proc/self/status', 'utf8');
  const peak = Number(/^VmHWM:\s+(\d+)/m.exec(status)?.[1]) * 1024;
  process.send!({ seconds, peak });
  process.disconnect();
}

const kinds: readonly (readonly [Bits, Rounding])[] = [
  [8, 'nearest'],
  [4, 'nearest'],
  [4, 'fitted'],
];

function report(name: string, weights: Float32Array, columns: number): void {
  const line: Record<string, number | string> = { weights: name };
  for (const [bits, rounding] of kinds) {
    const started = performance.now();
    const rounded = quantizeRows(weights, columns, bits, rounding);
    const seconds = (performance.now() - started) / 1000;
    const key = `${rounding}${bits}`;
    line[key] = Number(relativeError(dequantizeRows(rounded, columns), weights).toFixed(5));
    line[`${key}MillionsPerSecond`] = Number((weights.length / 1e6 / seconds).toFixed(1));
  }
  console.log(JSON.stringify(line));
}

async function reportErrors(file: string | undefined): Promise<void> {
  if (file === undefined) {
    const normal = randn(3, 2 ** 22);
    report('gaussian (first, compiling)', normal, 1024);
    report('gaussian', normal, 1024);
    // Student's t with 4 degrees of freedom: a normal number over the root of a mean of four squares.
    const rest = randn(4, 2 ** 24);
    const heavy = normal.map((x, i) => {
      const squares = [0, 1, 2, 3].reduce((sum, k) => sum + rest[4 * i + k]! ** 2, 0);
      return x / Math.sqrt(squares / 4);
    });
    report('heavy-tailed (t, 4 degrees of freedom)', heavy, 1024);
    return;
  }
  const { stored } = await openStored(file);
  for (const { name, dtype, shape, data } of stored.tensors.values()) {
    const scales = stored.tensors.get(`${name}.scales`);
    const bytes = (part: typeof data) => {
      const all = readFileSync(part.file).subarray(part.offset, part.offset + part.length);
      return Uint8Array.from(all);
    };
    if (dtype === 'U8' && scales && shape[2] === blockSize) {
      const weights = dequantizeRows(
        { codes: bytes(data), scales: asFloats(bytes(scales.data), 'F32') },
        shape[1]! * blockSize,
      );
      report(name, weights, shape[1]! * blockSize);
    } else if (shape.length === 2 && shape[1]! % blockSize === 0 && isReadable(dtype)) {
      report(name, asFloats(bytes(data), dtype), shape[1]!);
    }
  }
}

async function reportGGUF(): Promise<void> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'acepp-gguf-'));
  try {
    const shape = [4 * width, width];
    const weights = shape.reduce((product, size) => product * size);
    for (const type of blockTypes) {
      const data = drawBlocks(type, weights, 0.02, 3);
      const source = path.join(folder, `${type}.gguf`);
      const target = path.join(folder, `${type}.safetensors`);
      writeGGUF(source, { 'double_blocks.0.img_mlp.0.weight': { type, shape, data } });
      const started = performance.now();
      await writeBlocks(source, target);
      const nanoseconds = 1e6 * (performance.now() - started);
      const perWeight = (value: number) => Number((value / weights).toFixed(2));
      console.log(
        JSON.stringify({
          type,
          bitsInFile: perWeight(8 * data.length),
          bitsWritten: perWeight(8 * statSync(target).size),
          nanoseconds: perWeight(nanoseconds),
        }),
      );
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

if (process.argv[1] === self) {
  const [first, ...rest] = process.argv.slice(2);
  if (first === '--child') await runOnce(rest);
  else if (first === 'errors') await reportErrors(rest[0]);
  else if (first === 'gguf') await reportGGUF();
  else for (const bits of [8, 4] as const) console.log(JSON.stringify(await measureQuantize(1, bits)));
}
