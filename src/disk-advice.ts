/** What to do about a file that cannot be written: by the number of the error, the same for every directory of ours. */

/** A sentence for the error of a file operation under the directory that a setting names, such as DATA_DIR. */
export function diskAdvice(error: unknown, setting: 'DATA_DIR' | 'MODELS_DIR'): string {
  switch ((error as NodeJS.ErrnoException | undefined)?.code) {
    case 'ENOSPC':
    case 'EDQUOT':
      return `Free space on the disk of ${setting}, or set ${setting} to a directory on another disk.`;
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return `Make ${setting} writable for the user that runs this${ourUser()}, or set it to a directory that is.`;
    case 'ENOENT':
      // Node's error for a parent directory that it cannot make, whatever the system's was.
      return `Make ${setting} by hand, writable for the user that runs this${ourUser()}, or set it to a directory that is.`;
    case 'EEXIST':
    case 'ENOTDIR':
      return `Set ${setting} to a directory: a file is in its place or on the way to it.`;
    case 'EMFILE':
    case 'ENFILE':
      return 'Allow more open files (ulimit -n).';
    default:
      return `Repair the disk of ${setting}, or set ${setting} to a directory on another.`;
  }
}

function ourUser(): string {
  const uid = process.getuid?.();
  return uid === undefined ? '' : ` (uid ${uid}, gid ${process.getgid?.()})`;
}
