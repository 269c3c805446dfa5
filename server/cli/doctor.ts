import { Command } from 'commander';
import { CodedError } from '../../shared/errors.ts';
import type { Provider } from '../../shared/protocol/provider.ts';
import { allChecks, providerCommand, runtimeCommand } from './doctor-checks.ts';
import { reportFailure } from './failure.ts';

const marks = { ok: 'ok  ', note: 'note', wrong: 'FAIL' } as const;

/**
 * `acepp doctor`: one page with everything an edit needs, and how to fix what is wrong.
 * @returns the exit code: 1 if something is wrong
 */
export async function doctor(args: readonly string[]): Promise<number> {
  const command = new Command('acepp doctor')
    .description(
      'check Node, ONNX Runtime, GPU, memory, disk, ports and models, with a remedy for what is wrong',
    )
    .configureOutput({ writeErr: () => {} })
    .exitOverride();
  // In a separate process, because the runtime may fail to load.
  command.command(runtimeCommand, { hidden: true }).action(async () => {
    await answer(async () => (await import('../runtime/session.ts')).availableProviders());
  });
  command
    .command(providerCommand, { hidden: true })
    .argument('<name>')
    .action(async (name: Provider) => {
      await answer(async () => (await import('../runtime/probe.ts')).probe(name));
    });
  let exitCode = 0;
  command.action(async () => {
    const width = 16;
    for await (const { title, state, text, remedy } of allChecks()) {
      console.log(`${marks[state]}  ${title.padEnd(width)} ${text}`);
      if (remedy) console.log(`${' '.repeat(width + 7)}${remedy}`);
      if (state === 'wrong') exitCode = 1;
    }
  });
  try {
    await command.parseAsync([...args], { from: 'user' });
    return exitCode;
  } catch (thrown) {
    return reportFailure('doctor', thrown);
  }
}

/** Sends the result to the parent process; errors go to stderr. */
async function answer(find: () => Promise<unknown>): Promise<void> {
  try {
    process.send?.(await find());
  } catch (cause) {
    console.error(cause instanceof CodedError ? `${cause.code}: ${cause.message}` : cause);
    process.exitCode = 1;
  } finally {
    process.disconnect?.();
  }
}
