// A stand-in for VS Code: as much of its interface as the extension and the language client use.
// `editor` is the test's hand: it opens and edits texts, sets settings, and sees what is shown.
import { URI } from 'vscode-uri';

export const version = '1.91.0';
export { URI as Uri };

// Values

export class Disposable {
  static from(...all: { dispose(): unknown }[]): Disposable {
    return new Disposable(() => all.forEach((one) => one.dispose()));
  }
  constructor(private readonly callOnDispose: () => unknown) {}
  dispose(): void {
    this.callOnDispose();
  }
}

export class EventEmitter<T> {
  private readonly listeners = new Set<(event: T) => unknown>();
  readonly event = (listener: (event: T) => unknown, self?: unknown, list?: Disposable[]) => {
    const bound = self === undefined ? listener : listener.bind(self);
    this.listeners.add(bound);
    const disposable = new Disposable(() => this.listeners.delete(bound));
    list?.push(disposable);
    return disposable;
  };
  fire(event: T): void {
    [...this.listeners].forEach((listener) => listener(event));
  }
  dispose(): void {
    this.listeners.clear();
  }
}

export class CancellationTokenSource {
  private readonly emitter = new EventEmitter<void>();
  readonly token = {
    isCancellationRequested: false,
    onCancellationRequested: this.emitter.event,
  };
  cancel(): void {
    if (!this.token.isCancellationRequested) {
      this.token.isCancellationRequested = true;
      this.emitter.fire();
    }
  }
  dispose(): void {}
}

export class CancellationError extends Error {}

export class Position {
  constructor(
    readonly line: number,
    readonly character: number,
  ) {}
}

export class Range {
  readonly start: Position;
  readonly end: Position;
  constructor(a: Position | number, b: Position | number, c?: number, d?: number) {
    this.start = typeof a === 'number' ? new Position(a, b as number) : a;
    this.end = typeof b === 'number' ? new Position(c as number, d as number) : b;
  }
}

export class Location {
  constructor(
    readonly uri: URI,
    readonly range: Range,
  ) {}
}

export class Diagnostic {
  code: unknown;
  source: string | undefined;
  constructor(
    readonly range: Range,
    readonly message: string,
    readonly severity: number,
  ) {}
}

export class DiagnosticRelatedInformation {
  constructor(
    readonly location: Location,
    readonly message: string,
  ) {}
}

export class TextEdit {
  constructor(
    readonly range: Range,
    readonly newText: string,
  ) {}
}

export class WorkspaceEdit {
  private readonly edits = new Map<string, [URI, TextEdit[]]>();
  set(uri: URI, edits: TextEdit[]): void {
    this.edits.set(uri.toString(), [uri, edits.map((one) => (Array.isArray(one) ? one[0] : one))]);
  }
  entries(): [URI, TextEdit[]][] {
    return [...this.edits.values()];
  }
}

export class CodeActionKind {
  static readonly Empty = new CodeActionKind('');
  static readonly QuickFix = new CodeActionKind('quickfix');
  static readonly Refactor = new CodeActionKind('refactor');
  static readonly Source = new CodeActionKind('source');
  constructor(readonly value: string) {}
  append(part: string): CodeActionKind {
    return new CodeActionKind(this.value === '' ? part : `${this.value}.${part}`);
  }
}

export class CodeAction {
  kind: CodeActionKind | undefined;
  edit: WorkspaceEdit | undefined;
  command: unknown;
  diagnostics: Diagnostic[] | undefined;
  constructor(
    readonly title: string,
    readonly data?: unknown,
  ) {}
}

export class MarkdownString {
  isTrusted = false;
  supportHtml = false;
  constructor(public value = '') {}
  appendMarkdown(text: string): this {
    this.value += text;
    return this;
  }
  appendText(text: string): this {
    return this.appendMarkdown(text.replace(/[\\`*_{}[\]()#+\-.!|<>~]/g, '\\$&'));
  }
}

export class Hover {
  constructor(
    readonly contents: MarkdownString[],
    readonly range?: Range,
  ) {}
}

export class InlayHint {
  constructor(
    readonly position: Position,
    readonly label: string,
  ) {}
}

export class CodeLens {
  constructor(
    readonly range: Range,
    readonly command?: unknown,
  ) {}
}

export class ThemeColor {
  constructor(readonly id: string) {}
}

export class RelativePattern {
  constructor(
    readonly baseUri: unknown,
    readonly pattern: string,
  ) {}
}

class Empty {}
// The language client derives classes from these, or names them; nothing here uses them.
export {
  Empty as CallHierarchyItem,
  Empty as CompletionItem,
  Empty as DocumentLink,
  Empty as SymbolInformation,
  Empty as TabInputCustom,
  Empty as TabInputNotebook,
  Empty as TabInputText,
  Empty as TabInputTextDiff,
  Empty as TypeHierarchyItem,
};

const enumeration = (...names: string[]): Record<string, number> =>
  Object.fromEntries(names.map((name, value) => [name, value]));
export const DiagnosticSeverity = enumeration('Error', 'Warning', 'Information', 'Hint');
export const DiagnosticTag = { Unnecessary: 1, Deprecated: 2 };
export const CodeActionTriggerKind = { Invoke: 1, Automatic: 2 };
export const LogLevel = enumeration('Off', 'Trace', 'Debug', 'Info', 'Warning', 'Error');
export const ProgressLocation = { SourceControl: 1, Window: 10, Notification: 15 };
export const StatusBarAlignment = { Left: 1, Right: 2 };
export const CompletionItemKind = {};
export const CompletionItemTag = { Deprecated: 1 };
export const DocumentHighlightKind = {};
export const FileType = {};
export const FoldingRangeKind = {};
export const InlineCompletionTriggerKind = { Invoke: 0, Automatic: 1 };
export const NotebookCellKind = { Markup: 1, Code: 2 };
export const SignatureHelpTriggerKind = {};
export const SymbolKind = {};
export const SymbolTag = {};
export const TextDocumentSaveReason = {};

// Texts

interface Change {
  document: TextDocument;
  contentChanges: { range: Range; rangeOffset: number; rangeLength: number; text: string }[];
  reason: undefined;
}

class TextDocument {
  version = 1;
  isClosed = false;
  constructor(
    readonly uri: URI,
    readonly languageId: string,
    private text: string,
  ) {}
  getText(): string {
    return this.text;
  }
  /** The text of a range of one line. */
  at(range: Range): string {
    const line = this.text.split('\n')[range.start.line] ?? '';
    return line.slice(range.start.character, range.end.character);
  }
  replace(range: Range, put: string): Change {
    const from = this.offset(range.start);
    const to = this.offset(range.end);
    this.text = this.text.slice(0, from) + put + this.text.slice(to);
    this.version += 1;
    const change = { range, rangeOffset: from, rangeLength: to - from, text: put };
    return { document: this, contentChanges: [change], reason: undefined };
  }
  private offset(position: Position): number {
    const before = this.text.split('\n').slice(0, position.line);
    return before.reduce((sum, line) => sum + line.length + 1, 0) + position.character;
  }
}

// What happens

const opened = new EventEmitter<TextDocument>();
const changed = new EventEmitter<Change>();
const closed = new EventEmitter<TextDocument>();
const configured = new EventEmitter<{ affectsConfiguration(name: string): boolean }>();
const visible = new EventEmitter<unknown>();
const never = new EventEmitter<never>().event;
type Provider = Record<string, (...given: any[]) => any>;
type Matcher = { scheme?: string; language?: string } | string;

/** What the test does, and sees. */
export class Editor {
  documents: TextDocument[] = [];
  folders: { uri: URI; name: string; index: number }[] = [];
  settings: Record<string, unknown> = {};
  extensions: Record<string, unknown> = {};
  diagnostics = new Map<string, Diagnostic[]>();
  providers: Record<string, Provider> = {};
  commands = new Map<string, (...given: any[]) => unknown>();
  messages: { kind: string; text: string; items: string[] }[] = [];
  /** Which button of a message, or item of a list, the user presses. */
  press: (items: any[]) => unknown = () => undefined;
  cursor = new Position(0, 0);
  log: string[] = [];
  status = { text: '', tooltip: new MarkdownString(), shown: false };
  private waiting = new Set<() => void>();

  /** Resolves once something holds that was not so before. */
  until<T>(what: () => T | undefined | false): Promise<T> {
    return new Promise((resolve) => {
      const look = () => {
        const found = what();
        if (found !== undefined && found !== false) {
          this.waiting.delete(look);
          resolve(found);
        }
      };
      this.waiting.add(look);
      look();
    });
  }

  /** To be called wherever something happens. */
  stir(): void {
    [...this.waiting].forEach((look) => look());
  }

  open(path: string, text: string): TextDocument {
    const document = new TextDocument(URI.file(path), 'python', text);
    this.documents.push(document);
    opened.fire(document);
    visible.fire([]);
    return document;
  }

  edit(document: TextDocument, range: Range, put: string): void {
    changed.fire(document.replace(range, put));
  }

  close(document: TextDocument): void {
    this.documents = this.documents.filter((one) => one !== document);
    document.isClosed = true;
    closed.fire(document);
  }

  set(name: string, value: unknown): void {
    this.settings[name] = value;
    configured.fire({ affectsConfiguration: (part) => `${name}.`.startsWith(`${part}.`) });
  }

  shown(document: TextDocument): Diagnostic[] {
    return this.diagnostics.get(document.uri.toString()) ?? [];
  }
}

/** Renewed by each test. */
export let editor = new Editor();
export function renew(): Editor {
  editor = new Editor();
  return editor;
}

// The interface

function message(kind: string) {
  return async (text: string, ...items: any[]): Promise<unknown> => {
    const titles = items.map((one) => (typeof one === 'string' ? one : one?.title));
    editor.messages.push({ kind, text, items: titles });
    editor.stir();
    return editor.press(items);
  };
}

function outputChannel(name: string) {
  const write = (text: string): void => {
    editor.log.push(text);
    editor.stir();
  };
  return {
    name,
    logLevel: LogLevel['Info'],
    onDidChangeLogLevel: never,
    ...{ trace: write, debug: write, info: write, warn: write, error: write },
    ...{ append: write, appendLine: write, replace: write, clear() {}, hide() {}, dispose() {} },
    show: () => write('shown'),
  };
}

export const window = {
  get visibleTextEditors() {
    return editor.documents.map((document) => ({ document }));
  },
  get activeTextEditor() {
    const document = editor.documents.at(-1);
    return document && { document, selection: { active: editor.cursor } };
  },
  tabGroups: { all: [], onDidChangeTabs: never },
  onDidChangeActiveTextEditor: never,
  onDidChangeVisibleTextEditors: visible.event,
  createOutputChannel: outputChannel,
  createStatusBarItem: () => ({
    get text() {
      return editor.status.text;
    },
    set text(text: string) {
      editor.status.text = text;
      editor.stir();
    },
    set tooltip(tooltip: MarkdownString) {
      editor.status.tooltip = tooltip;
    },
    show: () => (editor.status.shown = true),
    hide: () => (editor.status.shown = false),
    dispose: () => (editor.status.shown = false),
  }),
  showErrorMessage: message('error'),
  showWarningMessage: message('warning'),
  showInformationMessage: message('information'),
  showQuickPick: async (items: unknown[]) => editor.press(items),
  withProgress: (_: unknown, work: (progress: unknown, token: unknown) => unknown) =>
    work({ report() {} }, new CancellationTokenSource().token),
};

export const workspace = {
  get textDocuments() {
    return editor.documents;
  },
  get workspaceFolders() {
    return editor.folders;
  },
  notebookDocuments: [],
  onDidOpenTextDocument: opened.event,
  onDidChangeTextDocument: changed.event,
  onDidCloseTextDocument: closed.event,
  onDidSaveTextDocument: never,
  onWillSaveTextDocument: never,
  onDidChangeConfiguration: configured.event,
  onDidChangeWorkspaceFolders: never,
  onDidOpenNotebookDocument: never,
  onDidChangeNotebookDocument: never,
  onDidSaveNotebookDocument: never,
  onDidCloseNotebookDocument: never,
  createFileSystemWatcher: () => ({
    ...{ onDidCreate: never, onDidChange: never, onDidDelete: never, dispose() {} },
  }),
  getConfiguration: (section?: string) => {
    const full = (name: string) => (section === undefined ? name : `${section}.${name}`);
    return {
      get: (name: string, otherwise?: unknown) => editor.settings[full(name)] ?? otherwise,
      has: (name: string) => full(name) in editor.settings,
      inspect: (name: string) => ({ key: full(name), globalValue: editor.settings[full(name)] }),
    };
  },
  applyEdit: async (edit: WorkspaceEdit): Promise<boolean> => {
    for (const [uri, edits] of edit.entries()) {
      const document = editor.documents.find((one) => one.uri.toString() === uri.toString());
      edits.forEach(({ range, newText }) => document && editor.edit(document, range, newText));
    }
    return true;
  },
};

function matches(selector: Matcher[], document: TextDocument): number {
  return selector.some(
    (one) =>
      typeof one !== 'string' &&
      (one.scheme ?? document.uri.scheme) === document.uri.scheme &&
      (one.language ?? document.languageId) === document.languageId,
  )
    ? 10
    : 0;
}

const register = (kind: string) => (_: unknown, provider: Provider) => {
  editor.providers[kind] = provider;
  return new Disposable(() => delete editor.providers[kind]);
};

export const languages = {
  match: matches,
  createDiagnosticCollection: (name: string) => ({
    name,
    set: (uri: URI, diagnostics: Diagnostic[]) => {
      editor.diagnostics.set(uri.toString(), diagnostics);
      editor.stir();
    },
    delete: (uri: URI) => editor.diagnostics.delete(uri.toString()),
    clear: () => editor.diagnostics.clear(),
    has: (uri: URI) => editor.diagnostics.has(uri.toString()),
    dispose: () => editor.diagnostics.clear(),
  }),
  registerCodeActionsProvider: register('codeAction'),
  registerCodeLensProvider: register('codeLens'),
  registerHoverProvider: register('hover'),
  registerInlayHintsProvider: register('inlayHint'),
};

export const commands = {
  registerCommand: (name: string, run: (...given: any[]) => unknown) => {
    if (editor.commands.has(name)) {
      throw new Error(`command '${name}' already exists`);
    }
    editor.commands.set(name, run);
    return new Disposable(() => editor.commands.delete(name));
  },
  executeCommand: async (name: string, ...given: any[]): Promise<unknown> => {
    const run = editor.commands.get(name);
    if (run === undefined) {
      throw new Error(`command '${name}' not found`);
    }
    return run(...given);
  },
};

export const extensions = {
  getExtension: (name: string) => editor.extensions[name],
};

export const env = { appName: 'a stand-in', language: 'en', openExternal: async () => true };
export const l10n = { t: (text: string) => text };
