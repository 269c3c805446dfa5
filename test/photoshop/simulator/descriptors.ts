/** The known action descriptors, as batchPlay plays them; any other is an error. */
import type { Descriptor, Rectangle } from '../../../plugins/photoshop/api.ts';
import { samples, whiteOf } from './colours.ts';
import { type Plane, trimmed } from './documents.ts';
import { canvasOf, type OpenDocument, type Simulator } from './simulator.ts';

const property = 'XMPMetadataAsUTF8';

type Target = readonly Descriptor[];

/** @throws PhotoshopError if Photoshop rejects; other errors come as a result, as in Photoshop */
export function play(simulator: Simulator, command: Descriptor): Descriptor {
  const target = (command._target ?? []) as Target;
  const asked = target[0]?._property;
  const active = (): OpenDocument =>
    simulator.active ?? simulator.refuse(`${command._obj}: no document is active`);
  if (command._obj === 'select' || command._obj === 'selectNoLayers')
    return select(simulator, active(), command);
  if (command._obj === 'make') return makeMask(simulator, active());
  if (asked === 'quickMask') return quickMask(simulator, active(), command);
  if (asked === 'selection' && command._obj === 'set')
    return setSelection(simulator, active(), command.to as Descriptor);
  const idOf = (kind: string): number => Number(target.find(({ _ref }) => _ref === kind)?._id);
  if (asked === 'hasUserMask' || asked === 'hasVectorMask') {
    simulator.call('get');
    const layer = simulator.layerOf(simulator.documentOf(idOf('document')), idOf('layer'));
    return { [asked]: asked === 'hasUserMask' && layer.mask !== undefined };
  }
  if (asked === property) return xmp(simulator, command, idOf('document'), idOf('layer'));
  return { _obj: 'error', message: 'the command is not known', result: -128 };
}

function select(simulator: Simulator, document: OpenDocument, command: Descriptor): Descriptor {
  simulator.choose(document, String(command._obj));
  if (command._obj === 'selectNoLayers') {
    document.state.active = [];
    return {};
  }
  const id = Number((command._target as Target)[0]?._id);
  simulator.layerOf(document, id);
  const adds = (command.selectionModifier as Descriptor | undefined)?._value === 'addToSelection';
  document.state.active = adds ? [...document.state.active, id] : [id];
  return {};
}

/** Adds a mask that hides all of the selected layer. */
function makeMask(simulator: Simulator, document: OpenDocument): Descriptor {
  simulator.change(document, 'make mask');
  const [id] = document.state.active;
  const layer = simulator.layerOf(document, id ?? -1);
  if (layer.mask) simulator.refuse('make: there is a mask already');
  layer.mask = filled(document, 0);
  return {};
}

function filled(document: OpenDocument, value: number): Plane {
  const bounds: Rectangle = canvasOf(document);
  const { depth } = document.space;
  return { bounds, data: samples(document.width * document.height, depth).fill(value) };
}

function quickMask(simulator: Simulator, document: OpenDocument, command: Descriptor): Descriptor {
  simulator.change(document, 'quick mask');
  const { state } = document;
  if (command._obj === 'clearEvent') {
    if (!document.quickMask) simulator.refuse('clear: Photoshop is not in Quick Mask mode');
    state.selection = document.quickMask && trimmed(document.quickMask);
    document.quickMask = undefined;
  } else {
    // With nothing selected the quick mask masks nothing: everything is selected in it.
    document.quickMask = state.selection ?? filled(document, whiteOf(document.space.depth));
    state.selection = undefined;
  }
  return {};
}

function setSelection(simulator: Simulator, document: OpenDocument, to: Descriptor): Descriptor {
  simulator.change(document, 'set');
  const { state } = document;
  if (to._value === 'none') {
    state.selection = undefined;
    return {};
  }
  if (to._name !== undefined) {
    const channel = state.channels.find(({ name }) => name === to._name);
    state.selection = trimmed(
      (channel ?? simulator.refuse(`set: there is no channel “${String(to._name)}”`)).plane,
    );
    return {};
  }
  if (to._value !== 'mask') return { _obj: 'error', message: 'the channel is not known', result: -25922 };
  if (state.active.length !== 1) simulator.refuse('set: the mask of several layers is not available');
  const { mask, name } = simulator.layerOf(document, state.active[0]!);
  state.selection = trimmed(mask ?? simulator.refuse(`set: “${name}” has no mask`));
  return {};
}

function xmp(simulator: Simulator, command: Descriptor, documentID: number, layerID: number): Descriptor {
  const document = simulator.documentOf(documentID);
  if (command._obj === 'get') {
    simulator.call('get');
    const { xmp: packet } = simulator.layerOf(document, layerID);
    if (packet === '' || simulator.xmpReadFails) {
      throw new Error('The requested property does not exist.');
    }
    return { [property]: packet };
  }
  simulator.change(document, 'set');
  if (simulator.xmpWriteFails) throw new Error('The command “Set” is not currently available. (-1715)');
  const packet = String((command.to as Descriptor)[property]);
  // Like Photoshop, parses and rewrites the packet: anything but XMP is an error, and text becomes an
  // attribute.
  const parsed = new DOMParser().parseFromString(packet, 'application/xml');
  const rdf = 'http://www.w3.org/1999/02/22-rdf-syntax-ns#';
  const [description] = parsed.getElementsByTagNameNS(rdf, 'Description');
  if (!description) return { _obj: 'error', message: 'this is not an XMP packet', result: -1 };
  for (const child of [...description.children]) {
    description.setAttributeNS(child.namespaceURI, child.tagName, child.textContent ?? '');
    child.remove();
  }
  const layer = simulator.layerOf(document, layerID);
  layer.xmp = `<?xpacket begin="\ufeff"?>${new XMLSerializer().serializeToString(parsed)}<?xpacket end="w"?>`;
  return {};
}
