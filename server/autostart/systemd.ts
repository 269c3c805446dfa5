import { homedir } from 'node:os';
import path from 'node:path';
import type { StartCommand } from './command.ts';

export const unitName = 'acepp-layers.service';

/** The path for user units (systemd.unit(5), "User Unit Search Path"). */
export function unitFile(environment: NodeJS.ProcessEnv = process.env): string {
  const config = environment.XDG_CONFIG_HOME || path.join(homedir(), '.config');
  return path.join(config, 'systemd/user', unitName);
}

/**
 * A user unit (systemd.service(5), systemd.kill(5)). Only the companion gets SIGTERM, and it stops its
 * engine; whatever is left after 20 seconds is killed. A companion that finds another one running isn't
 * restarted: it has nothing to do.
 */
export function systemdUnit({ program, args, environment }: StartCommand): string {
  return `[Unit]
Description=ACE++ Layers companion
StartLimitIntervalSec=300
StartLimitBurst=5

[Service]
Type=exec
ExecStart=${[program, ...args].map(quoted).join(' ')}
${Object.entries(environment)
  .map(([name, value]) => `Environment=${quoted(`${name}=${value}`)}`)
  .join('\n')}
Restart=on-failure
RestartSec=5
KillMode=mixed
TimeoutStopSec=20
NoNewPrivileges=true

[Install]
WantedBy=default.target
`;
}

/** Quotes one word of a unit (systemd.syntax(7), "Quoting"; "%" starts a specifier, "$" a variable). */
function quoted(word: string): string {
  const escaped = word
    .replaceAll('\\', '\\\\')
    .replaceAll('"', '\\"')
    .replaceAll('%', '%%')
    .replaceAll('$', '$$$$');
  return `"${escaped}"`;
}
