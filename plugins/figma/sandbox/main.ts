import { type Message, type Send, serve } from '../channel.ts';
import type { SandboxCalls } from '../protocol.ts';
import { capture, exportNodes } from './capture.ts';
import { describe } from './nodes.ts';
import { place, placeSideBySide } from './place.ts';
import { readStored, store } from './storage.ts';

/** The half of the plugin that sees the document: it has neither a page nor a network. */
const calls: SandboxCalls = {
  readStored,
  store,
  capture,
  export: exportNodes,
  place,
  placeSideBySide,
  selection: async () => figma.currentPage.selection.map(describe),
};

figma.showUI(__html__, { themeColors: true, width: 340, height: 720, title: 'ACE++ Layers' });
const send: Send = (message) => figma.ui.postMessage(message);
const answer = serve(calls, send);
figma.ui.onmessage = (message: Message) => answer(message);

const tellSelection = (): void =>
  send({ kind: 'event', name: 'selection', value: figma.currentPage.selection.map(describe) });
figma.on('selectionchange', tellSelection);
figma.on('currentpagechange', tellSelection);
