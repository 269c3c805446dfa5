#!/usr/bin/env node
/**
 * `acepp <command>`: the command line. Each command imports its own modules when it runs, so that none waits
 * for another's.
 */
import { Command, CommanderError } from 'commander';
import manifest from '../../manifest.json' with { type: 'json' };
import { wrongCommandLine } from './failure.ts';

/** Runs a command with the arguments after its name; returns the exit code. */
type Run = (args: readonly string[]) => Promise<number>;

interface Subcommand {
  readonly description: string;
  readonly load: () => Promise<Run>;
}

const subcommands = new Map<string, Subcommand>([
  [
    'start',
    {
      description: 'start the companion: it runs edits for the panels and serves the page',
      load: async () => (await import('./start.ts')).start,
    },
  ],
  [
    'edit',
    {
      description: 'edit a picture and print one line of JSON',
      load: async () => (await import('./edit.ts')).edit,
    },
  ],
  [
    'edits',
    {
      description: 'list, cancel, reorder and remove the edits of the companion that runs',
      load: async () => (await import('./edits.ts')).edits,
    },
  ],
  [
    'save',
    {
      description: 'write a finished edit to a file',
      load: async () => (await import('./save.ts')).save,
    },
  ],
  [
    'tokens',
    {
      description: 'list and revoke the tokens of paired panels',
      load: async () => (await import('./tokens.ts')).tokens,
    },
  ],
  [
    'autostart',
    {
      description: 'start the companion when you sign in: on, off or status',
      load: async () => (await import('./autostart.ts')).runAutostart,
    },
  ],
  [
    'models',
    {
      description: 'list, install, verify and remove models',
      load: async () => {
        const [{ runModels }, { publishedModels }] = await Promise.all([
          import('./models.ts'),
          import('../install/published.ts'),
        ]);
        return (args) => runModels(args, publishedModels);
      },
    },
  ],
  [
    'cuda',
    {
      description: 'install, check and remove CUDA for an NVIDIA GPU on Linux',
      load: async () => {
        const [{ runCUDA }, { cudaArchives }] = await Promise.all([
          import('./cuda.ts'),
          import('../install/cuda-archives.ts'),
        ]);
        return (args) => runCUDA(args, cudaArchives);
      },
    },
  ],
  [
    'quantize',
    {
      description: 'write a model in 8 or 4 bits and print one line of JSON',
      load: async () => (await import('./quantize.ts')).quantize,
    },
  ],
  [
    'doctor',
    {
      description: 'check what edits need, and say what to do where something is wrong',
      load: async () => (await import('./doctor.ts')).doctor,
    },
  ],
  [
    'graph',
    {
      description: "print the nodes and shapes of a network's ONNX graph",
      load: async () => (await import('./graph.ts')).graph,
    },
  ],
]);

// A reader that only needs the first lines (such as `head`) closes the pipe: that is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(0);
});

const [name = '', ...args] = process.argv.slice(2);
// `acepp help edit` means `acepp edit --help`.
const asked = name === 'help' ? subcommands.get(args[0] ?? '') : undefined;
const subcommand = asked ?? subcommands.get(name);
process.exitCode = subcommand ? await (await subcommand.load())(asked ? ['--help'] : args) : overview();

/** Prints the help, the version, or what is wrong with the command. */
function overview(): number {
  const program = new Command('acepp')
    .description(manifest.name)
    .version(manifest.version)
    .configureOutput({ writeErr: () => {} })
    .exitOverride()
    .addHelpText('after', '\nRun "acepp <command> --help" for its options.');
  for (const [id, { description }] of subcommands) program.command(id).description(description);
  try {
    program.parse();
  } catch (thrown) {
    if (!(thrown instanceof CommanderError)) throw thrown;
    if (thrown.exitCode === 0) return 0;
    const what = thrown.code === 'commander.help' ? 'the command is missing' : thrown.message;
    const error = wrongCommandLine('', what);
    console.error(`${error.code}: ${error.message}`);
  }
  return 1;
}
