import type { EditLife } from '../../shared/protocol/answers.ts';
import type { EditEvent } from '../../shared/protocol/events.ts';
import type { EditRequest } from '../../shared/protocol/request.ts';

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
