// The extension in a stand-in for VS Code, with the real language client and the real server.
// CODEMLM names the command that serves, instead of the `codemlm` on PATH.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { contributes } from '../package.json';
import { activate, deactivate } from '../src/extension';
import { SERVER_SETTINGS, serverSettings } from '../src/settings';
import { type CodeAction, EventEmitter, Uri, commands, renew } from './vscode';

const SERVER = process.env['CODEMLM'] ?? 'codemlm';
const BUG = 'def area(length, width):\n    return "😀", lenght * width\n';
const PATIENCE = { timeout: 240_000 }; // only a server that hangs takes so long

let editor = renew();
let folder = '';
let context: { subscriptions: { dispose(): unknown }[] };

beforeEach(() => {
  editor = renew();
  folder = mkdtempSync(join(tmpdir(), 'codemlm-vscode-'));
  editor.folders = [{ uri: Uri.file(folder), name: 'here', index: 0 }];
  context = { subscriptions: [] };
});

afterEach(async () => {
  await deactivate();
  context.subscriptions.forEach((one) => one.dispose());
});

const start = () => activate(context as unknown as Parameters<typeof activate>[0]);
const token = { isCancellationRequested: false, onCancellationRequested: new EventEmitter().event };

test('without codemlm: a message with remedies, and commands that say the same', async () => {
  editor.settings['codemlm.path'] = join(folder, 'gone');
  await start();
  assert.equal(editor.status.text, '$(error) codemlm');
  const [message] = editor.messages;
  assert.match(message?.text ?? '', /codemlm was not found\. Correct the setting/);
  assert.deepEqual(message?.items, ['Open the Setting', 'Show Output']);
  await commands.executeCommand('codemlm.server.scanWorkspace');
  assert.equal(editor.messages.at(-1)?.text, 'codemlm does not run.');
  assert.equal(editor.status.text, '$(circle-slash) codemlm');
});

test('a remedy does what it says', async () => {
  const run: unknown[][] = [];
  for (const name of ['python.setInterpreter', 'workbench.action.openSettings']) {
    commands.registerCommand(name, (...given) => run.push([name, ...given]));
  }
  editor.extensions['ms-python.python'] = {};
  editor.settings['codemlm.path'] = join(folder, 'gone');
  for (const button of ['Select Interpreter', 'Open the Setting', 'Show Output']) {
    editor.press = (items) => items.find((one) => one === button);
    await start();
    context.subscriptions.splice(0).forEach((one) => one.dispose());
  }
  assert.deepEqual(run, [
    ['python.setInterpreter'],
    ['workbench.action.openSettings', 'codemlm.path'],
  ]);
  assert.equal(editor.log.at(-1), 'shown');
});

test('the commands of package.json are those of the extension, and of its menu', async () => {
  editor.settings['codemlm.path'] = join(folder, 'gone');
  await start();
  const offered = contributes.commands.map(({ command }) => command);
  assert.deepEqual([...editor.commands.keys()].sort(), [...offered, 'codemlm.server.menu'].sort());
  let labels: string[] = [];
  editor.press = (items) => {
    labels = items.map((one) => one.command ?? one);
    return items.find((one) => one.command === 'codemlm.server.showOutput');
  };
  await commands.executeCommand('codemlm.server.menu');
  assert.deepEqual(labels.sort(), offered.sort());
  assert.equal(editor.log.at(-1), 'shown');
});

test('the server is told what is set, and nothing else', () => {
  editor.settings = {
    'codemlm.path': '/somewhere',
    'codemlm.trace.server': 'verbose',
    'codemlm.minConfidence': 0.5,
    'codemlm.perFileIgnores': { 'tests/**': ['CM1'] },
    'codemlm.select': null,
    'codemlm.unknown': 1,
  };
  assert.deepEqual(serverSettings(), {
    minConfidence: 0.5,
    perFileIgnores: { 'tests/**': ['CM1'] },
  });
  assert.ok(SERVER_SETTINGS.includes('heatMap') && !SERVER_SETTINGS.includes('path'));
});

test('the selected interpreter is asked for, and its change is noticed', async () => {
  const changes = new EventEmitter<unknown>();
  let interpreter = join(folder, 'one', 'python');
  editor.extensions['ms-python.python'] = {
    isActive: false,
    activate: async () => ({
      environments: {
        getActiveEnvironmentPath: () => ({ id: 'x', path: interpreter }),
        resolveEnvironment: async ({ path }: { path: string }) => ({
          executable: { uri: Uri.file(path) },
        }),
        onDidChangeActiveEnvironmentPath: changes.event,
      },
    }),
  };
  const path = process.env['PATH'];
  process.env['PATH'] = folder; // where no codemlm is
  try {
    await start();
    assert.match(editor.messages[0]?.text ?? '', /interpreter \([^)]*one\/python\): no such command/);
    assert.match(editor.messages[0]?.text ?? '', /PATH \(codemlm\): no such command/);
    interpreter = join(folder, 'two', 'python');
    changes.fire({});
    await editor.until(() => editor.messages.at(-1)?.text.includes('two/python'));
  } finally {
    process.env['PATH'] = path;
  }
});

const there = spawnSync(SERVER, ['--version']).status === 0;
const skip = there ? false : `${SERVER} does not run; CODEMLM names another command`;

describe('with the real server', { skip }, () => {
  beforeEach(async () => {
    editor.settings['codemlm.path'] = SERVER;
    await start();
    assert.equal(editor.status.text, '$(check) codemlm', editor.log.join('\n'));
  });

  const openBug = async () => {
    const document = editor.open(join(folder, 'area.py'), BUG);
    await editor.until(() => editor.shown(document).length > 0);
    return document;
  };

  test('a bug is shown, its fix mends the text, and the finding goes', PATIENCE, async () => {
    const document = await openBug();
    const [found] = editor.shown(document);
    assert.ok(found !== undefined);
    assert.match(found.message, /did you mean `length`/);
    assert.equal(document.at(found.range), 'lenght');

    const hover = await editor.providers['hover']?.['provideHover']?.(
      document,
      found.range.start,
      token,
    );
    assert.match([hover.contents].flat()[0].value, /undefined-name/);

    const actions: CodeAction[] = await editor.providers['codeAction']?.['provideCodeActions']?.(
      document,
      found.range,
      { diagnostics: [found], only: undefined, triggerKind: 1 },
      token,
    );
    const fix = actions.find(({ title }) => title.includes('with `length`'));
    const [[, edits] = [undefined, []]] = fix?.edit?.entries() ?? [];
    edits.forEach(({ range, newText }) => editor.edit(document, range, newText));
    assert.equal(document.getText(), BUG.replace('lenght', 'length'));
    await editor.until(() => editor.shown(document).length === 0);
  });

  test('the token at the cursor is explained in a preview', PATIENCE, async () => {
    const document = await openBug();
    const [found] = editor.shown(document);
    assert.ok(found !== undefined);
    let page: { fsPath: string } | undefined;
    editor.commands.set('markdown.showPreview', (uri: any) => (page = uri));
    editor.cursor = found.range.start;
    const answer = await commands.executeCommand('codemlm.server.explain');
    assert.match(String(answer), /^# `lenght` in area\.py, line 2\n/);
    assert.equal(readFileSync(page?.fsPath ?? '', 'utf8'), answer);
    assert.equal(editor.status.text, '$(check) codemlm');
  });

  test('settings reach the server, and their change', PATIENCE, async () => {
    const document = await openBug();
    editor.set('codemlm.ignore', ['CM2']);
    await editor.until(() => editor.shown(document).length === 0);
    editor.set('codemlm.ignore', undefined);
    await editor.until(() => editor.shown(document).length === 1);
    assert.deepEqual(
      editor.messages.map(({ text }) => text),
      [],
    );
  });

  test('a restart shows the finding again, through another process', PATIENCE, async () => {
    const document = await openBug();
    const [before] = editor.shown(document);
    await commands.executeCommand('codemlm.server.restart');
    await editor.until(() => {
      const [now] = editor.shown(document);
      return now !== undefined && now !== before;
    });
    const starts = editor.log.filter((line) => /^codemlm \d.* of the setting/.test(line));
    assert.equal(starts.length, 2);
  });

  test('the workspace is scanned, the heat map toggled, the model shown', PATIENCE, async () => {
    writeFileSync(join(folder, 'closed.py'), BUG);
    const counts = await commands.executeCommand('codemlm.server.scanWorkspace');
    assert.deepEqual(counts, { findings: 1, files: 1 });
    assert.equal(editor.status.text, '$(check) codemlm');
    editor.settings['editor.inlayHints.enabled'] = 'off';
    assert.equal(await commands.executeCommand('codemlm.server.toggleHeatMap'), true);
    assert.match(editor.messages.at(-1)?.text ?? '', /editor\.inlayHints\.enabled/);
    assert.equal(await commands.executeCommand('codemlm.server.toggleHeatMap'), false);
    const facts = (await commands.executeCommand('codemlm.server.showModel')) as object;
    assert.ok(Object.keys(facts).length > 3);
    assert.ok(editor.log.some((line) => line.startsWith('name: codemlm')));
    assert.equal(editor.log.at(-1), 'shown');
  });

  test('a model that is not there turns the status red', PATIENCE, async () => {
    editor.set('codemlm.model', join(folder, 'gone'));
    editor.open(join(folder, 'area.py'), BUG);
    await editor.until(() => editor.status.text === '$(error) codemlm');
    await editor.until(() => editor.messages.some(({ kind }) => kind === 'error'));
  });
});
