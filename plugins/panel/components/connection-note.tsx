import type { ConnectionState } from '../models/connection.ts';

/** One line on the companion's state. */
export function ConnectionNote({ state }: { readonly state: ConnectionState }) {
  return (
    <p class={`connection ${state.kind}`} aria-live="polite">
      <span class="connection-dot" aria-hidden="true" />
      <span>{words(state)}</span>
    </p>
  );
}

function words(state: ConnectionState): string {
  switch (state.kind) {
    case 'connecting':
      return 'Looking for the companion…';
    case 'gone':
      return state.error.code === 'local-access-denied'
        ? 'Access to this computer is blocked'
        : 'Companion not running. Reconnecting…';
    case 'unpaired':
      return 'Companion found, not paired yet';
    case 'refused':
      return state.error.code === 'version-mismatch'
        ? 'The companion has a different version'
        : 'The companion refuses this panel';
    case 'connected': {
      const { model, provider } = state.health.engine;
      const parts = [model, provider === 'cpu' ? 'CPU' : provider?.toUpperCase()].filter(Boolean);
      return parts.length > 0 ? `Ready · ${parts.join(' on ')}` : 'Ready';
    }
  }
}
