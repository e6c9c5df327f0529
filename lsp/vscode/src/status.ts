// The item of the status bar: what the server is about, and a menu.
import { type Disposable, MarkdownString, StatusBarAlignment, ThemeColor, window } from 'vscode';

export type State = 'starting' | 'ready' | 'working' | 'error' | 'stopped';

const ICONS: Record<State, string> = {
  starting: '$(loading~spin)',
  ready: '$(check)',
  working: '$(sync~spin)',
  error: '$(error)',
  stopped: '$(circle-slash)',
};
const WORDS: Record<State, string> = {
  starting: 'starts',
  ready: 'is ready',
  working: 'scans',
  error: 'has trouble: see its output',
  stopped: 'does not run',
};

/** Shows one state at a time. */
export class Status implements Disposable {
  private readonly item = window.createStatusBarItem('codemlm.status', StatusBarAlignment.Right, 0);
  private current: State = 'stopped';

  /** @param menu command that a click runs. */
  constructor(menu: string) {
    this.item.name = 'codemlm';
    this.item.command = menu;
    this.show('stopped');
    this.item.show();
  }

  get state(): State {
    return this.current;
  }

  /** @param details lines below the state, such as which codemlm it is. */
  show(state: State, details: readonly string[] = []): void {
    this.current = state;
    this.item.text = `${ICONS[state]} codemlm`;
    const tooltip = new MarkdownString(`codemlm ${WORDS[state]}`);
    for (const line of details) {
      tooltip.appendMarkdown('\n\n').appendText(line);
    }
    this.item.tooltip = tooltip;
    this.item.backgroundColor =
      state === 'error' ? new ThemeColor('statusBarItem.errorBackground') : undefined;
  }

  dispose(): void {
    this.item.dispose();
  }
}
