import type { Problem } from '../../shared/errors.ts';
import type { EditEvent, EditResult, EditState } from '../../shared/events.ts';
import type { EditRequest } from '../../shared/request.ts';

/** Where an edit is in its life; each state carries what only it has. */
export type EditLife =
  | { readonly state: 'queued' }
  | { readonly state: 'running' }
  | { readonly state: 'done'; readonly results: readonly EditResult[] }
  | { readonly state: 'failed'; readonly problem: Problem }
  | { readonly state: 'cancelled' };

/** What is kept of an edit in its `state.json`. */
export interface EditRecord {
  readonly id: string;
  /** ISO 8601. */
  readonly created: string;
  /** Of the request's body: the same id with another one is a conflict. */
  readonly sha256: string;
  /** Edits that were before it when it came. */
  readonly position: number;
  readonly request: EditRequest;
  /** Of the request and its results on disk. */
  readonly bytes: number;
  readonly life: EditLife;
}

/** The answer to a request: the same whenever it is sent again. */
export interface Accepted {
  readonly id: string;
  readonly state: 'queued';
  readonly position: number;
}

export interface Poll {
  readonly id: string;
  readonly state: EditState;
  readonly events: readonly EditEvent[];
  /** The `after` of the next poll. */
  readonly next: number;
}

/** One line of the history. */
export type EditSummary = Pick<EditRecord, 'id' | 'created' | 'request'> & EditLife;

export interface History {
  readonly edits: readonly EditSummary[];
  /** The `before` of the next page; null on the last one. */
  readonly next: string | null;
}

export function isOver(life: EditLife): boolean {
  return life.state !== 'queued' && life.state !== 'running';
}

/** The life that an edit's last event tells of, if that event ends it. */
export function lifeAfter(event: EditEvent | undefined): EditLife | undefined {
  switch (event?.type) {
    case 'done':
      return { state: 'done', results: event.results };
    case 'failed':
      return { state: 'failed', problem: event.problem };
    case 'cancelled':
      return { state: 'cancelled' };
    default:
      return undefined;
  }
}
