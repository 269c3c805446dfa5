import { describe, expect, it } from 'vitest';
import { measureMemory } from './memory.ts';

describe.skipIf(process.platform !== 'linux')('weights are read in place', () => {
  it('250 MB of float32 cost less than 64 MB of anonymous memory', async () => {
    const { weightsMegabytes, addedMegabytes } = await measureMemory(1024, 'F32');
    expect(weightsMegabytes).toBeGreaterThan(250);
    expect(addedMegabytes).toBeLessThan(64);
  });

  it('16-bit weights are cast one layer at a time, adding less than the file’s size', async () => {
    const { weightsMegabytes, addedMegabytes } = await measureMemory(1024, 'F16');
    expect(addedMegabytes).toBeLessThan(weightsMegabytes);
  });
});
