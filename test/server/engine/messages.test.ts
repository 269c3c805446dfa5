import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { projectRoot } from '../../../server/disk/paths.ts';
import { type FromEngine, fromEngineSchema } from '../../../server/engine/messages.ts';
import { CodedError } from '../../../shared/errors.ts';
import { parseMessage } from '../../../shared/parse.ts';

const read = (value: unknown) => parseMessage(fromEngineSchema, value, 'The message');

describe('messages of the engine', () => {
  it.each<FromEngine>([
    { type: 'trying', provider: 'cuda' },
    { type: 'event', event: { type: 'note', text: 'a note' } },
    { type: 'event', event: { type: 'step', variant: 0, variants: 1, step: 1, steps: 2, secondsLeft: 1 } },
    { type: 'failed', problem: new CodedError('cancelled', { detail: 'x', remedy: 'y' }).toProblem() },
    { type: 'finished' },
  ])('reads $type as it was sent', (message) => {
    expect(read(structuredClone(message))).toEqual(message);
  });

  it.each([
    [{ type: 'loaded', provider: 'abacus', model: 'pocket' }, '"provider"', 'abacus'],
    [{ type: 'event', event: { type: 'step', step: '1' } }, '"event', 'undefined'],
    [{ type: 'sing' }, '"type"', 'sing'],
    [undefined, 'Object', 'undefined'],
  ])('rejects %j and says what is wrong with it', (value, field, received) => {
    expect(() => read(value)).toThrow(CodedError);
    expect(() => read(value)).toThrow(field);
    expect(() => read(value)).toThrow(received);
  });

  it('stops an engine that is started with invalid settings', () => {
    const engine = path.join(projectRoot, 'dist/server/engine.js');
    const { status, stderr } = spawnSync(process.execPath, [engine, '{"unusable":["abacus"]}'], {
      encoding: 'utf8',
    });
    expect(status).not.toBe(0);
    expect(stderr).toMatch(/command line is wrong: "unusable\.0".*abacus/);
  });
});
