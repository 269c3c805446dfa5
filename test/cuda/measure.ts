/**
 * `npm run measure:cuda`: what an edit with FLUX.1-Fill-dev's shapes takes of a GPU, and which kernels it runs, from ONNX
 * Runtime's own CUDA provider over stand-ins for NVIDIA's libraries (build.ts). Linux x64 only.
 *
 *     npm run measure:cuda                          memory of each form, beside what is planned for it
 *     npm run measure:cuda -- --kernels             the kernels of a step as well
 *     npm run measure:cuda -- --capability 86       another GPU than 9.0
 *     npm run measure:cuda -- --real                on the GPU of this machine, planned as for each size
 *
 * What it cannot see: CUDA's context, and workspaces of cuBLAS and cuDNN. One JSON line for each edit on stdout, tables on stderr.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { clipTensors, fluxTensors, t5Tensors, vaeTensors, writeWeights } from '../../bench/weights.ts';
import { type ModelEntry, modelFiles, pocket, quantizedNetworks } from '../../server/catalogue/catalogue.ts';
import { quantizedLayout } from '../../server/quantize/quantize.ts';
import { engineEnvironment, ortSettings } from '../../server/runtime/environment.ts';
import { measureModel } from '../../server/runtime/measure-model.ts';
import { gigabytes, planMemory } from '../../server/runtime/memory-plan.ts';
import { buildStandIn } from './build.ts';
import type { GPUEdit } from './edit.ts';
import { readTrace, type StageTrace } from './trace.ts';

const self = path.dirname(fileURLToPath(import.meta.url));
const flags = new Command('npm run measure:cuda --')
  .option('--gpus <sizes>', 'GB of memory', (text) => text.split(',').map(Number), [80, 32, 24, 16, 12])
  .option('--side <pixels>', 'of the square that is made', Number, 1024)
  .option('--references <count>', 'of the same size', Number, 0)
  .option('--capability <number>', 'of the GPU: 75 for 7.5', Number, 90)
  .option('--kernels', 'print those of a step')
  .option('--real', 'on the GPU of this machine; memory as nvidia-smi tells it')
  .parse()
  .opts<{
    gpus: number[];
    side: number;
    references: number;
    capability: number;
    kernels?: true;
    real?: true;
  }>();

const folder = mkdtempSync(path.join(os.tmpdir(), 'acepp-cuda-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
const libraries = flags.real ? '' : buildStandIn();
const forms = await writeForms();
const measured = await Promise.all(forms.map(measureModel));
for (const size of flags.gpus) await measureGPU(size);

/** FLUX.1-Fill-dev and its quantized forms, of zeros: they take no place on the disk. */
async function writeForms(): Promise<ModelEntry[]> {
  mkdirSync(path.join(folder, 'flux-fill'));
  const model: ModelEntry = {
    ...pocket,
    id: 'flux-fill',
    folder: path.join(folder, 'flux-fill'),
    maxSequence: ((1 + flags.references) * flags.side ** 2) / 256,
  };
  const at = (name: keyof typeof modelFiles) => path.join(model.folder, modelFiles[name]);
  writeWeights(at('transformer'), fluxTensors({ width: 3072, double: 19, single: 38 }), 'BF16', 'zeros');
  writeWeights(at('t5'), t5Tensors(), 'F16', 'zeros');
  writeWeights(at('clip'), clipTensors(), 'F16', 'zeros');
  writeWeights(at('vae'), vaeTensors(), 'F32', 'zeros');
  for (const name of ['t5', 'clip'] as const) {
    execFileSync('cp', ['-r', path.join(pocket.folder, name), path.join(model.folder, name)]);
  }
  const t5Config = JSON.parse(readFileSync(at('t5TokenizerConfig'), 'utf8'));
  writeFileSync(at('t5TokenizerConfig'), JSON.stringify({ ...t5Config, model_max_length: 512 }));
  const forms = [model];
  for (const bits of [8, 4] as const) {
    const quantized = { transformer: '', t5: '' };
    for (const name of quantizedNetworks) {
      quantized[name] = path.join(folder, `${name}.${bits}bit.safetensors`);
      const { header, bytes } = await quantizedLayout(at(name), bits);
      writeSync(openSync(quantized[name], 'w'), header);
      truncateSync(quantized[name], bytes);
    }
    forms.push({ ...model, id: `flux-fill-${bits}bit`, quantized });
  }
  return forms;
}

async function measureGPU(size: number): Promise<void> {
  // What is free beside a screen, and what CUDA takes for itself, which the stand-ins do not.
  const free = size * 2 ** 30 * 0.94;
  const { sizes } = measured[0]!;
  const plan = planMemory(
    free,
    measured.map(({ form }) => form),
    { ...sizes, bytesPerValue: 2 },
  );
  const log = path.join(folder, `${size}.log`);
  const edit: GPUEdit = {
    model: forms.find(({ id }) => id === plan.form.id)!,
    plan,
    side: flags.side,
    references: flags.references,
    // GPUs before 8.0 have no bfloat16.
    type: flags.capability < 80 ? 'float16' : 'bfloat16',
    log,
  };
  const { form, inTurn, tileSide, bytes } = plan;
  const failure = await run(edit, free);
  const stages = existsSync(log) ? readTrace(readFileSync(log, 'utf8')) : [];
  const peak = Math.max(...stages.map((stage) => stage.peak));
  const peaks = Object.fromEntries(stages.map((stage) => [stage.stage, stage.peak]));
  console.log(
    JSON.stringify({
      size,
      form: form.id,
      inTurn,
      tileSide,
      planned: Math.round(bytes),
      peak,
      peaks,
      failure,
    }),
  );
  const way = [form.id, inTurn && 'in turn', `tiles of ${tileSide}`].filter(Boolean).join(', ');
  console.error(
    `${size} GB: ${way}: planned ${gigabytes(bytes)}, taken ${gigabytes(peak)}${failure ? ', FAILED' : ''}`,
  );
  for (const { stage, peak: top, copies } of stages) {
    console.error(
      `  ${stage.padEnd(20)} ${gigabytes(top).padStart(8)}  copies in ${copies.in}, out ${copies.out}`,
    );
  }
  if (failure) console.error(failure);
  if (flags.kernels) printKernels(stages.find(({ stage }) => stage === 'second step 1'));
}

/** @returns what went wrong */
async function run(edit: GPUEdit, free: number): Promise<string | undefined> {
  const env = flags.real
    ? engineEnvironment()
    : {
        ...process.env,
        ...ortSettings,
        LD_LIBRARY_PATH: libraries,
        STANDIN_LOG: edit.log,
        STANDIN_BYTES: String(Math.round(free)),
        STANDIN_CAPABILITY: String(flags.capability),
      };
  const before = flags.real ? usedBytes() : 0;
  const child = spawn(
    process.execPath,
    ['--import', 'tsx', path.join(self, 'edit.ts'), JSON.stringify(edit)],
    { env, stdio: ['ignore', 'ignore', 'pipe'] },
  );
  const sampler = setInterval(() => {
    if (flags.real) appendFileSync(edit.log, `memory ${usedBytes() - before}\n`);
  }, 50);
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-1500);
  });
  const [code] = await once(child, 'close');
  clearInterval(sampler);
  return code === 0 ? undefined : said;
}

/** Of the first GPU, by all that use it. */
function usedBytes(): number {
  const query = ['--query-gpu=memory.used', '--format=csv,noheader,nounits', '--id=0'];
  return Number(execFileSync('nvidia-smi', query, { encoding: 'utf8' })) * 2 ** 20;
}

function printKernels(stage: StageTrace | undefined): void {
  for (const [name, count] of stage?.kernels ?? []) console.error(`  ${String(count).padStart(6)}  ${name}`);
}
