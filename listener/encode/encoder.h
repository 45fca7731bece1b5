/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_ENCODE_ENCODER_H
#define VPCFLOWD_ENCODE_ENCODER_H

#include "base/limits.h"
#include "base/sixteen.h"
#include "encode/batch.h"
#include "flow/flow.h"

struct encoder;

/*
 * One output format: flows in, batches of octets out. A record is encoded as a whole or not at all.
 *
 *   encoder_lane ─▶ encoder_add … encoder_add ─▶ encoder_ahead … ─▶ encoder_stamp ─▶ sent
 *                   one batch fills up           what has to be      the batch gets its
 *                                                sent before it      place in the session
 *
 * A batch is filled without regard to the session it will be sent in, so what a broken session has
 * not delivered is stamped again in the next. A session is a file, a TCP connection, or all
 * datagrams to a collector (RFC 7011 section 2, "Transport Session").
 */
struct encoder_class {
	const char *name;
	const char *what;     /* for --help */
	bool needs_addresses; /* a record without two addresses of one family has no place in it */
	bool takes_columns;   /* shows the columns of --fields */
	bool needs_columns;   /* its header names the columns */
	bool messages;	      /* IPFIX: the functions below are not used */
	/* What a file or session of text begins with: at most ENCODED_ROOM octets. May be NULL. */
	void (*header)(const struct encoder *e, struct buf *out);
	/* One record of text: at most ENCODED_ROOM octets, for which there is room. */
	void (*flow)(const struct encoder *e, const struct flow *flow, struct buf *out);
};

/* Each octet of a line may need another to escape it; each column has its name and punctuation. */
enum { ENCODED_ROOM = 2 * LINE_LIMIT + COLUMN_LIMIT * (COLUMN_NAME_LIMIT + 32) };

/* What the options say. The columns live as long as the encoder. */
struct encoder_settings {
	const struct encoder_class *class;
	/* --fields; NULL: encoder_begin decides, or every record names its own. */
	const struct format *columns;
	const struct format *sums; /* --aggregate: flows are sums, with these columns; NULL: not */
	bool packet_addresses;	   /* --packet-addresses */
	uint32_t aws_elements;	   /* --aws-elements: an enterprise number, 0 for none */
	size_t message_size;	   /* most octets of an IPFIX Message */
	bool datagrams;		   /* templates are sent again and again */
	uint64_t refresh_ms;	   /* so often, with what options tell */
	uint64_t refresh_messages; /* and after so many messages */
};

/* Whether what it writes names the columns, so that they have to be known before the first record. */
static inline bool encoder_names_columns(const struct encoder_settings *s)
{
	return s->class->needs_columns || s->aws_elements != 0;
}

struct ipfix;

struct encoder {
	struct encoder_settings settings;
	struct format columns; /* csv, json, AWS's elements: those of --fields, or of the begin */
	bool has_columns;
	bool header_due;
	struct ipfix *ipfix; /* of the class ipfix, once begun */
};

/* All classes, ended by NULL. */
extern const struct encoder_class *const encoder_classes[];
/* NULL when no format has this name. */
const struct encoder_class *encoder_class_by_name(struct slice name);

void encoder_init(struct encoder *e, const struct encoder_settings *settings);
void encoder_deinit(struct encoder *e);

/* Whether columns still have to be known before the first record. */
bool encoder_needs_columns(const struct encoder *e);
/* Takes these columns unless --fields gave some, and makes ready for flows. False: no memory. */
MUST_CHECK bool encoder_begin(struct encoder *e, const struct format *columns);

/* Whether this flow has a place in the format. */
static inline bool encoder_takes(const struct encoder *e, const struct flow *flow)
{
	if (!e->settings.class->needs_addresses)
		return true;
	const struct address *src = flow_address(flow, FIELD_SRCADDR);
	const struct address *dst = flow_address(flow, FIELD_DSTADDR);
	return src != NULL && dst != NULL && src->version == dst->version;
}

/* The lane of a flow, or LANE_NONE without memory. */
enum { LANE_NONE = UINT32_MAX >> 1 };
unsigned encoder_lane(struct encoder *e, const struct flow *flow);
/* The size a batch is made with. */
size_t encoder_batch_size(const struct encoder *e);
/* Adds a flow to a batch of its lane. False: the batch is full, and as it was. */
MUST_CHECK bool encoder_add(struct encoder *e, const struct flow *flow, struct batch *b);
/* Flows of a lane that will not reach the destination: told to collectors. */
void encoder_not_sent(struct encoder *e, unsigned lane, const struct tally *tally);

/* Texts that were left out, since their record would not have fitted a message. */
uint64_t encoder_texts_cut(const struct encoder *e);

/* A new session begins: headers and templates are due, sequence numbers begin at 0. */
void encoder_new_session(struct encoder *e);
/* The session goes on, but the other side may have forgotten the templates. */
void encoder_repeat(struct encoder *e);
/* The end is near: what waits for its time is due now. */
void encoder_last_call(struct encoder *e);
/* Whether it is worth to make a batch and ask encoder_ahead. */
bool encoder_may_be_ahead(const struct encoder *e);
/*
 * The next batch that has to be sent before anything else; any_lane, or before more of this lane
 * only. Fills *b, which is empty and of encoder_batch_size. STEP_MORE: nothing is due. STEP_BAD: no
 * memory. now_ms is any clock that does not jump.
 */
enum { ANY_LANE = LANE_NONE };
MUST_CHECK enum step encoder_ahead(struct encoder *e, unsigned lane, uint64_t now_ms,
				   struct batch *b);
/* Gives a batch its place in the session: call when it is sent, in the order of sending. */
void encoder_stamp(struct encoder *e, struct batch *b);

/* ---- for the encoders ------------------------------------------------------------------------ */

extern const struct encoder_class encoder_ftsq;
extern const struct encoder_class encoder_csv;
extern const struct encoder_class encoder_json;
extern const struct encoder_class encoder_ipfix_csv;
extern const struct encoder_class encoder_ipfix;

/* The column of a flow that only its name says, as no field of ours is it; -1: none. */
int encoder_column_by_name(const struct format *columns, unsigned column, const struct flow *flow);

/* The column of a flow that is the same as one of another format; -1: it has none. */
static inline int encoder_column(const struct format *columns, unsigned column,
				 const struct flow *flow)
{
	enum field field = columns->column[column].field;
	if (columns->serial == flow->format->serial)
		return (int)column;
	if (field != FIELD_UNKNOWN)
		return flow->format->place[field];
	return encoder_column_by_name(columns, column, flow);
}

/*
 * Texts are copied by sixteen octets: most are short, and that is faster than the right number of
 * them. What is too much is overwritten by what comes next (ENCODED_ROOM has room for it). Of a flow
 * that was read the quick way so many may be read (flow.h). All give back where the next goes.
 */
static inline char *encoder_copy(char *to, struct slice text, bool quick)
{
	if (!quick) {
		if (text.len > 0)
			memcpy(to, text.data, text.len);
		return to + text.len;
	}
	memcpy(to, text.data, SIXTEEN);
	for (size_t at = SIXTEEN; at < text.len; at += SIXTEEN)
		memcpy(to + at, text.data + at, SIXTEEN);
	return to + text.len;
}

/* A number of a column, a time in seconds, where its text may be something else: 20 octets at most. */
char *encoder_put_odd_number(char *to, const struct flow *flow, unsigned column);

/* A number or a time, which is there, in plain decimal. */
static inline char *encoder_put_number(char *to, const struct flow *flow, unsigned column)
{
	const struct words *w = &flow->words;
	bool time = flow->format->kind[column] == FIELD_TIME;
	if (w->line.len == 0 || w->odd || (time && words_late(w, column)))
		return encoder_put_odd_number(to, flow, column);
	return encoder_copy(to, words_text(&flow->words, column), true);
}

#endif
