import { type ChildProcess, fork } from 'node:child_process';
import path from 'node:path';
import { projectRoot } from '../disk/paths.ts';
import { engineEnvironment } from '../runtime/environment.ts';
import type { EngineSettings } from './messages.ts';

/** Starts the engine's process (process.ts), which waits for messages. */
export function startProcess(settings: EngineSettings): ChildProcess {
  return fork(path.join(projectRoot, 'dist/server/engine.js'), [JSON.stringify(settings)], {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    serialization: 'advanced',
    execArgv: ['--enable-source-maps'],
    env: engineEnvironment(),
  });
}
