/** Runs in the page before the plugin: `require` with the modules, and `simulator` for the tests. */
import type { UXPModule } from '../../../plugins/photoshop/api.ts';
import { copyState, type DocumentState } from './documents.ts';
import { cutDown, cutStyles, type Network } from './dom.ts';
import { createPhotoshop, type OpenDocument, Simulator } from './photoshop.ts';
import * as scenes from './scenes.ts';

export interface PickableFile {
  readonly name: string;
  /** Base64. */
  readonly data: string;
}

/** What the tests ask for; everything that goes in and out is JSON. */
function createControls(simulator: Simulator, network: Network) {
  const marks = new Map<number, DocumentState>();
  const at = (id?: number): OpenDocument =>
    id === undefined ? simulator.open(simulator.active) : simulator.documentOf(id);
  let files: readonly PickableFile[] | undefined;
  return {
    /** What was left out of the style sheets. */
    cutStyles,
    network,
    simulator,
    openDocument: (recipe: scenes.DocumentRecipe) => scenes.openDocument(simulator, recipe),
    openRandom: (seed: number) => {
      const { document, selection } = scenes.randomScene(seed);
      scenes.openDocument(simulator, document);
      scenes.select(at(), selection);
      marks.set(at().id, copyState(at().state));
      return document;
    },
    select: (recipe?: scenes.SelectionRecipe) => scenes.select(at(), recipe),
    /** Selects layers by their place, from the highest. */
    activate: (...places: number[]) => {
      const document = at();
      document.state.active = places.map((place) => document.state.layers[place]!.id);
    },
    switchTo: (id: number) => {
      simulator.active = at(id);
      simulator.notify();
    },
    close: (id?: number) => scenes.close(simulator, at(id)),
    reopen: (id?: number) => scenes.reopen(simulator, at(id)),
    deleteLayer: (place: number) => {
      at().state.layers.splice(place, 1);
    },
    undo: (id?: number) => scenes.undo(at(id)),
    undoSteps: (id?: number) => at(id).history.map(({ name }) => name),
    layers: (id?: number) => at(id).state.layers.map(scenes.reportLayer),
    selection: (id?: number) => at(id).state.selection?.bounds ?? null,
    /** Remembers a document as it is, to be compared with. */
    mark: (id?: number) => {
      marks.set(at(id).id, copyState(at(id).state));
    },
    compare: (id?: number) => scenes.compare(at(id), marks.get(at(id).id)!),
    /** Whether a document is as it was marked. */
    isAsMarked: (id?: number) => JSON.stringify(at(id).state) === JSON.stringify(marks.get(at(id).id)),
    refusals: () => simulator.refusals,
    offerFiles: (offered: readonly PickableFile[] | undefined) => {
      files = offered;
    },
    files: () => files,
  };
}

export type Controls = ReturnType<typeof createControls>;

function createUXP(controls: Controls): UXPModule {
  const binary = Symbol('binary');
  const prefix = 'secure.';
  return {
    entrypoints: {
      setup({ panels }) {
        if (performance.now() - started > 1000) throw new Error('entrypoints.setup came too late');
        const [panel] = Object.values(panels);
        queueMicrotask(() => panel!.create(document.body));
      },
    },
    storage: {
      formats: { binary },
      // Encrypted by the system, and kept beyond the plugin's reload.
      secureStorage: {
        async getItem(key) {
          const kept = sessionStorage.getItem(prefix + key);
          if (kept === null) throw new Error('the key was not found');
          return Uint8Array.from(kept, (character) => character.charCodeAt(0));
        },
        async setItem(key, value) {
          if (typeof value !== 'string' || value === '') throw new Error('the value is empty');
          sessionStorage.setItem(prefix + key, value);
        },
      },
      localFileSystem: {
        async getFileForOpening({ types }) {
          if (types.some((type) => type.startsWith('.'))) throw new Error('types have no dots');
          return controls.files()?.map(({ name, data }) => ({
            name,
            async read({ format }) {
              if (format !== binary) throw new Error('the format is missing: this would be read as text');
              return Uint8Array.from(atob(data), (character) => character.charCodeAt(0)).buffer;
            },
          }));
        },
      },
    },
  };
}

declare const simulatedDomains: readonly string[];

const started = performance.now();
const simulator = new Simulator();
const network = cutDown(simulatedDomains, () => simulator.isModal);
const controls = createControls(simulator, network);
const modules: Readonly<Record<string, unknown>> = {
  photoshop: createPhotoshop(simulator),
  uxp: createUXP(controls),
};
Object.assign(window, {
  controls,
  require(name: string) {
    if (modules[name]) return modules[name];
    throw new Error(`there is no module ${name}`);
  },
});
