import type { StartCommand } from './command.ts';

/**
 * The commands Windows runs when this user signs in (learn.microsoft.com, "Run and RunOnce Registry Keys").
 */
export const runKey = 'HKCU\\Software\\Microsoft\\Windows\\CurrentVersion\\Run';
export const runValue = 'ACE++ Layers';

/**
 * A command line within the 260 characters that this key allows. It sets its own variables, because a
 * registry value can't, and `start /min` leaves a window in the task bar that can be closed.
 */
export function runCommand({ program, args, environment }: StartCommand): string {
  const sets = Object.entries(environment).map(([name, value]) => `set "${name}=${value}"&`);
  const words = [program, ...args].map((word) => `"${word}"`).join(' ');
  return `cmd /c "${sets.join('')}start "" /min ${words}"`;
}
