/* SPDX-License-Identifier: Apache-2.0 */
/* A direct-mapped table of hashes (FNV-1a); a collision costs a log line more, never one less. */
#include "base/once.h"

enum { REMEMBER_MS = 3600 * 1000 };

static uint64_t hash(const char *peer, unsigned reason)
{
	uint64_t h = 14695981039346656037u;
	for (; *peer != '\0'; peer++)
		h = (h ^ (unsigned char)*peer) * 1099511628211u;
	return (h ^ reason) * 1099511628211u;
}

bool once_first(struct once *o, const char *peer, unsigned reason, uint64_t now_ms)
{
	uint64_t key = hash(peer, reason);
	size_t at = key % ONCE_ENTRIES;
	bool known = o->entry[at].key == key && now_ms < o->entry[at].until_ms;
	if (known)
		return false;
	o->entry[at].key = key;
	o->entry[at].until_ms = now_ms + REMEMBER_MS;
	return true;
}
