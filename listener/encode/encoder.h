/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_ENCODE_ENCODER_H
#define VPCFLOWD_ENCODE_ENCODER_H

#include "base/buf.h"
#include "base/limits.h"
#include "flow/flow.h"

/*
 * One output format: flows in, octets out. A record is encoded as a whole or not at all.
 */
struct encoder {
	const struct encoder_class *class;
	/* csv and json: the columns asked for by --fields, or chosen by the first use. */
	struct format columns;
	bool has_columns;
};

struct encoder_class {
	const char *name;
	const char *what;     /* for --help */
	bool needs_addresses; /* a record without two addresses of one family has no place in it */
	bool takes_columns;   /* shows the columns of --fields */
	bool needs_columns;   /* its preamble names the columns */
	/* What a new file or session begins with: at most ENCODED_ROOM octets. May be NULL. */
	void (*preamble)(const struct encoder *e, struct buf *out);
	/* One record: at most ENCODED_ROOM octets, for which there is room. */
	void (*flow)(const struct encoder *e, const struct flow *flow, struct buf *out);
};

/* Each octet of a line may need another to escape it; each column has its name and punctuation. */
enum { ENCODED_ROOM = 2 * LINE_LIMIT + COLUMN_LIMIT * (COLUMN_NAME_LIMIT + 32) };

/* All classes, ended by NULL. */
extern const struct encoder_class *const encoder_classes[];
/* NULL when no format has this name. */
const struct encoder_class *encoder_class_by_name(struct slice name);

/* columns may be NULL: then encoder_choose_columns decides, or every record names its own. */
void encoder_init(struct encoder *e, const struct encoder_class *class,
		  const struct format *columns);
/* Takes these columns unless it has some already. */
void encoder_choose_columns(struct encoder *e, const struct format *columns);
/* Whether this flow has a place in the format. */
bool encoder_takes(const struct encoder *e, const struct flow *flow);

/* ---- for the encoders ------------------------------------------------------------------------ */

extern const struct encoder_class encoder_ftsq;
extern const struct encoder_class encoder_csv;
extern const struct encoder_class encoder_json;
extern const struct encoder_class encoder_ipfix_csv;

/* The value of a column of one format in a flow that may have another; NULL when not there. */
const struct value *encoder_value(const struct format *columns, unsigned column,
				  const struct flow *flow);
/* A column's name with underscores. */
void encoder_put_name(const struct format *columns, unsigned column, struct buf *out);
/* A number or time (in seconds) in plain decimal: the text as it came where it is that already. */
void encoder_put_number(enum field_kind kind, const struct value *v, struct buf *out);

#endif
