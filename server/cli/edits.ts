import { rm } from 'node:fs/promises';
import { Command, InvalidArgumentError, Option } from 'commander';
import { parseEditRequest } from '../../shared/protocol/request.ts';
import { decodeContainer } from '../../shared/safetensors.ts';
import { readBytes } from '../disk/durable.ts';
import { requestFile } from '../engine/edit-files.ts';
import { results } from '../pictures/export.ts';
import { printOneLine } from './failure.ts';
import { checkOutput, type OutputFlags, writeOutput } from './output.ts';
import { findKept, keptEdits } from './unsaved.ts';

/** `acepp edits`: finished edits whose results are still there, the newest first. */
export function edits(args: readonly string[]): Promise<number> {
  return printOneLine('edits', async () => {
    quiet(new Command('acepp edits').description('Lists finished edits in one line of JSON.')).parse(
      [...args],
      {
        from: 'user',
      },
    );
    const list = [];
    for (const { id, folder, finished, unsaved } of await keptEdits()) {
      list.push({ id, finished, unsaved, instruction: await instructionIn(folder) });
    }
    return { edits: list };
  });
}

async function instructionIn(folder: string): Promise<string | undefined> {
  try {
    const { metadata } = decodeContainer(await readBytes(requestFile(folder)), 'The request');
    return parseEditRequest(metadata.request ?? '').instruction;
  } catch {
    // Damaged or of a newer version: it is listed without.
    return undefined;
  }
}

/** `acepp save ID --out FILE`: writes a finished edit again. */
export function save(args: readonly string[]): Promise<number> {
  return printOneLine('save', async () => {
    const command = quiet(new Command('acepp save'))
      .description('Writes a finished edit to a file; "acepp edits" lists them.')
      .argument('<id>', 'of the edit, or how it begins')
      .requiredOption('--out <file>', 'as with acepp edit')
      .addOption(new Option('--result <what>', 'as with acepp edit').choices([...results]))
      .option('--variant <number>', 'from 0', wholeNumber, 0);
    command.parse([...args], { from: 'user' });
    const flags = command.opts<OutputFlags & { variant: number }>();
    const output = await checkOutput('save', flags);
    const { id, folder, unsaved } = await findKept(command.args[0] ?? '');
    const notes = await writeOutput(folder, output, flags.variant);
    if (unsaved) await rm(folder, { recursive: true, force: true });
    return { id, out: output.file, notes };
  });
}

function wholeNumber(text: string): number {
  if (!/^\d$/.test(text)) throw new InvalidArgumentError('It must be a whole number from 0 to 9.');
  return Number(text);
}

function quiet(command: Command): Command {
  return command
    .allowExcessArguments(false)
    .configureOutput({ writeErr: () => {} })
    .exitOverride();
}
