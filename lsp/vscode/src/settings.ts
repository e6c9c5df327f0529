// What the server is told of the user's settings: what is set, and nothing else, so that the
// project's codemlm.toml or pyproject.toml holds for the rest.
import { type ConfigurationScope, workspace } from 'vscode';
import { contributes } from '../package.json';

export const SECTION = 'codemlm';

/** Settings of this extension alone, which the server does not know. */
const OWN = new Set(['path', 'trace.server']);

/** Names of the settings that go to the server. */
export const SERVER_SETTINGS: readonly string[] = Object.keys(contributes.configuration.properties)
  .map((name) => name.slice(SECTION.length + 1))
  .filter((name) => !OWN.has(name));

/** The settings that the user, the workspace or the folder gave, by name. */
export function serverSettings(scope?: ConfigurationScope): Record<string, unknown> {
  const configuration = workspace.getConfiguration(SECTION, scope);
  const found: Record<string, unknown> = {};
  for (const name of SERVER_SETTINGS) {
    const given = configuration.inspect(name);
    const values = [
      given?.globalValue,
      given?.workspaceValue,
      given?.workspaceFolderValue,
      given?.globalLanguageValue,
      given?.workspaceLanguageValue,
      given?.workspaceFolderLanguageValue,
    ];
    const value = configuration.get(name);
    if (values.some((one) => one !== undefined) && value !== null && value !== undefined) {
      found[name] = plain(value);
    }
  }
  return found;
}

/** The setting `codemlm.path`. */
export function configuredPath(scope?: ConfigurationScope): string {
  return workspace.getConfiguration(SECTION, scope).get<string>('path') ?? '';
}

/** VS Code hands out proxies that cannot be sent. */
function plain(value: unknown): unknown {
  return typeof value === 'object' ? JSON.parse(JSON.stringify(value)) : value;
}
