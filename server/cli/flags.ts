import path from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { controls, tasks } from '../../shared/protocol/request.ts';
import { projectRoot } from '../disk/paths.ts';
import { type ResultKind, results } from '../pictures/export.ts';
import { type Provider, providers } from '../runtime/provider.ts';
import { wrongCommandLine } from './failure.ts';
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
  /** Always set, except for a plan. */
  readonly out: string;
  readonly result?: ResultKind;
  readonly plan?: boolean;
  readonly logLevel: LogLevel;
}

/**
 * The flags of `acepp edit`.
 * @throws CommanderError, also after showing help
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
    .option('--image <file>', 'the picture to edit; without it, a new one is generated')
    .addOption(
      new Option(
        '--batch <folder>',
        'edit all pictures of a folder; NAME.mask.png is the mask of NAME.jpg',
      ).conflicts(['image', 'mask', 'layer']),
    )
    .option('--layer <path>', 'a layer of a PSD: the names of its groups and its own, joined by /')
    .option('--mask <file>', 'white where the picture may change')
    .option(
      '--reference <file>',
      'a reference picture; repeat it for several, in order',
      (file, before: string[]) => [...before, file],
      [],
    )
    .requiredOption('--instruction <text>', 'what the picture should show')
    .addOption(new Option('--task <task>', 'inferred from the other options by default').choices([...tasks]))
    .addOption(
      new Option('--control <kind>', 'what the picture shows, with --task control').choices([...controls]),
    )
    .option('--width <pixels>', 'the width to generate, or to extend to', whole)
    .option('--height <pixels>', 'the height to generate, or to extend to', whole)
    .option('--seed <number>', 'random by default', whole)
    .option('--steps <number>', 'sampling steps', whole)
    .option('--guidance <number>', 'how closely to follow the instruction', decimal)
    .option(
      '--first-block-cache <threshold>',
      'skip blocks in steps that change little, 0.05 to 0.2',
      decimal,
    )
    .option('--model <id>', 'a model from "acepp models list"')
    .option('--adapter <name[=scale]>', 'an adapter of the model; repeat it for several', adapter, [])
    .addOption(new Option('--provider <name>', 'compute only with this provider').choices([...providers]))
    .option(
      '--out <file>',
      'required: the layer as .png, .jpg, .webp, .avif or .tif, or a layered .psd or .psb; with --batch, * is the name',
    )
    .addOption(
      new Option('--result <what>', 'the layer alone, or the finished picture').choices([...results]),
    )
    .option('--plan', 'only report what the edit would be: size, model, memory, seconds, notes')
    .addOption(logLevelOption())
    .allowExcessArguments(false)
    .configureOutput({ writeErr: () => {} })
    .exitOverride();
  const flags = command.parse([...args], { from: 'user' }).opts<Flags & { out?: string }>();
  if (flags.out === undefined && !flags.plan) {
    throw wrongCommandLine('edit', "required option '--out <file>' not specified");
  }
  return flags;
}

/**
 * Resolves a path as the user means it: relative to their own folder, which npm remembers when it runs a
 * script elsewhere.
 */
export function fromPerson(file: string): string {
  const isScript = path.relative(projectRoot, process.cwd()) === '';
  return path.resolve((isScript && process.env.INIT_CWD) || process.cwd(), file);
}
