/** The `photoshop` module, as a plugin requires it. */
import type { PhotoshopDocument, PhotoshopModule } from '../../../plugins/photoshop/api.ts';
import { play } from './descriptors.ts';
import { createImaging } from './imaging.ts';
import { SimulatedDocument } from './layers.ts';
import { constants, type OpenDocument, type Simulator } from './simulator.ts';

export function createPhotoshop(simulator: Simulator): PhotoshopModule {
  const wrap = (open: OpenDocument): PhotoshopDocument => new SimulatedDocument(simulator, open);
  return {
    app: {
      get activeDocument() {
        return simulator.active ? wrap(simulator.active) : null;
      },
      set activeDocument(document: PhotoshopDocument | null) {
        if (!simulator.isModal) simulator.refuse('activeDocument: only inside a modal scope');
        simulator.active = simulator.documentOf(document?.id ?? -1);
      },
      get documents() {
        return simulator.documents.map(wrap);
      },
    },
    core: {
      executeAsModal: (work, { commandName }) => simulator.executeAsModal(work, commandName),
    },
    action: {
      batchPlay: async (commands) => commands.map((command) => play(simulator, command)),
      addNotificationListener: async (_events, listener) => simulator.listen(listener),
    },
    imaging: createImaging(simulator),
    constants,
  };
}
