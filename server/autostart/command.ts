import path from 'node:path';
import { homeFolder, projectRoot } from '../disk/paths.ts';

/** The command that starts the companion without a user present: it opens no browser. */
export interface StartCommand {
  readonly program: string;
  readonly args: readonly string[];
  /** Variables that are missing from a login's environment. */
  readonly environment: Readonly<Record<string, string>>;
}

export function startCommand(): StartCommand {
  return {
    program: process.execPath,
    args: [path.join(projectRoot, 'dist/server/acepp.js'), 'start', '--no-browser'],
    environment: {
      ACEPP_HOME: homeFolder(),
      ...(process.env.ACEPP_PORT ? { ACEPP_PORT: process.env.ACEPP_PORT } : {}),
    },
  };
}
