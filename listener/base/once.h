/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_BASE_ONCE_H
#define VPCFLOWD_BASE_ONCE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

/*
 * Which peer was told of which reason, so that a log line comes once and not a million times.
 * Bounded: an entry that another one takes the place of, or that is an hour old, may be told again.
 */
enum { ONCE_ENTRIES = 1024 };

struct once {
	struct {
		uint64_t key;
		uint64_t until_ms;
	} entry[ONCE_ENTRIES];
};

/* Whether this is the first time; remembers it. now_ms is the loop's clock. */
bool once_first(struct once *o, const char *peer, unsigned reason, uint64_t now_ms);

#endif
