import type { EditLife } from '../../shared/protocol/answers.ts';
import type { EditEvent, EditEventBody } from '../../shared/protocol/events.ts';

export type EndedLife = Exclude<EditLife, { readonly state: 'queued' | 'running' }>;

export function isOver(life: EditLife): life is EndedLife {
  return life.state !== 'queued' && life.state !== 'running';
}

/** The life that an edit's last event implies, if that event ends it. */
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

/** The event that reports how an edit ended. */
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
