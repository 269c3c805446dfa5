import { signal } from '@preact/signals';
import { describe, expect, test } from 'vitest';
import { createCamera } from '../../plugins/picture/camera.ts';
import { createEditableMask, type MaskChange } from '../../plugins/picture/mask-edit.ts';
import { createBrushTool } from '../../plugins/picture/tools/brush-tool.ts';
import { createInteraction } from '../../plugins/picture/tools/interaction.ts';
import type { PointerSample, Tool } from '../../plugins/picture/tools/tool.ts';

/** A view of 400 x 300 on a picture of the same size, with a brush of 10 pixels. */
function open() {
  const changes: MaskChange[] = [];
  const size = { width: 400, height: 300 };
  const mask = createEditableMask(size, undefined, (change) => changes.push(change));
  const camera = createCamera();
  camera.resize(size);
  camera.show(size);
  const erase = signal(false);
  const brush = createBrushTool({ diameter: signal(10), erase, edit: mask.edit });
  const tool = signal<Tool | undefined>(brush);
  const interaction = createInteraction(camera, tool);
  interaction.start();
  const sample = (x: number, y: number, device: PointerSample['device'] = 'mouse'): PointerSample => {
    const { zoom, x: left, y: top } = camera.view.value;
    const at = { x: (x - left) / zoom, y: (y - top) / zoom };
    return { at, inView: { x, y }, pressure: 0.5, device, shift: false, alt: false };
  };
  const painted = (x: number, y: number): boolean => mask.data[y * size.width + x]! > 0;
  return { ...interaction, interaction, camera, tool, erase, changes, mask, sample, painted };
}

const isEmpty = (data: Uint8Array): boolean => data.every((value) => value === 0);

describe('the brush', () => {
  test('paints from press to release, as one change', () => {
    const { press, move, release, state, sample, painted, changes } = open();
    press(1, sample(50, 50), 0);
    expect(state.value).toBe('painting');
    move(1, [sample(80, 50), sample(80, 90)]);
    expect(changes).toEqual([]);
    release(1);
    expect(state.value).toBe('idle');
    expect([painted(50, 50), painted(65, 50), painted(80, 70), painted(50, 90)]).toEqual([
      true,
      true,
      true,
      false,
    ]);
    expect(changes).toHaveLength(1);
    expect(isEmpty(changes[0]!.before)).toBe(true);
    move(1, [sample(200, 200)]);
    expect(painted(200, 200)).toBe(false);
  });

  test('undoes only the stroke in progress on Escape', () => {
    const { press, move, release, keyDown, sample, painted, changes, mask } = open();
    press(1, sample(50, 50), 0);
    release(1);
    const before = mask.data.slice();
    press(1, sample(60, 50), 0);
    move(1, [sample(200, 200)]);
    expect(keyDown('Escape', false)).toBe(true);
    expect(mask.data).toEqual(before);
    move(1, [sample(300, 200)]);
    release(1);
    expect(painted(300, 200)).toBe(false);
    expect(changes).toHaveLength(1);
    expect(keyDown('Escape', false), 'is for the panel').toBe(false);
  });

  test('moves, paints dots and draws lines by keyboard', () => {
    const { keyDown, painted, changes, outlines } = open();
    keyDown('ArrowLeft', false);
    expect(outlines.value).toMatchObject([{ kind: 'circle', at: { x: 197.5, y: 150 }, radius: 5 }]);
    expect(changes).toEqual([]);
    keyDown('Enter', false);
    expect(painted(197, 150)).toBe(true);
    for (let i = 0; i < 8; i++) keyDown('ArrowDown', true);
    expect(painted(197, 168)).toBe(true);
    expect(keyDown('q', false)).toBe(false);
  });

  test('keeps the stroke in progress when painting ends, as when an edit starts', () => {
    const { press, move, release, state, tool, sample, painted, changes } = open();
    press(1, sample(50, 50), 0);
    tool.value = undefined;
    expect(state.value).toBe('looking');
    expect(changes).toHaveLength(1);
    move(1, [sample(90, 50)]);
    release(1);
    expect(painted(90, 50)).toBe(false);
  });
});

describe('the picture is moved', () => {
  test('by dragging with space, the middle button, or no tool', () => {
    const { press, move, release, keyDown, keyUp, tool, camera, sample, mask } = open();
    const drag = (button: number): void => {
      press(1, sample(100, 100), button);
      move(1, [sample(110, 105)]);
      release(1);
    };
    keyDown(' ', false);
    drag(0);
    keyUp(' ');
    drag(1);
    tool.value = undefined;
    drag(0);
    expect(camera.view.value).toEqual({ zoom: 1, x: 30, y: 15 });
    expect(isEmpty(mask.data)).toBe(true);
  });

  test('by two fingers, which also zoom but never paint', () => {
    const { press, move, release, state, camera, sample, mask, changes } = open();
    press(1, sample(100, 100, 'touch'), 0);
    move(1, [sample(120, 100, 'touch')]);
    press(2, sample(200, 100, 'touch'), 0);
    expect(isEmpty(mask.data), 'the stroke of the first finger is taken back').toBe(true);
    move(1, [sample(80, 100, 'touch')]);
    move(2, [sample(240, 100, 'touch')]);
    expect(camera.view.value.zoom).toBeCloseTo(2);
    release(2);
    move(1, [sample(10, 10, 'touch')]);
    expect(state.value).toBe('resting');
    release(1);
    expect(state.value).toBe('idle');
    expect(isEmpty(mask.data)).toBe(true);
    expect(changes).toEqual([]);
  });

  test('not by a palm next to the pen: the stroke continues', () => {
    const { press, move, release, sample, painted, camera } = open();
    press(1, sample(50, 50, 'pen'), 0);
    press(2, sample(300, 200, 'touch'), 0);
    move(2, [sample(310, 220, 'touch')]);
    move(1, [sample(90, 50, 'pen')]);
    release(2);
    release(1);
    expect([painted(90, 50), painted(300, 200)]).toEqual([true, false]);
    expect(camera.view.value).toEqual({ zoom: 1, x: 0, y: 0 });
  });

  test('and the mask is restored if the system takes the pointer away', () => {
    const { press, move, lose, state, sample, mask } = open();
    press(1, sample(50, 50, 'touch'), 0);
    move(1, [sample(90, 50, 'touch')]);
    lose(1);
    expect(state.value).toBe('idle');
    expect(isEmpty(mask.data)).toBe(true);
  });

  test('and otherwise stays fitted as the view is resized', () => {
    const { camera, keyDown } = open();
    camera.resize({ width: 200, height: 150 });
    expect(camera.view.value).toEqual({ zoom: 0.5, x: 0, y: 0 });
    keyDown('+', false);
    camera.resize({ width: 400, height: 300 });
    expect(camera.view.value.zoom).toBe(0.625);
    keyDown('0', false);
    expect(camera.view.value).toEqual({ zoom: 1, x: 0, y: 0 });
  });
});
