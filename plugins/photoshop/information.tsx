import manifest from '../../manifest.json' with { type: 'json' };
import { on } from '../panel/components/on.ts';
import type { Log } from './log.ts';
import { companionAddresses } from './manifest.ts';

export type InformationKind = 'about' | 'log';

export interface InformationProps {
  readonly kind: InformationKind;
  readonly log: Log;
  readonly onClose: () => void;
}

/**
 * What the flyout menu opens. It replaces the panel, since UXP paints text fields above anything over them.
 */
export function Information({ kind, log, onClose }: InformationProps) {
  return (
    <div class="panel information">
      <div class="panel-scroll">
        {kind === 'about' ? (
          <>
            <h2 class="field-title">{`${manifest.name} ${manifest.version}`}</h2>
            <p class="information-words">
              Edits by instruction, as new layers. The companion (“npm start”) computes them on this computer.
            </p>
            <p class="information-words">
              {`This panel only calls these ${companionAddresses.length} addresses, all on this computer:`}
            </p>
            {companionAddresses.map((address) => (
              <p key={address} class="information-line">
                {address}
              </p>
            ))}
          </>
        ) : (
          <>
            <h2 class="field-title">Log</h2>
            <textarea
              class="log"
              aria-label="Log"
              readOnly
              value={log.lines.value.join('\n') || 'Nothing has happened yet.'}
            />
          </>
        )}
      </div>
      <div class="panel-foot">
        <button class="primary" type="button" {...on({ click: onClose })}>
          Back
        </button>
      </div>
    </div>
  );
}
