import type { StartCommand } from './command.ts';

/** What Windows runs when this user signs in (learn.microsoft.com, "Run and RunOnce Registry Keys"). */
export const runKey = 'HKCU\\Software\\Microsoft\\Windows\\CurrentVersion\\Run';
export const runValue = 'ACE++ Layers';

/**
 * A command line of at most 260 characters, as that key takes. It sets its variables by itself, as a value of the registry has
 * none, and `start /min` leaves a window in the task bar that can be closed.
 */
export function runCommand({ program, args, environment }: StartCommand): string {
  const sets = Object.entries(environment).map(([name, value]) => `set "${name}=${value}"&`);
  const words = [program, ...args].map((word) => `"${word}"`).join(' ');
  return `cmd /c "${sets.join('')}start "" /min ${words}"`;
}
