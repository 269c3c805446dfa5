import { type Message, type Send, serve } from '../channel.ts';
import type { SandboxCalls } from '../protocol.ts';
import { capture, exportNodes, measure } from './capture.ts';
import { describeSelection } from './nodes.ts';
import { place, placeSideBySide } from './place.ts';
import { readStored, store } from './storage.ts';

/** The half of the plugin that sees the document; it has no DOM and no network. */
const calls: SandboxCalls = {
  readStored,
  store,
  capture,
  measure,
  export: exportNodes,
  place,
  placeSideBySide,
  selection: async () => describeSelection(figma.currentPage.selection),
};

figma.showUI(__html__, { themeColors: true, width: 340, height: 720, title: 'ACE++ Layers' });
const send: Send = (message) => figma.ui.postMessage(message);
const answer = serve(calls, send);
figma.ui.onmessage = (message: Message) => answer(message);

/** Debounces the selection, which changes with every pointer move while it is being drawn. */
const restMilliseconds = 40;
let timer: ReturnType<typeof setTimeout> | undefined;

function reportSelection(): void {
  if (timer !== undefined) return;
  timer = setTimeout(() => {
    timer = undefined;
    send({ kind: 'event', name: 'selection', value: describeSelection(figma.currentPage.selection) });
  }, restMilliseconds);
}

figma.on('selectionchange', reportSelection);
figma.on('currentpagechange', reportSelection);
