// The one server of a window: found, started, watched, restarted.
import { type Disposable, type LogOutputChannel, commands, extensions, window, workspace } from 'vscode';
import { ExecuteCommandRequest, type LanguageClient, State as ClientState } from 'vscode-languageclient/node';
import { makeClient, STATUS, VISIBLE } from './client';
import { explain, type Found, locate } from './locate';
import { PYTHON_EXTENSION, selectedInterpreter } from './python';
import { configuredPath } from './settings';
import type { Status } from './status';

const OPEN_SETTING = 'Open the Setting';
const SELECT_INTERPRETER = 'Select Interpreter';
const SHOW_OUTPUT = 'Show Output';

/** Starts and stops the server, one step after the other. */
export class Controller implements Disposable {
  private client: LanguageClient | undefined;
  private found: Found | undefined;
  private steps: Promise<void> = Promise.resolve();
  private readonly watching: Disposable;

  constructor(
    readonly output: LogOutputChannel,
    private readonly status: Status,
  ) {
    this.watching = window.onDidChangeVisibleTextEditors(() => this.tellVisible());
  }

  /** The running client, if there is one. */
  get running(): LanguageClient | undefined {
    return this.client?.state === ClientState.Running ? this.client : undefined;
  }

  /** Looks for codemlm anew, and starts it; resolves when it runs, or when it is said why not. */
  restart(): Promise<void> {
    return this.enqueue(async () => {
      await this.stopNow();
      await this.startNow();
    });
  }

  /** Restarts if codemlm would be found elsewhere now. */
  restartIfMoved(): Promise<void> {
    return this.enqueue(async () => {
      const located = await locate(await this.places());
      const same =
        'found' in located &&
        this.running !== undefined &&
        JSON.stringify(located.found) === JSON.stringify(this.found);
      if (!same) {
        await this.stopNow();
        await this.startNow();
      }
    });
  }

  /** Says goodbye to the server. */
  stop(): Promise<void> {
    return this.enqueue(() => this.stopNow());
  }

  /** Runs one of the server's commands; undefined, with a message, if no server runs. */
  async execute(command: string, given: unknown[] = []): Promise<unknown> {
    const client = this.running;
    if (client === undefined) {
      await this.complain('codemlm does not run.');
      return undefined;
    }
    return client.sendRequest(ExecuteCommandRequest.type, { command, arguments: given });
  }

  /** As `execute`, for what takes a while. */
  async work(command: string, given: unknown[] = []): Promise<unknown> {
    this.show('working');
    try {
      return await this.execute(command, given);
    } finally {
      if (this.status.state === 'working') {
        this.show(this.running === undefined ? 'stopped' : 'ready');
      }
    }
  }

  dispose(): void {
    this.watching.dispose();
  }

  private enqueue(step: () => Promise<void>): Promise<void> {
    this.steps = this.steps.then(step).catch((error: unknown) => {
      this.output.error(String(error));
    });
    return this.steps;
  }

  private async startNow(): Promise<void> {
    this.show('starting');
    const located = await locate(await this.places());
    if (!('found' in located)) {
      this.show('error');
      const message = explain(located.failures);
      this.output.error(message);
      void this.complain(message);
      return;
    }
    const found = located.found;
    this.found = found;
    this.output.info(`codemlm ${found.version} of ${found.from}: ${commandLine(found)}`);
    const client = makeClient(found, this.output);
    this.client = client;
    client.onNotification(STATUS, ({ state }: { state: string }) => {
      if (this.client === client && this.status.state !== 'working') {
        this.show(state === 'error' ? 'error' : 'ready');
      }
    });
    client.onDidChangeState(({ newState }) => {
      if (this.client === client && newState === ClientState.Stopped) {
        this.show('error');
      } else if (this.client === client && newState === ClientState.Running) {
        this.show('ready');
        this.tellVisible();
      }
    });
    try {
      await client.start();
    } catch (error) {
      this.show('error');
      this.output.error(`it did not start: ${String(error)}`);
      void this.complain('codemlm did not start: its output says why.');
    }
  }

  private async stopNow(): Promise<void> {
    const client = this.client;
    this.client = undefined;
    this.found = undefined;
    try {
      await client?.dispose();
    } catch (error) {
      this.output.warn(`it did not stop as it should: ${String(error)}`);
    }
    this.show('stopped');
  }

  private async places() {
    const folder = workspace.workspaceFolders?.[0]?.uri;
    const configured = configuredPath(folder);
    return {
      configured,
      interpreter: configured.trim() === '' ? await selectedInterpreter(folder) : undefined,
      folder: folder?.fsPath,
    };
  }

  private tellVisible(): void {
    const uris = window.visibleTextEditors.map(({ document }) => document.uri.toString());
    void this.running?.sendNotification(VISIBLE, { uris });
  }

  private show(state: Status['state']): void {
    const found = this.found;
    this.status.show(
      state,
      found === undefined ? [] : [`${found.version} of ${found.from}`, commandLine(found)],
    );
  }

  /** An error with its remedies. */
  private async complain(message: string): Promise<void> {
    const hasPython = extensions.getExtension(PYTHON_EXTENSION) !== undefined;
    const remedies = hasPython ? [SELECT_INTERPRETER, OPEN_SETTING] : [OPEN_SETTING];
    const chosen = await window.showErrorMessage(message, ...remedies, SHOW_OUTPUT);
    if (chosen === SELECT_INTERPRETER) {
      await commands.executeCommand('python.setInterpreter');
    } else if (chosen === OPEN_SETTING) {
      await commands.executeCommand('workbench.action.openSettings', 'codemlm.path');
    } else if (chosen === SHOW_OUTPUT) {
      this.output.show();
    }
  }
}

function commandLine({ command, args }: Found): string {
  return [command, ...args, 'server'].join(' ');
}
