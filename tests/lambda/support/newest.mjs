// SPDX-License-Identifier: Apache-2.0
// What takes long and does not depend on the Node.js is tried on the newest alone.
export const NEWEST = process.version.startsWith("v24.");
