import { readFileSync } from 'node:fs';

/** Numbers from the command line, such as `--kills 300 --seed 2`. */
export function numbersFrom<T extends Record<string, number>>(defaults: T, args = process.argv.slice(2)): T {
  const numbers: Record<string, number> = { ...defaults };
  for (let i = 0; i < args.length; i += 2) {
    const name = args[i]?.replace(/^--/, '') ?? '';
    const value = Number(args[i + 1]);
    if (!(name in defaults) || !Number.isFinite(value)) {
      throw new Error(
        `Options: ${Object.entries(defaults)
          .map(([key, number]) => `--${key} ${number}`)
          .join(' ')}`,
      );
    }
    numbers[name] = value;
  }
  return numbers as T;
}

/** Resident memory of a process in MB; undefined where there is no /proc. */
export function residentMB(pid: number): number | undefined {
  try {
    const kilobytes = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return kilobytes === undefined ? undefined : Math.round(Number(kilobytes) / 1024);
  } catch {
    return undefined;
  }
}
