/** `npm run reference -- [DIR] [--provider NAME]`: the table of our numbers against the published implementations', and 1 as exit code if one is off. */
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { Command, Option } from 'commander';
import { projectRoot } from '../../server/disk/paths.ts';
import type { Precision } from '../../server/graph/precision.ts';
import { engineEnvironment } from '../../server/runtime/environment.ts';
import { capabilitiesOf } from '../../server/runtime/probe.ts';
import { type Provider, providers } from '../../server/runtime/provider.ts';
import { compareLine } from './compare.ts';
import { readLines } from './lines.ts';
import type { Row } from './measure.ts';

const heads = ['network or formula', 'configuration', 'values', 'max error', 'relative', 'limit', 'ok'];

function cells(row: Row): string[] {
  const error = (value: number) => (value === 0 ? '0' : value.toExponential(1));
  return [
    row.title,
    row.configuration,
    String(row.values),
    error(row.maxError),
    error(row.relativeError),
    row.limit,
    row.ok ? 'ok' : 'NO',
  ];
}

const command = new Command('npm run reference --')
  .argument('[dir]', 'that make.py wrote', path.join(projectRoot, 'test/reference/arrays'))
  .addOption(new Option('--provider <name>').choices([...providers]).default('cpu'))
  .parse();
const folder = path.resolve(command.processedArgs[0]);
const { provider } = command.opts<{ provider: Provider }>();
// The loader reads where a GPU's libraries are when a process starts.
if (provider !== 'cpu' && !process.env.ORT_DISABLE_TELEMETRY) {
  const again = [...process.execArgv, ...process.argv.slice(1)];
  process.exit(
    spawnSync(process.execPath, again, { env: engineEnvironment(), stdio: 'inherit' }).status ?? 1,
  );
}
const { attention, transformer } = await capabilitiesOf(provider);
if (attention !== 'fused')
  console.error(`Attention is ${attention}: ${provider} computes the fused one wrongly.`);
const float = { provider, attention };
// What the transformer is computed in on this provider; the CPU, which takes float32, shows what both cost.
const halves: readonly Precision[] =
  provider === 'cpu'
    ? [
        { type: 'bfloat16', attention },
        { type: 'float16', attention },
      ]
    : transformer.type === 'float32'
      ? []
      : [transformer];
const rows: Row[] = [];
for (const line of readLines(folder)) {
  try {
    rows.push(...(await compareLine(folder, line, float)));
    if (line.kind !== 'flux' && line.kind !== 'blocks') continue;
    for (const half of halves) {
      rows.push(...(await compareLine(folder, line, { ...float, transformer: half })));
    }
  } catch (thrown) {
    console.error(`${line.title}, ${line.configuration}:`, thrown);
    const { title, configuration } = line;
    rows.push({
      title,
      configuration,
      values: 0,
      maxError: NaN,
      relativeError: NaN,
      limit: 'an error',
      ok: false,
    });
  }
}

const table = [heads, ...rows.map(cells)];
const widths = heads.map((_, column) => Math.max(...table.map((row) => row[column]!.length)));
for (const row of table) {
  console.log(
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('  ')
      .trimEnd(),
  );
}
const wrong = rows.filter(({ ok }) => !ok).length;
console.log(wrong === 0 ? `All ${rows.length} agree.` : `${wrong} of ${rows.length} do not agree.`);
if (wrong > 0) process.exitCode = 1;
