import { CodedError } from '../../shared/errors.ts';
import type { EditSummary, History } from '../../shared/protocol/answers.ts';
import type { EditRecord } from './record.ts';
import { isOver } from './state.ts';

const pageLength = 50;
const day = 86_400_000;

/** What the history may keep; the oldest edits go first. */
export interface HistoryBudget {
  /** Edits older than this are removed. */
  readonly days: number;
  /** Of requests, results and thumbnails on disk. */
  readonly bytes: number;
}

/**
 * A page of the history, newest first.
 * @param records oldest first
 * @param words what the instruction, the task, the model or the day must contain, each of them
 * @param before the id after which it goes on
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
 * What has to go, oldest first, so that the rest is within the budget. Never what is pinned, what was never fetched, what is
 * younger than a day, and what is not over.
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
