import { useEffect, useRef, useState } from 'preact/hooks';
import { CodedError } from '../../shared/errors.ts';
import { Panel } from '../panel/app.tsx';
import { on } from '../panel/components/on.ts';
import type { Host } from '../panel/host.ts';
import type { Connection } from '../panel/models/connection.ts';
import type { Session } from '../panel/models/session.ts';
import { isBusy } from '../panel/models/session-state.ts';
import type { Settings } from '../panel/models/settings.ts';
import { decodePicture, decodeReference } from '../picture/decode.ts';
import { pickFiles } from '../picture/pick.ts';
import type { PageDocument } from './document.ts';
import { filesOf } from './files.ts';
import { LayerList } from './layer-list.tsx';
import { openSample } from './sample.ts';
import { savePNG, savePSD } from './save.ts';
import { Stage } from './stage.tsx';
import { Toolbar } from './toolbar.tsx';
import type { Tools } from './tools.ts';

export interface PageProps {
  readonly host: Host;
  readonly settings: Settings;
  readonly session: Session;
  readonly connection: Connection;
  readonly pageDocument: PageDocument;
  readonly tools: Tools;
}

export function Page(props: PageProps) {
  const { host, settings, session, connection, pageDocument, tools } = props;
  const [dropsOn, setDropsOn] = useState<'picture' | 'references' | undefined>(undefined);
  const stageArea = useRef<HTMLElement>(null);
  const latest = useRef<object | undefined>(undefined);
  const open = pageDocument.open.value;
  const state = session.state.value;
  const busy = state.kind === 'capturing' || state.kind === 'queued' || state.kind === 'running';
  const attempt = (task: Promise<void>): void => void task.catch(session.fail);

  const openFile = async (file: File | undefined): Promise<void> => {
    if (!file || isBusy(session.state.value)) return;
    const losesWork = pageDocument.unsaved.value || session.state.value.kind === 'done';
    if (losesWork && !confirm('Open another picture? Unsaved work will be lost.')) return;
    const opening = {};
    latest.current = opening;
    const picture = await decodePicture(file, file.name);
    // Decoding a large picture takes seconds: meanwhile another may have been opened, or an edit started.
    if (latest.current !== opening) return;
    if (isBusy(session.state.value)) {
      throw new CodedError('host-busy', {
        detail: `${file.name} was not opened, because an edit was started in the meantime.`,
        remedy: 'Open it again when the edit is done.',
      });
    }
    session.discard();
    pageDocument.openPicture(file.name, picture);
  };
  const addReferences = async (files: readonly File[]): Promise<void> => {
    settings.addReferences(await Promise.all(files.map((file) => decodeReference(file, file.name))));
  };
  const choose = (): void => attempt(pickFiles(false).then(([file]) => openFile(file)));

  useEffect(() => listen(props, (file) => attempt(openFile(file))));
  useEffect(() => {
    document.title = open ? `${open.name} · ACE++ Layers` : 'ACE++ Layers';
  }, [open?.name]);

  const overPanel = (event: DragEvent): boolean =>
    !stageArea.current?.contains(event.target as Node) && pageDocument.open.value !== undefined;

  return (
    <div
      class="page"
      {...on({
        dragover: (event) => {
          event.preventDefault();
          setDropsOn(overPanel(event) ? 'references' : 'picture');
        },
        dragleave: (event) => {
          if (event.relatedTarget === null) setDropsOn(undefined);
        },
        drop: (event) => {
          event.preventDefault();
          setDropsOn(undefined);
          const files = filesOf(event.dataTransfer);
          attempt(overPanel(event) ? addReferences(files) : openFile(files[0]));
        },
      })}
    >
      <main class={dropsOn === 'picture' ? 'work drop-here' : 'work'} ref={stageArea}>
        {open ? (
          <>
            <Toolbar
              pageDocument={pageDocument}
              tools={tools}
              comparable={state.kind === 'done' || pageDocument.layers.value.length > 0}
              paintable={!busy && state.kind !== 'done'}
              onOpen={choose}
              onFit={tools.camera.fit}
              onSavePNG={() => attempt(savePNG(pageDocument))}
              onSavePSD={() => attempt(savePSD(pageDocument))}
            />
            <Stage pageDocument={pageDocument} session={session} tools={tools} />
            <p class="stage-hint">{stageHint(state.kind, pageDocument.hasMask.value)}</p>
          </>
        ) : (
          <section class="empty">
            <h1>Change part of a picture</h1>
            <p>Open a picture, paint over what should change, and describe what should be there.</p>
            <div class="empty-buttons">
              <button class="primary" type="button" {...on({ click: choose })}>
                Open a picture
              </button>
              <button
                class="secondary"
                type="button"
                {...on({ click: () => attempt(openSample(pageDocument, settings)) })}
              >
                Try the sample
              </button>
            </div>
            <p class="hint">You can also drop a picture here or paste one. It never leaves your machine.</p>
          </section>
        )}
      </main>
      <aside class={dropsOn === 'references' ? 'side drop-here' : 'side'} aria-label="Edit">
        <Panel
          host={host}
          settings={settings}
          session={session}
          connection={connection}
          obstacle={open ? '' : 'Open a picture first'}
        >
          {open && (
            <LayerList
              layers={pageDocument.layers.value}
              onToggle={pageDocument.toggleLayer}
              onDelete={pageDocument.deleteLayer}
            />
          )}
        </Panel>
      </aside>
    </div>
  );
}

function stageHint(kind: Session['state']['value']['kind'], hasMask: boolean): string {
  if (kind === 'done') return 'Drag “Before”, or hold B, to compare.';
  if (kind === 'capturing' || kind === 'queued' || kind === 'running') return 'Esc cancels.';
  return hasMask
    ? '[ and ] size the brush · E erases · wheel zooms · space drags'
    : 'Paint over what should change. Without a mask, the whole picture is edited.';
}

/** The page-wide keys, paste handling and unload guard. Returns its own release. */
function listen({ session, pageDocument, tools }: PageProps, openFile: (file: File) => void) {
  const listening = new AbortController();
  const { signal } = listening;
  const paintable = (): boolean => ['idle', 'failed', 'cancelled'].includes(session.state.value.kind);

  const onKeyDown = (event: KeyboardEvent): void => {
    const command = event.ctrlKey || event.metaKey;
    const writes = (event.target as HTMLElement).closest('textarea, input[type=text], select') !== null;
    const key = event.key.toLowerCase();
    if (writes) {
      return;
    } else if (command && key === 'z') {
      if (paintable()) pageDocument.history[event.shiftKey ? 'redo' : 'undo']();
    } else if (command || event.altKey) {
      return;
    } else if (key === '[') {
      tools.resizeBrush(Math.min(tools.diameter.value - 1, tools.diameter.value / 1.2));
    } else if (key === ']') {
      tools.resizeBrush(Math.max(tools.diameter.value + 1, tools.diameter.value * 1.2));
    } else if (key === 'e') {
      tools.erase.value = !tools.erase.value;
    } else if (key === 'b') {
      tools.showBefore.value = true;
    } else return;
    event.preventDefault();
  };
  const onKeyUp = (event: KeyboardEvent): void => {
    if (event.key.toLowerCase() === 'b') tools.showBefore.value = false;
  };
  const onPaste = (event: ClipboardEvent): void => {
    const [file] = filesOf(event.clipboardData);
    if (file) openFile(file);
  };
  const onLeave = (event: BeforeUnloadEvent): void => {
    if (pageDocument.unsaved.value || session.state.value.kind === 'done') event.preventDefault();
  };
  window.addEventListener('keydown', onKeyDown, { signal });
  window.addEventListener('keyup', onKeyUp, { signal });
  window.addEventListener('paste', onPaste, { signal });
  window.addEventListener('beforeunload', onLeave, { signal });
  return () => listening.abort();
}
