import path from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { controls, tasks } from '../../shared/protocol/request.ts';
import { projectRoot } from '../disk/paths.ts';
import { type ResultKind, results } from '../pictures/export.ts';
import { type Provider, providers } from '../runtime/provider.ts';
import { type LogLevel, logLevelOption } from './log-level.ts';

export interface Flags {
  readonly image?: string;
  readonly batch?: string;
  readonly layer?: string;
  readonly mask?: string;
  readonly reference: readonly string[];
  readonly instruction: string;
  readonly task?: string;
  readonly control?: string;
  readonly width?: number;
  readonly height?: number;
  readonly seed?: number;
  readonly steps?: number;
  readonly guidance?: number;
  readonly firstBlockCache?: number;
  readonly model?: string;
  readonly adapter: readonly { name: string; scale: number }[];
  readonly provider?: Provider;
  readonly out: string;
  readonly result?: ResultKind;
  readonly logLevel: LogLevel;
}

/**
 * The flags of `acepp edit`.
 * @throws CommanderError, also after help was shown
 */
export function readFlags(args: readonly string[]): Flags {
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
    const [, name, scale] = /^([^=]+)(?:=(.*))?$/.exec(text) ?? [];
    if (name === undefined) throw new InvalidArgumentError('It must be NAME or NAME=SCALE.');
    return [...before, { name, scale: scale === undefined ? 1 : decimal(scale) }];
  };
  const command = new Command('acepp edit')
    .description('Edits one picture and prints one line of JSON: bounds, seed, steps, timings.')
    .option('--image <file>', 'picture to edit')
    .addOption(
      new Option(
        '--batch <folder>',
        'edit all pictures of a folder; NAME.mask.png is the mask of NAME.jpg',
      ).conflicts(['image', 'mask', 'layer']),
    )
    .option('--layer <path>', 'of a PSD: the names of its groups and its own, joined by /')
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
    .option('--width <pixels>', 'of what is made from nothing, or extended to', whole)
    .option('--height <pixels>', 'likewise', whole)
    .option('--seed <number>', 'drawn by chance if left out', whole)
    .option('--steps <number>', 'of the sampler', whole)
    .option('--guidance <number>', 'how strictly the instruction is followed', decimal)
    .option('--first-block-cache <threshold>', 'spare blocks where steps change little, 0.05 to 0.2', decimal)
    .option('--model <id>', 'of the catalogue')
    .option('--adapter <name[=scale]>', 'of the model; may be given several times', adapter, [])
    .addOption(new Option('--provider <name>', 'compute with this and nothing else').choices([...providers]))
    .requiredOption(
      '--out <file>',
      'the layer as .png, .jpg, .webp, .avif or .tif, or a layered .psd or .psb; with --batch its * is the name',
    )
    .addOption(
      new Option('--result <what>', 'the layer alone, or the finished picture').choices([...results]),
    )
    .addOption(logLevelOption())
    .allowExcessArguments(false)
    .configureOutput({ writeErr: () => {} })
    .exitOverride();
  return command.parse([...args], { from: 'user' }).opts<Flags>();
}

/** A file as a person names it: relative to where they are, which npm keeps while it runs a script in the project's folder. */
export function fromPerson(file: string): string {
  const isScript = path.relative(projectRoot, process.cwd()) === '';
  return path.resolve((isScript && process.env.INIT_CWD) || process.cwd(), file);
}
