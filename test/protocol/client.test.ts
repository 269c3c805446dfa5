import { execFile, spawnSync } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { projectRoot } from '../../server/disk/paths.ts';
import { RunningCompanion } from '../server/http/running-companion.ts';

const python = ['python3', 'python'].find(
  (name) => spawnSync(name, ['-c', 'import sys; sys.exit(sys.version_info < (3, 8))']).status === 0,
);
if (!python) {
  if (process.env.CI === 'true') throw new Error('The protocol’s client in Python needs python3.');
  console.warn('No python3 is installed: the protocol’s client in Python is not tested.');
}

test.skipIf(!python)('a client in Python’s standard library gets its layer', async () => {
  const companion = await RunningCompanion.start();
  try {
    const client = path.join(projectRoot, 'test/protocol/client.py');
    const { stdout } = await promisify(execFile)(python!, [
      client,
      companion.url.origin,
      path.join(companion.home, 'token'),
    ]);
    const told = JSON.parse(stdout);
    expect(told).toMatchObject({
      accepted: 'queued',
      dtype: 'U8',
      shape: [32, 48, 4],
      bounds: { left: 24, top: 16, width: 48, height: 32 },
      seed: '7',
      wrongToken: [401, 'token-wrong'],
      unknown: [404, 'not-found'],
    });
    // The layer's alpha is the mask, feathered at its edge.
    expect([told.alpha[0] > 0, told.alpha.at(-1)]).toEqual([true, 255]);
    expect(told.colours).toBeGreaterThan(1);
    expect(told.events.filter((type: string) => type === 'step')).toHaveLength(2);
    expect(told.events.at(-1)).toBe('done');
  } finally {
    await companion.remove();
  }
});
