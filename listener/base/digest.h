/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_BASE_DIGEST_H
#define VPCFLOWD_BASE_DIGEST_H

#include "base/attributes.h"
#include "base/slice.h"

/* SHA-256 (FIPS 180-4): what a payload is known by. */
enum { DIGEST_SIZE = 32, DIGEST_TEXT = 2 * DIGEST_SIZE };

struct digest {
	unsigned char octets[DIGEST_SIZE];
};

static inline bool digest_equal(const struct digest *a, const struct digest *b)
{
	return memcmp(a->octets, b->octets, DIGEST_SIZE) == 0;
}

/* A digest in the making, so that octets can be taken in as they come. */
struct digester;

/* NULL without memory. */
struct digester *digester_new(void);
void digester_free(struct digester **d);
void digester_add(struct digester *d, struct slice octets);
/* The digest of all that was added. The digester can only be freed after that. */
struct digest digester_end(struct digester *d);

/* The digest of octets that are all there; false without memory. */
MUST_CHECK bool digest_of(struct slice octets, struct digest *digest);

/* As 64 hexadecimal digits in lower case and a NUL. */
void digest_text(const struct digest *d, char text[DIGEST_TEXT + 1]);
/* From exactly such digits; false for anything else. */
MUST_CHECK bool digest_parse(struct slice text, struct digest *d);

#endif
