import { CommanderError } from 'commander';
import { CodedError } from '../../shared/errors.ts';

/** @param command a command of `acepp`, or an empty string */
export function wrongCommandLine(command: string, what: string): CodedError {
  return new CodedError('request-invalid', {
    detail: `The command line is wrong: ${what.replace(/^error: /, '').replace(/\.?$/, '.')}`,
    remedy: `See "${['acepp', command, '--help'].filter(Boolean).join(' ')}".`,
  });
}

/**
 * Runs a command that prints exactly one line of JSON on stdout, even if it fails.
 * @param main returns nothing if the lines are still to come
 * @returns the exit code
 */
export async function printOneLine(
  command: string,
  main: () => Promise<object | undefined>,
): Promise<number> {
  try {
    const line = await main();
    if (line) console.log(JSON.stringify(line));
    return 0;
  } catch (thrown) {
    if (isHelp(thrown)) return 0;
    const error = asCommandError(command, thrown);
    console.error(`${error.code}: ${error.message}`);
    console.log(JSON.stringify({ error: error.toProblem() }));
    return 1;
  }
}

/**
 * Prints on stderr why a command failed.
 * @returns the exit code, 0 if the user only asked for help
 */
export function reportFailure(command: string, thrown: unknown): number {
  if (isHelp(thrown)) return 0;
  const error = asCommandError(command, thrown);
  console.error(`${error.code}: ${error.message}`);
  return 1;
}

/** The user asked for help, which is on stdout. */
function isHelp(thrown: unknown): boolean {
  return thrown instanceof CommanderError && thrown.exitCode === 0;
}

function asCommandError(command: string, thrown: unknown): CodedError {
  return thrown instanceof CommanderError
    ? wrongCommandLine(command, thrown.message)
    : CodedError.from(thrown);
}
