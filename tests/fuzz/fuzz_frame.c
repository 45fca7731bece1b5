/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fed: an octet to cut by, then what a framed peer sends.
 * Held: the same commands, payload lengths and verdict whatever the cut; ids and lengths keep to
 * their grammar; tokens have no line end; what frame_sniff said once it says of all that is longer.
 */
#include "fuzz.h"
#include "receive/frame.h"

static void check_id(const char *id)
{
	static const char alphanumeric[] =
		"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
	size_t len = strlen(id);
	CHECK(len >= 1 && len <= 64);
	CHECK(strchr(alphanumeric, id[0]) != NULL);
	for (size_t i = 1; i < len; i++)
		CHECK(strchr(alphanumeric, id[i]) != NULL || strchr("._-", id[i]) != NULL);
}

static void note(const struct frame *frame, struct buf *said)
{
	if (frame->kind == FRAME_PUT) {
		check_id(frame->id);
		CHECK(frame->length < 1000000000000000000u);
		fuzz_add(said, SLICE_LITERAL("PUT "));
		fuzz_add(said, slice_text(frame->id));
		fuzz_add(said, slice_of((const char *)&frame->length, sizeof(frame->length)));
	} else {
		CHECK(frame->token.len < FRAME_LINE);
		CHECK(frame->token.len == 0 ||
		      memchr(frame->token.data, '\n', frame->token.len) == NULL);
		fuzz_add(said, SLICE_LITERAL("AUTH "));
		fuzz_add(said, frame->token);
	}
	fuzz_add(said, SLICE_LITERAL("\n"));
}

/* A peer's octets arrive in pieces and wait until a command is whole; payloads are passed over. */
static void listen_to(struct slice all, uint32_t seed, struct buf *said)
{
	struct cuts cuts = { seed };
	size_t arrived = 0;
	size_t used = 0;
	uint64_t payload = 0;
	while (arrived < all.len) {
		arrived += cuts_next(&cuts, all.len - arrived);
		enum step step = STEP_OK;
		while (step == STEP_OK) {
			uint64_t skip = arrived - used < payload ? arrived - used : payload;
			used += skip;
			payload -= skip;
			char *octets = fuzz_copy(slice_of(all.data + used, arrived - used));
			struct slice in = slice_of(octets, arrived - used);
			struct frame frame;
			const char *why = NULL;
			step = frame_next(&in, &frame, &why);
			CHECK(step == STEP_OK || in.len == arrived - used || step == STEP_BAD);
			if (step == STEP_OK) {
				note(&frame, said);
				used = arrived - in.len;
				payload = frame.kind == FRAME_PUT ? frame.length : 0;
			}
			free(octets);
			if (step == STEP_BAD) {
				fuzz_add(said, slice_text(why));
				return;
			}
		}
	}
}

static void check_sniff(struct slice all)
{
	enum frame_sniff known = SNIFF_MORE;
	for (size_t n = 0; n <= all.len && n <= 16; n++) {
		enum frame_sniff sniff = frame_sniff(slice_of(all.data, n));
		CHECK(known == SNIFF_MORE || sniff == known);
		CHECK(n < 5 || sniff != SNIFF_MORE);
		known = sniff;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice_of((const char *)data, size);
	unsigned seed = fuzz_choice(&in);
	struct buf whole;
	struct buf cut;
	buf_init(&whole, SIZE_MAX / 2);
	buf_init(&cut, SIZE_MAX / 2);
	check_sniff(in);
	listen_to(in, 0, &whole);
	listen_to(in, seed, &cut);
	CHECK(slice_equal(buf_slice(&whole), buf_slice(&cut)));
	buf_deinit(&whole);
	buf_deinit(&cut);
	return 0;
}
