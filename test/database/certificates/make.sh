#!/usr/bin/env bash
# Makes the certificates of the tests anew, beside this script: one key and one authority for all, valid until 2126.
set -euo pipefail
cd "$(dirname "$0")"
rm -f ./*.crt ./*.key
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT

new_key() { openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1"; }
new_key "$work/authority.key"
new_key server.key

# Of OpenSSL's commands only `ca` lets both dates be chosen, in every version of it.
touch "$work/index"
cat >"$work/ca.conf" <<END
[ca]
default_ca = here
[here]
database = $work/index
new_certs_dir = $work
default_md = sha256
rand_serial = yes
unique_subject = no
policy = any
[any]
commonName = supplied
END
sign() { # FILE NAME EXTENSIONS FROM UNTIL SIGNER...
  openssl req -new -key "${key:-server.key}" -subj "/CN=$2" -out "$work/request"
  printf '%s\n' "$3" >"$work/extensions"
  openssl ca -batch -notext -config "$work/ca.conf" -in "$work/request" -out "$1" \
    -extfile "$work/extensions" -startdate "$4" -enddate "$5" "${@:6}" 2>/dev/null
}
from=20250101000000Z until=21260101000000Z
local_names='subjectAltName = DNS:localhost, IP:127.0.0.1'
key="$work/authority.key" sign authority.crt 'A private authority' 'basicConstraints = critical, CA:TRUE' "$from" "$until" \
  -selfsign -keyfile "$work/authority.key"
sign self-signed.crt localhost "$local_names" "$from" "$until" -selfsign -keyfile server.key
by_authority=(-cert authority.crt -keyfile "$work/authority.key")
sign good.crt localhost "$local_names" "$from" "$until" "${by_authority[@]}"
sign other-name.crt elsewhere.example 'subjectAltName = DNS:elsewhere.example' "$from" "$until" "${by_authority[@]}"
sign expired.crt localhost "$local_names" 20200101000000Z 20210101000000Z "${by_authority[@]}"
sign not-yet.crt localhost "$local_names" 21250101000000Z "$until" "${by_authority[@]}"
sign for-clients.crt localhost "$local_names"$'\nextendedKeyUsage = clientAuth' "$from" "$until" "${by_authority[@]}"
