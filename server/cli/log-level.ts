import { Option } from 'commander';

/**
 * Ordered from least to most output on stderr; `debug` includes what ONNX Runtime and the engine's process
 * write.
 */
export const logLevels = ['error', 'warn', 'info', 'debug'] as const;
export type LogLevel = (typeof logLevels)[number];

export function logLevelOption(): Option {
  return new Option('--log-level <level>', "how much to log on stderr; debug includes the engine's own trace")
    .choices([...logLevels])
    .default('info');
}

/** Whether a line of `level` is written if the user chose `chosen`. */
export function isLogged(level: LogLevel, chosen: LogLevel): boolean {
  return logLevels.indexOf(level) <= logLevels.indexOf(chosen);
}
