import { Option } from 'commander';

/** From the least to the most that is written to stderr; `debug` has what ONNX Runtime and the engine's process write. */
export const logLevels = ['error', 'warn', 'info', 'debug'] as const;
export type LogLevel = (typeof logLevels)[number];

export function logLevelOption(): Option {
  return new Option('--log-level <level>', "of stderr; debug includes the engine's own trace")
    .choices([...logLevels])
    .default('info');
}

/** Whether a line of `level` is written where `chosen` is the least that is. */
export function isLogged(level: LogLevel, chosen: LogLevel): boolean {
  return logLevels.indexOf(level) <= logLevels.indexOf(chosen);
}
