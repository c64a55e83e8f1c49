// Builds one provider of this folder.
//
//     node build.mjs oauth2 OUT.wasm [--contract FOLDER] [--modules FOLDER]
//
// The module `oauth2` gets the world `oauth2-provider` of wit/worlds.wit, and so on. `--modules` names the folder where
// `npm ci` was run, if it was not this one.
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

const here = dirname(fileURLToPath(import.meta.url));
const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    contract: { type: 'string', default: join(here, '../../wit') },
    modules: { type: 'string', default: here },
  },
});
const [module, output] = positionals;
if (positionals.length !== 2) {
  console.error('usage: node build.mjs MODULE OUT.wasm [--contract FOLDER] [--modules FOLDER]');
  process.exit(2);
}

// What each module is made of, beside itself.
const sources = { oauth2: ['answer.js', 'guard.js'], signed: ['guard.js'] };
// What is not needed is not imported. Without `http` there is no `fetch`, without `clocks` no Date.now().
const unused = { oauth2: ['fetch-event', 'stdio', 'random'], signed: ['fetch-event', 'stdio', 'random', 'http'] };

// The package lies under --modules, where an import by its name does not look.
const tool = join(resolve(values.modules), 'node_modules/@bytecodealliance/componentize-js');
const { exports } = JSON.parse(await readFile(join(tool, 'package.json'), 'utf8'));
const { componentize } = await import(pathToFileURL(join(tool, exports.import)).href);

const folder = await mkdtemp(join(tmpdir(), 'deputy-javascript-'));
try {
  // One folder is taken for all WIT, with what is depended on under deps/, and one for the sources.
  await cp(join(here, 'wit'), join(folder, 'wit'), { recursive: true });
  await cp(values.contract, join(folder, 'wit/deps/contract'), { recursive: true });
  for (const file of [`${module}.js`, ...(sources[module] ?? ['guard.js'])]) await cp(join(here, file), join(folder, file));
  const { component } = await componentize({
    sourcePath: join(folder, `${module}.js`),
    witPath: join(folder, 'wit'),
    worldName: `${module}-provider`,
    disableFeatures: unused[module] ?? ['fetch-event', 'stdio', 'random'],
  });
  await writeFile(output, component);
} finally {
  await rm(folder, { recursive: true });
}
