/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One layer of octets in, documents out. A layer is a peer's own octets, what came out of gzip, or
 * what came out of base64; layers nest through `inner` and through unwrap(), never deeper than the
 * limit.
 *
 *   BETWEEN ──0x1f──▶ GZIP   inflate a window, hand it to the inner layer, until its member ends
 *      ▲ ├────'{'──▶ JSON    gather until the braces balance, then open the envelope
 *      │ └────else─▶ LINES   give out whole lines as they come
 *      └──────────────┘
 *
 * Inside of gzip a JSON document waits in `waiting` until another one after it is complete, or the
 * member's checksum proves it. So a message that is alone in its member is never converted when it
 * is damaged, and streams of them still are while they arrive. Lines behind one wait with it, up to
 * an amount.
 *
 * What lies in a whole payload as it is, not packed, is not copied: its documents borrow from there.
 * More of a JSON document that was begun is inflated to where its text ends, or read to there, rather than
 * into a window and copied; what turns out to lie behind the document is then put aside.
 * No step looks at more than a part of it, so that others have their turns.
 */
#include "decode/payload.h"

#include <endian.h>
#include <stdlib.h>

#include "decode/base64.h"
#include "decode/envelope.h"
#include "decode/gunzip.h"
#include "decode/json.h"

enum {
	WAITING_LINES = 1024 * 1024,
	PART = 64 * 1024,
	PLACED_FEWEST = 16 * 1024, /* octets that are worth to be put where they stay */
	PLACED_LEAST = 64 * 1024,  /* for which room is made */
	PLACED_MOST = 512 * 1024,  /* and that are put there at once */
	USUAL_FROM = 256 * 1024,   /* octets of a document that may be as large as the last */
	USUAL_STEP = 512 * 1024,
	USUAL_MOST = 4 * 1024 * 1024, /* and what it gets room for then, at most */
	USUAL_RATIO = 20,	      /* of gzip: flow logs reach it */
};

enum state { BETWEEN, GZIP, JSON, LINES, LONG_LINE };
enum member { MEMBER, MEMBER_ENDED, NO_MEMBER };

struct payload {
	const struct limits *limits;
	struct stats *stats;
	enum state state;
	uint8_t sample_len; /* the first octets of what was begun last */
	char sample[FAULT_SAMPLE];
	unsigned layer;	 /* 0: a peer's own octets */
	bool held;	 /* part of something that waits for a checksum */
	uint64_t *tally; /* what gzip may inflate to in all; NULL for streams */
	uint64_t own_tally;
	size_t *usual; /* octets of the last document that came in pieces; NULL: for others */

	struct gunzip *gunzip; /* GZIP */
	enum member member;    /* GZIP */
	struct slice window;   /* GZIP: inflated, not yet taken by inner */
	struct payload *inner; /* GZIP */
	bool inner_busy;       /* GZIP: inner has more to do with what it was given */

	bool stays;	       /* the octets given stay where they are, and all of them are there */
	struct json_scan scan; /* JSON */
	size_t scanned;	       /* JSON that stays: octets of the document looked at and not taken */
	struct plain plain;    /* JSON: its plain events so far */
	struct buf text;       /* JSON: the document so far. LINES: a line without its end */
	size_t expected;       /* octets that come, as far as is known */
	struct buf spill;      /* what was placed there and belongs to no document */
	bool first_lines;      /* LINES: none were given out since the run began */
	struct documents waiting;
};

static struct payload *layer_new(const struct payload *outer, uint64_t *tally, bool held)
{
	struct payload *p = malloc(sizeof(*p));
	if (p == NULL)
		return NULL;
	*p = (struct payload){
		.limits = outer->limits,
		.stats = outer->stats,
		.layer = outer->layer + 1,
		.held = held,
		.tally = tally,
		.usual = outer->usual,
	};
	buf_init(&p->text, p->limits->inflated);
	buf_init(&p->spill, PLACED_MOST);
	plain_init(&p->plain);
	documents_init(&p->waiting);
	return p;
}

struct payload *payload_new(enum payload_source source, const struct limits *limits,
			    struct stats *stats)
{
	struct payload *p = malloc(sizeof(*p));
	if (p == NULL)
		return NULL;
	*p = (struct payload){ .limits = limits, .stats = stats };
	if (source == PAYLOAD_WHOLE)
		p->tally = &p->own_tally;
	/* Whole lines have room even where payloads have less. */
	buf_init(&p->text, limits->payload > LINE_LIMIT ? limits->payload : LINE_LIMIT + 1);
	buf_init(&p->spill, PLACED_MOST);
	plain_init(&p->plain);
	documents_init(&p->waiting);
	return p;
}

void payload_keep_usual(struct payload *p, size_t *usual)
{
	p->usual = usual;
}

static void close_gzip(struct payload *p)
{
	gunzip_free(&p->gunzip);
	payload_free(&p->inner);
	p->inner_busy = false;
	p->window = SLICE_NONE;
	p->state = BETWEEN;
}

void payload_count_in(struct payload *p, struct stats *stats)
{
	p->stats = stats;
}

const struct stats *payload_counts(const struct payload *p)
{
	return p->stats;
}

void payload_free(struct payload **p)
{
	if (*p == NULL)
		return;
	close_gzip(*p);
	buf_deinit(&(*p)->text);
	buf_deinit(&(*p)->spill);
	plain_deinit(&(*p)->plain);
	documents_free(&(*p)->waiting);
	free(*p);
	*p = NULL;
}

size_t payload_ahead(const struct payload *p)
{
	return p->scanned;
}

bool payload_idle(const struct payload *p)
{
	return p->state == BETWEEN || (p->state == LINES && p->text.len == 0);
}

size_t payload_held(const struct payload *p)
{
	size_t inner = p->inner == NULL ? 0 : payload_held(p->inner);
	size_t gunzip = p->gunzip == NULL ? 0 : gunzip_cost();
	size_t plain = p->plain.found.cap + p->waiting.plain;
	return p->text.cap + p->spill.cap + plain + p->waiting.size + gunzip + inner;
}

/* What the text's buffer grows to at most, when it takes so many octets more. */
static size_t grown(const struct payload *p, size_t more)
{
	size_t need = p->text.len + more;
	size_t most = buf_grown(&p->text, more);
	size_t usual = p->usual == NULL || need < USUAL_FROM ? 0 : *p->usual;
	if (usual > 0 && need > usual)
		usual = 2 * need;
	return most > usual ? most : usual;
}

/* A layer that takes so many octets more; of them gzip may begin, or not. */
static size_t may_hold(const struct payload *p, size_t more, bool gzip, size_t inflated)
{
	/* Beside the text lie what was put aside of it, and its events, which have half of its length. */
	size_t most = payload_held(p) - p->text.cap + grown(p, more);
	most += p->plain.found.cap + 3 * more;
	if (p->inner != NULL)
		most += may_hold(p->inner, inflated, p->inner->state == BETWEEN, inflated) -
			payload_held(p->inner);
	else if (gzip)
		most += gunzip_cost() + 4 * inflated;
	return most;
}

size_t payload_may_hold(const struct payload *p, struct slice given, size_t inflated)
{
	bool gzip = p->state != JSON && p->inner == NULL && given.len > 0 &&
		    memchr(given.data, 0x1f, given.len) != NULL;
	return may_hold(p, given.len, gzip, inflated);
}

static enum step bad(struct fault *fault, enum fault_code code, size_t offset)
{
	fault_set(fault, code, 0, offset);
	return STEP_BAD;
}

/* ---- between --------------------------------------------------------------------------------- */

/*
 * How much the last member says that it inflates to (RFC 1952 section 2.3.1, ISIZE): all of it, for
 * what AWS sends. Only room is made by it, and not more than flow logs need.
 */
static size_t expected_octets(const struct payload *p, struct slice gzip)
{
	uint32_t size;
	if (gzip.len < sizeof(size))
		return 0;
	memcpy(&size, gzip.data + gzip.len - sizeof(size), sizeof(size));
	uint64_t most = gzip.len * USUAL_RATIO;
	if (most > p->limits->inflated)
		most = p->limits->inflated;
	return le32toh(size) < most ? le32toh(size) : most;
}

static enum step open_gzip(struct payload *p, struct slice in, bool end, struct fault *fault)
{
	if (p->layer == p->limits->nesting)
		return bad(fault, FAULT_NESTING, 0);
	p->gunzip = gunzip_new(p->limits, p->tally);
	p->inner = layer_new(p, p->tally, true);
	p->member = MEMBER;
	p->state = GZIP;
	if (p->gunzip == NULL || p->inner == NULL)
		return bad(fault, FAULT_MEMORY, 0);
	p->inner->expected = end ? expected_octets(p, in) : 0;
	return STEP_OK;
}

static void open_json(struct payload *p)
{
	json_scan_init(&p->scan, (unsigned)p->limits->depth);
	p->scan.plain = &p->plain;
	p->state = JSON;
}

static void open_lines(struct payload *p)
{
	p->first_lines = true;
	p->state = LINES;
}

/* Chooses by the first octet; in has at least one. */
static enum step begin(struct payload *p, struct slice in, bool end, struct fault *fault)
{
	p->sample_len = (uint8_t)(in.len < FAULT_SAMPLE ? in.len : FAULT_SAMPLE);
	memcpy(p->sample, in.data, p->sample_len);
	if (in.data[0] == 0x1f)
		return open_gzip(p, in, end, fault);
	if (in.data[0] == '{')
		open_json(p);
	else
		open_lines(p);
	return STEP_OK;
}

static void skip_spaces(struct slice *in)
{
	size_t n = 0;
	while (n < in->len && json_is_space(in->data[n]))
		n++;
	slice_skip(in, n);
}

/* ---- giving out ------------------------------------------------------------------------------ */

/*
 * What a whole payload unpacks to counts with what each document costs beside its text. Lines of a
 * stream are converted as they come, so their amount is no concern.
 */
static enum step within_cap(const struct payload *p, const struct documents *d, struct fault *fault)
{
	if (p->tally == NULL && p->state == LINES)
		return STEP_OK;
	return d->size > p->limits->inflated ? bad(fault, FAULT_INFLATED, d->size) : STEP_OK;
}

static enum step give(struct payload *p, struct documents *to, struct document *d,
		      struct fault *fault)
{
	if (!documents_add(to, d)) {
		document_deinit(d);
		return bad(fault, FAULT_MEMORY, 0);
	}
	p->stats->documents++;
	return within_cap(p, to, fault);
}

/* The line begun earlier, if any, and whole lines after it. */
static enum step give_lines(struct payload *p, struct slice lines, struct documents *out,
			    struct fault *fault)
{
	struct document d = {
		.kind = DOCUMENT_LINES,
		.first_lines = p->first_lines,
		.len = p->text.len + lines.len,
	};
	if (d.len == 0)
		return STEP_OK;
	d.borrowed = p->stays && p->text.len == 0;
	d.text = d.borrowed ? (char *)(uintptr_t)lines.data : malloc(d.len);
	if (d.text == NULL)
		return bad(fault, FAULT_MEMORY, 0);
	if (p->text.len > 0)
		memcpy(d.text, p->text.data, p->text.len);
	if (!d.borrowed && lines.len > 0)
		memcpy(d.text + p->text.len, lines.data, lines.len);
	buf_deinit(&p->text);
	p->first_lines = false;
	if (p->waiting.first == NULL)
		return give(p, out, &d, fault);
	enum step step = give(p, &p->waiting, &d, fault);
	if (p->waiting.size > WAITING_LINES)
		documents_move(out, &p->waiting);
	return step;
}

/* ---- lines ----------------------------------------------------------------------------------- */

static enum step end_lines(struct payload *p, struct documents *out, struct fault *fault)
{
	enum step step = p->state == LINES ? give_lines(p, SLICE_NONE, out, fault) : STEP_OK;
	p->state = BETWEEN;
	return step;
}

static bool begins_other_payload(char c)
{
	return c == '{' || c == 0x1f;
}

/* How many of the first at octets are whole lines, when only spaces follow the last line's end. */
static size_t whole_before(struct slice in, size_t at)
{
	while (at > 0 && in.data[at - 1] != '\n')
		at--;
	return at;
}

/*
 * How many octets of whole lines there are, up to where another kind of payload begins (*other).
 * With a line begun earlier, the first octets are the rest of it.
 */
static size_t whole_lines(struct slice in, bool line_begun, bool *other)
{
	size_t whole = 0;
	*other = false;
	while (whole < in.len) {
		bool begun = line_begun && whole == 0;
		size_t at = whole;
		/* Blank lines go by at once, so that many of them are looked at once each. */
		while (!begun && at < in.len && json_is_space(in.data[at]))
			at++;
		if (at == in.len)
			return whole_before(in, at);
		if (!begun && begins_other_payload(in.data[at])) {
			*other = true;
			return at;
		}
		const char *end = memchr(in.data + at, '\n', in.len - at);
		if (end == NULL)
			return whole_before(in, at);
		whole = (size_t)(end - in.data) + 1;
	}
	return whole;
}

/* Keeps the start of a line until its end comes; one that is too long is given out cut. */
static enum step keep_rest(struct payload *p, struct slice *in, bool end, struct documents *out,
			   struct fault *fault)
{
	if (p->text.len == 0)
		skip_spaces(in);
	size_t room = LINE_LIMIT + 1 - p->text.len;
	size_t n = in->len < room ? in->len : room;
	if (!buf_add(&p->text, in->data, n))
		return bad(fault, FAULT_MEMORY, 0);
	slice_skip(in, n);
	if (p->text.len <= LINE_LIMIT)
		return end ? STEP_OK : STEP_MORE;
	p->state = LONG_LINE;
	return give_lines(p, SLICE_NONE, out, fault);
}

static enum step next_lines(struct payload *p, struct slice *in, bool end, struct documents *out,
			    struct fault *fault)
{
	if (in->len == 0)
		return end ? end_lines(p, out, fault) : STEP_MORE;
	bool other;
	struct slice part = slice_of(in->data, in->len < PART ? in->len : PART);
	size_t whole = whole_lines(part, p->text.len > 0, &other);
	if (whole == 0 && !other)
		return keep_rest(p, in, end, out, fault);
	enum step step = STEP_OK;
	if (whole > 0)
		step = give_lines(p, slice_of(in->data, whole), out, fault);
	slice_skip(in, whole);
	if (other)
		p->state = BETWEEN;
	return step;
}

static enum step next_long_line(struct payload *p, struct slice *in, bool end)
{
	const char *newline = in->len == 0 ? NULL : memchr(in->data, '\n', in->len);
	slice_skip(in, newline == NULL ? in->len : (size_t)(newline - in->data) + 1);
	if (newline != NULL)
		p->state = LINES;
	else if (end)
		p->state = BETWEEN;
	return newline != NULL || end ? STEP_OK : STEP_MORE;
}

/* ---- gzip ------------------------------------------------------------------------------------ */

/* A member ended well: what waited for that goes out, and lines do not run on into the next. */
static enum step end_member(struct payload *p, struct documents *out, struct fault *fault)
{
	struct payload *inner = p->inner;
	p->member = NO_MEMBER;
	documents_move(out, &inner->waiting);
	if (inner->state == LINES || inner->state == LONG_LINE)
		return end_lines(inner, out, fault);
	return STEP_OK;
}

/*
 * Between two members. A document that is not complete goes on in the next one, if that follows at
 * once: members, one after another, are one stream (RFC 1952 section 2.2).
 */
static enum step after_member(struct payload *p, struct slice in, bool end, struct fault *fault)
{
	if (payload_idle(p->inner)) {
		close_gzip(p);
		return STEP_OK;
	}
	if (in.len == 0 && !end)
		return STEP_MORE;
	if (in.len == 0 || in.data[0] != 0x1f)
		return bad(fault, p->inner->state == JSON ? FAULT_JSON_CUT : FAULT_GZIP_CUT,
			   p->inner->text.len);
	p->member = MEMBER;
	return STEP_OK;
}

/*
 * More of a JSON document comes. Room once for all, rather than time and again as it grows; it does
 * without, too.
 */
static void expect_usual(struct payload *p)
{
	size_t len = p->text.len;
	if (p->usual != NULL && len >= USUAL_FROM && *p->usual > p->text.cap)
		(void)!buf_reserve_exactly(&p->text, *p->usual - len);
}

/* And some more, as the next one may be a little larger, in steps, so that others find what was freed. */
static void note_usual(struct payload *p, size_t octets)
{
	size_t room = (octets + octets / 16 + PLACED_LEAST + USUAL_STEP - 1) & -(size_t)USUAL_STEP;
	if (p->usual != NULL && octets > USUAL_FROM)
		*p->usual = room < USUAL_MOST ? room : USUAL_MOST;
}

char *payload_room(struct payload *p, size_t *room)
{
	size_t left = p->text.cap - p->text.len;
	if (p->state != JSON || p->text.len == 0 || left < PLACED_FEWEST)
		return NULL;
	*room = left < PLACED_MOST ? left : PLACED_MOST;
	return p->text.data + p->text.len;
}

/* What is inflated next has room where it stays, if it is more of a JSON document and there is memory. */
static void make_room(struct payload *p)
{
	if (p->state != JSON || p->text.len == 0)
		return;
	expect_usual(p);
	(void)!buf_reserve(&p->text, PLACED_LEAST);
}

static enum step inflate(struct payload *p, struct slice *in, bool end, struct fault *fault)
{
	size_t room;
	make_room(p->inner);
	char *to = payload_room(p->inner, &room);
	enum step step = to == NULL ? gunzip_next(p->gunzip, in, &p->window, fault)
				    : gunzip_next_into(p->gunzip, in, to, room, &p->window, fault);
	p->stats->bytes_inflated += p->window.len;
	p->inner_busy = p->window.len > 0;
	if (step == STEP_OK && gunzip_member_ended(p->gunzip))
		p->member = MEMBER_ENDED;
	return step == STEP_MORE && end ? bad(fault, FAULT_GZIP_CUT, 0) : step;
}

static enum step next_gzip(struct payload *p, struct slice *in, bool end, struct documents *out,
			   struct fault *fault)
{
	if (p->inner_busy) {
		enum step step = payload_next(p->inner, &p->window, false, out, fault);
		p->inner_busy = step != STEP_MORE;
		return step == STEP_MORE ? STEP_OK : step;
	}
	if (p->member == MEMBER)
		return inflate(p, in, end, fault);
	if (p->member == MEMBER_ENDED)
		return end_member(p, out, fault);
	return after_member(p, *in, end, fault);
}

/* ---- JSON ------------------------------------------------------------------------------------ */

/* Everything that one piece of wrapped data unpacks to. */
static enum step unwrap_data(struct payload *p, struct slice base64, struct documents *found,
			     struct fault *fault)
{
	struct buf octets;
	buf_init(&octets, p->limits->inflated);
	struct payload *child = layer_new(p, p->tally == NULL ? &p->own_tally : p->tally, false);
	enum step step = STEP_OK;
	if (child == NULL || !buf_reserve(&octets, base64.len / 4 * 3))
		step = bad(fault, FAULT_MEMORY, 0);
	else if (!base64_decode(base64, &octets))
		step = bad(fault, FAULT_BASE64, 0);
	else if (octets.len == 0)
		step = bad(fault, FAULT_EMPTY, 0);
	struct slice in = buf_slice(&octets);
	while (step == STEP_OK)
		step = payload_next(child, &in, true, found, fault);
	payload_free(&child);
	buf_deinit(&octets);
	return step;
}

static enum step unwrap(struct payload *p, struct envelope *e, struct documents *found,
			struct fault *fault)
{
	if (p->layer >= p->limits->nesting)
		return bad(fault, FAULT_NESTING, 0);
	if (p->tally == NULL)
		p->own_tally = 0;
	struct buf scratch;
	buf_init(&scratch, p->limits->inflated);
	enum step step = STEP_OK;
	while (step == STEP_OK) {
		struct slice data;
		step = envelope_data(e, &scratch, &data, fault);
		if (step == STEP_OK && unwrap_data(p, data, found, fault) == STEP_BAD)
			step = STEP_BAD;
		scratch.len = 0;
	}
	buf_deinit(&scratch);
	return step == STEP_BAD ? STEP_BAD : STEP_OK;
}

/* What a complete document is, and what it wraps: all of that goes to `to`, or nothing. */
static enum step open_document(struct payload *p, struct document *d, struct documents *to,
			       struct fault *fault)
{
	struct envelope e;
	if (!envelope_open(&e, d, fault)) {
		document_deinit(d);
		return STEP_BAD;
	}
	/* Of use in log events only; and messages are joined without. */
	if (d->kind != DOCUMENT_CLOUDWATCH)
		plain_deinit(&d->plain);
	if (e.kind == ENVELOPE_DOCUMENT)
		return give(p, to, d, fault);
	struct documents found;
	documents_init(&found);
	enum step step = unwrap(p, &e, &found, fault);
	if (step == STEP_OK)
		documents_move(to, &found);
	documents_free(&found);
	document_deinit(d);
	return step;
}

/* Its braces balance: whatever is wrong with the document ends with it. */
static enum step end_json(struct payload *p, struct document *d, struct documents *out,
			  struct fault *fault)
{
	p->state = BETWEEN;
	struct documents opened;
	documents_init(&opened);
	enum step step = open_document(p, d, &opened, fault);
	if (step == STEP_BAD) {
		fault->contained = true;
		documents_free(&opened);
		return STEP_BAD;
	}
	documents_move(out, &p->waiting);
	documents_move(p->held ? &p->waiting : out, &opened);
	return within_cap(p, out, fault);
}

/* Whether octets lie where payload_room() said. */
static bool is_placed(const struct payload *p, struct slice octets)
{
	return p->text.len < p->text.cap && octets.data == p->text.data + p->text.len;
}

/* What follows a document is no part of its text. False without memory. */
static bool put_aside(struct payload *p, struct slice *in)
{
	p->spill.len = 0;
	if (!buf_add(&p->spill, in->data, in->len))
		return false;
	*in = buf_slice(&p->spill);
	return true;
}

static enum step end_gathered(struct payload *p, struct documents *out, struct fault *fault)
{
	note_usual(p, p->text.len);
	struct document d = { .text = p->text.data, .len = p->text.len, .plain = p->plain };
	p->text.data = NULL;
	buf_deinit(&p->text);
	plain_init(&p->plain);
	return end_json(p, &d, out, fault);
}

/* A document that is all there is looked at, a part a call, and taken where it lies. */
static enum step next_json_in_place(struct payload *p, struct slice *in, struct documents *out,
				    struct fault *fault)
{
	struct slice part = *in;
	slice_skip(&part, p->scanned);
	if (part.len == 0)
		return bad(fault, FAULT_JSON_CUT, p->scanned);
	if (part.len > PART)
		part.len = PART;
	size_t used;
	enum step step = json_scan(&p->scan, part, &used, fault);
	if (step == STEP_BAD) {
		fault->offset += p->scanned;
		return STEP_BAD;
	}
	p->scanned += used;
	if (p->scanned > p->limits->payload)
		return bad(fault, FAULT_TOO_LARGE, p->limits->payload);
	if (step == STEP_MORE)
		return STEP_OK;
	struct document d = {
		.text = (char *)(uintptr_t)in->data,
		.borrowed = true,
		.len = p->scanned,
		.plain = p->plain,
	};
	plain_init(&p->plain);
	slice_skip(in, p->scanned);
	p->scanned = 0;
	return end_json(p, &d, out, fault);
}

/*
 * The first octets given are more of the document's text, and the last of it or not. False without
 * memory.
 */
static bool gather(struct payload *p, struct slice *in, size_t used, bool last)
{
	struct slice more = slice_of(in->data, used);
	slice_skip(in, used);
	if (is_placed(p, more)) {
		p->text.len += used;
		return !last || put_aside(p, in);
	}
	/* Room once for all, rather than time and again as it grows; it does without, too. */
	if (!last && p->expected > more.len)
		(void)!buf_reserve_exactly(&p->text, p->expected + PLACED_LEAST);
	p->expected = 0;
	expect_usual(p);
	return buf_add(&p->text, more.data, more.len);
}

static enum step next_json(struct payload *p, struct slice *in, bool end, struct documents *out,
			   struct fault *fault)
{
	if (p->stays && p->text.len == 0)
		return next_json_in_place(p, in, out, fault);
	if (in->len == 0)
		return end ? bad(fault, FAULT_JSON_CUT, p->text.len) : STEP_MORE;
	size_t used;
	enum step step = json_scan(&p->scan, *in, &used, fault);
	if (step == STEP_BAD) {
		fault->offset += p->text.len;
		return STEP_BAD;
	}
	uint64_t most = p->layer == 0 ? p->limits->payload : p->limits->inflated;
	if (p->text.len > most || used > most - p->text.len)
		return bad(fault, p->layer == 0 ? FAULT_TOO_LARGE : FAULT_INFLATED, most);
	if (!gather(p, in, used, step == STEP_OK))
		return bad(fault, FAULT_MEMORY, 0);
	if (step == STEP_OK)
		return end_gathered(p, out, fault);
	return end ? STEP_OK : STEP_MORE;
}

/* ---- the layer ------------------------------------------------------------------------------- */

static enum step next_between(struct payload *p, struct slice *in, bool end, struct fault *fault)
{
	skip_spaces(in);
	return in->len == 0 ? STEP_MORE : begin(p, *in, end, fault);
}

static enum step next(struct payload *p, struct slice *in, bool end, struct documents *out,
		      struct fault *fault)
{
	switch (p->state) {
	case BETWEEN:
		return next_between(p, in, end, fault);
	case GZIP:
		return next_gzip(p, in, end, out, fault);
	case JSON:
		return next_json(p, in, end, out, fault);
	case LINES:
		return next_lines(p, in, end, out, fault);
	default:
		return next_long_line(p, in, end);
	}
}

enum step payload_next(struct payload *p, struct slice *in, bool end, struct documents *out,
		       struct fault *fault)
{
	p->stays = end && p->layer == 0 && p->tally != NULL;
	enum step step = next(p, in, end, out, fault);
	if (in->len == 0)
		buf_deinit(&p->spill);
	/* The innermost layer knows best. */
	if (step == STEP_BAD && fault->sample_len == 0) {
		fault->sample_len = p->sample_len;
		memcpy(fault->sample, p->sample, p->sample_len);
	}
	return step;
}
