import { mkdtemp, readdir, readFile, rm, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { RidgelineError } from '../../src/errors.ts';
import { checkSha256, rememberServed, sha256Of, versionsOnDisk, writeArtefact } from '../../src/registry/artefacts.ts';
import type { PipelineArtefact } from '../../src/registry/pipeline-versions.ts';

let modelsDir: string;
beforeEach(async () => {
  modelsDir = join(await mkdtemp(join(tmpdir(), 'ridgeline-artefacts-')), 'models');
});
afterEach(() => rm(join(modelsDir, '..'), { recursive: true }));

function pipelineOf(pipelineVersion: string): PipelineArtefact {
  const artefact = Buffer.from(`the bytes of ${pipelineVersion}`);
  return {
    pipelineVersion,
    artefact,
    sha256: sha256Of(artefact),
    goldenRows: { features: [[0.1 + 0.2, 5e-324]], predictions: [1 / 3] },
    declaration: { name: `of_${pipelineVersion}` },
    residuals: [0.1, 2.5],
    explanation: { base_value: 1 / 3, features: {} },
  };
}
const [v1, v2, v3] = ['2026_01_01__00_00_00', '2026_01_01__00_00_01', '2026_12_31__23_59_59'].map(pipelineOf) as [
  PipelineArtefact,
  PipelineArtefact,
  PipelineArtefact,
];

async function versions(): Promise<string[]> {
  return (await versionsOnDisk(modelsDir)).map(({ pipelineVersion }) => pipelineVersion);
}

test('SHA-256 is that of the standard', () => {
  expect(sha256Of(Buffer.from('abc'))).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
});

describe('the check of the bytes', () => {
  test('passes those that were published', () => {
    checkSha256(v1);
  });

  test('refuses any that differ in one bit', () => {
    fc.assert(
      fc.property(fc.nat({ max: v1.artefact.length - 1 }), fc.nat({ max: 7 }), (at, bit) => {
        const artefact = Uint8Array.from(v1.artefact);
        artefact[at]! ^= 1 << bit;
        expect(() => checkSha256({ ...v1, artefact })).toThrow(RidgelineError);
      }),
    );
  });

  test('refuses shorter and longer ones, and names the version and both hashes', () => {
    const artefact = v1.artefact.subarray(1);
    expect(() => checkSha256({ ...v1, artefact })).toThrow(
      expect.objectContaining({
        code: 'bad_artefact',
        message: expect.stringMatching(new RegExp(`${v1.pipelineVersion}.*${sha256Of(artefact)}.*${v1.sha256}`)),
      }),
    );
    expect(() => checkSha256({ ...v1, artefact: Buffer.concat([v1.artefact, Buffer.alloc(1)]) })).toThrow();
  });
});

describe('a written artefact', () => {
  test('is read back whole, golden rows to the last bit', async () => {
    const path = await writeArtefact(modelsDir, v1);
    expect(path).toBe(join(modelsDir, 'pipeline_2026_01_01__00_00_00.onnx'));
    expect(await readFile(path)).toEqual(v1.artefact);
    const [only] = await versionsOnDisk(modelsDir);
    expect(await only!.read()).toEqual(v1);
  });

  test('replaces the one before it and leaves no temporary file', async () => {
    await writeArtefact(modelsDir, v1);
    const again = { ...v1, artefact: Buffer.from('other bytes') };
    await Promise.all([writeArtefact(modelsDir, again), writeArtefact(modelsDir, again)]);
    expect((await readdir(modelsDir)).sort()).toEqual([
      'pipeline_2026_01_01__00_00_00.json',
      'pipeline_2026_01_01__00_00_00.onnx',
    ]);
    const [only] = await versionsOnDisk(modelsDir);
    expect((await only!.read()).artefact).toEqual(again.artefact);
  });

  test('that cannot take its place leaves no temporary file either', async () => {
    await writeArtefact(modelsDir, v2);
    const manifest = join(modelsDir, `pipeline_${v2.pipelineVersion}.json`);
    await unlink(manifest);
    // A directory that holds something cannot be replaced by a file.
    await writeArtefact(join(manifest, 'x'), v1);
    await expect(writeArtefact(modelsDir, v2)).rejects.toThrow(/EISDIR|ENOTEMPTY|EEXIST/);
    expect((await readdir(modelsDir)).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });
});

describe('the files of old versions', () => {
  const versionAt = (second: number) => pipelineOf(`2026_01_01__00_00_${String(second).padStart(2, '0')}`);
  const named = (...seconds: number[]) =>
    seconds.flatMap((second) => {
      const { pipelineVersion } = versionAt(second);
      return [`pipeline_${pipelineVersion}.json`, `pipeline_${pipelineVersion}.onnx`];
    });
  const files = async () => (await readdir(modelsDir)).filter((name) => name.startsWith('pipeline_')).sort();

  test('go, but for the one that is served and the 5 newest', async () => {
    await rememberServed(modelsDir, versionAt(2));
    for (let second = 3; second < 12; second++) await writeArtefact(modelsDir, versionAt(second));
    expect(await files()).toEqual(named(2, 7, 8, 9, 10, 11));
    await rememberServed(modelsDir, versionAt(1));
    expect(await files()).toEqual(named(1, 7, 8, 9, 10, 11));
    expect((await versions())[0]).toBe(versionAt(1).pipelineVersion);
    await rememberServed(modelsDir, versionAt(11));
    expect(await files()).toEqual(named(7, 8, 9, 10, 11));
  });

  test('stay while one of them is promoted again, before it is served', async () => {
    for (let second = 2; second < 9; second++) await rememberServed(modelsDir, versionAt(second));
    await writeArtefact(modelsDir, versionAt(1));
    expect(await files()).toEqual(named(1, 4, 5, 6, 7, 8));
  });

  test('take nothing with them that is not of a version', async () => {
    await writeArtefact(modelsDir, v1);
    for (const name of ['pipeline_mine.json', 'notes.txt', '.gitkeep']) await writeFile(join(modelsDir, name), '');
    for (let second = 3; second < 12; second++) await writeArtefact(modelsDir, versionAt(second));
    expect(await readdir(modelsDir)).toEqual(expect.arrayContaining(['pipeline_mine.json', 'notes.txt', '.gitkeep']));
  });
});

describe('the versions on disk', () => {
  test('are none where there is no directory, and none where it is empty', async () => {
    expect(await versions()).toEqual([]);
    await writeArtefact(modelsDir, v1);
    for (const name of await readdir(modelsDir)) await unlink(join(modelsDir, name));
    expect(await versions()).toEqual([]);
  });

  test('come from the newest to the oldest', async () => {
    for (const pipeline of [v2, v3, v1]) await writeArtefact(modelsDir, pipeline);
    expect(await versions()).toEqual([v3, v2, v1].map(({ pipelineVersion }) => pipelineVersion));
  });

  test('begin with the one that was served last', async () => {
    for (const pipeline of [v3, v2]) await rememberServed(modelsDir, pipeline);
    await rememberServed(modelsDir, v1);
    expect(await versions()).toEqual([v1, v3, v2].map(({ pipelineVersion }) => pipelineVersion));
    await rememberServed(modelsDir, v2);
    expect(await versions()).toEqual([v2, v3, v1].map(({ pipelineVersion }) => pipelineVersion));
  });

  test('come from the newest when it is not known which was served last', async () => {
    await rememberServed(modelsDir, v1);
    await writeArtefact(modelsDir, v2);
    for (const damage of ['', '{', 'null', '"text"', '{}', '{"pipeline_version": 7}']) {
      await writeFile(join(modelsDir, 'last_served.json'), damage);
      expect(await versions()).toEqual([v2.pipelineVersion, v1.pipelineVersion]);
    }
  });

  test('do not include an artefact without its manifest, nor other files', async () => {
    await writeArtefact(modelsDir, v1);
    await writeArtefact(modelsDir, v2);
    await unlink(join(modelsDir, `pipeline_${v2.pipelineVersion}.json`));
    await writeFile(join(modelsDir, 'notes.json'), '{}');
    await writeFile(join(modelsDir, '.gitkeep'), '');
    expect(await versions()).toEqual([v1.pipelineVersion]);
  });

  test.each(['', '{', 'null', '[]', '{"sha256": "ab"}', '{"golden_rows": {}}'])(
    'are not read where the manifest is %j: bad_artefact',
    async (damage) => {
      await writeArtefact(modelsDir, v1);
      await writeFile(join(modelsDir, `pipeline_${v1.pipelineVersion}.json`), damage);
      const [only] = await versionsOnDisk(modelsDir);
      await expect(only!.read()).rejects.toMatchObject({
        code: 'bad_artefact',
        message: `The manifest of ${v1.pipelineVersion} is damaged.`,
      });
    },
  );

  test('are not read where the artefact itself is missing', async () => {
    await writeArtefact(modelsDir, v1);
    await unlink(join(modelsDir, `pipeline_${v1.pipelineVersion}.onnx`));
    const [only] = await versionsOnDisk(modelsDir);
    await expect(only!.read()).rejects.toThrow(/ENOENT/);
  });
});
