import { describe, expect, test } from 'vitest';
import { createDocument } from '../../plugins/browser/document.ts';
import { createHistory } from '../../plugins/browser/history.ts';
import { strokeLine } from '../../plugins/picture/brush.ts';
import { fitted, toPicture, toView, zoomed } from '../../plugins/picture/camera.ts';
import type { EditResult } from '../../shared/protocol/result.ts';

const emptyMask = (width: number, height: number) => ({
  width,
  height,
  data: new Uint8Array(width * height),
});

describe('the brush', () => {
  test('paints a disc of its diameter and erases it again', () => {
    const mask = emptyMask(100, 80);
    const at = { x: 50, y: 40 };
    expect(strokeLine(mask, at, at, 20, false)).toEqual({ left: 39, top: 29, width: 22, height: 22 });
    const area = mask.data.reduce((sum, value) => sum + value / 255, 0);
    expect(area).toBeGreaterThan(Math.PI * 100 * 0.98);
    expect(area).toBeLessThan(Math.PI * 100 * 1.02);
    expect(mask.data[40 * 100 + 50]).toBe(255);
    strokeLine(mask, at, at, 22, true);
    expect(mask.data.every((value) => value === 0)).toBe(true);
  });

  test('leaves no gaps in a fast stroke, and is clipped at the picture’s edge', () => {
    const mask = emptyMask(200, 20);
    strokeLine(mask, { x: -50, y: 10 }, { x: 250, y: 10 }, 6, false);
    expect([...mask.data.subarray(10 * 200, 11 * 200)].every((value) => value === 255)).toBe(true);
    expect(strokeLine(mask, { x: -50, y: 10 }, { x: -40, y: 10 }, 6, false)).toBeUndefined();
  });
});

describe('the view', () => {
  test('zooming keeps the point under the pointer where it is', () => {
    const view = fitted({ width: 800, height: 600 }, { width: 4000, height: 1000 }, 32);
    const pointer = { x: 123, y: 321 };
    const before = toPicture(view, pointer);
    expect(toView(zoomed(view, 3, pointer), before).x).toBeCloseTo(pointer.x);
    expect(toView(zoomed(view, 3, pointer), before).y).toBeCloseTo(pointer.y);
  });
});

describe('the open picture', () => {
  const picture = (width: number, height: number) => {
    const data = new Uint8Array(width * height * 4).map((_, i) => (i % 4 === 3 ? 255 : (i * 31) % 251));
    return { width, height, data };
  };
  const placement = {
    editID: 'an edit',
    name: 'a layer',
    bounds: { left: 6, top: 4, width: 2, height: 1 },
    layer: { width: 2, height: 1, data: new Uint8Array([200, 0, 0, 255, 0, 200, 0, 0]) },
    recipe: {} as EditResult,
    request: { version: 1 as const, instruction: 'a layer' },
  };

  test('strokes are undone and redone one by one', () => {
    const page = createDocument();
    page.openPicture('p', picture(40, 30));
    const paint = (x: number): void => {
      const edit = page.editMask()!;
      edit.touch(strokeLine(edit.mask, { x, y: 15 }, { x: x + 5, y: 15 }, 4, false));
      edit.commit();
    };
    const sum = () => page.open.value!.mask.data.reduce((total, value) => total + value, 0);
    paint(5);
    const one = sum();
    paint(25);
    const two = sum();
    page.history.undo();
    expect(sum()).toBe(one);
    page.history.undo();
    expect(sum()).toBe(0);
    expect(page.hasMask.value).toBe(false);
    page.history.redo();
    page.history.redo();
    expect(sum()).toBe(two);
  });

  test('the oldest changes are dropped before they fill the memory', () => {
    const history = createHistory();
    const undone: number[] = [];
    for (const n of [1, 2, 3]) history.push({ bytes: 250e6, undo: () => undone.push(n), redo: () => {} });
    for (let i = 0; i < 3; i++) history.undo();
    expect(undone).toEqual([3, 2]);
    expect(history.canUndo.value).toBe(false);
  });

  test('a placed layer changes only the pixels where its alpha is not 0, and can be hidden and undone', () => {
    const page = createDocument();
    const base = picture(40, 30);
    page.openPicture('p', base);
    page.fillMask();
    page.place(placement);
    const expected = base.data.slice();
    expected.set([200, 0, 0, 255], (4 * 40 + 6) * 4);
    expect(page.flattened().data).toEqual(expected);
    expect(page.hasMask.value).toBe(false);
    expect(page.unsaved.value).toBe(true);
    page.toggleLayer(page.layers.value[0]!.id);
    expect(page.flattened().data).toEqual(base.data);
    page.history.undo();
    page.history.undo();
    expect(page.layers.value).toEqual([]);
    expect(page.hasMask.value).toBe(true);
    expect(page.unsaved.value).toBe(false);
  });

  test('a small mask in a huge picture only sends its surroundings, with their position', () => {
    const page = createDocument();
    const base = picture(4000, 2500);
    page.openPicture('p', base);
    const at = { x: 3000.5, y: 1200.5 };
    const stroke = page.editMask()!;
    stroke.touch(strokeLine(stroke.mask, at, at, 40, false));
    stroke.commit();
    const { edit, mask, origin } = page.capture();
    expect(origin).toMatchObject({ left: 3000 - 20 - 1024, top: 1200 - 20 - 1024 });
    expect(edit!.width).toBe(4000 - origin.left);
    expect(mask![(1200 - origin.top) * edit!.width + 3000 - origin.left]).toBe(255);
    const from = (origin.top * 4000 + origin.left) * 4;
    expect(edit!.data.subarray(0, 400)).toEqual(base.data.subarray(from, from + 400));
  });

  test('without a mask the whole picture is sent, without a mask', () => {
    const page = createDocument();
    page.openPicture('p', picture(40, 30));
    expect(page.capture()).toMatchObject({
      edit: { width: 40, height: 30 },
      origin: { left: 0, top: 0 },
    });
    expect(page.capture().mask).toBeUndefined();
  });
});
