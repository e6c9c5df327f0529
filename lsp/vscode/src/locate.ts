// Which codemlm is to serve: the one that is set, else the selected interpreter's, else PATH's.
import { execFile } from 'node:child_process';
import { homedir } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';

/** A command that may be codemlm's. */
export interface Launch {
  readonly command: string;
  readonly args: readonly string[];
  /** Where it comes from, for people. */
  readonly from: string;
}

/** One that answered. */
export interface Found extends Launch {
  readonly version: string;
}

/** One that did not, and why. */
export interface Failure {
  readonly launch: Launch;
  readonly reason: string;
}

export type Located = { readonly found: Found } | { readonly failures: readonly Failure[] };

/** What is known of where codemlm could be. */
export interface Places {
  /** The setting `codemlm.path`. */
  readonly configured: string;
  /** The Python extension's selected interpreter. */
  readonly interpreter: string | undefined;
  /** The workspace's first folder. */
  readonly folder: string | undefined;
}

export type Probe = (launch: Launch) => Promise<{ version: string } | { reason: string }>;

const PATIENCE_MS = 30_000;

/** Commands to try, best first; what is set is not second-guessed. */
export function candidates(places: Places): Launch[] {
  const configured = places.configured.trim();
  if (configured !== '') {
    const path = expand(configured, places.folder);
    return [{ ...launchOf(path), from: 'the setting codemlm.path' }];
  }
  const found: Launch[] = [];
  if (places.interpreter !== undefined) {
    found.push({ ...throughPython(places.interpreter), from: 'the selected interpreter' });
  }
  found.push({ command: 'codemlm', args: [], from: 'PATH' });
  return found;
}

/** The first candidate that answers, or why none did. */
export async function locate(places: Places, probe: Probe = askVersion): Promise<Located> {
  const failures: Failure[] = [];
  for (const launch of candidates(places)) {
    const answer = await probe(launch);
    if ('version' in answer) {
      return { found: { ...launch, version: answer.version } };
    }
    failures.push({ launch, reason: answer.reason });
  }
  return { failures };
}

/** What was tried in vain, and the remedy, in one message. */
export function explain(failures: readonly Failure[]): string {
  const tried = failures
    .map(({ launch, reason }) => `${launch.from} (${launch.command}): ${reason}`)
    .join('; ');
  const configured = failures.some(({ launch }) => launch.from.includes('codemlm.path'));
  const remedy = configured
    ? 'Correct the setting codemlm.path, or clear it to use the selected interpreter or PATH.'
    : 'Install it (pip install codemlm) into the selected interpreter, or set codemlm.path.';
  return `codemlm was not found. ${remedy} Tried: ${tried}.`;
}

/** Asks a candidate for its version. */
export function askVersion(launch: Launch): Promise<{ version: string } | { reason: string }> {
  return new Promise((settle) => {
    execFile(
      launch.command,
      [...launch.args, '--version'],
      { timeout: PATIENCE_MS, windowsHide: true },
      (error, stdout, stderr) => {
        const version = /\bcodemlm\b.*?(\d+\.\S+)/.exec(stdout)?.[1];
        if (error === null && version !== undefined) {
          settle({ version });
        } else {
          settle({ reason: reasonOf(error, stderr) });
        }
      },
    );
  });
}

type Trouble = Error & { code?: string | number | null; killed?: boolean };

function reasonOf(error: Trouble | null, stderr: string): string {
  if (error === null) {
    return 'it is not codemlm';
  }
  if (error.code === 'ENOENT') {
    return 'no such command';
  }
  if (error.code === 'EACCES') {
    return 'it may not be run';
  }
  if (error.killed === true) {
    return `no answer within ${PATIENCE_MS / 1000} s`;
  }
  if (/No module named '?codemlm\b/.test(stderr)) {
    return 'codemlm is not installed there';
  }
  if (/Unknown option: -P/.test(stderr)) {
    return 'codemlm needs Python 3.11 or later';
  }
  return stderr.trim().split('\n').at(-1) || `it ended with ${error.code}`;
}

/** A path may name an interpreter, too. */
function launchOf(path: string): Omit<Launch, 'from'> {
  return /^python[\d.]*(\.exe)?$/i.test(path.split(/[\\/]/).at(-1) ?? '')
    ? throughPython(path)
    : { command: path, args: [] };
}

/** -P: what lies in the workspace must not be taken for a module of the standard library. */
function throughPython(interpreter: string): Omit<Launch, 'from'> {
  return { command: interpreter, args: ['-P', '-m', 'codemlm'] };
}

function expand(path: string, folder: string | undefined): string {
  const known = path
    .replace(/^~(?=$|[\\/])/, homedir())
    .replaceAll('${workspaceFolder}', folder ?? '.')
    .replaceAll('${userHome}', homedir())
    .replace(/\$\{env:([^}]+)\}/g, (_, name: string) => process.env[name] ?? '');
  if (isAbsolute(known) || !/[\\/]/.test(known)) {
    return known; // a bare name is looked up on PATH
  }
  return folder === undefined ? resolve(known) : join(folder, known);
}
