import { homedir } from 'node:os';
import path from 'node:path';
import type { StartCommand } from './command.ts';

export const agentLabel = 'org.aceplusplus.layers';

/** The path for a user's own agents (launchd.plist(5), FILES). */
export function agentFile(): string {
  return path.join(homedir(), 'Library/LaunchAgents', `${agentLabel}.plist`);
}

/**
 * An agent that starts at login and restarts on failure (launchd.plist(5): RunAtLoad,
 * KeepAlive.SuccessfulExit).
 */
export function launchAgent({ program, args, environment }: StartCommand): string {
  const strings = [program, ...args].map((word) => `    <string>${escaped(word)}</string>`);
  const variables = Object.entries(environment).map(
    ([name, value]) => `    <key>${escaped(name)}</key>\n    <string>${escaped(value)}</string>`,
  );
  return `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
  <key>Label</key>
  <string>${agentLabel}</string>
  <key>ProgramArguments</key>
  <array>
${strings.join('\n')}
  </array>
  <key>EnvironmentVariables</key>
  <dict>
${variables.join('\n')}
  </dict>
  <key>RunAtLoad</key>
  <true/>
  <key>KeepAlive</key>
  <dict>
    <key>SuccessfulExit</key>
    <false/>
  </dict>
  <key>ThrottleInterval</key>
  <integer>30</integer>
</dict>
</plist>
`;
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
