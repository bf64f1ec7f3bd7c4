/** The part of `fs-native-extensions` this project uses; the package carries no types of its own. */
declare module 'fs-native-extensions' {
  /** Takes the lock if that is possible at once. The kernel drops it when the descriptor is closed or the process ends. */
  export function tryLock(fd: number, options?: { shared?: boolean }): boolean;
  export function unlock(fd: number): void;
}
