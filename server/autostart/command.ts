import path from 'node:path';
import { homeFolder, projectRoot } from '../disk/paths.ts';

/** How the companion is started without a person: no browser is opened. */
export interface StartCommand {
  readonly program: string;
  readonly args: readonly string[];
  /** What the environment of a login doesn't have. */
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
