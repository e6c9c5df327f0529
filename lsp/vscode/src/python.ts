// The interpreter that the Python extension has selected, if that extension is there.
import { type Disposable, type Event, type Uri, extensions } from 'vscode';

export const PYTHON_EXTENSION = 'ms-python.python';

/** The part of the Python extension's public interface that is used here. */
interface PythonApi {
  readonly environments: {
    getActiveEnvironmentPath(resource?: Uri): { readonly id: string; readonly path: string };
    resolveEnvironment(environment: { readonly id: string; readonly path: string }): Promise<
      { readonly executable: { readonly uri?: Uri | undefined } } | undefined
    >;
    readonly onDidChangeActiveEnvironmentPath: Event<unknown>;
  };
}

/** Path of the selected interpreter; undefined without the Python extension, or without any. */
export async function selectedInterpreter(resource: Uri | undefined): Promise<string | undefined> {
  const api = await pythonApi();
  if (api === undefined) {
    return undefined;
  }
  const selected = api.environments.getActiveEnvironmentPath(resource);
  const resolved = await api.environments.resolveEnvironment(selected);
  return resolved?.executable.uri?.fsPath;
}

/** Calls back when another interpreter is selected. */
export async function onInterpreterChange(callback: () => void): Promise<Disposable | undefined> {
  const api = await pythonApi();
  return api?.environments.onDidChangeActiveEnvironmentPath(() => callback());
}

async function pythonApi(): Promise<PythonApi | undefined> {
  const extension = extensions.getExtension<PythonApi>(PYTHON_EXTENSION);
  if (extension === undefined) {
    return undefined;
  }
  try {
    const api = extension.isActive ? extension.exports : await extension.activate();
    return api?.environments === undefined ? undefined : api;
  } catch {
    return undefined; // its own message says why it does not start
  }
}
