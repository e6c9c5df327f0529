import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { askVersion, candidates, explain, type Launch, locate, type Places } from '../src/locate';

const nowhere: Places = { configured: '', interpreter: undefined, folder: undefined };
const commandsOf = (places: Partial<Places>) =>
  candidates({ ...nowhere, ...places }).map(({ command, args }) => [command, ...args].join(' '));

test('the selected interpreter comes before PATH', () => {
  assert.deepEqual(commandsOf({ interpreter: '/venv/bin/python' }), [
    '/venv/bin/python -P -m codemlm',
    'codemlm',
  ]);
  assert.deepEqual(commandsOf({}), ['codemlm']);
});

test('what is set is all that is tried', () => {
  const interpreter = '/venv/bin/python';
  assert.deepEqual(commandsOf({ configured: ' /opt/codemlm ', interpreter }), ['/opt/codemlm']);
});

test('a set path may name an interpreter, a folder of the workspace, home, or a variable', () => {
  process.env['CODEMLM_TEST_PLACE'] = '/somewhere';
  const folder = '/work space';
  const cases: [string, string][] = [
    ['/usr/bin/python3.12', '/usr/bin/python3.12 -P -m codemlm'],
    ['${workspaceFolder}/.venv/bin/codemlm', '/work space/.venv/bin/codemlm'],
    ['.venv/bin/python', '/work space/.venv/bin/python -P -m codemlm'],
    ['~/bin/codemlm', `${homedir()}/bin/codemlm`],
    ['${env:CODEMLM_TEST_PLACE}/codemlm', '/somewhere/codemlm'],
    ['codemlm-next', 'codemlm-next'],
  ];
  for (const [configured, command] of cases) {
    assert.deepEqual(commandsOf({ configured, folder }), [command]);
  }
});

test('the first that answers is taken', async () => {
  const asked: string[] = [];
  const probe = async ({ command }: Launch) => {
    asked.push(command);
    return command === 'codemlm' ? { version: '1.2.3' } : { reason: 'codemlm is not installed there' };
  };
  const located = await locate({ ...nowhere, interpreter: '/usr/bin/python3' }, probe);
  assert.deepEqual(asked, ['/usr/bin/python3', 'codemlm']);
  assert.deepEqual(located, {
    found: { command: 'codemlm', args: [], from: 'PATH', version: '1.2.3' },
  });
});

test('a message names what was tried, why in vain, and the remedy', async () => {
  const probe = async () => ({ reason: 'no such command' });
  const none = await locate({ ...nowhere, interpreter: '/usr/bin/python3' }, probe);
  assert.ok('failures' in none);
  assert.equal(
    explain(none.failures),
    'codemlm was not found. Install it (pip install codemlm) into the selected interpreter, or set ' +
      'codemlm.path. Tried: the selected interpreter (/usr/bin/python3): no such command; PATH ' +
      '(codemlm): no such command.',
  );
  const set = await locate({ ...nowhere, configured: '/gone' }, probe);
  assert.ok('failures' in set);
  assert.match(explain(set.failures), /Correct the setting codemlm\.path.*\/gone/);
});

test('an answer is a version, or a reason', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'codemlm-locate-'));
  const script = (name: string, text: string, mode = 0o755): Launch => {
    const command = join(folder, name);
    writeFileSync(command, `#!/bin/sh\n${text}\n`);
    chmodSync(command, mode);
    return { command, args: [], from: 'a test' };
  };
  const cases: [Launch, Awaited<ReturnType<typeof askVersion>>][] = [
    [script('fine', 'echo codemlm, version 1.2.3'), { version: '1.2.3' }],
    [script('other', 'echo hello'), { reason: 'it is not codemlm' }],
    [
      script('bare', 'echo "/usr/bin/python3: No module named codemlm" >&2; exit 1'),
      { reason: 'codemlm is not installed there' },
    ],
    [
      script('old', 'echo "Unknown option: -P" >&2; exit 2'),
      { reason: 'codemlm needs Python 3.11 or later' },
    ],
    [script('broken', 'echo one >&2; echo two >&2; exit 1'), { reason: 'two' }],
    [script('silent', 'exit 3'), { reason: 'it ended with 3' }],
    [script('locked', 'echo', 0o644), { reason: 'it may not be run' }],
    [{ command: join(folder, 'gone'), args: [], from: '' }, { reason: 'no such command' }],
  ];
  for (const [launch, answer] of cases) {
    assert.deepEqual(await askVersion(launch), answer, launch.command);
  }
});
