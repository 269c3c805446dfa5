import { CodedError } from '../../shared/errors.ts';
import type { EditSummary, History } from '../../shared/protocol/answers.ts';
import type { EditRecord } from './record.ts';
import { isOver } from './state.ts';

const pageLength = 50;
const day = 86_400_000;

/** Limits of the history; the oldest edits are removed first. */
export interface HistoryBudget {
  /** Edits older than this are removed. */
  readonly days: number;
  /** Total of requests, results and thumbnails on disk. */
  readonly bytes: number;
}

/**
 * A page of the history, newest first.
 * @param records oldest first
 * @param words each must appear in the instruction, the task, the model or the day
 * @param before continue after the edit with this id
 */
export function historyPage(
  records: Iterable<EditRecord>,
  words: string,
  before: EditRecord | undefined,
): History {
  const terms = words.toLowerCase().split(/\s+/).filter(Boolean);
  const found = [...records]
    .reverse()
    .filter((record) => (before === undefined || record.order < before.order) && hasAll(record, terms));
  const page = found.slice(0, pageLength);
  return {
    edits: page.map(summaryOf),
    next: found.length > page.length ? page.at(-1)!.id : null,
  };
}

function summaryOf({ id, created, request, pinned, life }: EditRecord): EditSummary {
  return { id, created, request, pinned, ...life };
}

function hasAll({ request, created, life }: EditRecord, terms: readonly string[]): boolean {
  if (terms.length === 0) return true;
  const models = life.state === 'done' ? life.results.flatMap(({ task, model }) => [task, model]) : [];
  const text = [request.instruction, request.task, request.model, created, ...models].join(' ').toLowerCase();
  return terms.every((term) => text.includes(term));
}

/**
 * The edits to remove, oldest first, to bring the rest within the budget. Never includes pinned edits, edits
 * never fetched, edits younger than a day, or unfinished ones.
 * @param records oldest first
 */
export function overBudget(
  records: Iterable<EditRecord>,
  budget: HistoryBudget,
  now: number,
): readonly EditRecord[] {
  const all = [...records];
  let bytes = all.reduce((sum, record) => sum + record.bytes, 0);
  const going: EditRecord[] = [];
  for (const record of all) {
    const age = now - Date.parse(record.created);
    const isNeeded =
      !isOver(record.life) || record.pinned || age < day || (record.life.state === 'done' && !record.fetched);
    if (isNeeded || (bytes <= budget.bytes && age <= budget.days * day)) continue;
    bytes -= record.bytes;
    going.push(record);
  }
  return going;
}

/** @throws CodedError `edit-not-over` */
export function mustBeOver({ id, life }: EditRecord): void {
  if (isOver(life)) return;
  throw new CodedError('edit-not-over', {
    detail: `The edit ${id} is ${life.state}.`,
    remedy: 'Cancel it first, then remove it.',
  });
}
