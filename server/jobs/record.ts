import * as v from 'valibot';
import { type ErrorCode, errorStatus, type Problem } from '../../shared/errors.ts';
import type { EditEvent, EditResult } from '../../shared/events.ts';
import type { EditRequest } from '../../shared/request.ts';
import type { EditLife } from './state.ts';

/** What is kept of an edit in its `state.json`. */
export interface EditRecord {
  readonly version: 2;
  readonly id: string;
  /** Counts the edits of a home: the clock may be set back, this never goes back. */
  readonly order: number;
  /** ISO 8601. */
  readonly created: string;
  /** Of the request's body: the same id with another one is a conflict. */
  readonly sha256: string;
  /** Edits that were before it when it came. */
  readonly position: number;
  readonly request: EditRequest;
  /** Of the request, its results and its thumbnail on disk. */
  readonly bytes: number;
  /** How often it was started: more than once after a restart or a crash. */
  readonly runs: number;
  /** How often the engine died while it ran. */
  readonly crashes: number;
  /** How often the companion, or the whole machine, went down while it ran. */
  readonly interruptions: number;
  readonly pinned: boolean;
  /** A result was fetched to its end. Until then nobody has it, and it isn't removed to make room. */
  readonly fetched: boolean;
  readonly life: EditLife;
}

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

const resultSchema = v.custom<EditResult>(
  (value) => v.is(v.looseObject({ variant: count, seed: v.number() }), value),
  'is no result',
);
const problemSchema = v.custom<Problem>(
  (value) =>
    v.is(
      v.looseObject({
        code: v.picklist(Object.keys(errorStatus) as ErrorCode[]),
        status: count,
        detail: v.string(),
        remedy: v.string(),
      }),
      value,
    ),
  'is no problem',
);
const requestSchema = v.custom<EditRequest>(
  (value) => v.is(v.looseObject({ version: v.number(), instruction: v.string() }), value),
  'is no request',
);

const lifeSchema = v.variant('state', [
  v.object({ state: v.literal('queued') }),
  v.object({ state: v.literal('running') }),
  v.object({ state: v.literal('done'), results: v.array(resultSchema) }),
  v.object({ state: v.literal('failed'), problem: problemSchema }),
  v.object({ state: v.literal('cancelled') }),
]);

const common = {
  id: v.pipe(v.string(), v.uuid()),
  created: v.pipe(v.string(), v.isoTimestamp()),
  sha256: v.pipe(v.string(), v.hexadecimal(), v.length(64)),
  position: count,
  request: requestSchema,
  bytes: count,
  life: lifeSchema,
};

const recordSchema = v.object({
  version: v.literal(2),
  ...common,
  order: count,
  runs: count,
  crashes: count,
  interruptions: count,
  pinned: v.boolean(),
  fetched: v.boolean(),
});

/** Of 0.1.0: ordered by the clock, and no edit went on after a restart. */
const firstRecordSchema = v.object(common);
export type FirstRecord = v.InferOutput<typeof firstRecordSchema>;

/** @throws Error, saying what is wrong with it */
export function parseRecord(text: string): EditRecord | FirstRecord {
  const value: unknown = JSON.parse(text);
  const isFirst = typeof value === 'object' && value !== null && !('version' in value);
  const result = v.safeParse(isFirst ? firstRecordSchema : recordSchema, value);
  if (result.success) return result.output;
  const [issue] = result.issues;
  throw new Error(`"${v.getDotPath(issue) ?? 'state.json'}" is wrong: ${issue.message}`);
}

/** A record of 0.1.0 in today's form. Whether its result was ever fetched isn't known, so it's taken as fetched. */
export function fromFirst(record: FirstRecord, order: number): EditRecord {
  return {
    ...record,
    version: 2,
    order,
    runs: record.life.state === 'queued' ? 0 : 1,
    crashes: 0,
    interruptions: 0,
    pinned: false,
    fetched: true,
  };
}

const eventSchema = v.looseObject({ seq: count, time: v.string(), type: v.string() });
const eventTypes: readonly string[] = ['queued', 'stage', 'note', 'step', 'done', 'failed', 'cancelled'];
const endSchemas: Readonly<Record<string, v.GenericSchema>> = {
  done: v.looseObject({ results: v.array(resultSchema) }),
  failed: v.looseObject({ problem: problemSchema }),
};

/** One line of `events.jsonl`; undefined where it is no event. */
export function parseEvent(line: string): EditEvent | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  const result = v.safeParse(eventSchema, value);
  if (!result.success || !eventTypes.includes(result.output.type)) return undefined;
  const end = endSchemas[result.output.type];
  return end && !v.is(end, value) ? undefined : (value as EditEvent);
}
