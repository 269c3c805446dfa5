import * as v from 'valibot';
import type { Immutable } from '../../shared/immutable.ts';
import { describeIssue, readJSON } from '../../shared/parse.ts';
import { editLifeSchema } from '../../shared/protocol/answers.ts';
import { type EditEvent, editEventSchema } from '../../shared/protocol/events.ts';
import { keptRequestSchema } from '../../shared/protocol/request.ts';

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

const common = {
  id: v.pipe(v.string(), v.uuid()),
  created: v.pipe(v.string(), v.isoTimestamp()),
  /** Hash of the request's body: the same id with another hash is a conflict. */
  sha256: v.pipe(v.string(), v.hexadecimal(), v.length(64)),
  /** Edits ahead of it when it arrived. */
  position: count,
  request: keptRequestSchema,
  /** Total of the request, its results and its thumbnail on disk. */
  bytes: count,
  life: editLifeSchema,
};

const recordSchema = v.object({
  version: v.literal(2),
  ...common,
  /** Numbers the edits of a home: the clock may be set back, this never goes back. */
  order: count,
  /** How often it was started: more than once after a restart or crash. */
  runs: count,
  /** How often the engine died while it ran. */
  crashes: count,
  /** How often the companion, or the whole machine, went down while it ran. */
  interruptions: count,
  pinned: v.boolean(),
  /** Whether a result was fetched completely. Until then nobody has it, and it isn't removed to make room. */
  fetched: v.boolean(),
});

/** What an edit's `state.json` contains. */
export type EditRecord = Immutable<v.InferOutput<typeof recordSchema>>;

/** Format of 0.1.0: ordered by the clock, and no edit resumed after a restart. */
const firstRecordSchema = v.object(common);
export type FirstRecord = Immutable<v.InferOutput<typeof firstRecordSchema>>;

/** @throws Error that describes what is wrong with it */
export function parseRecord(text: string): EditRecord | FirstRecord {
  const value: unknown = JSON.parse(text);
  const isFirst = typeof value === 'object' && value !== null && !('version' in value);
  const result = v.safeParse(isFirst ? firstRecordSchema : recordSchema, value);
  if (result.success) return result.output;
  throw new Error(describeIssue(result.issues[0]));
}

/** Migrates a record of 0.1.0. Whether its result was fetched isn't known, so we assume it was. */
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

/** One line of `events.jsonl`; undefined if it isn't an event. */
export function parseEvent(line: string): EditEvent | undefined {
  return readJSON(editEventSchema, line);
}
