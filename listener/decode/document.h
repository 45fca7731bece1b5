/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_DECODE_DOCUMENT_H
#define VPCFLOWD_DECODE_DOCUMENT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

enum document_kind {
	DOCUMENT_CLOUDWATCH, /* a message with logEvents */
	DOCUMENT_CONTROL,    /* CloudWatch's health check: no flow in it */
	DOCUMENT_MESSAGE,    /* one {"message": ...} */
	DOCUMENT_LINES,	     /* whole lines */
};

/*
 * What a payload is unpacked to: text that is complete and, where it is JSON, valid. The slices
 * borrow from text and are JSON values as written (decode/json.h); those a kind lacks are empty.
 */
struct document {
	struct document *next;
	enum document_kind kind;
	bool first_lines; /* LINES: no header line before these holds for them */
	char *text;	  /* owned */
	size_t len;
	struct slice owner;   /* CLOUDWATCH: account */
	struct slice group;   /* CLOUDWATCH: log group */
	struct slice events;  /* CLOUDWATCH: the array logEvents */
	struct slice message; /* MESSAGE: its value */
};

/* A queue of documents, first in first out. Owns them. */
struct documents {
	struct document *first;
	struct document **last;
	size_t size; /* octets they hold, each with its own cost */
};

void documents_init(struct documents *d);
void documents_free(struct documents *d);
/*
 * Appends a document, whose text (malloc) becomes the queue's. False without memory; the text then
 * stays the caller's.
 */
bool documents_add(struct documents *d, const struct document *document);
/* Moves all of from to the end of d. */
void documents_move(struct documents *d, struct documents *from);
/* Removes and frees the first document; there must be one. */
void documents_drop_first(struct documents *d);

static inline bool documents_empty(const struct documents *d)
{
	return d->first == NULL;
}

#endif
