/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_BASE_SIPHASH_H
#define VPCFLOWD_BASE_SIPHASH_H

#include <stdint.h>

#include "base/attributes.h"
#include "base/slice.h"

/*
 * A hash for tables whose keys somebody else chooses: who does not know the key cannot make them
 * collide. SipHash-2-4, after Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012.
 */
struct siphash_key {
	uint64_t word[2];
};

/* A key that nobody can guess. 0, or a negative errno. */
MUST_CHECK int siphash_key_make(struct siphash_key *key);
uint64_t siphash(const struct siphash_key *key, struct slice octets);

#endif
