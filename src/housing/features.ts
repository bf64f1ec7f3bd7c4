/** The declaration that ships: what a caller may send as long as nobody has published another. */
import { createContract } from '../contract/contract.ts';
import { parseDeclaration } from '../contract/declaration.ts';
import declaration from './features.json' with { type: 'json' };

export const housing = createContract(parseDeclaration(declaration));
