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
