/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_FUZZ_H
#define VPCFLOWD_FUZZ_H

#include <stdint.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/result.h"

/* What a harness defines for libFuzzer. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* A property; the stack trace says which. */
#define CHECK(property) ((property) ? (void)0 : abort())

/* Takes one octet off the front of the input, to choose by; 0 when it is used up. */
unsigned fuzz_choice(struct slice *in);

/* A copy of exactly its own size, so that a read past the end is noticed. For free(). */
char *fuzz_copy(struct slice s);

/* Appends; the harnesses' own buffers never refuse. */
void fuzz_add(struct buf *b, struct slice s);

/* How input is cut into reads: a whole for seed 0, else pieces whose sizes follow from the seed. */
struct cuts {
	uint32_t seed;
};
/* The size of the next piece: 1 to left, or 0 when nothing is left. */
size_t cuts_next(struct cuts *c, size_t left);
/*
 * Takes the next piece off the front of the input, as a read would bring it: to a place that has room for
 * so many octets, or where that is NULL to a copy of exactly its size, *copy, for free().
 */
struct slice cuts_read(struct cuts *c, struct slice *in, char *place, size_t room, char **copy);

/* Appends one gzip member; window 9 to 15 as in zlib.h. */
void fuzz_gzip(struct slice in, int window, struct buf *out);
void fuzz_base64(struct slice in, struct buf *out);

enum { PACKINGS = 8 };
/*
 * Appends a payload that has the input packed in the way number how, so that mutations get past
 * checksums and base64: 0 as it is; 1 gzip; 2 gzip in two members; 3 Lambda; 4 Kinesis;
 * 5 Firehose without gzip, 6 gzip in gzip; 7 gzip twice with a line between.
 */
void fuzz_pack(unsigned how, struct slice in, struct buf *out);

/*
 * Whether two runs over the same octets, cut differently, may end in these two faults (FAULT_COUNT
 * for a good end): in the same, or in two of which one is a size limit, since how much was scanned
 * or inflated by the time a limit is looked at depends on the cut. RATIO alone may also be missed:
 * zlib takes a few octets more or less of its input by the time a window is full.
 */
bool fuzz_same_verdict(enum fault_code a, enum fault_code b);

/* Sends what is logged nowhere, but not what libFuzzer and the sanitizers report. */
void fuzz_quiet(int *argc, char ***argv);

#endif
