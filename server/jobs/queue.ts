import { CodedError } from '../../shared/errors.ts';
import type { EditEventBody } from '../../shared/protocol/events.ts';
import type { EndedLife } from './state.ts';

/** An edit as a queue carries it: what it is lies in its folder. */
export interface QueuedEdit {
  readonly id: string;
  /** Holds the request; the results are written there. */
  readonly folder: string;
  /** How often it was started before. */
  readonly runs: number;
  /** How often the engine died while it ran. */
  readonly crashes: number;
}

/** What a queue reports of its edits: for each any number of runs, with their events, and then one end. */
export interface QueueListener {
  /** An edit is about to run. The engine doesn't get it before this has resolved. */
  started(id: string): Promise<void>;
  event(id: string, event: EditEventBody): void;
  /** The engine died while it ran this edit, which runs again after this. */
  crashed(id: string, error: CodedError): Promise<void>;
  /** The edit is over. Comes once, and nothing about that edit comes after it. */
  ended(id: string, life: EndedLife): Promise<void>;
  /** The edits that wait, in the order in which they will run. */
  moved(waiting: readonly string[]): void;
}

/**
 * Decides which edit runs when and where. The queue in this process is `LocalQueue`; all of them keep to
 * test/server/jobs/queue-suite.ts.
 *
 * A companion that starts adds each edit that it has not seen end, in order. That makes an edit run after a restart, and
 * makes a queue that outlives the companion report to it again.
 */
export interface EditQueue {
  /** Takes an edit in at the end. An edit that it has already stays where it is. */
  add(edit: QueuedEdit): Promise<void>;
  /** Ends a waiting edit at once and a running one between two steps; does nothing to others. */
  cancel(id: string): Promise<void>;
  /** Moves a waiting edit so that `position` others run before it; does nothing to others. */
  move(id: string, position: number): Promise<void>;
  /** In the order in which they will run. */
  waiting(): Promise<readonly string[]>;
  /**
   * Stops without an end for any edit: what waits or runs is taken up again by whoever adds it next.
   * Nothing is reported after this has resolved.
   */
  close(): Promise<void>;
}

/** An edit that ended the engine so often isn't tried again: it would end every next one as well. */
export const maxCrashes = 3;

/** The end of an edit that has crashed too often. */
export function crashedTooOften(id: string, last: CodedError): CodedError {
  return new CodedError('edit-crashed', {
    detail: `The edit ${id} was stopped because the engine died ${maxCrashes} times while it ran. The last time: ${last.detail}`,
    remedy:
      'Try a smaller picture, fewer references or another model. If it keeps failing, report this text.',
    cause: last,
  });
}
