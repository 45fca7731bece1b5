// SPDX-License-Identifier: Apache-2.0
// Waiting for something to become true, for a bounded time.
import { setTimeout as sleep } from "node:timers/promises";

export async function until(is, what, ms = 15000) {
	const end = performance.now() + ms;
	for (;;) {
		const value = await is();
		if (value)
			return value;
		if (performance.now() > end)
			throw new Error(`waited ${ms} ms in vain for ${what}`);
		await sleep(10);
	}
}
