/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fed: octets to cut by and to pack by (fuzz_pack), then payloads.
 * Held, as a stream and as a whole: the same events and the same verdict whatever the cut, read to where
 * octets stay or not, under limits that are easily reached; a stream goes on after a fault that is contained, and one that
 * ended well has nothing begun. Of a whole that is refused nothing is converted, so there the
 * events need not be the same. Packing changes nothing.
 */
#include "decode/logevents.h"
#include "decode/payload.h"
#include "fuzz.h"

struct outcome {
	struct buf events;
	enum fault_code verdict; /* FAULT_COUNT: it ended well */
	bool new_run;		 /* a header line before this does not hold any more */
};

static void note(struct outcome *o, const struct event *event)
{
	const char flags[] = {
		o->new_run ? 'N' : 'n',
		event->json ? 'J' : 'j',
		event->line ? 'L' : 'l',
		event->broken ? (char)('0' + (int)event->why) : 'b',
	};
	o->new_run = false;
	fuzz_add(&o->events, slice_of(flags, sizeof(flags)));
	/* A line that is too long comes whole or cut. */
	if (!event->broken)
		fuzz_add(&o->events, event->text);
	fuzz_add(&o->events, SLICE_LITERAL("\n"));
}

static void convert(struct documents *d, struct outcome *o)
{
	struct logevents events;
	struct event event;
	logevents_init(&events);
	for (; !documents_empty(d); documents_drop_first(d)) {
		o->new_run = o->new_run || d->first->kind != DOCUMENT_LINES ||
			     d->first->first_lines;
		logevents_open(&events, d->first);
		while (logevents_next(&events, &event)) {
			/* Each message is JSON of its own, joined to others or not. */
			o->new_run = o->new_run || d->first->kind == DOCUMENT_MESSAGES;
			note(o, &event);
		}
	}
	logevents_deinit(&events);
}

static struct outcome run(enum payload_source source, struct slice in, unsigned seed,
			  const struct limits *limits)
{
	struct outcome o = { .verdict = FAULT_COUNT };
	struct stats stats = { .documents = 0 };
	struct cuts cuts = { seed };
	bool placing = source == PAYLOAD_STREAM && seed % 4 >= 2;
	struct documents documents;
	struct fault fault;
	enum step step;
	bool end;
	bool lost;
	struct payload *p = payload_new(source, limits, &stats);
	CHECK(p != NULL);
	documents_init(&documents);
	buf_init(&o.events, SIZE_MAX / 2);
	do {
		size_t room = 0;
		char *place = placing ? payload_room(p, &room) : NULL;
		char *octets;
		struct slice piece = cuts_read(&cuts, &in, place, room, &octets);
		size_t n = piece.len;
		/* The end comes with the last octets, or after them. */
		end = in.len == 0 && (n == 0 || seed % 2 == 0);
		do {
			step = payload_next(p, &piece, end, &documents, &fault);
			convert(&documents, &o);
			lost = step == STEP_BAD && source == PAYLOAD_STREAM && fault.contained;
			if (lost)
				fuzz_add(&o.events, slice_text(fault_name(fault.code)));
		} while (step == STEP_OK || lost);
		CHECK(step == STEP_BAD || piece.len == 0);
		free(octets);
	} while (step == STEP_MORE && !end);
	if (step == STEP_BAD)
		o.verdict = fault.code;
	CHECK(step == STEP_BAD || payload_idle(p));
	payload_free(&p);
	return o;
}

static void check(enum payload_source source, struct slice in, unsigned seed,
		  const struct limits *limits)
{
	struct outcome whole = run(source, in, 0, limits);
	struct outcome cut = run(source, in, seed, limits);
	/* How near to the damage of gzip octets come out depends on the cut: what is wrong in them, too. */
	bool damaged = (whole.verdict == FAULT_GZIP && cut.verdict != FAULT_COUNT) ||
		       (cut.verdict == FAULT_GZIP && whole.verdict != FAULT_COUNT);
	CHECK(damaged || fuzz_same_verdict(whole.verdict, cut.verdict));
	bool ratio = whole.verdict == FAULT_RATIO || cut.verdict == FAULT_RATIO;
	bool stands = source == PAYLOAD_STREAM || whole.verdict == FAULT_COUNT;
	if (damaged && cut.events.len > whole.events.len)
		cut.events.len = whole.events.len;
	if (damaged && whole.events.len > cut.events.len)
		whole.events.len = cut.events.len;
	if (stands && !ratio)
		CHECK(slice_equal(buf_slice(&whole.events), buf_slice(&cut.events)));
	buf_deinit(&whole.events);
	buf_deinit(&cut.events);
}

/* What can be converted as it is can be converted packed, unless that passes a limit. */
static void check_packed(struct slice in, struct slice packed, const struct limits *limits)
{
	struct outcome plain = run(PAYLOAD_WHOLE, in, 0, limits);
	struct outcome inner = run(PAYLOAD_WHOLE, packed, 0, limits);
	bool limited = inner.verdict == FAULT_INFLATED || inner.verdict == FAULT_RATIO ||
		       inner.verdict == FAULT_NESTING;
	if (plain.verdict == FAULT_COUNT && !limited) {
		CHECK(inner.verdict == FAULT_COUNT);
		CHECK(slice_equal(buf_slice(&plain.events), buf_slice(&inner.events)));
	}
	buf_deinit(&plain.events);
	buf_deinit(&inner.events);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice_of((const char *)data, size);
	unsigned seed = fuzz_choice(&in);
	unsigned how = fuzz_choice(&in);
	struct limits limits = limits_standard();
	limits.payload = 1024;
	limits.inflated = 128 * 1024;
	/* Kinesis alone has four levels. */
	limits.depth = 4 + how / PACKINGS % 4;
	limits.nesting = 1 + how / PACKINGS / 4 % 4;
	struct buf packed;
	buf_init(&packed, SIZE_MAX / 2);
	fuzz_pack(how, in, &packed);
	check(PAYLOAD_STREAM, buf_slice(&packed), seed, &limits);
	check(PAYLOAD_WHOLE, buf_slice(&packed), seed, &limits);
	/* Lines end with their member, so two members are not the same. */
	if (in.len > 0 && how % PACKINGS != 2 && how % PACKINGS != 7)
		check_packed(in, buf_slice(&packed), &limits);
	buf_deinit(&packed);
	return 0;
}
