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

/** `acepp quantize`: writes a model's transformer and T5 encoder in 4 or 8 bits, as a separate model. */
export function quantize(args: readonly string[]): Promise<number> {
  return printOneLine('quantize', () => run(args));
}

async function run(args: readonly string[]): Promise<object> {
  const { model: id, bits } = new Command('acepp quantize')
    .description('Writes a model in fewer bits. It is then listed as <id>-4bit or <id>-8bit.')
    .requiredOption('--model <id>', 'a model from "acepp models list"')
    .requiredOption('--bits <4|8>', 'bits per weight', asBits)
    .allowExcessArguments(false)
    .configureOutput({ writeErr: () => {} })
    .exitOverride()
    .parse([...args], { from: 'user' })
    .opts<{ model: string; bits: Bits }>();
  const model = await findInstalled(id);
  if (model.quantized) {
    throw new CodedError('request-invalid', {
      detail: `The model "${id}" is already quantized.`,
      remedy: 'Name the model it was made from.',
    });
  }
  const controller = new AbortController();
  for (const signal of endingSignals) process.on(signal, () => controller.abort());
  const files = await quantizedFiles(model, bits);
  if (path.dirname(files.transformer) !== quantizedFolder()) {
    throw new CodedError('model-file-invalid', {
      detail: `${files.transformer} has no linear layers in float32, float16 or bfloat16.`,
      remedy: 'Quantize the original weights; 8-bit files run as they are.',
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
  // If neither file became smaller, the original model runs.
  const forms = await formsOf(model);
  const form = forms.find(({ id }) => id === `${model.id}-${bits}bit`) ?? model;
  return { model: form.id, ...files };
}

function asBits(text: string): Bits {
  if (text !== '4' && text !== '8') throw new InvalidArgumentError('It must be 4 or 8.');
  return text === '4' ? 4 : 8;
}
