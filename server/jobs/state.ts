import type { Problem } from '../../shared/errors.ts';
import type { EditEvent, EditEventBody, EditResult, EditState } from '../../shared/events.ts';
import type { EditRecord } from './record.ts';

/** Where an edit is in its life; each state carries what only it has. */
export type EditLife = { readonly state: 'queued' } | { readonly state: 'running' } | EndedLife;

export type EndedLife =
  | { readonly state: 'done'; readonly results: readonly EditResult[] }
  | { readonly state: 'failed'; readonly problem: Problem }
  | { readonly state: 'cancelled' };

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
export type EditSummary = Pick<EditRecord, 'id' | 'created' | 'request' | 'pinned'> & EditLife;

export interface History {
  readonly edits: readonly EditSummary[];
  /** The `before` of the next page; null on the last one. */
  readonly next: string | null;
}

export function isOver(life: EditLife): life is EndedLife {
  return life.state !== 'queued' && life.state !== 'running';
}

/** The life that an edit's last event tells of, if that event ends it. */
export function lifeAfter(event: EditEvent | undefined): EndedLife | undefined {
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

/** The event that tells how an edit ended. */
export function lastEvent(life: EndedLife): EditEventBody {
  switch (life.state) {
    case 'done':
      return { type: 'done', results: life.results };
    case 'failed':
      return { type: 'failed', problem: life.problem };
    case 'cancelled':
      return { type: 'cancelled' };
  }
}
