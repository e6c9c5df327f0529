// Bundles the extension into dist/, or with --tests each test into dist-test/, where `vscode` is
// the stand-in of test/vscode.ts: tests need no VS Code.
import { build } from 'esbuild';
import { readdirSync, rmSync } from 'node:fs';

const tests = process.argv.includes('--tests');
const production = process.argv.includes('--production');
const common = {
  bundle: true,
  platform: 'node',
  target: 'node18', // the oldest runtime of the editors that package.json admits
  format: 'cjs',
  logLevel: 'warning',
  mainFields: ['module', 'main'],
};

if (tests) {
  rmSync('dist-test', { recursive: true, force: true });
  await build({
    ...common,
    entryPoints: readdirSync('test').filter((name) => name.endsWith('.test.ts')).map((name) => `test/${name}`),
    outdir: 'dist-test',
    alias: { vscode: './test/vscode.ts' },
    sourcemap: 'inline',
  });
} else {
  await build({
    ...common,
    entryPoints: ['src/extension.ts'],
    outfile: 'dist/extension.js',
    external: ['vscode'],
    minify: production,
    sourcemap: !production,
  });
}
