/** One line on a terminal that says what is being done; silent where there is no terminal. */
export interface Progress {
  show(step: string, share: number): void;
  end(): void;
}

export function createProgress({ quiet }: { quiet: boolean }): Progress {
  const { stderr } = process;
  const visible = stderr.isTTY && !quiet;
  const write = (text: string) => {
    if (visible) stderr.write(`\r\u001b[K${text}`);
  };
  return {
    show: (step, share) => write(`${String(Math.round(share * 100)).padStart(3)} % ${step}`),
    end: () => write(''),
  };
}
