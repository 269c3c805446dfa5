import { rm } from 'node:fs/promises';
import { Command, InvalidArgumentError, Option } from 'commander';
import { results } from '../pictures/export.ts';
import { printOneLine } from './failure.ts';
import { checkOutput, type OutputFlags, writeOutput } from './output.ts';
import { findKept } from './unsaved.ts';

/** `acepp save ID --out FILE`: writes a finished edit again; prints one line of JSON. */
export function save(args: readonly string[]): Promise<number> {
  return printOneLine('save', async () => {
    const command = new Command('acepp save')
      .description('Writes a finished edit to a file: one of the companion, or one of "acepp edits unsaved".')
      .argument('<id>', 'of the edit, or how it begins')
      .requiredOption('--out <file>', 'as with acepp edit')
      .addOption(new Option('--result <what>', 'as with acepp edit').choices([...results]))
      .option('--variant <number>', 'from 0', variant, 0)
      .allowExcessArguments(false)
      .configureOutput({ writeErr: () => {} })
      .exitOverride();
    command.parse([...args], { from: 'user' });
    const flags = command.opts<OutputFlags & { variant: number }>();
    const output = await checkOutput('save', flags);
    const { id, folder, unsaved } = await findKept(command.args[0] ?? '');
    const notes = await writeOutput(folder, output, flags.variant);
    if (unsaved) await rm(folder, { recursive: true, force: true });
    return { id, out: output.file, ...(notes.length > 0 && { notes }) };
  });
}

function variant(text: string): number {
  if (!/^\d$/.test(text)) throw new InvalidArgumentError('It must be a whole number from 0 to 9.');
  return Number(text);
}
