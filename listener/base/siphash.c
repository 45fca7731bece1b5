/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Octets in, 64 bits out: two rounds for each eight octets, little-endian, the last of which have the
 * length in the highest octet, then four. The paper's section 2 has the algorithm, its appendix A the
 * values that the unit tests expect.
 */
#include "base/siphash.h"

#include <endian.h>
#include <errno.h>
#include <sys/random.h>

struct state {
	uint64_t v0, v1, v2, v3;
};

int siphash_key_make(struct siphash_key *key)
{
	ssize_t n;
	do
		n = getrandom(key, sizeof(*key), 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	/* So few octets come whole, or not at all (getrandom(2)). */
	return n == (ssize_t)sizeof(*key) ? 0 : -EIO;
}

static inline uint64_t turn_left(uint64_t w, unsigned bits)
{
	return w << bits | w >> (64 - bits);
}

static inline void rounds(struct state *s, unsigned count)
{
	while (count-- > 0) {
		s->v0 += s->v1;
		s->v2 += s->v3;
		s->v1 = turn_left(s->v1, 13) ^ s->v0;
		s->v3 = turn_left(s->v3, 16) ^ s->v2;
		s->v0 = turn_left(s->v0, 32) + s->v3;
		s->v2 += s->v1;
		s->v3 = turn_left(s->v3, 21) ^ s->v0;
		s->v1 = turn_left(s->v1, 17) ^ s->v2;
		s->v2 = turn_left(s->v2, 32);
	}
}

static inline void take_word(struct state *s, uint64_t w)
{
	s->v3 ^= w;
	rounds(s, 2);
	s->v0 ^= w;
}

uint64_t siphash(const struct siphash_key *key, struct slice octets)
{
	struct state s = {
		.v0 = key->word[0] ^ 0x736f6d6570736575u,
		.v1 = key->word[1] ^ 0x646f72616e646f6du,
		.v2 = key->word[0] ^ 0x6c7967656e657261u,
		.v3 = key->word[1] ^ 0x7465646279746573u,
	};
	uint64_t last = (uint64_t)octets.len << 56;
	for (; octets.len >= sizeof(uint64_t); slice_skip(&octets, sizeof(uint64_t))) {
		uint64_t w;
		memcpy(&w, octets.data, sizeof(w));
		take_word(&s, le64toh(w));
	}
	for (size_t i = 0; i < octets.len; i++)
		last |= (uint64_t)(unsigned char)octets.data[i] << (8 * i);
	take_word(&s, last);
	s.v2 ^= 0xff;
	rounds(&s, 4);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
