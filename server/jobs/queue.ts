import { CodedError } from '../../shared/errors.ts';
import type { EditEventBody } from '../../shared/protocol/events.ts';
import type { EndedLife } from './state.ts';

/** An edit as a queue carries it; its contents are in its folder. */
export interface QueuedEdit {
  readonly id: string;
  /** Contains the request; results are written here. */
  readonly folder: string;
  /** How often it has been started before. */
  readonly runs: number;
  /** How often the engine died while it ran. */
  readonly crashes: number;
}

/** Reports from a queue: any number of runs per edit, with their events, then exactly one end. */
export interface QueueListener {
  /** An edit is about to run. The engine gets it only after this resolves. */
  started(id: string): Promise<void>;
  event(id: string, event: EditEventBody): void;
  /** The engine died while running this edit; the edit runs again after this. */
  crashed(id: string, error: CodedError): Promise<void>;
  /** The edit is over. Called once; no other report about that edit follows. */
  ended(id: string, life: EndedLife): Promise<void>;
  /** The waiting edits, in the order they will run. */
  moved(waiting: readonly string[]): void;
}

/**
 * Decides which edit runs when and where. `LocalQueue` is the queue in this process; every implementation
 * must pass test/server/jobs/queue-suite.ts.
 *
 * When a companion starts, it adds each edit it has not seen end, in order. This makes edits run after a
 * restart, and makes a queue that outlives the companion report to it again.
 */
export interface EditQueue {
  /** Appends an edit. One that is already queued keeps its place. */
  add(edit: QueuedEdit): Promise<void>;
  /** Cancels a waiting edit at once, a running one between two steps; ignores others. */
  cancel(id: string): Promise<void>;
  /** Moves a waiting edit so that `position` others run before it; ignores others. */
  move(id: string, position: number): Promise<void>;
  /** In the order they will run. */
  waiting(): Promise<readonly string[]>;
  /**
   * Stops without ending any edit: waiting and running ones are resumed by whoever adds them next.
   * Nothing is reported after this resolves.
   */
  close(): Promise<void>;
}

/** An edit that has crashed the engine this often isn't retried: it would crash it every time. */
export const maxCrashes = 3;

/** How an edit that crashed too often ends. */
export function crashedTooOften(id: string, last: CodedError): CodedError {
  return new CodedError('edit-crashed', {
    detail: `The edit ${id} was stopped because the engine died ${maxCrashes} times while it ran. The last time: ${last.detail}`,
    remedy:
      'Try a smaller picture, fewer references or another model. If it keeps failing, report this text.',
    cause: last,
  });
}
