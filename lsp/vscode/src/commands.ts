// What the command palette and the status bar offer.
import { type Disposable, commands, window, workspace } from 'vscode';
import type { Controller } from './controller';

export const MENU = 'codemlm.server.menu';

type Handler = (controller: Controller) => unknown;

// The server's own commands (`codemlm.scanWorkspace`...) are registered under their names by the
// language client while a server runs; these have other names, and work, or say why not, always.
const HANDLERS: Record<string, readonly [label: string, run: Handler]> = {
  'codemlm.server.restart': ['$(refresh) Restart the server', (c) => c.restart()],
  'codemlm.server.scanWorkspace': [
    '$(search) Scan the workspace',
    (c) => c.work('codemlm.scanWorkspace'),
  ],
  'codemlm.server.explain': ['$(question) Explain the token at the cursor', explain],
  'codemlm.server.toggleHeatMap': ['$(flame) Toggle the heat map', toggleHeatMap],
  'codemlm.server.showModel': ['$(info) Show the model', showModel],
  'codemlm.server.showOutput': ['$(output) Show output', (c) => c.output.show()],
};

/** Registers all commands. */
export function registerCommands(controller: Controller): Disposable[] {
  const registered = Object.entries(HANDLERS).map(([name, [, run]]) =>
    commands.registerCommand(name, () => run(controller)),
  );
  return [...registered, commands.registerCommand(MENU, showMenu)];
}

async function showMenu(): Promise<void> {
  const items = Object.entries(HANDLERS).map(([command, [label]]) => ({ label, command }));
  const chosen = await window.showQuickPick(items, { title: 'codemlm' });
  if (chosen !== undefined) {
    await commands.executeCommand(chosen.command);
  }
}

/** The server has the page shown that it makes. */
async function explain(controller: Controller): Promise<unknown> {
  const active = window.activeTextEditor;
  if (active === undefined) {
    await window.showInformationMessage('codemlm: open a Python file, and go to a token.');
    return undefined;
  }
  const { line, character } = active.selection.active;
  return controller.work('codemlm.explain', [
    null, // whatever is found there
    active.document.uri.toString(),
    line,
    character,
  ]);
}

/** The server's own message is cut after a line; all of it goes to the output. */
async function showModel(controller: Controller): Promise<unknown> {
  const facts = await controller.execute('codemlm.showModel');
  if (typeof facts === 'object' && facts !== null) {
    for (const [name, value] of Object.entries(facts)) {
      controller.output.info(`${name}: ${value}`);
    }
    controller.output.show();
  }
  return facts;
}

/** The heat map is made of inlay hints, which may be off. */
async function toggleHeatMap(controller: Controller): Promise<unknown> {
  const shown = await controller.execute('codemlm.toggleHeatMap');
  const hints = workspace.getConfiguration('editor').get<string>('inlayHints.enabled');
  if (shown === true && hints === 'off') {
    await window.showWarningMessage(
      'The heat map is on, but inlay hints are off: set editor.inlayHints.enabled.',
    );
  }
  return shown;
}
