import path from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { CodedError } from '../../shared/errors.ts';
import {
  findInstalled,
  formsOf,
  modelFiles,
  quantizedFiles,
  quantizedNetworks,
} from '../catalogue/catalogue.ts';
import { quantizeFile } from '../quantize/quantize.ts';
import { quantizedFolder } from '../quantize/quantized-cache.ts';
import type { Bits } from '../quantize/rounding.ts';
import { printOneLine } from './failure.ts';
import { Progress } from './progress.ts';
import { endingSignals } from './signals.ts';

/** `acepp quantize`: the transformer and the T5 encoder of a model in 4 or 8 bits, as a model of its own. */
export function quantize(args: readonly string[]): Promise<number> {
  return printOneLine('quantize', () => run(args));
}

async function run(args: readonly string[]): Promise<object> {
  const { model: id, bits } = new Command('acepp quantize')
    .description('Writes a model in fewer bits, once; then it is found as <id>-4bit or <id>-8bit.')
    .requiredOption('--model <id>', 'of the catalogue')
    .requiredOption('--bits <4|8>', 'of each weight', asBits)
    .allowExcessArguments(false)
    .configureOutput({ writeErr: () => {} })
    .exitOverride()
    .parse([...args], { from: 'user' })
    .opts<{ model: string; bits: Bits }>();
  const model = await findInstalled(id);
  if (model.quantized) {
    throw new CodedError('request-invalid', {
      detail: `The model "${id}" is quantized already.`,
      remedy: 'Name the model that it was made of.',
    });
  }
  const controller = new AbortController();
  for (const signal of endingSignals) process.on(signal, () => controller.abort());
  const files = await quantizedFiles(model, bits);
  if (path.dirname(files.transformer) !== quantizedFolder()) {
    throw new CodedError('model-file-invalid', {
      detail: `${files.transformer} has no linear layers as float32, float16 or bfloat16.`,
      remedy: 'Quantize the original weights; files in 8 bits run as they are.',
    });
  }
  const progress = new Progress();
  try {
    for (const name of quantizedNetworks) {
      let shown = -5;
      await quantizeFile(`${model.folder}/${modelFiles[name]}`, files[name], bits, {
        network: name,
        signal: controller.signal,
        onProgress: (written, total) => {
          const percent = Math.floor((100 * written) / total);
          if (percent < shown + 5) return;
          progress.state(`${name}: ${percent}% of ${Math.ceil(total / 1e6)} MB`);
          shown = percent;
        },
      });
    }
  } finally {
    progress.end();
  }
  // Where neither became smaller, the model itself is what runs.
  const forms = await formsOf(model);
  const form = forms.find(({ id }) => id === `${model.id}-${bits}bit`) ?? model;
  return { model: form.id, ...files };
}

function asBits(text: string): Bits {
  if (text !== '4' && text !== '8') throw new InvalidArgumentError('It must be 4 or 8.');
  return text === '4' ? 4 : 8;
}
