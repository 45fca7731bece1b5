/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From words of the command line to the columns of sums: what identifies a sum, then what is summed.
 * A name that nobody knows is a mistake here, though it may be a column elsewhere: a sum over a field
 * that no record has would be one of everything.
 */
#include "sum/wanted.h"

#include <stdlib.h>

#define NO_FIELD   "no field of AWS's"
#define FIVE_TUPLE "srcaddr dstaddr srcport dstport protocol"

static const enum field summed[] = {
	FIELD_PACKETS, FIELD_BYTES, FIELD_FLOWS, FIELD_START, FIELD_END,
};

static const char *const order_words[] = {
#define X(code, word) word,
	SUM_ORDERS(X)
#undef X
};

static bool is_summed(enum field field)
{
	for (size_t i = 0; i < sizeof(summed) / sizeof(*summed); i++)
		if (summed[i] == field)
			return true;
	return false;
}

/* NULL, or why a column cannot be a key. */
static const char *check_key(const struct format *f, unsigned column)
{
	enum field field = f->column[column].field;
	if (field == FIELD_UNKNOWN)
		return NO_FIELD;
	return is_summed(field) ? "summed, and no key" : NULL;
}

static bool mistaken(struct wanted_mistake *mistake, const char *why, struct slice name)
{
	mistake->why = why;
	mistake->len = name.len < sizeof(mistake->name) ? name.len : sizeof(mistake->name);
	if (mistake->len > 0)
		memcpy(mistake->name, name.data, mistake->len);
	return false;
}

static bool read_keys(struct format *f, struct slice text, struct wanted_mistake *mistake)
{
	struct slice name;
	if (slice_equal(text, SLICE_LITERAL("5-tuple")) ||
	    slice_equal(text, SLICE_LITERAL("default")))
		text = SLICE_LITERAL(FIVE_TUPLE);
	/* A flow format is called so. */
	if (slice_equal(text, SLICE_LITERAL("tgw")))
		return mistaken(mistake, NO_FIELD, text);
	enum format_error error = format_parse(f, text, COLUMN_LIMIT, &name);
	if (error != FORMAT_OK)
		return mistaken(mistake, format_error_text(error), name);
	for (unsigned i = 0; i < f->count; i++) {
		const char *why = check_key(f, i);
		if (why != NULL)
			return mistaken(mistake, why, format_column_name(f, i));
	}
	return true;
}

static bool add_summed(struct format *f)
{
	for (size_t i = 0; i < sizeof(summed) / sizeof(*summed); i++)
		if (format_add(f, summed[i]) != FORMAT_OK)
			return false;
	return true;
}

bool wanted_set_keys(struct sums_wanted *w, struct slice text, struct wanted_mistake *mistake)
{
	struct format *f = malloc(sizeof(*f));
	if (f == NULL)
		return mistaken(mistake, "out of memory", SLICE_NONE);
	if (!read_keys(f, text, mistake)) {
		free(f);
		return false;
	}
	free(w->format);
	w->format = f;
	w->keys = f->count;
	return add_summed(f) || mistaken(mistake, "too many fields", SLICE_NONE);
}

bool wanted_set_order(struct sums_wanted *w, struct slice word)
{
	for (enum sum_order i = 0; i < BY_COUNT; i++) {
		if (!slice_equal(word, slice_text(order_words[i])))
			continue;
		w->order = i;
		w->has_order = true;
		return true;
	}
	return false;
}

const char *wanted_order(const struct sums_wanted *w)
{
	return order_words[w->order];
}

void wanted_deinit(struct sums_wanted *w)
{
	free(w->format);
	*w = (struct sums_wanted){ .format = NULL };
}
