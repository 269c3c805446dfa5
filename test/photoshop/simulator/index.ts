/** Runs in the page before the plugin: `require` with the modules, and `simulator` for the tests. */
import type { PanelEntry, UXPModule } from '../../../plugins/photoshop/api.ts';
import { copyState, type DocumentState, type LayerState } from './documents.ts';
import { cutDown, cutStyles, flattenControls, type Network } from './dom.ts';
import { createPhotoshop } from './photoshop.ts';
import * as scenes from './scenes.ts';
import { type OpenDocument, Simulator } from './simulator.ts';
import { randomStack } from './stacks.ts';

export interface PickableFile {
  readonly name: string;
  /** Base64. */
  readonly data: string;
}

/** The tests' controls; everything in and out is JSON. */
function createControls(simulator: Simulator, network: Network) {
  const marks = new Map<number, DocumentState>();
  const at = (id?: number): OpenDocument =>
    id === undefined ? simulator.open(simulator.active) : simulator.documentOf(id);
  let files: readonly PickableFile[] | undefined;
  return {
    /** What was removed from the style sheets. */
    cutStyles,
    flattenControls,
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
    openStack: (seed: number) => {
      const { document, selection, chosen } = randomStack(seed);
      scenes.openDocument(simulator, document);
      scenes.select(at(), selection);
      const all = scenes.everyLayer(at().state.layers);
      at().state.active = chosen.map((place) => all[place]!.id);
      marks.set(at().id, copyState(at().state));
      return { ids: at().state.active, names: all.map(({ name }) => name) };
    },
    seenOf: (id: number) => scenes.seenOf(at(), id),
    seenTogether: () => scenes.seenTogether(at()),
    isPlain: (id: number) => scenes.isPlain(at(), id),
    stateOf: (id: number) => {
      const layer = simulator.layerOf(at(), id);
      const { pixels, mask } = layer;
      return {
        ...layer,
        pixels: { ...pixels, data: [...pixels.data] },
        mask: mask && { ...mask, data: [...mask.data] },
      };
    },
    /** Changes a layer as a person would, without the panel. */
    edit: (id: number, change: Partial<LayerState>) => {
      Object.assign(simulator.layerOf(at(), id), change);
      simulator.notify();
    },
    activeIDs: () => at().state.active,
    select: (recipe?: scenes.SelectionRecipe) => scenes.select(at(), recipe),
    /** Paints a quick mask, as a person does; leaves Quick Mask mode if `recipe` is absent. */
    quickMask: (recipe?: scenes.SelectionRecipe) => {
      at().quickMask = recipe && scenes.selectionOf(at(), recipe);
      at().state.selection = undefined;
    },
    saveSelection: (name: string, recipe: scenes.SelectionRecipe) => {
      at().state.channels.push({ name, plane: scenes.selectionOf(at(), recipe) });
      simulator.notify();
    },
    /** Selects layers by index, topmost first. */
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
    /** Marks a document's current state for comparison. */
    mark: (id?: number) => {
      marks.set(at(id).id, copyState(at(id).state));
    },
    compare: (id?: number) => scenes.compare(at(id), marks.get(at(id).id)!),
    /** Whether a document is still as marked. */
    isAsMarked: (id?: number) => JSON.stringify(at(id).state) === JSON.stringify(marks.get(at(id).id)),
    refusals: () => simulator.refusals,
    offerFiles: (offered: readonly PickableFile[] | undefined) => {
      files = offered;
    },
    files: () => files,
    /** The panel's flyout menu. */
    menuItems: () => menu?.menuItems.map(({ label }) => label) ?? [],
    invokeMenu: (label: string) => menu?.invokeMenu(menu.menuItems.find((item) => item.label === label)!.id),
  };
}

let menu: PanelEntry | undefined;

export type Controls = ReturnType<typeof createControls>;

function createUXP(controls: Controls): UXPModule {
  const binary = Symbol('binary');
  const prefix = 'secure.';
  return {
    entrypoints: {
      setup({ panels }) {
        // Photoshop waits about 20 ms: anything not done while the script is evaluated is too late.
        if (document.readyState !== 'loading') throw new Error('entrypoints.setup came too late');
        const [panel] = Object.values(panels);
        menu = panel;
        queueMicrotask(() => panel!.create(document.body));
      },
    },
    storage: {
      formats: { binary },
      // Encrypted by the system, and kept across plugin reloads.
      secureStorage: {
        async getItem(key) {
          if (simulated.secureStorageFails) throw new Error('The keychain is locked');
          const kept = sessionStorage.getItem(prefix + key);
          if (kept === null) throw new Error('the key was not found');
          return Uint8Array.from(kept, (character) => character.charCodeAt(0));
        },
        async setItem(key, value) {
          if (simulated.secureStorageFails) throw new Error('The keychain is locked');
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

/** What a test sets up in this Photoshop before the panel starts. */
export interface SimulatedOptions {
  /** Of the manifest, in place of the built one. */
  readonly domains?: 'all' | readonly string[];
  /** Names that the plugin may not call, whatever its manifest says. */
  readonly deniedNames?: readonly string[];
  /** Host names whose requests fail as if the port were closed. */
  readonly failingNames?: readonly string[];
  readonly secureStorageFails?: boolean;
}

declare const simulatedDomains: 'all' | readonly string[];
declare global {
  interface Window {
    readonly simulatedOptions?: SimulatedOptions;
  }
}

const simulated: SimulatedOptions = window.simulatedOptions ?? {};

const simulator = new Simulator();
const network = cutDown(
  { ...simulated, domains: simulated.domains ?? simulatedDomains },
  () => simulator.isModal,
);
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
