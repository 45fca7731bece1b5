/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_DECODE_INFLATER_H
#define VPCFLOWD_DECODE_INFLATER_H

#include "base/attributes.h"
#include "base/slice.h"

/*
 * An engine that undoes gzip, one member after another, however its octets are cut. Engines give the
 * same octets and refuse the same damage (tests/unit/test_inflaters.c, tests/fuzz/fuzz_inflaters.c):
 *
 *   isal  what is used, unless the build says -DVPCFLOWD_INFLATE=zlib: three times as fast, for
 *         streams as for wholes, on amd64 and arm64
 *   zlib  what is everywhere, and the other's judge
 *
 * gunzip.c is the only one to call them.
 */
struct inflater {
	const struct inflater_class *class;
};

enum inflated {
	INFLATED_MORE, /* all of the input is used, or all of the room */
	INFLATED_ENDED, /* the member's end, checksum and length are right; nothing behind it is used */
	INFLATED_BAD, /* damaged; what came out came before the damage */
};

struct inflater_class {
	const char *name;
	size_t octets; /* it takes in memory */
	/* Ready for a member. NULL without memory. */
	struct inflater *(*new)(void);
	void (*free)(struct inflater *i);
	/* The same for the next member; after INFLATED_ENDED. */
	void (*again)(struct inflater *i);
	/*
	 * Takes octets from the front of *in and puts others into *room, which is not empty and
	 * becomes what of it was filled. Output may come without input. Not after INFLATED_ENDED.
	 */
	enum inflated (*run)(struct inflater *i, struct slice *in, char *to, size_t *room);
};

extern const struct inflater_class inflater_zlib;
#ifdef VPCFLOWD_ISAL
extern const struct inflater_class inflater_isal;
#endif

#endif
