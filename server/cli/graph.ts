import { Argument, Command } from 'commander';
import { findModel, pocket } from '../catalogue/catalogue.ts';
import { describe, describeSize, isOpen, type Value } from '../graph/value.ts';
import { graphOf, type NetworkName, networkNames } from '../runtime/network-graphs.ts';
import { reportFailure } from './failure.ts';

/** A tensor as JSON; a size that is only known when the graph runs is a string, such as "512 + length". */
interface Tensor {
  readonly name: string;
  readonly type: string;
  readonly shape: readonly (number | string)[];
}

/** What `acepp graph --json` prints. */
export interface PrintedGraph {
  readonly network: NetworkName;
  readonly model: string;
  readonly file: string;
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  /** In the order of computation; an omitted optional input is null. */
  readonly nodes: readonly {
    readonly name: string;
    readonly op: string;
    readonly domain: string;
    readonly inputs: readonly (Tensor | null)[];
    readonly outputs: readonly Tensor[];
  }[];
  /** The weights in the file. */
  readonly weights: { readonly count: number; readonly bytes: number };
}

/**
 * `acepp graph <network>`: the nodes of a network's graph, with their shapes.
 * @returns the exit code
 */
export async function graph(args: readonly string[]): Promise<number> {
  const command = new Command('acepp graph')
    .description("Prints the nodes and shapes of a network's ONNX graph, as built from a model's files.")
    .addArgument(new Argument('<network>').choices(networkNames))
    .option('--model <id>', 'a model from "acepp models list"', pocket.id)
    .option('--json', 'print one JSON object')
    .allowExcessArguments(false)
    .configureOutput({ writeErr: () => {} })
    .exitOverride();
  try {
    command.parse([...args], { from: 'user' });
    const { model, json } = command.opts<{ model: string; json?: boolean }>();
    const printed = await printedGraph(command.args[0] as NetworkName, model);
    console.log(json ? JSON.stringify(printed.json) : printed.text);
    return 0;
  } catch (thrown) {
    return reportFailure('graph', thrown);
  }
}

async function printedGraph(
  network: NetworkName,
  model: string,
): Promise<{ json: PrintedGraph; text: string }> {
  const { graph, file } = await graphOf(network, await findModel(model));
  const valueNamed = (name: string): Value => {
    const value = graph.values.get(name);
    if (!value) throw new Error(`the graph reads "${name}", which nothing produces`);
    return value;
  };
  const bytes = graph.weights.reduce((sum, { length }) => sum + length, 0);
  const json: PrintedGraph = {
    network,
    model,
    file: file.file,
    inputs: graph.inputs.map(asTensor),
    outputs: graph.outputs.map(asTensor),
    nodes: graph.nodes.map(({ name, op, domain, inputs, outputs }) => ({
      name,
      op,
      domain,
      inputs: inputs.map((input) => (input === '' ? null : asTensor(valueNamed(input)))),
      outputs: outputs.map((output) => asTensor(valueNamed(output))),
    })),
    weights: { count: graph.weights.length, bytes },
  };
  const shown = (name: string) => (name === '' ? 'none' : describe(valueNamed(name)));
  const lines = [
    `${network} of ${model}, ${file.file}`,
    ...graph.inputs.map((value) => `input ${value.name}: ${describe(value)}`),
    ...graph.nodes.map(
      ({ name, op, inputs, outputs }) =>
        `${name}: ${op}(${inputs.map(shown).join(', ')}) -> ${outputs.map(shown).join(', ')}`,
    ),
    ...graph.outputs.map((value) => `output ${value.name}: ${describe(value)}`),
    `${graph.nodes.length} nodes, ${graph.weights.length} weights of ${(bytes / 1e6).toFixed(1)} MB`,
  ];
  return { json, text: lines.join('\n') };
}

function asTensor({ name, type, shape }: Value): Tensor {
  return { name, type, shape: shape.map((size) => (isOpen(size) ? describeSize(size) : size)) };
}
