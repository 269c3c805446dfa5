import type { ComponentChildren } from 'preact';
import { useEffect, useLayoutEffect, useMemo, useRef } from 'preact/hooks';
import { CodedError } from '../../shared/errors.ts';
import { Advanced } from './components/advanced.tsx';
import { ConnectionNote } from './components/connection-note.tsx';
import { ErrorNote } from './components/error-note.tsx';
import { InstructionField } from './components/instruction-field.tsx';
import { Note } from './components/note.tsx';
import { PairingForm } from './components/pairing-form.tsx';
import { Progress } from './components/progress.tsx';
import { ReferenceList } from './components/reference-list.tsx';
import { ResultBar } from './components/result-bar.tsx';
import { RunButton } from './components/run-button.tsx';
import { TaskChooser } from './components/task-chooser.tsx';
import type { Host, Reference } from './host.ts';
import type { Connection, ConnectionState } from './models/connection.ts';
import { createPairing } from './models/pairing.ts';
import type { Session } from './models/session.ts';
import { isBusy } from './models/session-state.ts';
import type { Settings } from './models/settings.ts';

export interface PanelProps {
  readonly host: Host;
  readonly settings: Settings;
  readonly session: Session;
  readonly connection: Connection;
  /** Why Run is blocked, such as "Open a picture first"; empty if it isn't. */
  readonly obstacle: string;
  /** The host's description of what is edited, at the top of the panel. */
  readonly head?: ComponentChildren;
  /** The host's view of the edit. It sits above the progress so that its arrival shifts nothing in use. */
  readonly view?: ComponentChildren;
  /** What the host adds at the bottom, such as a list of layers. */
  readonly children?: ComponentChildren;
}

/** The panel, the same in every host. */
export function Panel(props: PanelProps) {
  const { host, settings, session, connection, obstacle, head, view, children } = props;
  useEffect(() => connection.start(), [connection]);
  useEffect(() => void settings.restore(), [settings]);

  const state = session.state.value;
  const connected = connection.state.value;
  const busy = isBusy(state);
  const pairing = useMemo(() => createPairing(connection), [connection]);
  // The form says next to its field why a token was refused: once is enough.
  const refusedToken = pairing.state.value.kind === 'busy' ? undefined : pairing.state.value.error;
  const unreachable = connected.kind === 'gone' || connected.kind === 'refused' ? connected.error : undefined;
  const isDone = state.kind === 'done';
  const foot = useRef<HTMLDivElement>(null);
  // Run and Keep replace each other, and the removed button loses focus: move it to the new one.
  const wasDone = useRef(isDone);
  useLayoutEffect(() => {
    const hasChanged = wasDone.current !== isDone;
    wasDone.current = isDone;
    if (hasChanged && document.activeElement === document.body) {
      foot.current?.querySelector<HTMLElement>('.primary')?.focus();
    }
  }, [isDone]);
  useEffect(() => {
    if (connected.kind === 'connected') void session.resume();
  }, [connected.kind, session]);
  const canRun = obstacle === '' && connected.kind === 'connected' && !busy;
  useEffect(() => {
    // Listening on the document works in every host; some only send a panel the keys pressed in its fields.
    const onKeyDown = (event: KeyboardEvent): void => {
      if (event.defaultPrevented) return;
      if ((event.ctrlKey || event.metaKey) && event.key === 'Enter') {
        event.preventDefault();
        if (isDone) void session.keep();
        else if (canRun) void session.run();
      } else if (event.key === 'Escape') void session.cancel();
    };
    document.addEventListener('keydown', onKeyDown);
    return () => document.removeEventListener('keydown', onKeyDown);
  }, [session, isDone, canRun]);
  const attempt = (task: Promise<void>): void => void task.catch(session.fail);
  const add = async (pick: () => Promise<readonly Reference[]>): Promise<void> =>
    settings.addReferences(await pick());
  const { takeReferences, readRequest } = host;
  const isUnpaired =
    connected.kind === 'unpaired' ||
    unreachable?.code === 'token-wrong' ||
    unreachable?.code === 'token-missing';

  return (
    <div class="panel">
      <div class="panel-scroll">
        {head}
        <InstructionField
          value={settings.instruction.value}
          references={settings.references.value.length}
          namesReferences={knowsNames(connected, settings.advanced.value.model)}
          onChange={settings.write}
        />
        <ReferenceList
          references={settings.references.value}
          room={settings.room.value}
          onAdd={() => attempt(add(host.pickReferences))}
          {...(takeReferences && { onTake: () => attempt(add(takeReferences)) })}
          onRemove={settings.removeReference}
          onMove={settings.moveReference}
        />
        <TaskChooser
          value={settings.task.value}
          onChange={(task) => {
            settings.task.value = task;
          }}
        />
        <Advanced
          value={settings.advanced.value}
          models={connected.kind === 'connected' ? connected.models : []}
          onChange={settings.adjust}
          {...(readRequest && {
            onReadLayer: () =>
              attempt(
                readRequest(session.history).then((request) => {
                  if (!request) throw notMadeHere();
                  settings.use(request);
                }),
              ),
          })}
        />
        {children}
      </div>
      <div class="panel-foot" ref={foot}>
        {unreachable && !(isUnpaired && refusedToken?.code === unreachable.code) && (
          <ErrorNote error={unreachable} />
        )}
        {isUnpaired && (
          <PairingForm
            state={pairing.state.value}
            onAsk={() => void pairing.ask()}
            onAnswer={(text) => void pairing.answer(text)}
          />
        )}
        {state.kind === 'failed' && state.error.code !== unreachable?.code && (
          <ErrorNote error={state.error} onDismiss={session.discard} />
        )}
        {connection.notice.value !== '' && (
          <Note text={connection.notice.value} onDismiss={connection.dismissNotice} />
        )}
        {session.note.value !== '' && <p class="note">{session.note.value}</p>}
        {isDone && state.error && <ErrorNote error={state.error} />}
        {view}
        {isDone ? (
          <ResultBar
            variants={state.variants}
            chosen={state.chosen}
            {...(host.capabilities.results === 'placed' ? {} : { onChoose: session.choose })}
            onKeep={() => void session.keep()}
            onDiscard={session.discard}
            onAgain={() => void session.runAgain()}
          />
        ) : (
          <>
            {host.capabilities.previews === 'panel' && state.kind === 'running' && state.preview && (
              <img class="step-preview" src={state.preview.url} alt="The layer so far" />
            )}
            <Progress state={state} reconnecting={session.reconnecting.value} obstacle={obstacle} />
            <RunButton
              busy={busy}
              disabled={obstacle !== '' || connected.kind !== 'connected'}
              hint={obstacle || 'Ctrl+Enter'}
              onRun={() => void session.run()}
              onCancel={() => void session.cancel()}
            />
          </>
        )}
        <ConnectionNote state={connected} />
      </div>
    </div>
  );
}

function notMadeHere(): CodedError {
  return new CodedError('request-invalid', {
    detail: 'The selected layer was not made by this panel, or its recipe is gone.',
    remedy: 'Select a layer that this panel made.',
  });
}

/**
 * Whether the model that will run knows `{image1}`; if that model isn't known yet, whether all of them do.
 */
function knowsNames(connection: ConnectionState, asked: string | undefined): boolean {
  if (connection.kind !== 'connected') return true;
  const id = asked ?? connection.health.engine.model;
  const candidates = connection.models.filter((model) => id === null || model.id === id);
  return candidates.every(({ namesReferences }) => namesReferences);
}
