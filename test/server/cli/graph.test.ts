import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { pocket } from '../../../server/catalogue/catalogue.ts';
import { WeightsFile } from '../../../server/checkpoints/weights-file.ts';
import type { PrintedGraph } from '../../../server/cli/graph.ts';
import { projectRoot } from '../../../server/disk/paths.ts';
import { networkNames } from '../../../server/runtime/network-graphs.ts';

const acepp = (...args: string[]) =>
  spawnSync(process.execPath, [path.join(projectRoot, 'dist/server/acepp.js'), 'graph', ...args], {
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
  });

function printed(network: string): PrintedGraph {
  const { status, stdout, stderr } = acepp(network, '--json');
  expect([status, stderr]).toEqual([0, '']);
  return JSON.parse(stdout);
}

describe('acepp graph', () => {
  it('has one attention for each block of the transformer that the file holds', async () => {
    const { nodes, inputs, outputs } = printed('flux');
    const file = await WeightsFile.open(path.join(pocket.folder, 'transformer.safetensors'));
    const blocks = new Set(
      file.names.flatMap((name) => /^(?:double|single)_blocks\.\d+/.exec(name)?.[0] ?? []),
    );
    const attentions = nodes.filter(({ op }) => op === 'MultiHeadAttention');
    expect(new Set(attentions.map(({ name }) => name.split('.').slice(0, 2).join('.')))).toEqual(blocks);
    expect(attentions).toHaveLength(blocks.size);
    // Prompts of 40 tokens, before the image's.
    for (const { outputs: given } of attentions) expect(given[0]?.shape).toEqual([1, '40 + length', 256]);
    expect(inputs.find(({ name }) => name === 'image')?.shape).toEqual(['length', 384]);
    expect(outputs).toEqual([{ name: 'velocity', type: 'float32', shape: ['length', 64] }]);
  });

  it.each([...networkNames])('prints all of %s: each node’s inputs are defined before it', (network) => {
    const { nodes, inputs, outputs, weights } = printed(network);
    const given = new Set(inputs.map(({ name }) => name));
    const produced = new Set(nodes.flatMap((node) => node.outputs.map(({ name }) => name)));
    const taken = new Set<string>();
    for (const node of nodes) {
      for (const input of node.inputs) {
        if (!input) continue;
        if (produced.has(input.name)) expect(given).toContain(input.name);
        taken.add(input.name);
      }
      for (const { name } of node.outputs) given.add(name);
    }
    for (const { name } of outputs) expect(given).toContain(name);
    // Anything no node outputs is a weight or a constant.
    const constants = [...taken].filter((name) => !given.has(name));
    expect(constants.length).toBeGreaterThanOrEqual(weights.count);
    const lines = acepp(network).stdout.trimEnd().split('\n');
    expect(lines).toHaveLength(nodes.length + inputs.length + outputs.length + 2);
    expect(lines.at(-1)).toMatch(`${nodes.length} nodes, ${weights.count} weights`);
  });

  it('lists what it knows if the network or the model is unknown', () => {
    expect(acepp('unet').stderr).toMatch(/^request-invalid: .*flux, t5, clip, vae-encoder, vae-decoder/);
    expect(acepp().stderr).toMatch(/^request-invalid: .*"acepp graph --help"/);
    expect(acepp('flux', '--model', 'none').stderr).toMatch(/^model-unknown: /);
  });
});
