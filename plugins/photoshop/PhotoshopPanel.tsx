import { useEffect } from 'preact/hooks';
import { Panel } from '../panel/app.tsx';
import type { Connection } from '../panel/models/connection.ts';
import type { Session } from '../panel/models/session.ts';
import type { Settings } from '../panel/models/settings.ts';
import type { PhotoshopHost } from './host.ts';
import { SourceChooser } from './SourceChooser.tsx';

export interface PhotoshopPanelProps {
  readonly host: PhotoshopHost;
  readonly settings: Settings;
  readonly session: Session;
  readonly connection: Connection;
}

export function PhotoshopPanel({ host, settings, session, connection }: PhotoshopPanelProps) {
  // Photoshop gives a panel the keys that are pressed while one of its fields has the focus.
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent): void => {
      if (!(event.ctrlKey || event.metaKey) || event.key !== 'Enter') return;
      event.preventDefault();
      if (connection.state.value.kind === 'connected' && session.state.value.kind !== 'done')
        void session.run();
    };
    document.addEventListener('keydown', onKeyDown);
    return () => document.removeEventListener('keydown', onKeyDown);
  }, [connection, session]);

  return (
    <Panel
      host={host}
      settings={settings}
      session={session}
      connection={connection}
      obstacle=""
      showsPreview
      beforeTask={
        <SourceChooser
          value={host.source.value}
          onChange={(source) => {
            host.source.value = source;
          }}
        />
      }
    />
  );
}
