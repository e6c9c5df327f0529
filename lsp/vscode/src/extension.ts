// Where VS Code begins and ends.
import { type ExtensionContext, window, workspace } from 'vscode';
import { MENU, registerCommands } from './commands';
import { Controller } from './controller';
import { onInterpreterChange } from './python';
import { Status } from './status';

/** Settings that only a new server takes. */
const OF_THE_START = ['codemlm.path', 'codemlm.workspaceDiagnostics'];

let controller: Controller | undefined;

/** Called when the first Python file or notebook is opened, or a command is run. */
export async function activate(context: ExtensionContext): Promise<void> {
  const output = window.createOutputChannel('codemlm', { log: true });
  const status = new Status(MENU);
  const made = new Controller(output, status);
  controller = made;
  context.subscriptions.push(
    output,
    status,
    made,
    ...registerCommands(made),
    workspace.onDidChangeConfiguration((event) => {
      if (OF_THE_START.some((name) => event.affectsConfiguration(name))) {
        void made.restart();
      }
    }),
  );
  await made.restart();
  const watching = await onInterpreterChange(() => void made.restartIfMoved());
  if (watching !== undefined) {
    context.subscriptions.push(watching);
  }
}

/** Called when the window is closed, or the extension disabled. */
export async function deactivate(): Promise<void> {
  await controller?.stop();
  controller = undefined;
}
