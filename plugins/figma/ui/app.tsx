import { CodedError } from '../../../shared/errors.ts';
import { parseEditRequest } from '../../../shared/protocol/request.ts';
import { Panel } from '../../panel/app.tsx';
import { on } from '../../panel/components/on.ts';
import type { Connection } from '../../panel/models/connection.ts';
import type { Session } from '../../panel/models/session.ts';
import { isBusy } from '../../panel/models/session-state.ts';
import type { Settings } from '../../panel/models/settings.ts';
import { parseRecipe } from '../recipe.ts';
import { EditLayer } from './edit-layer.tsx';
import { EditPicture } from './edit-picture.tsx';
import type { FigmaHost } from './figma-host.ts';
import type { Work } from './work.ts';

export interface AppProps {
  readonly host: FigmaHost;
  readonly work: Work;
  readonly settings: Settings;
  readonly session: Session;
  readonly connection: Connection;
}

/** The layer to edit and its mask, above the panel shared by all hosts. */
export function App({ host, work, settings, session, connection }: AppProps) {
  const state = session.state.value;
  const busy = isBusy(state) || state.kind === 'done';
  const isReady = connection.state.value.kind === 'connected';
  const obstacle = work.obstacle.value;
  const mask = work.mask.value;
  const taken = work.taken.value;
  const attempt = (task: () => void | Promise<void>): void => {
    Promise.resolve().then(task).catch(session.fail);
  };
  const [selected, second] = work.selection.value.nodes;
  const result = second ? undefined : selected;
  const recipe = parseRecipe(result?.recipe ?? '');

  const repeat = async (): Promise<void> => {
    if (!result || !recipe) return;
    settings.use(parseEditRequest(JSON.stringify(recipe.request)));
    settings.references.value = await host.exportReferences(recipe.references);
    work.repeat(result);
    if (recipe.files) throw needsFiles(recipe.files);
    await session.run();
  };

  const shown = state.kind === 'done' ? state.variants[state.chosen] : undefined;
  const below = taken && (!shown || shown.target === taken.target) ? taken.edit : undefined;

  const view = (
    <>
      {shown && state.kind === 'done' && (
        <EditPicture key="done" picture={below} candidate={shown}>
          {state.variants.length > 1 && below && (
            <button
              class="secondary"
              type="button"
              {...on({
                click: () =>
                  attempt(async () => {
                    session.finish(await host.placeSideBySide(state.variants, below));
                  }),
              })}
            >
              {`Place all ${state.variants.length} side by side`}
            </button>
          )}
        </EditPicture>
      )}
      {state.kind === 'running' && taken && (
        <EditPicture
          key="running"
          picture={taken.edit}
          {...(state.preview ? { preview: state.preview } : {})}
        />
      )}
    </>
  );

  return (
    <div class="plugin">
      <header class="plugin-head">
        <EditLayer
          target={work.target.value}
          size={work.size.value}
          obstacle={obstacle}
          isPinned={work.pinned.value !== undefined}
          mask={mask}
          busy={busy}
          hasSelection={work.selection.value.count > 0}
          onPin={work.pin}
          onUseAsMask={() => attempt(work.useSelectionAsMask)}
          onPaintMask={() => attempt(work.paintMask)}
          onClearMask={work.clearMask}
          {...(recipe && isReady ? { onRepeat: () => attempt(repeat) } : {})}
        />
        {!busy && mask?.kind === 'brush' && (
          <EditPicture key="brush" picture={mask.picture} mask={mask.paint} />
        )}
      </header>
      <Panel
        host={host}
        settings={settings}
        session={session}
        connection={connection}
        obstacle={obstacle}
        view={view}
      />
    </div>
  );
}

function needsFiles(count: number): CodedError {
  const pictures = count === 1 ? 'a picture' : `${count} pictures`;
  return new CodedError('request-invalid', {
    detail: `This result also used ${pictures} from files, which the document does not store.`,
    remedy: 'Add them again as references, then press Run.',
  });
}
