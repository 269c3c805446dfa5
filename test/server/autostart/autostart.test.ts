import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startCommand } from '../../../server/autostart/command.ts';
import { launchAgent } from '../../../server/autostart/launchd.ts';
import { systemdUnit, unitFile } from '../../../server/autostart/systemd.ts';
import { runCommand } from '../../../server/autostart/windows.ts';

const odd = {
  program: '/opt/my "node"/100%/node',
  args: ['/home/a b/$HOME/acepp.js', 'start', '--no-browser'],
  environment: { ACEPP_HOME: '/home/a b/50% & <more>' },
};

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'acepp-test-'));
});
afterEach(() => rm(folder, { recursive: true }));

const hasAnalyzer = spawnSync('systemd-analyze', ['--version']).status === 0;

/** As for a signed-in user, which a test may not be. */
const verify = (file: string) =>
  spawnSync('systemd-analyze', ['verify', '--user', file], {
    encoding: 'utf8',
    env: { ...process.env, XDG_RUNTIME_DIR: folder, HOME: folder },
  });

describe('the systemd unit', () => {
  it('is written to the systemd user unit folder', () => {
    expect(unitFile({ XDG_CONFIG_HOME: '/x' })).toBe('/x/systemd/user/acepp-layers.service');
  });

  it.skipIf(!hasAnalyzer)('passes systemd-analyze', async () => {
    const file = path.join(folder, 'acepp-layers.service');
    await writeFile(file, systemdUnit(startCommand()));
    const { stderr, status } = verify(file);
    // It also checks the machine's other units, which aren't ours.
    expect(stderr.split('\n').filter((line) => line.includes('acepp'))).toEqual([]);
    expect(status === 0 || !stderr.includes('acepp')).toBe(true);
  });

  it.skipIf(!hasAnalyzer)('fails systemd-analyze if its program does not exist', async () => {
    const file = path.join(folder, 'acepp-layers.service');
    await writeFile(file, systemdUnit({ ...startCommand(), program: '/nowhere/node' }));
    const { stderr } = verify(file);
    expect(stderr).toContain('/nowhere/node');
  });

  it('quotes what systemd would misread', () => {
    const unit = systemdUnit(odd);
    expect(unit).toContain(
      'ExecStart="/opt/my \\"node\\"/100%%/node" "/home/a b/$$HOME/acepp.js" "start" "--no-browser"',
    );
    expect(unit).toContain('Environment="ACEPP_HOME=/home/a b/50%% & <more>"');
  });

  it('starts a companion that shuts down cleanly on SIGTERM', async () => {
    const { program, args, environment } = startCommand();
    const child = spawn(program, args, {
      env: { ...process.env, ...environment, ACEPP_HOME: folder, ACEPP_PORT: '0', CI: 'true' },
    });
    let output = '';
    child.stderr.on('data', (data) => (output += data));
    const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
    // Port 0 is invalid: the command was understood, and reported that.
    expect([code, output]).toEqual([1, expect.stringContaining('ACEPP_PORT')]);
  });
});

describe('the launchd agent', () => {
  it('is a property list with its arguments unchanged', async () => {
    const file = path.join(folder, 'agent.plist');
    await writeFile(file, launchAgent(odd));
    const read = 'import json, plistlib, sys; print(json.dumps(plistlib.load(open(sys.argv[1], "rb"))))';
    const agent = JSON.parse(execFileSync('python3', ['-c', read, file], { encoding: 'utf8' }));
    expect(agent).toEqual({
      Label: 'org.aceplusplus.layers',
      ProgramArguments: [odd.program, ...odd.args],
      EnvironmentVariables: odd.environment,
      RunAtLoad: true,
      KeepAlive: { SuccessfulExit: false },
      ThrottleInterval: 30,
    });
  });
});

describe('the Run key of Windows', () => {
  it('sets the variables and starts the program', () => {
    expect(
      runCommand({
        program: 'C:\\node.exe',
        args: ['a.js', 'start'],
        environment: { ACEPP_HOME: 'D:\\x y' },
      }),
    ).toBe('cmd /c "set "ACEPP_HOME=D:\\x y"&start "" /min "C:\\node.exe" "a.js" "start""');
  });
});
