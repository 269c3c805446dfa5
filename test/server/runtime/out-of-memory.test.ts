import { existsSync, readFileSync } from 'node:fs';
import sharp from 'sharp';
import { expect, test } from 'vitest';
import { encodeContainer, type Tensor } from '../../../shared/safetensors.ts';
import { RunningCompanion } from '../http/running-companion.ts';

const [width, height] = [6000, 4000];
const painted = { left: 4100, top: 2900, width: 180, height: 140 };

/** A process's peak resident set, in megabytes. */
function peakOf(pid: number): number {
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1024;
}

function smallMask(): Buffer {
  const mask = Buffer.alloc(width * height);
  for (let y = painted.top; y < painted.top + painted.height; y++) {
    mask.fill(255, y * width + painted.left, y * width + painted.left + painted.width);
  }
  return mask;
}

function picture(channels: 3 | 4): Buffer {
  const data = Buffer.alloc(width * height * channels);
  for (let i = 0; i < data.length; i++) data[i] = i % channels === 3 ? 255 : (i >> 4) ^ (i >> 11);
  return data;
}

const forms: Record<string, () => Promise<Record<string, Tensor>>> = {
  'encoded files': async () => {
    const pixels = { raw: { width, height, channels: 3 as const } };
    const grey = { raw: { width, height, channels: 1 as const } };
    const jpg = await sharp(picture(3), pixels).jpeg().toBuffer();
    const png = await sharp(smallMask(), grey).png().toBuffer();
    return {
      'edit.jpg': { dtype: 'U8', shape: [jpg.length], data: jpg },
      'mask.png': { dtype: 'U8', shape: [png.length], data: png },
    };
  },
  'pixels with alpha': async () => ({
    edit: { dtype: 'U8', shape: [height, width, 4], data: picture(4) },
    mask: { dtype: 'U8', shape: [height, width], data: smallMask() },
  }),
};

test.skipIf(!existsSync('/proc/self/status')).each(Object.keys(forms))(
  'a picture of 6000 x 4000 as %s takes companion and engine less than 1.5 GB',
  async (form) => {
    const request = { version: 1, instruction: 'a red circle', seed: 7, steps: 4, preview: true };
    const companion = await RunningCompanion.start();
    try {
      const tensors = new Map(Object.entries(await forms[form]!()));
      const metadata = { request: JSON.stringify(request) };
      const id = await companion.send(encodeContainer({ metadata, tensors }));
      const events = await companion.follow(id);
      expect(events.at(-1)).toMatchObject({ type: 'done', results: [{ bounds: painted }] });
      const [parent, engine] = [peakOf(companion.child.pid!), peakOf(companion.enginePid()!)];
      console.info(`${form}: companion ${parent.toFixed(0)} MB, engine ${engine.toFixed(0)} MB`);
      expect(parent + engine).toBeLessThan(1500);
    } finally {
      await companion.remove();
    }
  },
);
