// The language client: what it is for, what it can do, and what it is told.
import { type LogOutputChannel, Uri, commands } from 'vscode';
import {
  type ClientCapabilities,
  type FeatureState,
  LanguageClient,
  type LanguageClientOptions,
  RevealOutputChannelOn,
  type StaticFeature,
} from 'vscode-languageclient/node';
import type { Launch } from './locate';
import { SECTION, serverSettings } from './settings';

/** Sent by the server: `{state: "ready" | "error"}`. */
export const STATUS = 'codemlm/status';
/** Sent to the server: `{uris}` of what is on screen, which is scanned first. */
export const VISIBLE = 'codemlm/visible';

/** A client that was not started yet. */
export function makeClient(launch: Launch, output: LogOutputChannel): LanguageClient {
  const server = { command: launch.command, args: [...launch.args, 'server'] };
  const client = new LanguageClient(SECTION, 'codemlm', server, options(output));
  client.registerFeature(new StatusFeature());
  return client;
}

function options(output: LogOutputChannel): LanguageClientOptions {
  return {
    documentSelector: ['file', 'untitled', 'vscode-notebook-cell'].map((scheme) => ({
      scheme,
      language: 'python',
    })),
    outputChannel: output,
    revealOutputChannelOn: RevealOutputChannelOn.Never,
    diagnosticPullOptions: { onChange: true, onSave: true },
    // Whether a client may ask for the diagnostics of a workspace is settled at the start. All
    // other settings are asked for later, by folder.
    initializationOptions: () => pick(serverSettings(), 'workspaceDiagnostics'),
    middleware: {
      window: {
        showDocument: async (params, token, next) => {
          if (!params.uri.endsWith('.md')) {
            return next(params, token);
          }
          await commands.executeCommand('markdown.showPreview', Uri.parse(params.uri));
          return { success: true };
        },
      },
      workspace: {
        configuration: (params, token, next) =>
          Promise.all(
            params.items.map(async (item) => {
              if (item.section !== SECTION) {
                const [answer] = (await next({ items: [item] }, token)) as unknown[];
                return answer;
              }
              return serverSettings(item.scopeUri ? Uri.parse(item.scopeUri) : undefined);
            }),
          ),
      },
    },
  };
}

function pick(settings: Record<string, unknown>, name: string): Record<string, unknown> {
  return name in settings ? { [name]: settings[name] } : {};
}

/** Tells the server that its status is shown. */
class StatusFeature implements StaticFeature {
  fillClientCapabilities(capabilities: ClientCapabilities): void {
    capabilities.experimental = { ...capabilities.experimental, codemlmStatus: true };
  }

  initialize(): void {}

  getState(): FeatureState {
    return { kind: 'static' };
  }

  clear(): void {}
}
