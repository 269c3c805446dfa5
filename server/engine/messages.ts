/** What the companion and its engine process say to each other over IPC (structured clone). */

import type { EditEventBody } from '../../shared/protocol/events.ts';
import type { Problem } from '../../shared/protocol/problem.ts';
import type { EditResult } from '../../shared/protocol/result.ts';
import type { Provider } from '../runtime/provider.ts';

export type ToEngine =
  /** Runs the request in `folder`; its results are written there. `runs` counts how often, with this time. */
  | { readonly type: 'run'; readonly id: string; readonly folder: string; readonly runs: number }
  | { readonly type: 'cancel' }
  /** Asks for a sign of life. */
  | { readonly type: 'ping' };

export type FromEngine =
  /** The process listens, and has what it was sent before: after its start, for each `run` and for each `ping`. */
  | { readonly type: 'alive' }
  /** A provider is tried with a tiny graph. If nothing follows, its library hangs or has killed the process. */
  | { readonly type: 'trying'; readonly provider: Provider }
  | { readonly type: 'provider-failed'; readonly provider: Provider; readonly reason: string }
  | { readonly type: 'provider-works'; readonly provider: Provider }
  | { readonly type: 'loaded'; readonly provider: Provider; readonly model: string }
  | { readonly type: 'event'; readonly event: EditEventBody }
  /** A variant lies on disk. */
  | { readonly type: 'result'; readonly result: EditResult }
  | { readonly type: 'finished' }
  | { readonly type: 'failed'; readonly problem: Problem };

/** How a provider is chosen, as the engine process is told when it starts. */
export interface EngineSettings {
  /** The one that the person asked for; nothing else will do then. */
  readonly wanted?: Provider;
  /** Those that failed before in this companion, so that they are not tried at each start. */
  readonly unusable: readonly Provider[];
}
