/** Loaded before the service: an exception that nothing catches (SIGUSR2), or a rejection that nothing handles (SIGPIPE). */
process.once('SIGUSR2', () => {
  throw new Error('planted exception');
});
process.once('SIGPIPE', () => {
  void Promise.reject(new Error('planted rejection'));
});
