import { existsSync } from 'node:fs';
import { type Command, Option } from 'commander';
import { CodedError } from '../../shared/errors.ts';
import { adapterDefaults } from '../catalogue/adapter-defaults.ts';
import {
  findInstalled,
  isWritten,
  listAdapters,
  listModels,
  type ModelEntry,
  modelsFolder,
  pocket,
} from '../catalogue/catalogue.ts';
import { homeFolder } from '../disk/paths.ts';
import { freeBytes } from '../disk/read-range.ts';
import { addAdapter, removeAdapter } from '../install/adapters.ts';
import { modelFolder } from '../install/folder.ts';
import { Hub, officialEndpoint } from '../install/hub.ts';
import { installModel } from '../install/install.ts';
import { acceptedLicences, type Licence, licences } from '../install/licences.ts';
import { type FileState, type ListedFile, listFiles } from '../install/list.ts';
import { type PublishedModel, type T5Precision, t5Precisions } from '../install/published.ts';
import { removeModel } from '../install/remove.ts';
import { sizeText } from '../install/text.ts';
import { verifyModel } from '../install/verify.ts';
import { fromPerson } from './flags.ts';
import { ask, type InstallerRun, runInstaller, TransferRate } from './installer.ts';

interface InstallFlags {
  readonly t5?: T5Precision;
  readonly from: readonly string[];
  readonly acceptLicence?: boolean;
}

/** Download chunk size; tests use smaller files. */
export interface Grain {
  readonly chunkBytes?: number;
  readonly firstDelayMs?: number;
}

/**
 * `acepp models list | install | verify | remove | adapters`. Results go to stdout; progress, licences and
 * errors to stderr.
 * @returns the exit code: 130 after Ctrl-C
 */
export function runModels(
  args: readonly string[],
  models: readonly PublishedModel[],
  grain: Grain = {},
): Promise<number> {
  return runInstaller('models', args, (command, run) => defineModels(command, models, grain, run));
}

function defineModels(
  command: Command,
  models: readonly PublishedModel[],
  grain: Grain,
  run: InstallerRun,
): void {
  const { progress, signal } = run;
  const find = (id: string): PublishedModel => {
    const model = models.find((published) => published.id === id);
    if (model) return model;
    throw new CodedError('model-unknown', {
      detail: `There is no model "${id}" to install. Available: ${models.map((published) => published.id).join(', ')}.`,
      remedy: 'See "acepp models list".',
    });
  };

  command.description('Lists, installs, checks and removes models.');
  command
    .command('list')
    .description('show the models, what is installed, what is missing, and how much space it takes')
    .action(() => list(models));
  command
    .command('install')
    .description('download what a model lacks; resumes an interrupted download; uses files you already have')
    .argument('<model>', 'an id from "list"')
    .addOption(
      new Option('--t5 <precision>', 'precision of the text encoder; fp8 is half the size').choices(
        t5Precisions,
      ),
    )
    .addOption(
      new Option(
        '--from <path>',
        'your own files: a ComfyUI folder, a hub cache, or a file; repeat it for several',
      )
        .argParser((place: string, before: readonly string[]) => [...before, place])
        .default([], 'the usual places'),
    )
    .option('--accept-licence', 'confirm that you have read and accept the licence shown')
    .addHelpText(
      'after',
      '\nEnvironment: HF_TOKEN is your huggingface.co token, HF_ENDPOINT a mirror, ACEPP_HOME the folder for models.',
    )
    .action(async (id: string, { t5, from, acceptLicence }: InstallFlags) => {
      const rate = new TransferRate(progress);
      await installModel(find(id), {
        ...grain,
        home: homeFolder(),
        hub: new Hub({
          endpoint: process.env.HF_ENDPOINT || officialEndpoint,
          token: process.env.HF_TOKEN,
          signal,
        }),
        t5,
        from: from.map(fromPerson),
        ask: (licence) => ask(licence, acceptLicence === true, signal),
        progress: (state) => rate.show(state),
        log: (text) => progress.line(text),
        signal,
      });
    });
  command
    .command('verify')
    .description('read every file and compare its hash')
    .argument('[model]', 'all models by default')
    .action(async (id?: string) => {
      const rate = new TransferRate(progress);
      for (const model of id === undefined ? models : [find(id)]) {
        const findings = await verifyModel(model.id, {
          signal,
          progress: (file, bytes, size) => rate.show({ file, fileBytes: bytes, fileSize: size, bytes, size }),
        });
        progress.end();
        if (findings.length === 0) console.log(`${model.id}: not installed`);
        for (const { file, isRight, text } of findings) {
          console.log(`${model.id}/${file} ${isRight ? `is intact: ${text}` : text}`);
        }
        if (findings.some(({ isRight }) => !isRight)) {
          run.exitCode = 1;
          console.log(`Repair it with: acepp models install ${model.id}`);
        }
      }
    });
  defineAdapters(command.command('adapters'), grain, run);
  command
    .command('remove')
    .description('remove downloaded files and links to your own files, but never your files')
    .argument('<model>', 'an id from "list"')
    .action(async (id: string) => {
      const { removedBytes, kept } = await removeModel(find(id));
      console.log(`Removed ${id}: freed ${sizeText(removedBytes)}.`);
      for (const text of kept) console.log(`Kept: ${text}`);
    });
}

/** `acepp models adapters add | list | remove`. */
function defineAdapters(command: Command, grain: Grain, { progress, signal }: InstallerRun): void {
  const ofModel = () =>
    new Option('--model <id>', 'the model they belong to; optional if only one is installed');
  command.description('LoRA, LoHa, LoKr and DoRA files for a model');
  command
    .command('add')
    .description('add a file of yours, a file on the hub, or "turbo" (FLUX.1-Turbo-Alpha: 8 steps)')
    .argument('<what>', 'a .safetensors file, "owner/repo/file.safetensors", the URL of its page, or "turbo"')
    .addOption(ofModel())
    .option('--name <name>', 'the name to use; by default that of the file')
    .option('--accept-licence', 'confirm that you have read and accept the licence shown')
    .action(async (what: string, { model, name, acceptLicence }: AdapterFlags) => {
      const rate = new TransferRate(progress);
      const entry = await modelFor(model);
      const { HF_ENDPOINT: endpoint, HF_TOKEN: token } = process.env;
      const added = await addAdapter(entry, isOnDisk(what) ? fromPerson(what) : what, {
        ...grain,
        home: homeFolder(),
        hub: new Hub({ endpoint: endpoint || officialEndpoint, token, signal }),
        name,
        ask: (licence) => ask(licence, acceptLicence === true, signal),
        progress: (state) => rate.show(state),
        log: (text) => progress.line(text),
        signal,
      });
      progress.end();
      console.log(`Added to ${entry.id}: ${added}. Use it with: acepp edit --adapter ${added}`);
    });
  command
    .command('list')
    .description("list a model's adapters, with the steps and guidance they set")
    .addOption(ofModel())
    .action(async ({ model }: AdapterFlags) => {
      const entry = await modelFor(model);
      const defaults = await adapterDefaults(entry);
      const names = await listAdapters(entry);
      if (names.length === 0)
        console.log(`${entry.id} has no adapters. Add one with: acepp models adapters add`);
      for (const adapter of names) {
        const { steps, guidance } = defaults[adapter] ?? {};
        const sets = [steps && `${steps} steps`, guidance !== undefined && `guidance ${guidance}`].filter(
          Boolean,
        );
        console.log(sets.length > 0 ? `${adapter}: sets ${sets.join(' and ')}` : adapter);
      }
    });
  command
    .command('remove')
    .description('remove a downloaded adapter, or the link to a file of yours')
    .argument('<name>', 'a name from "list"')
    .addOption(ofModel())
    .action(async (name: string, { model }: AdapterFlags) => {
      const { bytes, kept } = await removeAdapter(await modelFor(model), name);
      console.log(`Removed ${name}: freed ${sizeText(bytes)}.`);
      if (kept) console.log(`Kept: ${kept}`);
    });
}

interface AdapterFlags {
  readonly model?: string;
  readonly name?: string;
  readonly acceptLicence?: boolean;
}

/** Whether `what` is a file on this machine, not one on the hub. */
function isOnDisk(what: string): boolean {
  return existsSync(fromPerson(what));
}

/** @throws CodedError like `findInstalled`, or `request-invalid` if it is unclear which model is meant */
async function modelFor(id: string | undefined): Promise<ModelEntry> {
  if (id !== undefined) return findInstalled(id);
  const own = (await listModels()).filter((model) => model.id !== pocket.id && !model.quantized);
  const [only] = own;
  if (only && own.length === 1) return only;
  throw new CodedError('request-invalid', {
    detail:
      own.length === 0
        ? 'No model that supports adapters is installed.'
        : `Several models are installed: ${own.map((model) => model.id).join(', ')}.`,
    remedy:
      own.length === 0 ? 'Install one with "acepp models install flux-fill".' : 'Name one with --model.',
  });
}

async function list(models: readonly PublishedModel[]): Promise<void> {
  const lines: string[] = [];
  const accepted = await acceptedLicences(homeFolder());
  for (const model of models) {
    const parts = await listFiles(model);
    lines.push(`${model.id}: ${model.title}`);
    lines.push(`  ${summary(parts)}; in ${modelFolder(model.id)}`);
    const installed = await findInstalled(model.id).catch(() => undefined);
    if (installed && !(await isWritten(installed))) {
      lines.push('  Its GGUF file has not been converted yet: install it again to finish');
    }
    const rows = parts.map(({ file, choices, state }): [string, string, string] => [
      file,
      state.kind === 'installed' && state.known
        ? state.known.title
        : choices.map(({ title }) => title).join(', or '),
      describe(state, choices),
    ]);
    const width = (column: 0 | 1) => Math.max(...rows.map((row) => row[column].length));
    for (const [file, title, state] of rows) {
      lines.push(`  ${file.padEnd(width(0))}  ${title.padEnd(width(1))}  ${state}`);
    }
    const ids = new Set(model.parts.map(({ source }) => source.licence));
    for (const id of ids) {
      const { title, url, terms }: Licence = licences[id];
      const state = !terms
        ? ''
        : accepted[id]
          ? `; accepted ${accepted[id].slice(0, 10)}`
          : '; not yet accepted';
      lines.push(`  Licence: ${title}${terms ? ', FOR NON-COMMERCIAL USE ONLY' : ''}, ${url}${state}`);
    }
    lines.push('');
  }
  lines.push(`Ready for --model: ${(await listModels()).map(({ id }) => id).join(', ')}`);
  lines.push(`Free on the disk of ${modelsFolder()}: ${sizeText(await freeBytes(modelsFolder()))}`);
  lines.push('Install one with: acepp models install <model>');
  // Print everything at once, for readers that only take the first lines.
  console.log(lines.join('\n'));
}

function describe(state: FileState, choices: readonly ListedFile['choices'][number][]): string {
  switch (state.kind) {
    case 'installed':
      if (state.known?.origin === 'fetched') return `installed, ${sizeText(state.size)}`;
      return state.known?.origin === 'linked' ? `yours: ${state.known.from}` : 'added by you';
    case 'broken-link':
      return `missing: ${state.target} no longer exists`;
    case 'begun':
      return `${sizeText(state.bytes)} of ${sizes(choices)}`;
    case 'damaged':
      return 'damaged: install it again';
    case 'missing':
      return `missing, ${sizes(choices)}`;
  }
}

function sizes(choices: ListedFile['choices']): string {
  return choices
    .map(({ source }) => (source.size === undefined ? 'size unknown' : sizeText(source.size)))
    .join(' or ');
}

/** The disk space still needed; sizes that only the hub knows are left out. */
function summary(parts: readonly ListedFile[]): string {
  const lacking = parts.filter(({ state }) => state.kind !== 'installed');
  if (lacking.length === 0) return 'installed';
  let bytes = 0;
  let unknown = 0;
  for (const { state, choices } of lacking) {
    const { size } = choices[0]!.source;
    if (size === undefined) unknown++;
    else if (state.kind !== 'damaged') bytes += size - (state.kind === 'begun' ? state.bytes : 0);
  }
  const files = unknown === 1 ? 'a file' : `${unknown} files`;
  const needs = [
    ...(bytes > 0 ? [sizeText(bytes)] : []),
    ...(unknown > 0 ? [`${files} of unknown size`] : []),
  ];
  const state = lacking.length === parts.length ? 'not installed' : 'incomplete';
  return `${state}: needs ${needs.join(' and ') || 'repair'}`;
}
