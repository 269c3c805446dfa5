import type { Signal } from '@preact/signals';
import { useEffect, useMemo } from 'preact/hooks';
import { Panel } from '../panel/app.tsx';
import type { Connection } from '../panel/models/connection.ts';
import type { Session } from '../panel/models/session.ts';
import { isBusy } from '../panel/models/session-state.ts';
import type { Settings } from '../panel/models/settings.ts';
import type { PhotoshopHost } from './host.ts';
import { Information, type InformationKind } from './information.tsx';
import type { Log } from './log.ts';
import { app } from './modules.ts';
import { ResultShelf } from './result-shelf.tsx';
import { createSubject } from './subject.ts';
import { SubjectHead } from './subject-head.tsx';

export interface PhotoshopPanelProps {
  readonly host: PhotoshopHost;
  readonly settings: Settings;
  readonly session: Session;
  readonly connection: Connection;
  readonly log: Log;
  /** What the flyout menu opened; undefined shows the panel itself. */
  readonly information: Signal<InformationKind | undefined>;
}

export function PhotoshopPanel(props: PhotoshopPanelProps) {
  const { host, settings, session, connection, log, information } = props;
  const { source, mask, results } = host;
  const model = useMemo(
    () => createSubject(() => ({ source: source.peek(), mask: mask.peek() }), results.refresh),
    [source, mask, results],
  );
  useEffect(() => model.start(), [model]);

  const attempt = (task: Promise<void>): void => void task.catch(session.fail);
  const active = app.activeDocument?.id;
  const state = session.state.value;
  const opened = information.value;
  return (
    <>
      {opened && (
        <Information
          kind={opened}
          log={log}
          onClose={() => {
            information.value = undefined;
          }}
        />
      )}
      <div class={opened ? 'behind' : 'front'}>
        <Panel
          host={host}
          settings={settings}
          session={session}
          connection={connection}
          obstacle=""
          head={
            <SubjectHead
              subject={model.subject.value}
              source={source.value}
              mask={mask.value}
              onSource={(chosen) => {
                source.value = chosen;
                void model.look();
              }}
              onMask={(chosen) => {
                mask.value = chosen;
                void model.look();
              }}
            />
          }
          view={
            state.kind !== 'done' && (
              <ResultShelf
                results={results.list.value.filter(({ documentID }) => documentID === active)}
                shown={results.shown.value}
                busy={isBusy(state)}
                onShow={(layerID) => attempt(results.show(layerID))}
                onKeep={(layerID) => attempt(results.keep(layerID))}
                onDiscard={(layerID) => attempt(results.discard(layerID))}
                onAgain={() => void session.runAgain()}
              />
            )
          }
        />
      </div>
    </>
  );
}
